"""The metrics by name: the one table that the spec, its schema, the gate and the docs are made of.

`validators.model` computes every one of them. Nothing heavy is imported here.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

OWN: Final = "metrics."
"""What the name of a number begins with that a step of the team's own wrote: `metrics.map` is the
number `map` of the file that `gates.model.metrics` names."""


class Task(StrEnum):
    """What a model does: tells two classes apart, or several, or says a number."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"

    @property
    def words(self) -> str:
        """The task as a person says it."""
        return _WORDS[self]


_WORDS: Final = {
    Task.BINARY: "binary classification",
    Task.MULTICLASS: "multi-class classification",
    Task.REGRESSION: "regression",
}

_SCORES: Final = {Task.BINARY: "score", Task.MULTICLASS: "scores"}
"""The column, as `columns` calls it, that has the scores of a task."""

Needs = Literal["ranking", "probability", "class", "value"]
"""`ranking`: any score; `probability`: a score within [0, 1], those of several classes with the sum
1; `class`: a predicted class, or scores to take it from; `value`: the predicted number."""

Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One way to measure predictions."""

    name: str
    needs: Needs
    tasks: tuple[Task, ...]
    meaning: str
    """How it is made, and averaged where there are classes: a line of the docs."""
    better: Better = "higher"
    lowest: float = 0.0
    highest: float = 1.0
    """The range of its values; infinite where there is no limit."""
    usual: tuple[Task, ...] = ()
    """The tasks of which a report shows it unasked."""
    by_class: bool = False
    """Whether a class counts as much as any other, however few rows it has."""
    aliases: tuple[str, ...] = ()
    """What it is called elsewhere; only to be helpful about a name that is not known."""

    @property
    def bounded(self) -> bool:
        """Whether its range is finite."""
        return math.isfinite(self.highest - self.lowest)

    @property
    def greater_is_better(self) -> bool:
        """Whether more of it is better."""
        return self.better == "higher"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the predictions of which it needs one, as `columns` calls them; none for
        what any of them will do."""
        if self.needs == "class":
            return ()
        if self.needs == "value":
            return ("prediction",)
        return tuple(_SCORES[task] for task in self.tasks)

    def gain(self, candidate: float, baseline: float) -> float:
        """Candidate against baseline, oriented so that more is better."""
        return candidate - baseline if self.greater_is_better else baseline - candidate


_TWO: Final = (Task.BINARY,)
_SEVERAL: Final = (Task.MULTICLASS,)
_CLASSES: Final = (Task.BINARY, Task.MULTICLASS)
_NUMBER: Final = (Task.REGRESSION,)

_TABLE: Final = (
    Metric(
        "roc_auc",
        "ranking",
        _TWO,
        "the share of pairs of a positive and a negative row that the score ranks rightly, ties "
        "counting half",
        usual=_TWO,
        aliases=("auc", "auroc", "roc_auc_score", "rocauc"),
    ),
    Metric(
        "average_precision",
        "ranking",
        _TWO,
        "the mean over the positive rows of the precision at their score",
        usual=_TWO,
        aliases=("ap", "pr_auc", "auprc", "auc_pr", "average_precision_score"),
    ),
    Metric(
        "log_loss",
        "probability",
        _CLASSES,
        "the mean over the rows of -ln of the probability that the true class was given",
        better="lower",
        highest=math.inf,
        usual=_CLASSES,
        aliases=("neg_log_loss", "logloss", "cross_entropy", "crossentropy", "nll"),
    ),
    Metric(
        "brier_score",
        "probability",
        _TWO,
        "the mean over the rows of the squared distance of the score from 1 or 0",
        better="lower",
        usual=_TWO,
        aliases=("brier", "neg_brier_score", "brier_score_loss", "brier_loss"),
    ),
    Metric(
        "expected_calibration_error",
        "probability",
        _TWO,
        "the mean distance between score and frequency over ten bins of equal width, by rows",
        better="lower",
        usual=_TWO,
        aliases=("ece", "calibration", "calibration_error"),
    ),
    Metric(
        "accuracy",
        "class",
        _CLASSES,
        "the share of rows whose class was predicted",
        usual=_CLASSES,
        aliases=("acc", "accuracy_score", "f1_micro", "micro_f1", "precision_micro"),
    ),
    Metric(
        "balanced_accuracy",
        "class",
        _CLASSES,
        "the mean of the recalls of the classes that labels have, each counting alike",
        usual=_CLASSES,
        aliases=("balanced_accuracy_score", "bal_acc", "uar"),
    ),
    Metric(
        "precision",
        "class",
        _TWO,
        "of the rows predicted to be positive, the share that is",
        usual=_TWO,
        aliases=("precision_score", "ppv"),
    ),
    Metric(
        "recall",
        "class",
        _TWO,
        "of the positive rows, the share that was predicted to be",
        usual=_TWO,
        aliases=("recall_score", "sensitivity", "tpr"),
    ),
    Metric(
        "f1",
        "class",
        _TWO,
        "the harmonic mean of precision and recall of the positive class",
        usual=_TWO,
        aliases=("f1_score", "f_score", "f1_binary"),
    ),
    Metric(
        "f1_macro",
        "class",
        _CLASSES,
        "the mean of the F1 of the classes, each counting alike",
        usual=_SEVERAL,
        by_class=True,
        aliases=("macro_f1", "f1_score_macro", "f1macro"),
    ),
    Metric(
        "f1_weighted",
        "class",
        _CLASSES,
        "the mean of the F1 of the classes, each by its number of labels",
        usual=_SEVERAL,
        aliases=("weighted_f1", "f1_score_weighted", "f1weighted"),
    ),
    Metric(
        "precision_macro",
        "class",
        _CLASSES,
        "the mean of the precision of the classes, each counting alike",
        by_class=True,
        aliases=("macro_precision",),
    ),
    Metric(
        "precision_weighted",
        "class",
        _CLASSES,
        "the mean of the precision of the classes, each by its number of labels",
        aliases=("weighted_precision",),
    ),
    Metric(
        "recall_macro",
        "class",
        _CLASSES,
        "the mean of the recall of the classes, each counting alike",
        by_class=True,
        aliases=("macro_recall",),
    ),
    Metric(
        "recall_weighted",
        "class",
        _CLASSES,
        "the mean of the recall of the classes, each by its number of labels: the accuracy",
        aliases=("weighted_recall",),
    ),
    Metric(
        "roc_auc_ovr",
        "ranking",
        _SEVERAL,
        "the mean over the classes of the ROC AUC of each against the rest, each counting alike",
        usual=_SEVERAL,
        by_class=True,
        aliases=("roc_auc_macro", "auc_ovr", "roc_auc_ovo", "macro_auc", "ovr_auc"),
    ),
    Metric(
        "roc_auc_ovr_weighted",
        "ranking",
        _SEVERAL,
        "the mean over the classes of the ROC AUC of each against the rest, each by its number of "
        "labels",
        aliases=("roc_auc_weighted", "roc_auc_ovo_weighted", "weighted_auc"),
    ),
    Metric(
        "mean_absolute_error",
        "value",
        _NUMBER,
        "the mean distance between prediction and label",
        better="lower",
        highest=math.inf,
        usual=_NUMBER,
        aliases=("mae", "neg_mean_absolute_error", "l1"),
    ),
    Metric(
        "root_mean_squared_error",
        "value",
        _NUMBER,
        "the root of the mean squared distance between prediction and label",
        better="lower",
        highest=math.inf,
        usual=_NUMBER,
        aliases=("rmse", "neg_root_mean_squared_error", "mse", "mean_squared_error", "l2"),
    ),
    Metric(
        "mean_absolute_percentage_error",
        "value",
        _NUMBER,
        "the mean distance between prediction and label as a share of the label",
        better="lower",
        highest=math.inf,
        usual=_NUMBER,
        aliases=("mape", "neg_mean_absolute_percentage_error"),
    ),
    Metric(
        "r2",
        "value",
        _NUMBER,
        "1 minus the squared error as a share of that of the mean label",
        lowest=-math.inf,
        usual=_NUMBER,
        aliases=("r2_score", "r_squared", "rsquared", "r_2"),
    ),
)

METRICS: Final = {metric.name: metric for metric in _TABLE}
ALIASES: Final = {alias: metric.name for metric in _TABLE for alias in metric.aliases}


def is_own(name: str) -> bool:
    """Whether it is a number of the team's own, and none that the gate measures."""
    return name.startswith(OWN)


def tasks_of(name: str, columns: Iterable[str]) -> tuple[Task, ...]:
    """The tasks of a metric that the gate measures, as far as the named columns of the predictions
    leave them open: a `score` is of two classes, `scores` are of several."""
    metric = METRICS[name]
    if metric.needs not in ("ranking", "probability"):
        return metric.tasks
    named = set(columns)
    return tuple(task for task in metric.tasks if _SCORES[task] in named) or metric.tasks


def tasks_left(names: Iterable[str], columns: Iterable[str] = ()) -> frozenset[Task]:
    """The tasks that the named metrics leave possible.

    Names that agree on no task are judged by the first of them; the others then do not apply.
    """
    named = tuple(columns)
    possible = frozenset(Task)
    for name in names:
        possible = possible & frozenset(tasks_of(name, named)) or possible
    return possible


def usual_metrics(task: Task) -> tuple[str, ...]:
    """What a report shows of a task for information, whatever the checks are."""
    return tuple(metric.name for metric in _TABLE if task in metric.usual)
