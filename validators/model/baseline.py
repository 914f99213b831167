"""What the candidate is compared with, and the outcome if there is nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from validators.model.categories import Categories
from validators.model.measure import EvaluatedRows
from validators.model.request import ModelGateRequest, NoBaseline
from validators.model.rows import Predictions, Unusable, load, why_unpaired
from validators.model.tasks import ModelTask, evaluated_rows, listed, unscored
from validators.verdict import Verdict

SAME_MODEL: Final = (
    "the candidate is the baseline (same digest), and a model is never worse than itself"
)


@dataclass(frozen=True, slots=True)
class Opponent:
    """The baseline on the same rows, or the verdict of paired checks without one."""

    compared: EvaluatedRows | None = None
    verdict: Verdict = Verdict.SKIPPED
    reason: str = ""
    notes: tuple[str, ...] = ()
    same_rows: EvaluatedRows | None = None
    """The baseline on the same rows, also if it is not compared with."""
    slices: Mapping[str, Categories] = field(default_factory=dict)
    """The slice columns in its table, for the same rows."""
    apart: bool = False
    """Whether the tables differ in their rows, labels or slices; `reason` says how."""


def their_rows(request: ModelGateRequest, slices: Sequence[str]) -> Predictions | Opponent:
    """The baseline's predictions, or the opponent without them."""
    baseline, columns = request.baseline, request.gate.columns
    assert columns is not None, "there are predictions"
    if isinstance(baseline, NoBaseline):
        if baseline.kind == "first_model":
            return Opponent(
                reason=baseline.reason or "there is no baseline yet: this is the first model"
            )
        reason = f"the baseline could not run on this data: {baseline.reason or 'no reason given'}"
        return Opponent(verdict=Verdict.INCONCLUSIVE, reason=reason.rstrip("."))
    # Scores and predictions are each model's own; the other columns must be the same for both.
    shared = [name for name in slices if name not in (columns.score, columns.prediction)]
    try:
        return load(baseline.path, columns, shared, if_there=True)
    except Unusable as problem:
        return _unusable(problem)


def _unusable(problem: Unusable) -> Opponent:
    reason = f"the baseline's predictions cannot be used: {problem}"
    return Opponent(verdict=Verdict.INCONCLUSIVE, reason=reason)


def pair(
    request: ModelGateRequest,
    rows: Predictions,
    theirs: Predictions,
    candidate: EvaluatedRows,
    model_task: ModelTask,
) -> Opponent:
    """Pair the baseline's predictions with the candidate's."""
    try:
        opposed = evaluated_rows(theirs, model_task, request.gate.threshold, of_baseline=True)
    except Unusable as problem:
        return _unusable(problem)
    unpaired = why_unpaired(rows, theirs)
    if unpaired:
        vouched = theirs.slices if rows.keys.equals(theirs.keys) else {}
        return Opponent(verdict=unpaired.verdict, reason=str(unpaired), slices=vouched, apart=True)
    found = _paired(request, candidate, opposed, theirs.slices)
    unknown = unscored(theirs)
    if not unknown:
        return found
    note = f"The baseline has no scores for {listed(unknown)}; they count as 0."
    return replace(found, notes=(*found.notes, note))


def _paired(
    request: ModelGateRequest,
    candidate: EvaluatedRows,
    opposed: EvaluatedRows,
    slices: Mapping[str, Categories],
) -> Opponent:
    """The opponent on the same rows, with notes on anything suspicious."""
    different = _different(candidate, opposed)
    if not request.same_model:
        same = "Candidate and baseline predict the same on every row; is this the right model?"
        notes = () if different else (same,)
        return Opponent(opposed, notes=notes, same_rows=opposed, slices=slices)
    unsteady = (
        f"The same model predicted differently on {different:,} of {len(candidate):,} rows: its "
        "evaluation is not deterministic, or is not the baseline's."
    )
    notes = (unsteady,) if different else ()
    return Opponent(reason=SAME_MODEL, notes=notes, same_rows=opposed, slices=slices)


def _different(one: EvaluatedRows, other: EvaluatedRows) -> int:
    pairs = ((one.score, other.score), (one.said, other.said))
    differs = [a != b for a, b in pairs if a is not None and b is not None]
    return int(np.any(differs, axis=0).sum()) if differs else 0
