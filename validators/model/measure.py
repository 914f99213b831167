"""The value of a metric on rows, by scikit-learn, and when it has none."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validators.model.metrics import METRICS, Task
from validators.verdict import Verdict

CALIBRATION_BINS = 10

Floats = NDArray[np.float64]


class UndefinedMetric(Exception):  # noqa: N818 - a state of the rows, not a fault of ours
    """The metric has no value on these rows; the message says why.

    ERROR if it cannot be computed from such predictions at all, INCONCLUSIVE if these rows happen
    not to decide it.
    """

    def __init__(self, message: str, verdict: Verdict) -> None:
        super().__init__(message)
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was true and what a model said, in the form that the metrics of a task take."""

    task: Task
    label: Floats
    """0 or 1; the number of a class; or the value itself."""
    score: Floats | None = None
    said: Floats | None = None
    """The predicted class or value."""
    names: tuple[str, str] = ("0", "1")
    """What the two classes of binary classification are called."""

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: NDArray[np.intp]) -> "Outcome":
        """The same for some of the rows."""
        return Outcome(
            task=self.task,
            label=self.label[rows],
            score=None if self.score is None else self.score[rows],
            said=None if self.said is None else self.said[rows],
            names=self.names,
        )


def measure(name: str, rows: Outcome) -> float:
    """The metric on these rows. Raises UndefinedMetric."""
    for reason, verdict in (
        (_why_inapplicable(name, rows), Verdict.ERROR),
        (_why_degenerate(name, rows), Verdict.INCONCLUSIVE),
    ):
        if reason:
            raise UndefinedMetric(reason, verdict)
    value = _compute(name, rows)
    if not np.isfinite(value):
        raise UndefinedMetric(f"its value is {value}", Verdict.INCONCLUSIVE)
    return float(value)


def _why_inapplicable(name: str, rows: Outcome) -> str | None:
    metric = METRICS[name]
    if rows.task not in metric.tasks:
        return f"it measures {' or '.join(sorted(metric.tasks))}, and this is {rows.task}"
    if metric.needs in ("class", "value"):
        return "there is no prediction column" if rows.said is None else None
    if rows.score is None:
        return "there is no score column"
    outside = int(((rows.score < 0) | (rows.score > 1)).sum())
    if metric.needs == "probability" and outside:
        return f"{outside:,} scores lie outside 0 to 1, so they are no probabilities"
    return None


def _why_degenerate(name: str, rows: Outcome) -> str | None:
    label, said = rows.label, rows.said
    if not len(rows):
        return "there are no rows"
    if rows.task is Task.BINARY:
        positives, (no, yes) = int(label.sum()), rows.names
        if name in ("roc_auc", "balanced_accuracy") and positives in (0, len(rows)):
            return f"all {len(rows):,} labels are {yes if positives else no}"
        if name in ("average_precision", "recall") and not positives:
            return f"no label is {yes}"
        if name == "precision" and said is not None and not said.any():
            return f"nothing was predicted to be {yes}"
        if name == "f1" and said is not None and not positives and not said.any():
            return f"no label is {yes} and nothing was predicted to be {yes}"
    if name == "mean_absolute_percentage_error" and not label.all():
        zeros = int((label == 0).sum())
        return f"{zeros:,} labels are 0, where a relative error has no meaning"
    if name == "r2" and np.ptp(label) == 0:
        return "all labels are the same"
    return None


def _compute(name: str, rows: Outcome) -> float:
    from sklearn import metrics as sk

    label, score, said = rows.label, rows.score, rows.said
    functions: dict[str, Any] = {
        "roc_auc": lambda: sk.roc_auc_score(label, score),
        "average_precision": lambda: sk.average_precision_score(label, score),
        "log_loss": lambda: sk.log_loss(label, score, labels=[0.0, 1.0]),
        "brier_score": lambda: sk.brier_score_loss(label, score, pos_label=1),
        "expected_calibration_error": lambda: _calibration_error(rows),
        "accuracy": lambda: sk.accuracy_score(label, said),
        "balanced_accuracy": lambda: _balanced_accuracy(rows),
        "precision": lambda: sk.precision_score(label, said),
        "recall": lambda: sk.recall_score(label, said),
        "f1": lambda: sk.f1_score(label, said),
        "f1_macro": lambda: sk.f1_score(label, said, average="macro"),
        "mean_absolute_error": lambda: sk.mean_absolute_error(label, said),
        "root_mean_squared_error": lambda: sk.root_mean_squared_error(label, said),
        "mean_absolute_percentage_error": lambda: sk.mean_absolute_percentage_error(label, said),
        "r2": lambda: sk.r2_score(label, said),
    }
    return float(functions[name]())


def _balanced_accuracy(rows: Outcome) -> float:
    """Mean recall over the classes that the labels have; scikit-learn warns where one is only
    predicted, which is no fault of the rows."""
    from sklearn.metrics import recall_score

    return float(recall_score(rows.label, rows.said, labels=np.unique(rows.label), average="macro"))


def _calibration_error(rows: Outcome) -> float:
    """Mean distance between confidence and frequency over bins of equal width, weighted by rows.

    Naeini, Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning,
    AAAI 2015. It is the sum over bins of |sum of (label - score)|, divided by the rows.
    """
    assert rows.score is not None
    sums = np.bincount(
        calibration_bin(rows.score), weights=rows.label - rows.score, minlength=CALIBRATION_BINS
    )
    return float(np.abs(sums).sum() / len(rows))


def calibration_bin(score: Floats) -> NDArray[np.intp]:
    """The bin of each probability, from 0 on; 1.0 belongs to the last."""
    return np.minimum((score * CALIBRATION_BINS).astype(np.intp), CALIBRATION_BINS - 1)
