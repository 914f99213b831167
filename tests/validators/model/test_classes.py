"""Labels and predictions are compared by value, whatever types the writers chose."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

from specs.gates import Columns
from tests.validators.model.tables import Bench, one, write
from validators.model.gate import judge
from validators.model.rows import load, why_unpaired
from validators.report import Report
from validators.verdict import Verdict

COLUMNS = {"key": "id", "label": "y", "prediction": "yhat"}
ACCURACY = {"metric": "accuracy", "at_least": 0.85}
PAIRED = {"metric": "accuracy", "not_worse_than_baseline_by": 0.02}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, columns=COLUMNS, checks=(ACCURACY, PAIRED))


def _table(n: int = 1000, wrong: int = 10) -> dict[str, Any]:
    """Three classes, of which every `wrong`-th row is predicted as the next."""
    label = np.arange(n) % 3
    said = np.where(np.arange(n) % wrong == 0, (label + 1) % 3, label)
    return {"id": np.arange(n), "y": label, "yhat": said}


def _accuracy(report: Report) -> object:
    return one(report, "accuracy at least 0.85").observed


def test_one_unknown_in_a_csv_of_predictions_costs_that_row_and_no_other(bench: Bench) -> None:
    table = _table()
    texts = table["yhat"].astype(str).astype(object)
    texts[1] = "unknown"
    request = bench.request(table, table)
    assert isinstance(request.candidate, Path)
    csv.write_csv(pa.table({**table, "yhat": texts}), request.candidate)
    report = judge(request)
    assert _accuracy(report) == pytest.approx(0.899)
    assert one(report, "accuracy not worse than baseline by 0.02").verdict is Verdict.PASS


def test_a_candidate_that_says_unknown_everywhere_is_worse_than_its_baseline(bench: Bench) -> None:
    table = _table()
    texts = table["yhat"].astype(str).astype(object)
    texts[table["id"] % 2 == 0] = "unknown"
    report = bench.judge({**table, "yhat": texts}, table)
    assert one(report, "accuracy not worse than baseline by 0.02").verdict is Verdict.FAIL


@pytest.mark.parametrize(
    "write_as",
    [
        lambda values: values.astype(np.float32),
        lambda values: values.astype(str),
        lambda values: values.astype(float).astype(str),
        lambda values: [f"{value}.00" for value in values],
        lambda values: [Decimal(int(value)).quantize(Decimal("1.00")) for value in values],
        lambda values: pa.array(values.astype(str)).dictionary_encode(),
    ],
    ids=["float", "text", "text of floats", "text of money", "decimal", "dictionary"],
)
@pytest.mark.parametrize("column", ["y", "yhat"])
def test_a_class_is_the_same_in_whatever_type_it_is_written(
    bench: Bench, write_as: Any, column: str
) -> None:
    table = _table()
    report = bench.judge({**table, column: write_as(table[column])}, table)
    assert report.verdict is not Verdict.ERROR
    assert _accuracy(report) == pytest.approx(0.9)


@pytest.mark.parametrize("true", [True, 1, 1.0, "1", "1.0", "True", "true", Decimal("1.0")])
def test_truth_values_are_one_and_zero_in_any_spelling(bench: Bench, true: Any) -> None:
    spelled = {"True": "False", "true": "false", "1": "0", "1.0": "0.0"}
    false = spelled[true] if isinstance(true, str) else type(true)(0)
    label = np.arange(1000) % 2 == 0
    table = {"id": np.arange(1000), "y": label, "yhat": label}
    said = [true if value else false for value in label]
    report = bench.asking({"metric": "f1", "at_least": 0.99}).judge({**table, "yhat": said}, table)
    assert one(report, "f1 at least 0.99").observed == 1


def test_labels_of_two_writers_agree_by_value(tmp_path: Path) -> None:
    table, columns = _table(50), Columns(**COLUMNS)
    label = [*table["y"].astype(str)[:-1], "other"]
    mixed = load(write(tmp_path / "a", {**table, "y": label}), columns)
    numbers = load(write(tmp_path / "b", table), columns)
    texts = load(write(tmp_path / "c", {**table, "y": table["y"].astype(str)}), columns)
    assert why_unpaired(texts, numbers) is None
    assert "the label of 1 row" in str(why_unpaired(mixed, numbers))


def test_words_against_numbers_are_an_error_that_names_both_types(bench: Bench) -> None:
    table = _table()
    words = np.array(["low", "middle", "high"])[table["yhat"]]
    report = bench.judge({**table, "yhat": words}, table)
    assert report.verdict is Verdict.ERROR
    message = one(report, "predictions").message
    assert "the label is numbers and the prediction is text" in message


def test_a_text_among_two_classes_is_an_error_that_names_both_types(bench: Bench) -> None:
    table = _table()
    said = np.where(table["id"] == 1, "unknown", (table["y"] % 2).astype(str))
    f1 = bench.asking({"metric": "f1", "at_least": 0.9})
    report = f1.judge({**table, "y": table["y"] % 2, "yhat": said})
    assert report.verdict is Verdict.ERROR
    message = one(report, "predictions").message
    assert "the label is numbers, the prediction is text" in message
    assert "there are 0, 1 and unknown" in message
    report = bench.judge({**table, "y": table["y"] % 2, "yhat": said})
    assert _accuracy(report) == 0.999


def test_a_padded_number_is_a_name_unless_the_other_column_lost_its_zeros(bench: Bench) -> None:
    limit = replace(bench, checks=(ACCURACY,))
    ids = np.arange(900)
    apart = np.where(ids % 2 == 0, "01", "1")
    report = limit.judge({"id": ids, "y": apart, "yhat": np.full(900, "1")})
    assert _accuracy(report) == 0.5
    zips = np.array(["02134", "00501", "10001"])[ids % 3]
    report = limit.judge({"id": ids, "y": zips.astype(int), "yhat": zips})
    assert _accuracy(report) == 1


HUGE = 2**53 + np.arange(1000) % 3


@pytest.mark.parametrize(
    "write_as",
    [
        lambda values: values,
        lambda values: values.astype(np.uint64),
        lambda values: values.astype(str),
        lambda values: [Decimal(int(value)) for value in values],
        lambda values: [Decimal(int(value)).quantize(Decimal("1.00")) for value in values],
    ],
    ids=["integer", "unsigned", "text", "decimal", "text of money"],
)
def test_whole_numbers_beyond_what_a_float_holds_keep_their_last_digit(
    bench: Bench, write_as: Any
) -> None:
    table = {"id": np.arange(1000), "y": HUGE, "yhat": HUGE}
    assert _accuracy(bench.judge({**table, "yhat": write_as(HUGE)}, table)) == 1
    next_one = np.where(HUGE == 2**53, HUGE + 1, HUGE)
    report = bench.judge({**table, "yhat": write_as(next_one)}, table)
    assert _accuracy(report) == pytest.approx(0.666)


def test_a_float_is_the_whole_number_that_it_holds(bench: Bench) -> None:
    even = 2**53 + 2 * (np.arange(1000) % 3)
    table = {"id": np.arange(1000), "y": even, "yhat": even.astype(np.float64)}
    assert _accuracy(bench.judge(table)) == 1
    odd = np.where(table["id"] % 2, even + 1, even)
    assert _accuracy(bench.judge({**table, "y": odd})) == 0.5


def test_a_regression_takes_whole_numbers_of_any_size(bench: Bench) -> None:
    r2 = bench.asking({"metric": "r2", "at_least": 0.99})
    times = 1_700_000_000_000_000_000 + np.arange(1000) * 1_000_000_001
    report = r2.judge({"id": np.arange(1000), "y": times, "yhat": times.astype(np.float64)})
    assert one(report, "r2 at least 0.99").verdict is Verdict.PASS


DAYS = np.array(["2024-05-01", "2024-05-02", "2024-06-01"], "datetime64[D]")[np.arange(900) % 3]


@pytest.mark.parametrize(
    "write_as",
    [
        pa.array,
        lambda days: days.astype("datetime64[s]"),
        lambda days: days.astype("datetime64[ns]"),
        lambda days: days.astype(str),
        lambda days: [f"{day}T00:00:00Z" for day in days],
        lambda days: [f"{day} 00:00:00.000" for day in days],
        lambda days: [f"{day}T02:00:00+02:00" for day in days],
        lambda days: pa.array(days.astype("datetime64[us]")).cast(pa.timestamp("us", "UTC")),
        lambda days: pa.array(days.astype("datetime64[us]")).cast(pa.timestamp("us", "Asia/Tokyo")),
    ],
    ids=["date", "seconds", "nanoseconds", "text", "ISO", "time", "offset", "UTC", "zone"],
)
def test_a_day_is_the_same_in_whatever_type_it_is_written(bench: Bench, write_as: Any) -> None:
    report = bench.judge({"id": np.arange(900), "y": pa.array(DAYS), "yhat": write_as(DAYS)})
    assert _accuracy(report) == 1
    other = bench.judge({"id": np.arange(900), "y": pa.array(DAYS), "yhat": write_as(DAYS[::-1])})
    assert _accuracy(other) == pytest.approx(1 / 3)


def test_an_hour_and_its_zone_count(bench: Bench) -> None:
    berlin = ["2024-05-01T02:30:00+02:00", "2024-05-01 02:30:00+0200", "2024-05-01T00:30Z"]
    table = {"id": np.arange(900), "y": ["2024-05-01 00:30", "2024-05-01 02:30"] * 450}
    report = bench.judge({**table, "yhat": berlin * 300})
    assert _accuracy(report) == 0.5
