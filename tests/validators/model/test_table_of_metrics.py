"""The table of metrics agrees with how each metric is computed."""

from dataclasses import replace

import numpy as np
import pytest

from specs.metrics import METRICS, Task
from validators.model.measure import EvaluatedRows, UndefinedMetric, measure

CASES = [(task, name) for name, metric in METRICS.items() for task in metric.tasks]


def without(rows: EvaluatedRows, *columns: str) -> EvaluatedRows:
    """The rows without these columns of the table."""
    return replace(
        rows,
        score=None if "score" in columns else rows.score,
        said=None if "prediction" in columns else rows.said,
        scores=None if "scores" in columns else rows.scores,
    )


def predictions(task: Task, *, wrong: float) -> EvaluatedRows:
    """Labels, and predictions of which about a share `wrong` is wrong."""
    source, n = np.random.default_rng(7), 600
    if task is Task.REGRESSION:
        value = source.uniform(5, 9, n)
        return EvaluatedRows(task, value, said=value + wrong * source.normal(size=n))
    classes = 2 if task is Task.BINARY else 3
    label = source.integers(0, classes, n)
    said = np.where(source.random(n) < wrong, (label + 1) % classes, label)
    sure = np.full((n, classes), 0.1 / (classes - 1))
    sure[np.arange(n), said] = 0.9
    if task is Task.BINARY:
        return EvaluatedRows(task, label.astype(float), sure[:, 1], said.astype(float))
    return EvaluatedRows(
        task, label.astype(float), said=said.astype(float), scores=sure, scored=(0, 1, 2)
    )


@pytest.mark.parametrize(("task", "name"), CASES)
def test_better_predictions_are_a_gain(task: Task, name: str) -> None:
    good, bad = (measure(name, predictions(task, wrong=wrong)) for wrong in (0.1, 0.4))
    assert METRICS[name].gain(good, bad) > 0
    assert METRICS[name].lowest <= min(good, bad) <= max(good, bad) <= METRICS[name].highest


@pytest.mark.parametrize(("task", "name"), CASES)
def test_a_metric_takes_the_column_that_it_needs_and_no_other(task: Task, name: str) -> None:
    rows = predictions(task, wrong=0.2)
    scores = "scores" if task is Task.MULTICLASS else "score"
    needed = scores if METRICS[name].needs in ("ranking", "probability") else "prediction"
    assert METRICS[name].columns in ((), (needed,), ("score", "scores"))
    others = {"score", "scores", "prediction"} - {needed}
    assert measure(name, without(rows, *others)) == measure(name, rows)
    with pytest.raises(UndefinedMetric):
        measure(name, without(rows, needed))
