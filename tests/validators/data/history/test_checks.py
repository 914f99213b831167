"""The checks of a version against those before it and against other datasets."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.validators.data.history.asking import NOW, Gatekeeper
from validators.data.history.past import read_past
from validators.data.history.schema import is_wider
from validators.verdict import Verdict

KEYS = list(range(1000))


def _gate(folder: Path, kind: str, **rule: Any) -> Gatekeeper:
    return Gatekeeper(folder, [{kind: rule}])


def test_a_schema_may_grow_but_not_lose_a_column(tmp_path: Path) -> None:
    gate = _gate(tmp_path, "schema")
    first = gate.check({"a.parquet": {"id": pa.array([1], pa.int32()), "name": ["x"]}})
    assert (first.verdict, first.message[:12]) == (Verdict.WARN, "inconclusive")
    grown = gate.check({"a.parquet": {"id": [1], "name": ["x"], "note": ["y"]}})
    assert grown.verdict is Verdict.PASS
    assert grown.message == ("added: `note` (string); widened: `id` from int32 to int64")
    lost = gate.check({"a.parquet": {"note": ["y"], "id": ["1"]}})
    assert lost.verdict is Verdict.FAIL
    assert lost.message == (
        "removed: `name` (string); retyped: `id` from int64 to string; in another order: `note`, "
        "`id`; not allowed: removed: `name` (string); retyped: `id` from int64 to string"
    )


def test_its_report_is_not_mistaken_for_that_of_the_suite(tmp_path: Path) -> None:
    report = _gate(tmp_path, "schema").judge({"a.parquet": {"x": [1]}})
    assert report.subject == "orders against other data"


def test_a_version_that_was_not_accepted_is_not_what_the_next_is_compared_with(
    tmp_path: Path,
) -> None:
    gate = _gate(tmp_path, "schema")
    gate.judge({"a.parquet": {"id": [1], "name": ["x"]}})
    assert gate.check({"a.parquet": {"id": [1]}}, accept=False).verdict is Verdict.FAIL
    mended = gate.check({"a.parquet": {"id": [2], "name": ["y"]}})
    assert (mended.verdict, mended.message) == (Verdict.PASS, "all 2 columns are as they were")


@pytest.mark.parametrize(
    ("was", "now", "wider"),
    [
        ("int32", "int64", True),
        ("int64", "int32", False),
        ("uint32", "int64", True),
        ("uint32", "int32", False),
        ("int32", "uint64", False),
        ("int32", "double", True),
        ("int64", "double", False),
        ("int16", "float", True),
        ("float", "double", True),
        ("double", "float", False),
        ("null", "string", True),
        ("decimal128(8, 2)", "decimal128(10, 2)", True),
        ("decimal128(8, 2)", "decimal128(9, 4)", False),
        ("timestamp[ms]", "timestamp[us]", True),
        ("timestamp[us]", "timestamp[us, tz=UTC]", False),
        ("string", "int64", False),
    ],
)
def test_a_type_is_wider_if_it_holds_every_value(was: str, now: str, wider: bool) -> None:
    assert is_wider(was, now) is wider


def test_the_newest_value_must_be_young_enough_when_the_run_began(tmp_path: Path) -> None:
    gate = _gate(tmp_path, "freshness", column="placed_at", within="26h")
    began = datetime.fromtimestamp(NOW, UTC)

    def at(*hours: float) -> dict[str, Any]:
        times = [began - timedelta(hours=each) for each in hours]
        return {"a.parquet": {"placed_at": pa.array(times, pa.timestamp("us", "UTC"))}}

    gate.at = NOW
    fresh = gate.check(at(30, 3))
    assert fresh.verdict is Verdict.PASS
    assert fresh.message.endswith("UTC, 3 h before the run began")
    gate.at = NOW
    assert gate.check(at(30)).verdict is Verdict.FAIL
    gate.at = NOW
    ahead = gate.check(at(30, -2))
    assert ahead.verdict is Verdict.FAIL
    assert ahead.message.endswith("UTC, 2 h after the run began: a value in the future")


def test_times_without_a_zone_are_utc_and_dates_their_first_moment(tmp_path: Path) -> None:
    gate = _gate(tmp_path, "freshness", column="day", within="1d")
    moment = datetime(2026, 11, 29, 6, tzinfo=UTC)
    gate.at = datetime(2026, 11, 30, tzinfo=UTC).timestamp()
    naive = gate.check({"a.parquet": {"day": pa.array([moment.replace(tzinfo=None)])}})
    assert "2026-11-29 06:00:00 UTC, 18 h before" in naive.message
    gate.at = datetime(2026, 11, 30, tzinfo=UTC).timestamp()
    by_day = gate.check({"a.parquet": {"day": pa.array([date(2026, 11, 29), None])}})
    assert "2026-11-29 00:00:00 UTC, 24 h before" in by_day.message
    assert by_day.verdict is Verdict.PASS


@pytest.mark.parametrize("column", ["text", "plaecd_at"])
def test_freshness_of_what_is_no_time_is_an_error(tmp_path: Path, column: str) -> None:
    gate = _gate(tmp_path, "freshness", column=column, within="1d")
    check = gate.check({"a.parquet": {"text": ["2026-01-01"]}})
    assert check.verdict is Verdict.ERROR
    assert f"`{column}`" in check.message


def test_a_column_of_nulls_is_not_fresh(tmp_path: Path) -> None:
    gate = _gate(tmp_path, "freshness", column="at", within="1d")
    check = gate.check({"a.parquet": {"at": pa.array([None, None], pa.timestamp("us"))}})
    assert check.verdict is Verdict.FAIL


def _rows(n: int, start: int = 0) -> dict[str, Any]:
    return {"a.parquet": {"id": list(range(start, start + n))}}


def test_a_volume_far_from_the_median_fails_once_enough_versions_are_known(tmp_path: Path) -> None:
    gate = _gate(tmp_path, "volume", within="40%")
    early = [gate.check(_rows(n)) for n in (100, 110, 90)]
    assert {one.verdict for one in early} == {Verdict.WARN}
    assert all(one.message.startswith("inconclusive: a median needs at least 3") for one in early)
    usual = gate.check(_rows(130))
    assert usual.verdict is Verdict.PASS
    assert usual.message == "130 rows, 30 % more than the median 100 of 3 accepted versions"
    short = gate.check(_rows(20))
    assert (short.verdict, short.observed, short.baseline, short.n) == (Verdict.FAIL, 20, 105, 4)


def test_a_season_compares_sundays_with_sundays(tmp_path: Path) -> None:
    gate = _gate(tmp_path, "volume", within="20%", season="weekday")
    week = [100, 101, 102, 99, 100, 10, 11]
    for at, n in enumerate(week * 3):
        gate.judge(_rows(n, start=at))
    for at, n in enumerate(week):
        check = gate.check(_rows(n, start=100 + at))
        assert check.verdict is Verdict.PASS
        assert check.message.endswith("of 3 accepted versions of the same weekday")
    assert gate.check(_rows(10)).verdict is Verdict.FAIL


def test_rows_per_new_object_are_judged_where_data_grows(tmp_path: Path) -> None:
    gate = _gate(tmp_path, "volume", within="40%")
    objects: dict[str, Any] = {}
    for day in range(5):
        objects[f"{day}.parquet"] = {"id": list(range(100 * day, 100 * day + 100))}
        gate.judge(objects)
    usual = gate.judge({**objects, "5.parquet": {"id": list(range(1000, 1110))}}, accept=False)
    assert [one.verdict for one in usual.checks] == [Verdict.PASS, Verdict.PASS]
    little = {"id": list(range(1000, 1010))}
    whole, each = gate.judge({**objects, "5.parquet": little}, accept=False).checks
    assert (whole.verdict, each.verdict) == (Verdict.FAIL, Verdict.FAIL)
    said = "90 % fewer than the median 100 of 4 accepted versions"
    assert whole.message == f"10 rows added, {said}"
    assert each.message == f"10 rows per new object, {said}"


def test_rows_that_are_gone_from_data_that_grows_are_told(tmp_path: Path) -> None:
    gate = _gate(tmp_path, "volume", within="40%")
    objects: dict[str, Any] = {}
    for day in range(5):
        objects[f"{day}.parquet"] = {"id": list(range(100 * day, 100 * day + 100))}
        gate.judge(objects)
    del objects["2.parquet"], objects["3.parquet"]
    check = gate.check({**objects, "5.parquet": {"id": KEYS[:100]}})
    assert (check.verdict, check.observed) == (Verdict.FAIL, -100)


def test_rows_that_come_again_in_a_new_object_are_told(tmp_path: Path) -> None:
    gate = _gate(tmp_path, "seen_before", key=["id"], at_most="1%")
    first = {"1.parquet": {"id": KEYS, "amount": KEYS}}
    assert gate.check(first).verdict is Verdict.WARN
    second = {**first, "2.parquet": {"id": [x + 1000 for x in KEYS], "amount": KEYS}}
    new = gate.check(second)
    assert (new.verdict, new.observed, new.n) == (Verdict.PASS, 0.0, 1000)
    third = {**second, "3.parquet": {"id": [x + 1500 for x in KEYS], "amount": KEYS}}
    again = gate.check(third, accept=False)
    assert again.verdict is Verdict.FAIL
    assert again.message == (
        "500 of 1,000 rows (50 %) of new objects were in an earlier accepted version"
    )
    same = gate.check(second)
    assert (same.verdict, same.message) == (Verdict.PASS, "there is no new object with rows")


def test_an_object_that_is_delivered_twice_is_new_and_one_that_is_moved_is_not(
    tmp_path: Path,
) -> None:
    gate = _gate(tmp_path, "seen_before", key=["id"])
    same = {"id": KEYS}
    gate.judge({"2026/1.parquet": same})
    assert gate.check({"2026/01.parquet": same}, accept=False).n == 0
    twice = gate.check({"2026/1.parquet": same, "2026/2.parquet": same})
    assert (twice.verdict, twice.observed, twice.n) == (Verdict.FAIL, 1.0, 1000)


def test_whole_rows_are_compared_without_a_key(tmp_path: Path) -> None:
    gate = _gate(tmp_path, "seen_before")
    gate.judge({"1.parquet": {"id": KEYS, "name": ["x"] * 1000}})
    other = {"2.parquet": {"id": KEYS, "name": ["y"] * 1000}}
    assert gate.check(other, accept=False).observed == 0.0
    in_another_order = {"2.parquet": {"name": ["x"], "id": [5]}}
    assert gate.check(in_another_order, accept=False).verdict is Verdict.FAIL
    renamed = gate.check({"2.parquet": {"title": ["x"], "id": [5]}})
    assert "not known in this form" in renamed.message


def test_keys_of_another_type_are_all_known_again_from_the_next_version(tmp_path: Path) -> None:
    gate = _gate(tmp_path, "seen_before", key=["id"])
    gate.judge({"1.parquet": {"id": KEYS}})
    texts = {"1.parquet": {"id": [str(x) for x in KEYS]}}
    retyped = gate.check({**texts, "2.parquet": {"id": ["new"]}})
    assert retyped.verdict is Verdict.WARN
    assert "not known in this form" in retyped.message
    again = {**texts, "2.parquet": {"id": ["new"]}, "3.parquet": {"id": ["new", "7", "newer"]}}
    assert gate.check(again).observed == pytest.approx(2 / 3)


def test_keys_are_sampled_once_there_are_many_and_the_share_has_an_interval(tmp_path: Path) -> None:
    gate = _gate(tmp_path, "seen_before", key=["id"], at_most="1%")
    many = 200_000
    gate.judge({"1.parquet": {"id": list(range(many))}})
    size = gate.past.stat().st_size if gate.past else 0
    assert size < 100_000
    new = gate.check({"2.parquet": {"id": list(range(many, 2 * many))}})
    assert (new.verdict, new.observed) == (Verdict.PASS, 0.0)
    half = gate.check({"3.parquet": {"id": list(range(many + many // 2, 2 * many + many // 2))}})
    assert half.verdict is Verdict.FAIL
    assert half.interval is not None
    assert half.interval.low < 0.5 < half.interval.high
    past = read_past(str(gate.past))
    assert not past.samples["id"].is_complete


def test_references_must_have_their_counterpart(tmp_path: Path) -> None:
    gate = _gate(
        tmp_path,
        "refers_to",
        columns=["customer"],
        dataset="customers",
        columns_there=["id"],
        at_least="99.9%",
    )
    gate.others = {"customers": {"c.parquet": {"id": pa.array(KEYS, pa.int32())}}}
    whole = gate.check({"a.parquet": {"customer": [*KEYS, None]}})
    assert whole.verdict is Verdict.PASS
    assert whole.message == (
        "0 of 1,000 rows (0 %) have no counterpart in `customers`; 1 with a null in customer are "
        "left out"
    )
    lost = gate.check({"a.parquet": {"customer": [*KEYS, 5000, 5000]}})
    assert lost.verdict is Verdict.FAIL
    assert lost.message == "2 of 1,002 rows (0.2 %) have no counterpart in `customers`"


def test_references_of_another_type_are_an_error_that_names_both(tmp_path: Path) -> None:
    gate = _gate(tmp_path, "refers_to", columns=["id"], dataset="customers")
    gate.others = {"customers": {"c.parquet": {"id": ["1"]}}}
    check = gate.check({"a.parquet": {"id": [1]}})
    assert check.verdict is Verdict.ERROR
    assert check.message.startswith(
        "`id` of `orders` is int64 and `id` of `customers` is string: equal values cannot be told"
    )


def test_a_misspelt_column_is_named_with_the_nearest(tmp_path: Path) -> None:
    gate = _gate(tmp_path, "refers_to", columns=["custmer"], dataset="customers")
    gate.others = {"customers": {"c.parquet": {"custmer": [1]}}}
    check = gate.check({"a.parquet": {"customer": [1]}})
    assert check.message == "`orders` has no column `custmer`; did you mean `customer`?"


def test_training_rows_must_not_be_in_the_evaluation_part(tmp_path: Path) -> None:
    gate = _gate(tmp_path, "apart_from", dataset="evaluation")
    gate.others = {"evaluation": {"e.parquet": {"id": [1, 2], "x": [0.5, None], "only": [1, 1]}}}
    apart = gate.check({"a.parquet": {"x": [0.5, 0.25], "id": [2, 1]}})
    assert apart.verdict is Verdict.PASS
    leaked = gate.check({"a.parquet": {"x": [None, 0.25, 0.5], "id": [2, 1, 1]}})
    assert leaked.verdict is Verdict.FAIL
    assert leaked.message == "2 of 3 rows (66.67 %) are in `evaluation` as well, by x, id"


def test_a_warning_does_not_stop_the_version(tmp_path: Path) -> None:
    gate = _gate(tmp_path, "apart_from", dataset="evaluation", severity="warning")
    gate.others = {"evaluation": {"e.parquet": {"id": [1]}}}
    report = gate.judge({"a.parquet": {"id": [1]}})
    assert report.verdict is Verdict.WARN
    assert not report.enforces


def test_data_that_cannot_be_read_is_an_error_and_forgets_nothing(tmp_path: Path) -> None:
    gate = Gatekeeper(tmp_path, [{"schema": {}}])
    gate.judge(_rows(10))
    before = read_past(str(gate.past))
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 not really")
    from_file = Gatekeeper(tmp_path / "second", [{"schema": {}}], past=gate.past)
    report = from_file.judge_file(broken)
    assert report.verdict in (Verdict.ERROR, Verdict.FAIL)
    assert read_past(str(from_file.past)) == before


def test_where_old_objects_go_as_new_ones_come_all_rows_are_compared(tmp_path: Path) -> None:
    gate = _gate(tmp_path, "volume", within="40%")
    sizes = [100, 103, 99, 100, 102, 98, 101, 100, 97, 100]

    def window(first: int) -> dict[str, Any]:
        days = range(first, first + 4)
        return {f"{day}.parquet": {"id": [day * 1000 + at for at in range(sizes[day])]}
                for day in days}  # fmt: skip

    for first in range(5):
        gate.judge(window(first))
    whole, each = gate.judge(window(5), accept=False).checks
    assert (whole.verdict, each.verdict) == (Verdict.PASS, Verdict.PASS)
    assert whole.message.startswith("396 rows, ")
    half = {**window(5), "8.parquet": {"id": [1]}, "7.parquet": {"id": [2]}}
    whole, each = gate.judge(half, accept=False).checks
    assert (whole.verdict, each.verdict) == (Verdict.FAIL, Verdict.FAIL)
