"""The rules of the model gate, as arithmetic on measured numbers.

Non-inferiority: with a two-sided interval at the stated confidence for the gain (candidate minus
baseline, oriented so that more is better),

    PASS          the whole interval lies at or above -margin: it is shown not to be worse;
    FAIL          the whole interval lies below -margin: it is shown to be worse;
    INCONCLUSIVE  the interval contains -margin: the rows do not decide.

So a candidate that is worse by the margin passes with probability at most (1 - confidence) / 2,
2.5 % by default, as is customary in non-inferiority trials (FDA, Non-Inferiority Clinical Trials to
Establish Effectiveness, 2016).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import NormalDist

from validators.verdict import Verdict

_FURTHEST = 10.0
"""If the interval must shrink by more, it takes over 100 times the rows: no advice is given."""


@dataclass(frozen=True, slots=True)
class Gain:
    """By how much the candidate is better than the baseline; negative if it is worse."""

    value: float
    low: float
    high: float
    deviation: float
    """Standard error of the value."""
    n: int


def non_inferior(gain: Gain, margin: float) -> Verdict:
    """Whether the candidate is shown to be worse by no more than the margin."""
    if gain.low >= -margin:
        return Verdict.PASS
    return Verdict.FAIL if gain.high < -margin else Verdict.INCONCLUSIVE


def rows_to_decide(gain: Gain, margin: float) -> int | None:
    """About how many more rows would decide, if the gain stays as it is.

    An interval shrinks with the square root of n. None if no reasonable number is enough, because
    the gain lies on the margin.
    """
    distance = abs(gain.value + margin)
    half = gain.value - gain.low if gain.value > -margin else gain.high - gain.value
    if not distance:
        return None
    ratio = half / distance
    return ceil(gain.n * (ratio**2 - 1)) if 1 < ratio <= _FURTHEST else None


def unseen_difference(n: int, confidence: float) -> float:
    """The share of rows that may differ although none of n did.

    The upper limit of Clopper and Pearson for zero of n (about 3.7 / n at 95 %). Resampling rows
    that all agree shows no variation, but that does not prove that there is none.
    """
    return float(1 - ((1 - confidence) / 2) ** (1 / n))


def p_worse(gain: Gain) -> float:
    """One-sided p-value against "not worse at all", by the normal approximation."""
    if not gain.deviation:
        return 1.0 if gain.value >= 0 else 0.0
    return NormalDist().cdf(gain.value / gain.deviation)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: the chance of any false alarm among them stays below the level.

    Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979. It is valid under any
    dependence of the tests, and slices of several columns share rows.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, p_values[place] * (len(p_values) - rank)))
        adjusted[place] = largest
    return adjusted
