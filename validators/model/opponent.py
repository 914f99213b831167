"""Whom the candidate is compared with, and what is said if that is nobody."""

from dataclasses import dataclass

import numpy as np

from validators.model.measure import Outcome, outcome
from validators.model.request import NoBaseline, Request
from validators.model.rows import Predictions, Unusable, load, why_unpaired
from validators.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Opponent:
    """The baseline on the same rows, or what the paired checks say in its absence."""

    outcome: Outcome | None = None
    verdict: Verdict = Verdict.SKIPPED
    reason: str = ""
    notes: tuple[str, ...] = ()


def find_opponent(request: Request, rows: Predictions, candidate: Outcome) -> Opponent:
    """Read the baseline's predictions and pair them with the candidate's."""
    baseline = request.baseline
    if isinstance(baseline, NoBaseline):
        if baseline.kind == "first_model":
            return Opponent(
                reason=baseline.reason or "there is no baseline yet: this is the first model"
            )
        reason = f"the baseline could not run on this data: {baseline.reason or 'no reason given'}"
        return Opponent(verdict=Verdict.INCONCLUSIVE, reason=reason.rstrip("."))
    try:
        theirs = load(baseline.path, request.gate.columns)
        opposed = outcome(theirs, candidate.task, request.gate.threshold)
    except Unusable as problem:
        reason = f"the baseline's predictions cannot be used: {problem}"
        return Opponent(verdict=Verdict.INCONCLUSIVE, reason=reason)
    unpaired = why_unpaired(rows, theirs)
    if unpaired:
        return Opponent(verdict=unpaired.verdict, reason=str(unpaired))
    different = _different(candidate, opposed)
    if not request.same_model:
        same = "Candidate and baseline predict the same on every row; is it the model you mean?"
        return Opponent(opposed, notes=() if different else (same,))
    reason = "the candidate is the baseline (same digest), and a model is never worse than itself"
    unsteady = (
        f"The same model predicted differently on {different:,} of {len(rows):,} rows: its "
        "evaluation is not deterministic."
    )
    return Opponent(reason=reason, notes=(unsteady,) if different else ())


def _different(one: Outcome, other: Outcome) -> int:
    pairs = ((one.score, other.score), (one.said, other.said))
    differs = [a != b for a, b in pairs if a is not None and b is not None]
    return int(np.any(differs, axis=0).sum()) if differs else 0
