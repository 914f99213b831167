"""A candidate's own evaluation cannot help it by inventing slices, labels or rows."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import csv

from specs.gates import Columns
from tests.validators.model.tables import Bench, flights, one, write
from validators.model.categories import categories, differing
from validators.model.rows import load, why_unpaired
from validators.verdict import Verdict

EACH_CARRIER = {"metric": "roc_auc", "at_least": 0.6, "slice": "carrier"}
NAME = "roc_auc at least 0.6, each carrier"
COLUMNS = Columns(key="id", label="late", score="p")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, slices=("carrier",)).asking(EACH_CARRIER)


def test_slices_relabelled_by_row_number_hide_no_carrier_that_is_bad(bench: Bench) -> None:
    bad = flights(flip="UA")
    assert one(bench.judge(bad, flights()), NAME, "carrier=UA").verdict is Verdict.FAIL
    relabelled = {**bad, "carrier": np.array(["AA", "B6", "DL", "UA"])[bad["id"] % 4]}
    moved = int((relabelled["carrier"] != bad["carrier"]).sum())
    report = bench.judge(relabelled, flights())
    assert report.verdict is Verdict.FAIL
    assert one(report, NAME, "carrier=UA").verdict is Verdict.FAIL
    told = one(report, "predictions")
    assert told.verdict is Verdict.ERROR
    assert f"disagree about carrier of {moved:,} rows" in told.message


def test_a_comparison_over_other_slices_than_the_baselines_is_an_error_as_over_other_labels(
    bench: Bench,
) -> None:
    paired = {"metric": "roc_auc", "not_worse_than_baseline_by": 0.1, "slice": "carrier"}
    table = flights()
    table["carrier"] = np.where(table["id"] == 5, "ZZ secret", table["carrier"])
    report = bench.asking(paired).judge(table, flights())
    check = one(report, "roc_auc not worse than baseline by 0.1, each carrier")
    assert check.verdict is Verdict.ERROR
    assert "disagree about carrier of 1 row" in check.message
    assert "ZZ secret" not in report.model_dump_json()


def test_labels_and_slices_that_differ_are_told_together(bench: Bench) -> None:
    table = flights()
    table["late"] = np.where(table["id"] < 9, ~table["late"], table["late"])
    table["carrier"] = np.where(table["id"] < 2, "ZZ", table["carrier"])
    told = one(bench.judge(table, flights()), "predictions").message
    assert "disagree about carrier of 2 rows and about the label of 9 rows" in told


def test_invented_labels_stop_a_candidate_that_has_only_limits_of_its_own(bench: Bench) -> None:
    table = flights(noise=3.0)
    table["late"] = table["p"] > 0.5
    limits = bench.asking({"metric": "roc_auc", "at_least": 0.6})
    report = limits.judge(table, flights())
    assert report.verdict is Verdict.ERROR
    assert one(report, "roc_auc at least 0.6").verdict is Verdict.PASS
    assert one(report, "predictions").next_step is not None


def test_hard_rows_left_out_stop_a_candidate_that_has_only_limits_of_its_own(bench: Bench) -> None:
    table = flights(noise=3.0)
    easy = (table["p"] > 0.5) == table["late"]
    report = bench.asking({"metric": "roc_auc", "at_least": 0.6}).judge(
        {name: values[easy] for name, values in table.items()}, flights()
    )
    assert report.verdict is Verdict.ERROR
    assert "missing in the candidate" in one(report, "predictions").message


def test_rows_that_only_the_candidate_has_are_told_where_nothing_is_compared(bench: Bench) -> None:
    some = {name: values[7:] for name, values in flights().items()}
    report = bench.asking({"metric": "roc_auc", "at_least": 0.6}).judge(flights(), some)
    assert report.verdict is Verdict.WARN
    assert "7 keys of the candidate missing in the baseline" in one(report, "predictions").message


def test_rows_that_only_the_candidate_has_hide_no_slices_or_labels_that_it_made_up(
    bench: Bench,
) -> None:
    some = {name: values[7:] for name, values in flights().items()}
    relabelled = {**flights(flip="UA"), "carrier": np.full(4000, "AA")}
    report = bench.judge(relabelled, some)
    assert report.verdict is Verdict.ERROR
    moved = int((some["carrier"] != "AA").sum())
    told = one(report, "predictions").message
    assert "7 keys of the candidate missing in the baseline" in told
    assert f"disagree about carrier of {moved:,} rows" in told


def test_a_slice_that_only_the_candidate_has_is_taken_with_a_note_that_nothing_vouches_for_it(
    bench: Bench,
) -> None:
    before = {name: values for name, values in flights().items() if name != "carrier"}
    report = bench.judge(flights(), before)
    assert one(report, NAME).verdict is Verdict.PASS
    assert any("carrier: only the candidate's predictions" in note for note in report.notes)
    assert not any("vouches" in note for note in bench.judge(flights(), flights()).notes)
    assert not any("vouches" in note for note in bench.judge(flights()).notes)


def test_a_slice_that_the_candidate_dropped_is_an_error(bench: Bench) -> None:
    dropped = {name: values for name, values in flights().items() if name != "carrier"}
    report = bench.judge(dropped, flights())
    assert report.verdict is Verdict.ERROR
    assert "no column carrier" in one(report, "predictions").message


def test_what_a_model_says_may_be_a_slice_and_differs_between_models(bench: Bench) -> None:
    good, other = flights(), flights(noise=0.31)
    for table in (good, other):
        table["said"] = (table["p"] > 0.4).astype(int)
    columns = {"key": "id", "label": "late", "score": "p", "prediction": "said"}
    asked = replace(bench, slices=("said",), columns=columns)
    report = asked.asking({"metric": "accuracy", "at_least": 0.5}).judge(good, other)
    assert report.verdict is Verdict.PASS


SPELLINGS: list[tuple[Callable[[Any], Any], Callable[[Any], Any]]] = [
    (lambda t: t["id"] % 4, lambda t: (t["id"] % 4).astype(float)),
    (lambda t: t["id"] % 4, lambda t: [f"{n % 4}.0" for n in t["id"]]),
    (lambda t: t["id"] % 4, lambda t: [Decimal(int(n % 4)).quantize(Decimal(1)) for n in t["id"]]),
    (lambda t: t["carrier"], lambda t: pa.array(t["carrier"]).dictionary_encode()),
    (lambda t: t["late"], lambda t: t["late"].astype(np.int8)),
    (lambda t: t["late"], lambda t: [str(late) for late in t["late"]]),
    (
        lambda t: [None if n % 3 else "x" for n in t["id"]],
        lambda t: ["" if n % 3 else "x" for n in t["id"]],
    ),
    (
        lambda t: pa.array([None if n % 3 else 2 for n in t["id"]], pa.int64()),
        lambda t: np.where(t["id"] % 3, np.nan, 2.0),
    ),
    (
        lambda t: np.array("2026-11-01", "datetime64[ns]") + t["id"] * np.timedelta64(500, "ms"),
        lambda t: np.array("2026-11-01", "datetime64[us]") + t["id"] * np.timedelta64(500, "ms"),
    ),
    (
        lambda t: pa.array(np.full(len(t["id"]), "2026-11-01", "datetime64[D]")),
        lambda t: np.full(len(t["id"]), "2026-11-01", "datetime64[us]"),
    ),
    (lambda t: t["p"].astype(np.float32), lambda t: t["p"].astype(np.float32).astype(str)),
]


@pytest.mark.parametrize(("ours", "theirs"), SPELLINGS)
def test_the_same_values_written_in_another_way_are_the_same_slices(
    tmp_path: Path, ours: Callable[[Any], Any], theirs: Callable[[Any], Any]
) -> None:
    table = flights(60)
    one_way = load(write(tmp_path / "a", {**table, "s": ours(table)}), COLUMNS, ["s"])
    another = load(write(tmp_path / "b", {**table, "s": theirs(table)}), COLUMNS, ["s"])
    assert why_unpaired(one_way, another) is None
    shifted = {**table, "s": pa.array(theirs(table)).take(pa.array([1, *range(1, 60)]))}
    first = load(write(tmp_path / "c", shifted), COLUMNS, ["s"])
    wanted = one_way.slices["s"].codes[0] != one_way.slices["s"].codes[1]
    assert bool(why_unpaired(one_way, first)) is bool(wanted)


def test_a_table_written_as_csv_has_the_slices_of_the_same_table_in_parquet(tmp_path: Path) -> None:
    table = {**flights(200), "gate": [None if n % 7 == 0 else n % 5 for n in range(200)]}
    slices = ["carrier", "late", "gate"]
    columns = load(write(tmp_path / "parquet", table), COLUMNS, slices)
    csv.write_csv(pa.table(table), tmp_path / "csv")
    assert why_unpaired(load(tmp_path / "csv", COLUMNS, slices), columns) is None


texts = st.lists(
    st.sampled_from(["1", "1.0", "2", "", "nan", "x", "true", "1e3", "1000"]), min_size=1
)


@given(texts, texts)
def test_two_columns_differ_in_as_many_rows_either_way_and_in_none_from_themselves(
    one_way: list[str], another: list[str]
) -> None:
    length = min(len(one_way), len(another))
    ours, theirs = (
        categories(pa.chunked_array([pa.array(side[:length], pa.large_string())]))
        for side in (one_way, another)
    )
    assert differing(ours, ours) == 0
    assert differing(ours, theirs) == differing(theirs, ours) <= length


def test_numbers_beyond_what_a_float_holds_are_told_apart(tmp_path: Path) -> None:
    table = flights(60)
    great = {**table, "s": table["id"] % 2 + 2**53}
    shifted = {**table, "s": (table["id"] + 1) % 2 + 2**53}
    ours = load(write(tmp_path / "a", great), COLUMNS, ["s"])
    theirs = load(write(tmp_path / "b", shifted), COLUMNS, ["s"])
    assert "about s of 60 rows" in str(why_unpaired(ours, theirs))
