"""The table of metrics, from which the spec, its schema, the gate and the docs are derived.

`validators.model` computes them. This module imports nothing heavy.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

OWN: Final = "metrics."
"""The prefix for a number that one of the team's steps wrote: `metrics.map` is the number `map` in
the file that `gates.model.metrics` names."""


class Task(StrEnum):
    """What a model predicts: one of two classes, one of several classes, or a number."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"

    @property
    def words(self) -> str:
        """The task in words."""
        return _WORDS[self]


_WORDS: Final = {
    Task.BINARY: "binary classification",
    Task.MULTICLASS: "multi-class classification",
    Task.REGRESSION: "regression",
}

_SCORES: Final = {Task.BINARY: "score", Task.MULTICLASS: "scores"}
"""The key in `columns` of the scores for a task."""

Needs = Literal["ranking", "probability", "class", "value"]
"""`ranking`: any score; `probability`: a score in [0, 1], which sum to 1 over several classes;
`class`: a predicted class, or scores to derive it from; `value`: the predicted number."""

Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A measure of the quality of predictions."""

    name: str
    needs: Needs
    tasks: tuple[Task, ...]
    meaning: str
    """How it is computed, and averaged over classes; shown in the docs."""
    better: Better = "higher"
    lowest: float = 0.0
    highest: float = 1.0
    """The range of its values; infinite where there is no limit."""
    usual: tuple[Task, ...] = ()
    """The tasks for which a report shows it even if no check names it."""
    by_class: bool = False
    """Whether all classes have the same weight, however few rows they have."""
    aliases: tuple[str, ...] = ()
    """Names that it has elsewhere, to suggest the right one for an unknown name."""

    @property
    def bounded(self) -> bool:
        """Whether its range is finite."""
        return math.isfinite(self.highest - self.lowest)

    @property
    def greater_is_better(self) -> bool:
        """Whether a higher value is better."""
        return self.better == "higher"

    @property
    def columns(self) -> tuple[str, ...]:
        """The keys in `columns` of which it needs one; empty if any of them will do."""
        if self.needs == "class":
            return ()
        if self.needs == "value":
            return ("prediction",)
        return tuple(_SCORES[task] for task in self.tasks)

    def gain(self, candidate: float, baseline: float) -> float:
        """The difference from baseline to candidate; positive if the candidate is better."""
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
        "the share of pairs of a positive and a negative row that the score ranks correctly; a tie "
        "counts as half",
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
        "the mean over the rows of -ln of the predicted probability of the true class",
        better="lower",
        highest=math.inf,
        usual=_CLASSES,
        aliases=("neg_log_loss", "logloss", "cross_entropy", "crossentropy", "nll"),
    ),
    Metric(
        "brier_score",
        "probability",
        _TWO,
        "the mean squared difference between the score and the label (1 or 0)",
        better="lower",
        usual=_TWO,
        aliases=("brier", "neg_brier_score", "brier_score_loss", "brier_loss"),
    ),
    Metric(
        "expected_calibration_error",
        "probability",
        _TWO,
        "the mean difference between score and frequency over ten bins of equal width, weighted "
        "by rows",
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
        "the mean of the recalls of the classes among the labels, equally weighted",
        usual=_CLASSES,
        aliases=("balanced_accuracy_score", "bal_acc", "uar"),
    ),
    Metric(
        "precision",
        "class",
        _TWO,
        "the share of rows predicted positive that are positive",
        usual=_TWO,
        aliases=("precision_score", "ppv"),
    ),
    Metric(
        "recall",
        "class",
        _TWO,
        "the share of positive rows that are predicted positive",
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
        "the mean F1 of the classes, equally weighted",
        usual=_SEVERAL,
        by_class=True,
        aliases=("macro_f1", "f1_score_macro", "f1macro"),
    ),
    Metric(
        "f1_weighted",
        "class",
        _CLASSES,
        "the mean F1 of the classes, weighted by their number of labels",
        usual=_SEVERAL,
        aliases=("weighted_f1", "f1_score_weighted", "f1weighted"),
    ),
    Metric(
        "precision_macro",
        "class",
        _CLASSES,
        "the mean precision of the classes, equally weighted",
        by_class=True,
        aliases=("macro_precision",),
    ),
    Metric(
        "precision_weighted",
        "class",
        _CLASSES,
        "the mean precision of the classes, weighted by their number of labels",
        aliases=("weighted_precision",),
    ),
    Metric(
        "recall_macro",
        "class",
        _CLASSES,
        "the mean recall of the classes, equally weighted",
        by_class=True,
        aliases=("macro_recall",),
    ),
    Metric(
        "recall_weighted",
        "class",
        _CLASSES,
        "the mean recall of the classes, weighted by their number of labels: the accuracy",
        aliases=("weighted_recall",),
    ),
    Metric(
        "roc_auc_ovr",
        "ranking",
        _SEVERAL,
        "the mean ROC AUC of each class against the rest, equally weighted",
        usual=_SEVERAL,
        by_class=True,
        aliases=("roc_auc_macro", "auc_ovr", "roc_auc_ovo", "macro_auc", "ovr_auc"),
    ),
    Metric(
        "roc_auc_ovr_weighted",
        "ranking",
        _SEVERAL,
        "the mean ROC AUC of each class against the rest, weighted by their number of labels",
        aliases=("roc_auc_weighted", "roc_auc_ovo_weighted", "weighted_auc"),
    ),
    Metric(
        "mean_absolute_error",
        "value",
        _NUMBER,
        "the mean absolute difference between prediction and label",
        better="lower",
        highest=math.inf,
        usual=_NUMBER,
        aliases=("mae", "neg_mean_absolute_error", "l1"),
    ),
    Metric(
        "root_mean_squared_error",
        "value",
        _NUMBER,
        "the square root of the mean squared difference between prediction and label",
        better="lower",
        highest=math.inf,
        usual=_NUMBER,
        aliases=("rmse", "neg_root_mean_squared_error", "mse", "mean_squared_error", "l2"),
    ),
    Metric(
        "mean_absolute_percentage_error",
        "value",
        _NUMBER,
        "the mean absolute difference between prediction and label, relative to the label",
        better="lower",
        highest=math.inf,
        usual=_NUMBER,
        aliases=("mape", "neg_mean_absolute_percentage_error"),
    ),
    Metric(
        "r2",
        "value",
        _NUMBER,
        "1 minus the ratio of the squared error to that of always predicting the mean label",
        lowest=-math.inf,
        usual=_NUMBER,
        aliases=("r2_score", "r_squared", "rsquared", "r_2"),
    ),
)

METRICS: Final = {metric.name: metric for metric in _TABLE}
ALIASES: Final = {alias: metric.name for metric in _TABLE for alias in metric.aliases}


def is_own(name: str) -> bool:
    """Whether it names a number that a step wrote, not a metric that the gate measures."""
    return name.startswith(OWN)


def tasks_of(name: str, columns: Iterable[str]) -> tuple[Task, ...]:
    """The tasks that a metric of the gate and the given columns allow: `score` is for two classes,
    `scores` is for several."""
    metric = METRICS[name]
    if metric.needs not in ("ranking", "probability"):
        return metric.tasks
    named = set(columns)
    return tuple(task for task in metric.tasks if _SCORES[task] in named) or metric.tasks


def tasks_left(names: Iterable[str], columns: Iterable[str] = ()) -> frozenset[Task]:
    """The tasks that fit all the named metrics.

    If no task fits all of them, the first ones decide, and the others do not apply.
    """
    named = tuple(columns)
    possible = frozenset(Task)
    for name in names:
        possible = possible & frozenset(tasks_of(name, named)) or possible
    return possible


def usual_metrics(task: Task) -> tuple[str, ...]:
    """The metrics that a report shows for a task whatever the checks are."""
    return tuple(metric.name for metric in _TABLE if task in metric.usual)
