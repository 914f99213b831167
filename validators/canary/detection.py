"""Before a rollout: how soon its canary can tell that twice as many requests fail.

The times are those at which the judge would roll back on average, at a steady rate of requests.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import inf, log
from typing import Final

from specs.figures import duration, percent
from validators.canary.betting import RATIOS, ScoreCount, least, log_mixture, ratio
from validators.canary.policy import ERRORS
from validators.canary.signal_bets import UNKNOWN_BASE
from validators.canary.state import CanaryState
from validators.report import GateValue

WORSE: Final = 2.0
"""How many times as often a canary fails that is to be detected."""


class Detection(GateValue):
    """When a canary that fails twice as often as stable would be rolled back."""

    stable: float
    """The share of stable's requests that fail."""
    canary: float
    """The share of the canary's requests that fail."""
    takes: float | None
    """Seconds until the rollback; None if a billion requests are not enough."""
    deadline: float
    """The canary's, in seconds."""

    @property
    def text(self) -> str:
        """In a sentence without a period."""
        errors = f"a doubling of errors (from {percent(self.stable)} to {percent(self.canary)})"
        if not self.stable:
            errors = f"that {percent(self.canary)} of requests fail"
        if self.takes is not None and self.takes <= self.deadline:
            return f"this traffic can tell {errors} within {duration(self.takes)}"
        when = "ever" if self.takes is None else f"in {duration(self.takes)}"
        by = f"by the canary's deadline of {duration(self.deadline)}"
        late = f", only {when}" if self.takes is not None else ""
        return f"this traffic cannot tell {errors} {by}{late}"


def detection(state: CanaryState, rate: float, shares: Sequence[float]) -> Detection | None:
    """When doubled errors are found by a canary that begins with `state`, at `rate` requests per
    second. None without traffic, or if errors are not watched."""
    policy = state.policy
    if rate <= 0 or ERRORS not in policy.signals:
        return None
    stable = UNKNOWN_BASE if state.base_errors is None else state.base_errors
    canary = min(WORSE * (stable or UNKNOWN_BASE), 1.0)
    gains = [_gains(share, stable, canary) for share in shares]
    ends = [policy.minimum_bake * n / len(shares) for n in range(1, len(shares))]
    starts, weights = [0.0, *ends], [-log(len(RATIOS))] * len(RATIOS)

    def found(seconds: int) -> bool:
        spent = [max(0.0, min(end, seconds) - start) for start, end in pairwise([*starts, inf])]
        wealth = [
            sum(rate * time * gain[place] for time, gain in zip(spent, gains, strict=True))
            for place in range(len(RATIOS))
        ]
        return log_mixture(weights, wealth) >= _limit(state)

    takes = least(found)
    return Detection(stable=stable, canary=canary, takes=takes, deadline=policy.deadline)


def _limit(state: CanaryState) -> float:
    """The evidence on errors at which the judge rolls back, if no other signal is any worse."""
    policy = state.policy
    weight = dict(zip(policy.signals, policy.weights, strict=True))[ERRORS]
    others = log(sum(policy.weights) / weight)
    restarted = log(2) if policy.restarts else 0.0
    return others + restarted - log(policy.false_rollback)


def _gains(share: float, stable: float, canary: float) -> list[float]:
    """The evidence on errors that a request adds on average, for each bet."""
    return ratio(
        [
            ScoreCount(share, True, 1.0, share * canary),
            ScoreCount(share, False, 1.0, (1 - share) * stable),
        ]
    )
