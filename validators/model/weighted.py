"""The metrics as functions of row weights, for many sets of weights at once.

Scores are sorted once; each set of weights is then a cumulative sum in that order, or a matrix
product. Sorting again for every replicate would cost a hundred times as much.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from validators.model.measure import (
    CALIBRATION_BINS,
    EvaluatedRows,
    Floats,
    calibration_bin,
    log_losses,
)
from validators.model.resample import Replicate, Weights


def weighted(name: str, rows: EvaluatedRows) -> Replicate:
    """The metric as a function of the rows' weights.

    With all weights 1 it equals `measure`; with others, scikit-learn's metric with sample_weight.
    """
    return _FORMS[name](rows)


def _roc_auc(rows: EvaluatedRows) -> Replicate:
    assert rows.score is not None
    return _area(rows.label == 1, rows.score)


def _area(positive: NDArray[np.bool_], score: Floats) -> Replicate:
    """The share of (positive, negative) pairs in the right order, ties counting half."""
    ranked = _Ranked.of(positive, score)

    def replicate(weights: Weights) -> Floats:
        below = _cumulated(weights, ranked.negatives)
        positives = np.take(weights.counts, ranked.positives, axis=1)
        wins = np.take(below, ranked.below_from, axis=1) + np.take(below, ranked.below_to, axis=1)
        pairs = positives.sum(axis=1, dtype=np.float64) * below[:, -1]
        return np.asarray(np.einsum("ij,ij->i", positives, wins, dtype=np.float64) / (2 * pairs))

    return replicate


def _against_rest(*, weighted: bool) -> Callable[[EvaluatedRows], Replicate]:
    """The mean area over classes; NaN where classes count equally and one has lost all labels."""

    def form(rows: EvaluatedRows) -> Replicate:
        assert rows.scores is not None
        classes = [rows.label == number for number in rows.scored]
        areas = [_area(of, rows.scores[:, at]) for at, of in enumerate(classes)]
        places = [np.flatnonzero(of) for of in classes]

        def replicate(weights: Weights) -> Floats:
            values = np.stack([area(weights) for area in areas], axis=1)
            if not weighted:
                return np.asarray(values.mean(axis=1))
            count = np.stack([weights.take(of).total for of in places], axis=1)
            return np.asarray(np.where(count > 0, values * count, 0).sum(axis=1) / weights.total)

        return replicate

    return form


def _average_precision(rows: EvaluatedRows) -> Replicate:
    """The mean over positives of the precision at their score."""
    assert rows.score is not None
    ranked = _Ranked.of(rows.label == 1, rows.score)

    def replicate(weights: Weights) -> Floats:
        false = _cumulated(weights, ranked.negatives)
        true = _cumulated(weights, ranked.positives)
        above_false = false[:, -1:] - np.take(false, ranked.below_from, axis=1)
        above_true = true[:, -1:] - np.take(true, ranked.ties_from, axis=1)
        precision = above_true / np.maximum(above_true + above_false, 1)
        positives = np.take(weights.reals, ranked.positives, axis=1)
        return np.asarray(np.einsum("ij,ij->i", positives, precision) / true[:, -1])

    return replicate


@dataclass(frozen=True, slots=True)
class _Ranked:
    """Positives and negatives sorted by score, and the rank of each among the others."""

    positives: NDArray[np.intp]
    negatives: NDArray[np.intp]
    below_from: NDArray[np.intp]
    """For each positive: how many negatives score less."""
    below_to: NDArray[np.intp]
    """For each positive: how many negatives score no more."""
    ties_from: NDArray[np.intp]
    """For each positive: how many positives score less."""

    @classmethod
    def of(cls, positive: NDArray[np.bool_], score: Floats) -> "_Ranked":
        order = np.argsort(score)
        is_positive = positive[order]
        positives, negatives = order[is_positive], order[~is_positive]
        high, low = score[positives], score[negatives]
        return cls(
            positives,
            negatives,
            below_from=np.searchsorted(low, high, "left"),
            below_to=np.searchsorted(low, high, "right"),
            ties_from=np.searchsorted(high, high, "left"),
        )


def _cumulated(weights: Weights, rows: NDArray[np.intp]) -> NDArray[np.int64]:
    """The cumulated weights before each row and, last, the total."""
    sums = np.zeros((len(weights.counts), len(rows) + 1), np.int64)
    np.cumsum(np.take(weights.counts, rows, axis=1), axis=1, out=sums[:, 1:])
    return sums


def _mean(loss: Callable[[EvaluatedRows], Floats]) -> Callable[[EvaluatedRows], Replicate]:
    def form(rows: EvaluatedRows) -> Replicate:
        losses = loss(rows)
        return lambda weights: weights.reals @ losses / weights.total

    return form


def _square(of: Floats | None, label: Floats) -> Floats:
    assert of is not None
    return np.asarray((of - label) ** 2)


def _error(rows: EvaluatedRows) -> Floats:
    assert rows.said is not None
    return np.abs(rows.said - rows.label)


def _rmse(rows: EvaluatedRows) -> Replicate:
    mean = _mean(lambda rows: _square(rows.said, rows.label))(rows)
    return lambda weights: np.sqrt(mean(weights))


def _r2(rows: EvaluatedRows) -> Replicate:
    centred = rows.label - rows.label.mean()
    columns = np.column_stack([_square(rows.said, rows.label), centred, centred**2])

    def replicate(weights: Weights) -> Floats:
        error, label, square = (weights.reals @ columns).T
        return np.asarray(1 - error / (square - label**2 / weights.total))

    return replicate


def _calibration(rows: EvaluatedRows) -> Replicate:
    assert rows.score is not None
    columns = np.zeros((len(rows), CALIBRATION_BINS))
    columns[np.arange(len(rows)), calibration_bin(rows.score)] = rows.label - rows.score
    return lambda weights: np.abs(weights.reals @ columns).sum(axis=1) / weights.total


@dataclass(frozen=True, slots=True)
class _Confusion:
    """Weights by class (second axis): of rows predicted correctly, predicted, and true."""

    hit: Floats
    predicted: Floats
    true: Floats


_Classes = Callable[[EvaluatedRows], Floats]


def _positive(_: EvaluatedRows) -> Floats:
    return np.array([1.0])


def _labelled(rows: EvaluatedRows) -> Floats:
    return np.unique(rows.label)


def _all(rows: EvaluatedRows) -> Floats:
    """Every class of a label or a prediction."""
    assert rows.said is not None
    return np.union1d(rows.label, rows.said)


def _of_classes(
    combine: Callable[[_Confusion], Floats], classes_of: _Classes
) -> Callable[[EvaluatedRows], Replicate]:
    """A metric of the confusion matrix. Rows are first summed by pairs of label and prediction, of
    which there are far fewer."""

    def form(rows: EvaluatedRows) -> Replicate:
        assert rows.said is not None
        classes = classes_of(rows)
        both = np.column_stack([rows.label, rows.said])
        pairs, of_row = np.unique(both, axis=0, return_inverse=True)
        order = np.argsort(of_row.reshape(-1), kind="stable")
        starts = np.searchsorted(of_row.reshape(-1)[order], np.arange(len(pairs)))
        is_label, is_said = (pairs[:, at, None] == classes for at in (0, 1))
        columns = np.hstack([is_said & is_label, is_said, is_label]).astype(np.float64)

        def replicate(weights: Weights) -> Floats:
            sorted_ = np.take(weights.counts, order, axis=1)
            sums = np.add.reduceat(sorted_, starts, axis=1, dtype=np.float64)
            return combine(_Confusion(*np.split(sums @ columns, 3, axis=1)))

        return replicate

    return form


def _macro(by_class: Callable[[_Confusion], Floats]) -> Callable[[_Confusion], Floats]:
    """Every class counts equally. NaN if a replicate has lost a class entirely."""

    def combine(of: _Confusion) -> Floats:
        there = of.predicted + of.true > 0
        return np.asarray(np.where(there, by_class(of), np.nan).mean(axis=1))

    return combine


def _by_labels(by_class: Callable[[_Confusion], Floats]) -> Callable[[_Confusion], Floats]:
    """Classes weighted by their number of labels."""

    def combine(of: _Confusion) -> Floats:
        return np.asarray((by_class(of) * of.true).sum(axis=1) / of.true.sum(axis=1))

    return combine


def _precisions(of: _Confusion) -> Floats:
    """0 for a class that is never predicted, as in scikit-learn."""
    return np.asarray(of.hit / np.maximum(of.predicted, 1))


def _recalls(of: _Confusion) -> Floats:
    """0 for a class that is only predicted, as in scikit-learn."""
    return np.asarray(of.hit / np.maximum(of.true, 1))


def _f1s(of: _Confusion) -> Floats:
    return np.asarray(2 * of.hit / np.maximum(of.predicted + of.true, 1))


def _mean_recall(of: _Confusion) -> Floats:
    """NaN if a replicate has lost all labels of a class."""
    return np.asarray((of.hit / of.true).mean(axis=1))


def _precision(of: _Confusion) -> Floats:
    return np.asarray((of.hit / of.predicted)[:, 0])


def _recall(of: _Confusion) -> Floats:
    return np.asarray((of.hit / of.true)[:, 0])


def _f1(of: _Confusion) -> Floats:
    return np.asarray((2 * of.hit / (of.predicted + of.true))[:, 0])


def _hits(rows: EvaluatedRows) -> Floats:
    return np.asarray(rows.said == rows.label, np.float64)


_FORMS: dict[str, Callable[[EvaluatedRows], Replicate]] = {
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "log_loss": _mean(log_losses),
    "brier_score": _mean(lambda rows: _square(rows.score, rows.label)),
    "expected_calibration_error": _calibration,
    "accuracy": _mean(_hits),
    "balanced_accuracy": _of_classes(_mean_recall, _labelled),
    "precision": _of_classes(_precision, _positive),
    "recall": _of_classes(_recall, _positive),
    "f1": _of_classes(_f1, _positive),
    "f1_macro": _of_classes(_macro(_f1s), _all),
    "f1_weighted": _of_classes(_by_labels(_f1s), _all),
    "precision_macro": _of_classes(_macro(_precisions), _all),
    "precision_weighted": _of_classes(_by_labels(_precisions), _all),
    "recall_macro": _of_classes(_macro(_recalls), _all),
    "recall_weighted": _of_classes(_by_labels(_recalls), _all),
    "roc_auc_ovr": _against_rest(weighted=False),
    "roc_auc_ovr_weighted": _against_rest(weighted=True),
    "mean_absolute_error": _mean(_error),
    "root_mean_squared_error": _rmse,
    "mean_absolute_percentage_error": _mean(lambda rows: _error(rows) / np.abs(rows.label)),
    "r2": _r2,
}
