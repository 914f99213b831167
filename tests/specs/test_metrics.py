"""The table of metrics has everything that existing specs rely on."""

import math
from typing import Final, get_args

import pytest
from pydantic import TypeAdapter

from specs.gates import MetricName, TaskName
from specs.lint.check import check
from specs.metrics import METRICS, Task, usual_metrics
from specs.schema import json_schema
from tests.specs.samples import SMALLEST

EVERY: Final = {
    "roc_auc": ("higher", "ranking", (0, 1)),
    "average_precision": ("higher", "ranking", (0, 1)),
    "log_loss": ("lower", "probability", (0, math.inf)),
    "brier_score": ("lower", "probability", (0, 1)),
    "expected_calibration_error": ("lower", "probability", (0, 1)),
    "accuracy": ("higher", "class", (0, 1)),
    "balanced_accuracy": ("higher", "class", (0, 1)),
    "precision": ("higher", "class", (0, 1)),
    "recall": ("higher", "class", (0, 1)),
    "f1": ("higher", "class", (0, 1)),
    "f1_macro": ("higher", "class", (0, 1)),
    "f1_weighted": ("higher", "class", (0, 1)),
    "precision_macro": ("higher", "class", (0, 1)),
    "precision_weighted": ("higher", "class", (0, 1)),
    "recall_macro": ("higher", "class", (0, 1)),
    "recall_weighted": ("higher", "class", (0, 1)),
    "roc_auc_ovr": ("higher", "ranking", (0, 1)),
    "roc_auc_ovr_weighted": ("higher", "ranking", (0, 1)),
    "mean_absolute_error": ("lower", "value", (0, math.inf)),
    "root_mean_squared_error": ("lower", "value", (0, math.inf)),
    "mean_absolute_percentage_error": ("lower", "value", (0, math.inf)),
    "r2": ("higher", "value", (-math.inf, 1)),
}
"""Which way a metric is better, what it needs, and its range. A lost or changed row changes which
models pass a gate, so the table is repeated here."""


def test_no_metric_is_lost_or_reversed() -> None:
    found = {m.name: (m.better, m.needs, (m.lowest, m.highest)) for m in METRICS.values()}
    assert found == EVERY


@pytest.mark.parametrize("name", EVERY)
def test_the_spec_and_its_schema_admit_each_metric(name: str) -> None:
    assert TypeAdapter(MetricName).validate_python(name) == name
    for kind in ("AbsoluteCheck", "PairedCheck"):
        metric = json_schema()["$defs"][kind]["properties"]["metric"]
        assert name in metric["anyOf"][0]["enum"]


def test_the_spec_names_the_tasks_of_the_table() -> None:
    assert get_args(TaskName) == tuple(Task)


@pytest.mark.parametrize(("name", "limits"), [(name, row[2]) for name, row in EVERY.items()])
def test_a_limit_beyond_the_range_of_a_metric_is_an_error(
    name: str, limits: tuple[float, float]
) -> None:
    lower = EVERY[name][0] == "lower"
    key, best = ("at_most", limits[0]) if lower else ("at_least", limits[1])
    beyond = best - 1 if lower else best + 1
    paired = "{metric: roc_auc, not_worse_than_baseline_by: 0.005}"
    assert paired in SMALLEST
    codes = []
    for limit in (best, beyond):
        text = SMALLEST.replace(paired, f"{{metric: {name}, {key}: {limit}}}")
        codes.append({one.code for one in check(text, "ml-pipeline.yaml").problems})
    assert codes[1] - codes[0] == {"out-of-range"}
    assert not codes[0] & {"out-of-range", "no-effect", "reversed-limit"}


@pytest.mark.parametrize(
    ("task", "shown"),
    [
        (
            Task.BINARY,
            (
                "roc_auc average_precision log_loss brier_score expected_calibration_error "
                "accuracy balanced_accuracy precision recall f1"
            ),
        ),
        (
            Task.MULTICLASS,
            "log_loss accuracy balanced_accuracy f1_macro f1_weighted roc_auc_ovr",
        ),
        (
            Task.REGRESSION,
            "mean_absolute_error root_mean_squared_error mean_absolute_percentage_error r2",
        ),
    ],
)
def test_a_report_shows_the_usual_metrics_of_a_task_unasked(task: Task, shown: str) -> None:
    assert usual_metrics(task) == tuple(shown.split())


def test_classes_count_equally_in_these_metrics_and_in_no_other() -> None:
    named = {metric.name for metric in METRICS.values() if metric.by_class}
    assert named == {"f1_macro", "precision_macro", "recall_macro", "roc_auc_ovr"}
