"""The value of a metric on rows, by scikit-learn, and when it is undefined."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specs.metrics import METRICS, Task
from validators.verdict import Verdict

CALIBRATION_BINS = 10
MOST_OFF_ONE = 0.02
"""How far the sum of class probabilities may be from 1: some writers round to two digits."""

Floats = NDArray[np.float64]


class UndefinedMetric(Exception):  # noqa: N818 - a property of the rows
    """The metric has no value on these rows; the message says why.

    ERROR if it cannot be computed from such predictions at all, INCONCLUSIVE if it happens to be
    undefined on these rows.
    """

    def __init__(self, message: str, verdict: Verdict) -> None:
        super().__init__(message)
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class EvaluatedRows:
    """Labels and a model's predictions, in the form that the metrics of a task take."""

    task: Task
    label: Floats
    """0 or 1; the number of the class; or the value itself."""
    score: Floats | None = None
    said: Floats | None = None
    """The predicted class or value."""
    scores: Floats | None = None
    """For several classes: one column for each class with scores."""
    scored: tuple[int, ...] = ()
    """The class number of each of these columns."""
    names: tuple[str, ...] = ("0", "1")
    """The names of the classes, by number."""

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: NDArray[np.intp]) -> "EvaluatedRows":
        """The same for some of the rows."""
        return EvaluatedRows(
            task=self.task,
            label=self.label[rows],
            score=None if self.score is None else self.score[rows],
            said=None if self.said is None else self.said[rows],
            scores=None if self.scores is None else self.scores[rows],
            scored=self.scored,
            names=self.names,
        )


def measure(name: str, rows: EvaluatedRows) -> float:
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


def _why_inapplicable(name: str, rows: EvaluatedRows) -> str | None:
    metric = METRICS[name]
    if rows.task not in metric.tasks:
        measured = " or ".join(sorted(task.words for task in metric.tasks))
        return f"it measures {measured}, and this is {rows.task.words}"
    if metric.needs in ("class", "value"):
        return "there is no prediction column" if rows.said is None else None
    if rows.task is Task.MULTICLASS:
        return _why_no_scores(metric.needs == "probability", rows)
    if rows.score is None:
        return "there is no score column"
    outside = int(((rows.score < 0) | (rows.score > 1)).sum())
    if metric.needs == "probability" and outside:
        return f"{outside:,} scores lie outside 0 to 1, so they are no probabilities"
    return None


def _why_no_scores(probabilities: bool, rows: EvaluatedRows) -> str | None:
    """Why the scores of several classes cannot be used; None if they can."""
    if rows.scores is None:
        return "there are no score columns for the classes"
    if not probabilities:
        return None
    outside = int(((rows.scores < 0) | (rows.scores > 1)).any(axis=1).sum())
    if outside:
        return f"{outside:,} rows have scores outside 0 to 1, so they are no probabilities"
    sums = rows.scores.sum(axis=1)
    apart = int((np.abs(sums - 1) > MOST_OFF_ONE).sum())
    if apart:
        return (
            f"the scores of {apart:,} rows do not sum to 1 (from {sums.min():.4g} to "
            f"{sums.max():.4g}), so they are no probabilities of the classes"
        )
    return None


def _why_degenerate(name: str, rows: EvaluatedRows) -> str | None:
    label, said = rows.label, rows.said
    if not len(rows):
        return "there are no rows"
    if name.startswith("roc_auc_ovr"):
        return _why_no_rest(rows, each=name == "roc_auc_ovr")
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


def _why_no_rest(rows: EvaluatedRows, *, each: bool) -> str | None:
    """Why one class against the rest is undefined. If classes count equally, each needs labels;
    scikit-learn also leaves a class without labels undefined."""
    if np.ptp(rows.label) == 0:
        return f"all {len(rows):,} labels are {rows.names[int(rows.label[0])]}"
    labels = set(np.unique(rows.label).tolist())
    without = [number for number in rows.scored if each and number not in labels]
    return f"no label is {rows.names[without[0]]}, which has scores" if without else None


def _compute(name: str, rows: EvaluatedRows) -> float:
    from sklearn import metrics as sk

    label, score, said = rows.label, rows.score, rows.said
    functions: dict[str, Any] = {
        "roc_auc": lambda: sk.roc_auc_score(label, score),
        "average_precision": lambda: sk.average_precision_score(label, score),
        "log_loss": lambda: log_losses(rows).mean(),
        "brier_score": lambda: sk.brier_score_loss(label, score, pos_label=1),
        "expected_calibration_error": lambda: _calibration_error(rows),
        "accuracy": lambda: sk.accuracy_score(label, said),
        "balanced_accuracy": lambda: _balanced_accuracy(rows),
        "precision": lambda: sk.precision_score(label, said),
        "recall": lambda: sk.recall_score(label, said),
        "f1": lambda: sk.f1_score(label, said),
        "roc_auc_ovr": lambda: _one_against_rest(rows, weighted=False),
        "roc_auc_ovr_weighted": lambda: _one_against_rest(rows, weighted=True),
        "mean_absolute_error": lambda: sk.mean_absolute_error(label, said),
        "root_mean_squared_error": lambda: sk.root_mean_squared_error(label, said),
        "mean_absolute_percentage_error": lambda: sk.mean_absolute_percentage_error(label, said),
        "r2": lambda: sk.r2_score(label, said),
    }
    for kind, of in (
        ("f1", sk.f1_score),
        ("precision", sk.precision_score),
        ("recall", sk.recall_score),
    ):
        for average in ("macro", "weighted"):
            functions[f"{kind}_{average}"] = partial(
                of, label, said, average=average, zero_division=0
            )
    return float(functions[name]())


def log_losses(rows: EvaluatedRows) -> Floats:
    """Per row, -ln of the probability of its class, clipped by a float64's epsilon. As in
    scikit-learn, without its warning about sums that rounding moves off 1."""
    smallest = np.finfo(np.float64).eps
    if rows.task is Task.MULTICLASS:
        assert rows.scores is not None
        at = np.searchsorted(np.array(rows.scored), rows.label.astype(np.intp))
        of_class = rows.scores[np.arange(len(rows)), at]
    else:
        assert rows.score is not None
        of_class = np.where(rows.label == 1, rows.score, 1 - rows.score)
    return np.asarray(-np.log(np.clip(of_class, smallest, 1 - smallest)))


def _one_against_rest(rows: EvaluatedRows, *, weighted: bool) -> float:
    """The mean of each class's ROC AUC; if weighted, classes without labels do not count."""
    from sklearn.metrics import roc_auc_score

    assert rows.scores is not None
    classes = [rows.label == number for number in rows.scored]
    weights = [float(of.sum()) if weighted else 1.0 for of in classes]
    values = [
        roc_auc_score(of, rows.scores[:, at]) if weight else 0.0
        for at, (of, weight) in enumerate(zip(classes, weights, strict=True))
    ]
    return float(np.average(values, weights=weights))


def _balanced_accuracy(rows: EvaluatedRows) -> float:
    """Mean recall over the classes in the labels; scikit-learn would warn of a class that is only
    predicted."""
    from sklearn.metrics import recall_score

    return float(recall_score(rows.label, rows.said, labels=np.unique(rows.label), average="macro"))


def _calibration_error(rows: EvaluatedRows) -> float:
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
    """The bin of each probability, from 0; 1.0 is in the last."""
    return np.minimum((score * CALIBRATION_BINS).astype(np.intp), CALIBRATION_BINS - 1)
