"""Scores that are too good to be true, and easy problems, which are not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.validators.model.tables import AUC_LIMIT, Bench, flights, one
from validators.model.too_good import NAME, suspicious
from validators.report import Report
from validators.verdict import Verdict


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def _leaked(n: int = 4000, noise: float = 0.01) -> dict[str, Any]:
    """Scores derived from the label."""
    table = flights(n)
    drawn = np.random.default_rng(3).normal(size=n)
    return {**table, "p": np.clip(0.1 + 0.8 * table["late"] + noise * drawn, 0, 1)}


def _warned(report: Report) -> bool:
    return any(check.name == NAME for check in report.checks)


def test_a_leaked_label_is_marked_and_never_more_than_a_warning(bench: Bench) -> None:
    report = bench.judge(_leaked(), flights(noise=1.5))
    check = one(report, NAME)
    assert check.verdict is Verdict.WARN
    assert not check.blocks
    assert "roc_auc is 1 on 4,000 rows, the baseline's 0.6654" in check.message
    assert "0 % of the error" in check.message
    assert "label that leaks" in check.message
    assert check.next_step is not None
    assert "evaluate" in check.next_step
    assert report.verdict is Verdict.WARN


def test_a_perfect_first_model_is_marked(bench: Bench) -> None:
    assert _warned(bench.judge(_leaked()))
    assert not _warned(bench.judge(flights()))


def test_nearly_perfect_is_marked_and_does_not_read_as_perfect(bench: Bench) -> None:
    table = _leaked()
    assert table["late"][0]
    table["p"] = np.where(table["id"] < 1, 0.01, table["p"])
    assert "accuracy is 0.9998 on 4,000 rows" in one(bench.judge(table), NAME).message


def test_an_easy_problem_whose_baseline_is_as_good_raises_no_alarm(bench: Bench) -> None:
    assert not _warned(bench.judge(_leaked(), _leaked()))
    assert not _warned(bench.judge(_leaked(), _leaked(noise=0.2)))


def test_the_same_model_scored_by_an_evaluation_that_leaks_is_marked(bench: Bench) -> None:
    same = replace(bench, same_model=True)
    report = same.judge(_leaked(), flights(noise=1.5))
    assert _warned(report)
    assert any("not deterministic, or is not the baseline's" in note for note in report.notes)
    assert not _warned(same.judge(_leaked(), _leaked()))


def test_a_leap_that_models_do_make_raises_no_alarm(bench: Bench) -> None:
    assert not _warned(bench.judge(flights(noise=0.1), flights(noise=9)))


def test_few_rows_and_rare_labels_are_no_ground_for_suspicion(bench: Bench) -> None:
    assert not _warned(bench.judge(_leaked(60)))
    rare = flights()
    rare["late"] = rare["id"] < 12
    rare["p"] = np.full(4000, 0.2)
    accuracy = bench.asking({"metric": "accuracy", "at_least": 0.9})
    report = accuracy.judge(rare)  # an accuracy of 0.997 that knows nothing
    assert report.verdict is Verdict.PASS


def test_leaked_classes_and_values_are_marked_as_leaked_scores_are(bench: Bench) -> None:
    source = np.random.default_rng(5)
    predicted = replace(bench, columns={"key": "id", "label": "y", "prediction": "yhat"})
    classes = source.choice(["late", "on time", "cancelled"], 1000)
    table = {"id": np.arange(1000), "y": classes, "yhat": classes}
    assert _warned(predicted.asking({"metric": "accuracy", "at_least": 0.5}).judge(table))
    delay = source.normal(10, 30, 1000)
    but_one = delay + 900 * (table["id"] == 0)
    values = {"id": np.arange(1000), "y": delay, "yhat": delay + source.normal(0, 0.1, 1000)}
    minutes = predicted.asking({"metric": "mean_absolute_error", "at_most": 60})
    assert one(minutes.judge(values), NAME).message.startswith("r2 is 0.9999")
    honest = {**values, "yhat": delay + source.normal(0, 20, 1000)}
    assert not _warned(minutes.judge(honest))
    hidden = one(minutes.judge({**values, "yhat": but_one}, honest), NAME)
    assert hidden.message.startswith("mean_absolute_error is 0.9 ")


def test_labels_that_are_all_the_same_say_nothing(bench: Bench) -> None:
    table = {"id": np.arange(500), "y": np.full(500, 7.5), "yhat": np.full(500, 7.5)}
    minutes = replace(bench, columns={"key": "id", "label": "y", "prediction": "yhat"})
    report = minutes.asking({"metric": "mean_absolute_error", "at_most": 60}).judge(table)
    assert report.verdict is Verdict.PASS


def test_what_was_not_compared_is_still_looked_at(bench: Bench) -> None:
    other = flights()
    other["late"] = ~other["late"]
    assert _warned(bench.asking(AUC_LIMIT).judge(_leaked(), other))


shares = st.floats(0, 2)


@given(shares, shares, shares)
def test_less_error_is_never_less_suspicious(one_share: float, another: float, of: float) -> None:
    less, more = sorted((one_share, another))
    assert suspicious(less, of) >= suspicious(more, of)
    assert suspicious(less, None) >= suspicious(more, None)


@given(shares)
def test_what_is_no_better_than_the_baseline_is_never_suspicious(share: float) -> None:
    assert not suspicious(share, share)
