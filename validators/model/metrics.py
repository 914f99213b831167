"""The metrics by name: direction, task, and what each needs. Nothing heavy is imported here."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Task(StrEnum):
    """What a model does, as far as a metric cares."""

    BINARY = "binary classification"
    MULTICLASS = "multi-class classification"
    REGRESSION = "regression"


Needs = Literal["ranking", "probability", "class", "value"]
"""`ranking`: any score; `probability`: a score within [0, 1]; `class`: a prediction, or a score
and a threshold; `value`: the predicted number."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One way to measure predictions."""

    name: str
    needs: Needs
    tasks: frozenset[Task]
    greater_is_better: bool = True
    bounded: bool = True
    """Whether every value lies within [0, 1]."""

    def gain(self, candidate: float, baseline: float) -> float:
        """Candidate against baseline, oriented so that more is better."""
        return candidate - baseline if self.greater_is_better else baseline - candidate


_BINARY = frozenset({Task.BINARY})
_ANY_CLASSES = frozenset({Task.BINARY, Task.MULTICLASS})
_REGRESSION = frozenset({Task.REGRESSION})

_METRICS = (
    Metric("roc_auc", "ranking", _BINARY),
    Metric("average_precision", "ranking", _BINARY),
    Metric("log_loss", "probability", _BINARY, greater_is_better=False, bounded=False),
    Metric("brier_score", "probability", _BINARY, greater_is_better=False),
    Metric("expected_calibration_error", "probability", _BINARY, greater_is_better=False),
    Metric("accuracy", "class", _ANY_CLASSES),
    Metric("balanced_accuracy", "class", _ANY_CLASSES),
    Metric("precision", "class", _BINARY),
    Metric("recall", "class", _BINARY),
    Metric("f1", "class", _BINARY),
    Metric("f1_macro", "class", frozenset({Task.MULTICLASS})),
    Metric("mean_absolute_error", "value", _REGRESSION, greater_is_better=False, bounded=False),
    Metric("root_mean_squared_error", "value", _REGRESSION, greater_is_better=False, bounded=False),
    Metric(
        "mean_absolute_percentage_error",
        "value",
        _REGRESSION,
        greater_is_better=False,
        bounded=False,
    ),
    Metric("r2", "value", _REGRESSION, bounded=False),
)

METRICS = {metric.name: metric for metric in _METRICS}


def metric_names() -> tuple[str, ...]:
    """Every metric that can be computed, in the order reports show them."""
    return tuple(METRICS)


def tasks_left(names: Iterable[str]) -> frozenset[Task]:
    """The tasks that the named metrics leave possible.

    Names that agree on no task are judged by the first of them; the others then do not apply.
    """
    possible = frozenset(Task)
    for name in names:
        possible = possible & METRICS[name].tasks or possible
    return possible


def standard_metrics(task: Task) -> tuple[str, ...]:
    """What a report shows of a task for information, whatever the checks are."""
    return tuple(metric.name for metric in _METRICS if task in metric.tasks)
