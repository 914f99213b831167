"""Slices: which values got worse, and which are too small to judge."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.validators.model.tables import AUC_PAIRED, Bench, flights, one
from validators.verdict import Verdict


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, slices=("carrier", "origin"))


def test_a_carrier_that_got_worse_warns_and_is_named_although_the_whole_passes(
    bench: Bench,
) -> None:
    loose = bench.asking({"metric": "roc_auc", "not_worse_than_baseline_by": 0.15})
    report = loose.judge(flights(flip="UA"), flights())
    assert report.verdict is Verdict.WARN
    warning = one(report, "roc_auc by carrier")
    assert warning.subject == "carrier=UA"
    assert warning.interval is not None
    assert warning.interval.high < 0
    assert "Holm" in warning.message
    assert warning.n == int((flights()["carrier"] == "UA").sum())


def test_equal_models_raise_no_alarm_in_any_slice(bench: Bench) -> None:
    report = bench.judge(flights(noise=0.30), flights(noise=0.32))
    assert report.verdict is Verdict.PASS
    assert one(report, "roc_auc by carrier").subject == "carrier"


def test_a_slice_check_of_the_spec_stops_the_candidate(bench: Bench) -> None:
    strict = bench.asking(
        {"metric": "roc_auc", "not_worse_than_baseline_by": 0.15},
        {"metric": "roc_auc", "not_worse_than_baseline_by": 0.1, "slice": "carrier"},
        {"metric": "roc_auc", "at_least": 0.5, "slice": "origin"},
    )
    report = strict.judge(flights(flip="UA"), flights())
    assert report.verdict is Verdict.FAIL
    failed = one(report, "roc_auc not worse than baseline by 0.1, each carrier", "carrier=UA")
    assert failed.verdict is Verdict.FAIL
    rest = one(report, "roc_auc not worse than baseline by 0.1, each carrier", "carrier")
    assert rest.verdict is Verdict.PASS
    assert one(report, "roc_auc at least 0.5, each origin").verdict is Verdict.PASS


def test_values_with_too_few_rows_are_named_and_not_judged(bench: Bench) -> None:
    table = flights()
    table["carrier"] = np.where(table["id"] < 20, "HA", table["carrier"])
    report = bench.judge(table, table)
    assert any("HA (20)" in note for note in report.notes)
    assert not any(check.subject == "carrier=HA" for check in report.checks)


def test_a_slice_check_without_a_value_large_enough_decides_nothing(bench: Bench) -> None:
    strict = bench.asking({"metric": "roc_auc", "at_least": 0.5, "slice": "carrier"})
    report = strict.judge(flights(n=90))
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "no value of carrier has enough rows" in report.checks[1].message


def _one_region_is_small_and_all_wrong() -> dict[str, object]:
    ids = np.arange(1060)
    label = ids % 2
    return {
        "id": ids,
        "y": label,
        "yhat": np.where(ids < 60, 1 - label, label),
        "region": np.where(ids < 60, "north", "south"),
    }


@pytest.mark.parametrize(
    ("small_slices", "severity", "verdict"),
    [
        (None, "block", Verdict.WARN),
        ("warn", "block", Verdict.WARN),
        ("block", "block", Verdict.INCONCLUSIVE),
        ("block", "warn", Verdict.WARN),
        ("ignore", "block", Verdict.PASS),
    ],
)
def test_a_value_with_too_few_rows_never_passes_for_one_that_was_judged(
    tmp_path: Path, small_slices: str | None, severity: str, verdict: Verdict
) -> None:
    check = {"metric": "accuracy", "at_least": 0.9, "slice": "region", "severity": severity}
    columns = {"key": "id", "label": "y", "prediction": "yhat"}
    gate = {"small_slices": small_slices} if small_slices else {}
    regions = Bench(tmp_path, checks=(check,), columns=columns, gate=gate)
    report = regions.judge(_one_region_is_small_and_all_wrong())
    assert report.verdict is verdict
    name = "accuracy at least 0.9, each region"
    judged = one(report, name, "region")
    assert judged.verdict is Verdict.PASS
    assert "the 1 value of region with enough rows" in judged.message
    small = [check for check in report.checks if check.subject == "region=north"]
    assert [check.verdict for check in small] == ([] if small_slices == "ignore" else [verdict])
    assert all("60 rows, at least 100 are needed" in check.message for check in small)
    assert all("on those 60 it is 0" in check.message for check in small)
    assert all((check.observed, check.n) == (0, 60) for check in small)
    assert any("north (60)" in note for note in report.notes)


def test_a_value_with_too_few_rows_shows_what_both_models_made_of_it(tmp_path: Path) -> None:
    check = {"metric": "accuracy", "not_worse_than_baseline_by": 0.1, "slice": "region"}
    columns = {"key": "id", "label": "y", "prediction": "yhat"}
    table = _one_region_is_small_and_all_wrong()
    bench = Bench(tmp_path, checks=(check,), columns=columns)
    report = bench.judge(table, {**table, "yhat": table["y"]})
    small = one(report, "accuracy not worse than baseline by 0.1, each region", "region=north")
    assert "inconclusive" in small.message
    assert "on those 60 it is 0, the baseline's 1" in small.message
    assert (small.observed, small.baseline, small.difference) == (0, 1, None)


def test_many_values_with_too_few_rows_are_counted_beyond_the_first_five(bench: Bench) -> None:
    table = flights()
    rare = np.array([f"rare {number % 8}" for number in range(80)])
    table["carrier"] = np.concatenate([rare, table["carrier"][80:].astype(rare.dtype)])
    limit = bench.asking({"metric": "roc_auc", "at_least": 0.5, "slice": "carrier"})
    report = limit.judge(table)
    warned = [check for check in report.checks if check.verdict is Verdict.WARN]
    assert len(warned) == 6
    assert "3 more values of carrier" in warned[-1].message


def test_a_column_of_identifiers_is_no_slice(bench: Bench) -> None:
    table = flights()
    table["carrier"] = [f"tail {number}" for number in table["id"]]
    report = bench.judge(table, table)
    assert report.verdict is Verdict.PASS
    assert any("carrier has 4,000 values" in note for note in report.notes)
    assert "tail 17" not in report.model_dump_json()
    strict = bench.asking({"metric": "roc_auc", "at_least": 0.5, "slice": "carrier"})
    assert strict.judge(table).verdict is Verdict.ERROR


def test_many_slices_that_got_worse_are_counted_beyond_the_worst_five(bench: Bench) -> None:
    good, bad = flights(n=8000), flights(n=8000, noise=2.5)
    for table in (good, bad):
        table["carrier"] = np.array([f"c{number % 8}" for number in range(8000)])
    report = bench.asking(AUC_PAIRED).judge(bad, good)
    named = [check for check in report.checks if check.name == "roc_auc by carrier"]
    assert len(named) == 6
    assert "3 more values of carrier got worse" in named[-1].message


def test_names_of_values_are_printable_and_bounded(bench: Bench) -> None:
    table = flights()
    long = "x" * 500
    table["carrier"] = np.where(table["carrier"] == "AA", long + "1", "bell\x07\n|")
    table["origin"] = [None if place == "EWR" else place for place in table["origin"]]
    report = bench.asking({"metric": "roc_auc", "at_least": 0.99, "slice": "carrier"}).judge(table)
    subjects = [check.subject or "" for check in report.checks]
    assert f"carrier={'x' * 60}…" in subjects
    assert "carrier=bell??|" in subjects
    origin = replace(bench, checks=({"metric": "roc_auc", "at_least": 0.99, "slice": "origin"},))
    assert any(check.subject == "origin=(none)" for check in origin.judge(table).checks)
