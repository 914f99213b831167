"""What is drawn of columns whose checks fail."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from validators.data.answering.pictures import MOST
from validators.data.gate import judgement
from validators.data.metrics.bins import ValueBounds, bounds, edges, trimmed
from validators.data.reading.objects import ObjectFile
from validators.data.request import DataGateRequest, MetricFiles, SuiteFile
from validators.report import Check, Histogram
from validators.verdict import Verdict

MARKER = "SECRET-7f3a"
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def checks(
    folder: Path, *months: dict[str, Any], asks: list[str], metrics: MetricFiles | None = None
) -> list[Check]:
    """The checks of a dataset with an object for each month; `asks` are YAML."""
    objects = []
    for at, month in enumerate(months):
        path = folder / f"{at}.parquet"
        pq.write_table(pa.table(month), path)
        objects.append(ObjectFile(key=path.name, path=str(path), digest=f"v{at}"))
    suite = folder / "suite.yaml"
    suite.write_text("name: s\nexpectations:\n" + "".join(f"- {one}\n" for one in asks))
    request = DataGateRequest(
        dataset="flights",
        version="v1",
        objects=tuple(objects),
        suite=SuiteFile(path=str(suite), origin="suite.yaml"),
        metrics=metrics,
    )
    return list(judgement(request).report.checks)


def between(column: str, limits: str, kind: str = "values") -> str:
    return f"{{type: expect_column_{kind}_to_be_between, kwargs: {{column: {column}, {limits}}}}}"


def drawn(check: Check) -> Histogram:
    assert check.histogram is not None
    return check.histogram


def test_what_fails_is_drawn_over_all_objects_with_its_limits_as_edges(tmp_path: Path) -> None:
    months = {"x": [1.0, 2.0, 9.5, 10.0]}, {"x": [10.5, 99.0, -1.0, None]}
    (check,) = checks(tmp_path, *months, asks=[between("x", "min_value: 0, max_value: 10")])
    found = drawn(check)
    assert found.n == 7
    assert (found.low, found.high, found.below, found.above) == (0, 10, 0, 1)
    inside = sum(
        count
        for low, high, count in zip(found.edges, found.edges[1:], found.counts, strict=False)
        if low >= 0 and high <= 10
    )
    assert inside == 4, "a value on the limit is inside, as the check counts it"


def test_what_passes_is_not_drawn(tmp_path: Path) -> None:
    asks = [between("x", "min_value: 0"), between("x", "max_value: 0")]
    passed, failed = checks(tmp_path, {"x": [1, 2]}, asks=asks)
    assert (passed.verdict, passed.histogram) == (Verdict.PASS, None)
    assert failed.histogram is not None


@pytest.mark.parametrize(
    ("values", "limit", "unit"),
    [
        ([date(2024, 5, 1), date(1970, 1, 1)], '"2024-01-01"', "day"),
        (
            [datetime(2024, 5, 1, 12, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)],
            '"2024-01-01"',
            "second",
        ),
        (pa.array(["1.10", "-0.01"]).cast(pa.decimal128(9, 2)), "0", "number"),
        (pa.array([2**63 + 5, 1], pa.uint64()), "2", "number"),
    ],
)
def test_dates_times_decimals_and_large_integers_are_drawn(
    tmp_path: Path, values: Any, limit: str, unit: str
) -> None:
    (check,) = checks(tmp_path, {"x": values}, asks=[between("x", f"min_value: {limit}")])
    found = drawn(check)
    assert (found.unit, found.n) == (unit, 2)
    assert found.low is not None
    assert found.edges[0] < found.low < found.edges[-1]


def test_a_condition_holds_for_what_is_drawn(tmp_path: Path) -> None:
    asks = [between("x", "max_value: 1, row_condition: \"k == 'a'\", condition_parser: pandas")]
    (check,) = checks(tmp_path, {"x": [1, 5, 7], "k": ["a", "a", "b"]}, asks=asks)
    assert drawn(check).n == 2


def test_limits_of_a_mean_do_not_make_values_outliers(tmp_path: Path) -> None:
    (check,) = checks(tmp_path, {"x": [1.0, 5.0]}, asks=[between("x", "min_value: 4", "mean")])
    assert not drawn(check).is_of_values


def test_of_categories_only_the_members_of_the_suite_are_named(tmp_path: Path) -> None:
    asks = ["{type: expect_column_values_to_be_in_set, kwargs: {column: c, value_set: [AA, F9]}}"]
    (check,) = checks(tmp_path, {"c": ["AA", "AA", MARKER, None]}, asks=asks)
    assert check.members is not None
    assert [(one.member, one.count) for one in check.members.members] == [("AA", 2), ("F9", 0)]
    assert check.members.others == 1
    assert MARKER not in check.model_dump_json()


def test_text_without_a_set_and_columns_that_are_too_many_are_not_drawn(tmp_path: Path) -> None:
    text = "{type: expect_column_values_to_not_be_null, kwargs: {column: c}}"
    wide = {f"x{at:02}": [1] for at in range(MOST + 3)}
    asks = [text, *(between(name, "min_value: 2") for name in wide)]
    first, *rest = checks(tmp_path, {"c": [None], **wide} | {"c": ["a"]}, asks=asks)
    assert first.histogram is None
    assert sum(one.histogram is not None for one in rest) == MOST


def test_it_is_the_same_from_a_warm_cache(tmp_path: Path) -> None:
    asks = [between("x", "min_value: 0, max_value: 10"), between("x", "max_value: 1")]
    months = {"x": [1, 2, 50]}, {"x": [3, -4, 60]}
    kept = str(tmp_path / "kept.json")
    cold = checks(tmp_path, *months, asks=asks, metrics=MetricFiles(found=kept))
    known = MetricFiles(known=kept, found=kept)
    warm = checks(tmp_path, *months, asks=asks, metrics=known)
    assert warm == cold


ends = st.floats(-1e9, 1e9)


@given(st.lists(ends, min_size=1), ends | st.none(), ends | st.none(), st.booleans())
def test_edges_rise_and_limits_are_among_them(
    values: list[float], low: float | None, high: float | None, whole: bool
) -> None:
    if low is not None and high is not None and low > high:
        low, high = high, low
    of = bounds(low, high, strict=(False, False), whole=whole)
    values = [round(one) for one in values] if whole else values
    found = edges(of, (min(values), max(values)), whole=whole)
    assert list(found) == sorted(found)
    assert len(found) <= 45
    for end in of:
        if found and end is not None:
            assert any(abs(one - end) <= 1e-6 * max(1, abs(end)) for one in found)


def test_empty_bins_outside_the_limits_are_left_out() -> None:
    every, counts = (0.0, 1.0, 2.0, 3.0, 4.0), (0, 0, 0, 5, 0, 0)
    assert trimmed(every, counts, ValueBounds(2.0, 3.0)) == ((2.0, 3.0), (5,))
    assert trimmed(every, (1, *counts[1:]), ValueBounds(2.0, 3.0))[0] == (0.0, 1.0, 2.0, 3.0)


def test_a_value_on_a_limit_and_an_outlier_do_not_hide_the_values_that_may_be(
    tmp_path: Path,
) -> None:
    values = [float(one) for one in range(101)] + [1e12]
    (check,) = checks(tmp_path, {"x": values}, asks=[between("x", "max_value: 100")])
    found = drawn(check)
    inside = [
        count
        for high, count in zip(found.edges[1:], found.counts, strict=True)
        if found.high is not None and high <= found.high
    ]
    assert (sum(inside), found.above) == (101, 1)
    assert sum(one > 0 for one in inside) > 10


def test_if_nearly_all_values_are_beyond_one_limit_all_of_them_are_drawn(tmp_path: Path) -> None:
    values = [-0.001, *(50.0 + at for at in range(50))]
    (check,) = checks(tmp_path, {"x": values}, asks=[between("x", "max_value: 0")])
    found = drawn(check)
    assert (found.below, found.above) == (0, 0)
    assert found.edges[-1] >= 99


def test_lengths_are_drawn_and_no_text_is_shown(tmp_path: Path) -> None:
    kind = "expect_column_value_lengths_to_be_between"
    asks = [
        f"{{type: {kind}, kwargs: {{column: c, min_value: 2, max_value: 3}}}}",
        "{type: expect_column_value_lengths_to_equal, kwargs: {column: c, value: 2}}",
    ]
    both = checks(tmp_path, {"c": ["AA", "ÄÖÜ", MARKER, None]}, asks=asks)
    for check, inside in zip(both, (2, 1), strict=True):
        found = drawn(check)
        assert (found.unit, found.n) == ("character", 3)
        within = [
            count
            for low, high, count in zip(found.edges, found.edges[1:], found.counts, strict=False)
            if (found.low or 0) <= low and high <= (found.high or 0)
        ]
        assert sum(within) == inside
        assert MARKER not in check.model_dump_json()


def test_of_values_that_may_not_be_there_the_others_are_not_outside(tmp_path: Path) -> None:
    kind = "expect_column_values_to_not_be_in_set"
    asks = [f"{{type: {kind}, kwargs: {{column: c, value_set: [XX, XX, YY]}}}}"]
    (check,) = checks(tmp_path, {"c": ["AA", "XX", MARKER]}, asks=asks)
    assert check.members is not None
    assert check.members.forbidden
    counts = [(one.member, one.count) for one in check.members.members]
    assert (counts, check.members.others) == ([("XX", 1), ("YY", 0)], 2)
