"""Scores that are too good to be true.

A score that real data rarely allows is the first sign of leakage: the label, or something derived
from it, in the features or the scores, or an evaluation on training rows (Kaufman, Rosset, Perlich
and Stitelman, Leakage in Data Mining: Formulation, Detection, and Avoidance, ACM TKDD 6(4), 2012).

A metric says little by itself: an accuracy of 0.999 is easy if 999 of 1,000 labels are 0. So each
is put on one scale: its error as a share of the error of a constant prediction (one minus the skill
score of Murphy, Monthly Weather Review 116, 1988), 1 for knowing nothing, 0 for perfection. It is
suspicious

    with a baseline     if at most a tenth of the baseline's error is left, and at most 5 %; but not
                        if the baseline itself leaves 1 % or less in any of these metrics, as the
                        problem is then easy;
    without a baseline  if at most 0.2 % is left: a ROC AUC of 0.999, an R2 of 0.998.

This only warns: a smaller leak goes unnoticed, and a real breakthrough is reported.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from specs.figures import percent, significant
from specs.metrics import METRICS, Task
from validators.model.measure import EvaluatedRows, UndefinedMetric, measure
from validators.model.study import why_too_few
from validators.report import Check
from validators.verdict import Verdict

NAME: Final = "too good to be true"
OF_THE_BASELINE: Final = 0.1
MOST_LEFT: Final = 0.05
EASY: Final = 0.01
PERFECT: Final = 0.002


class _Score(NamedTuple):
    """A metric's value, and its error as a share of that of a constant prediction."""

    metric: str
    value: float
    left: float


def suspicious(left: float, baseline: float | None) -> bool:
    """Whether so little error is suspicious; both are shares of a constant prediction's error."""
    if baseline is None:
        return left <= PERFECT
    return baseline > EASY and left <= min(OF_THE_BASELINE * baseline, MOST_LEFT)


def too_good(candidate: EvaluatedRows, baseline: EvaluatedRows | None) -> tuple[Check, ...]:
    """A warning if a score is too good to be true, for the metric with the least error."""
    if why_too_few(candidate):
        return ()
    scores = [
        (ours, None if baseline is None else _score(metric, baseline))
        for metric in _METRICS[candidate.task]
        if (ours := _score(metric, candidate))
    ]
    if any(theirs and theirs.left <= EASY for _, theirs in scores):
        return ()
    found = [
        (ours, theirs)
        for ours, theirs in scores
        if suspicious(ours.left, theirs.left if theirs else None)
    ]
    if not found:
        return ()
    ours, theirs = min(found, key=lambda one: one[0].left)
    return (_warning(ours, theirs, len(candidate)),)


def _score(metric: str, rows: EvaluatedRows) -> _Score | None:
    try:
        value = measure(metric, rows)
    except UndefinedMetric:
        return None
    perfect = float(METRICS[metric].greater_is_better)
    span = perfect - _IGNORANT[metric](rows)
    return _Score(metric, value, (perfect - value) / span) if span else None


def _warning(ours: _Score, theirs: _Score | None, n: int) -> Check:
    than = f", the baseline's {significant(theirs.value)}" if theirs else ""
    while_ = f", while the baseline leaves {percent(theirs.left)}" if theirs else ""
    return Check(
        name=NAME,
        verdict=Verdict.WARN,
        message=(
            f"{ours.metric} is {significant(ours.value)} on {n:,} rows{than}: it leaves "
            f"{percent(ours.left)} of the error of always predicting the same{while_}. Real data "
            "rarely allows that; the usual cause is a label that leaks into the features or the "
            "scores, or an evaluation on training rows."
        ),
        observed=ours.value,
        baseline=theirs.value if theirs else None,
        difference=ours.value - theirs.value if theirs else None,
        n=n,
        blocks=False,
        next_step=(
            "Before you believe it, review the changes to the steps that prepare, train and "
            "evaluate. Look for the label, or anything known only after it, among their inputs."
        ),
    )


_METRICS: Final = {
    Task.BINARY: ("roc_auc", "accuracy"),
    Task.MULTICLASS: ("accuracy",),
    Task.REGRESSION: ("r2", "mean_absolute_error"),
}
"""One for each way to be right: the order, the class, the value, the value of most rows."""


def _commonest(rows: EvaluatedRows) -> float:
    """The share of the commonest label."""
    return float(np.unique(rows.label, return_counts=True)[1].max() / len(rows))


_IGNORANT: Final[dict[str, Callable[[EvaluatedRows], float]]] = {
    "roc_auc": lambda _: 0.5,
    "accuracy": _commonest,
    "r2": lambda _: 0.0,
    "mean_absolute_error": lambda rows: float(np.abs(rows.label - np.median(rows.label)).mean()),
}
"""The value of the metric for a constant prediction."""
