"""How requests were assigned to arms, where that was not by the draws of Headgate's own router.

The comparison with stable needs a random draw: only then is the arm of an error random under "no
difference". A weighted round-robin assigns in turn. What it splits can be detected: of n requests
the canary gets n * weight, give or take one, where draws would scatter. So bet, for each window of
requests, on a narrow distribution against the binomial one of draws; as all bets of the judge, this
one reaches 1,000 at most once in 1,000 canaries whose requests are drawn.
"""

from functools import lru_cache
from math import exp, inf, lgamma, log, log1p, sqrt
from typing import Final

from specs.traffic import Split
from validators.canary.betting import log_mean

TOO_EVEN: Final = log(1000)
BLOCK: Final = 64
"""How many records make a window."""
_WIDTHS: Final = (0.0, 0.3, 0.6)
"""Standard deviations that are bet on, as shares of that of draws."""
_LEAST: Final = 0.35
"""The smallest one, in requests: one more or less than n * weight must be possible."""
_NARROW: Final = 0.8
"""The share of each bet that is on the narrow distribution; the rest is on draws."""


def bet_on_evenness(
    wealth: tuple[float, ...], requests: int, canary: int, weight: float
) -> tuple[float, ...]:
    """The log wealth of each bet after a window with `requests`, `canary` of them the canary's."""
    before = wealth or (0.0,) * len(_WIDTHS)
    return tuple(
        sofar + _gain(width, requests, canary, weight)
        for sofar, width in zip(before, _WIDTHS, strict=True)
    )


def is_too_even(wealth: tuple[float, ...]) -> bool:
    """Whether draws are refuted."""
    return bool(wealth) and log_mean(wealth) >= TOO_EVEN


def why_undrawn(split: Split | None, *, counted: bool, too_even: bool) -> str:
    """Why the arms cannot be compared, in a clause; empty if they can."""
    if split == "turns":
        return "the target assigns requests in turn (`split: turns`), not by random draws"
    if split == "units" and counted:
        return (
            "the target keeps users or sessions on one arm (`split: units`), and counts do not "
            "tell one from another"
        )
    if too_even:
        return (
            "the canary's share of each window is too even for random draws, so the target seems "
            "to assign requests in turn"
        )
    return ""


def _gain(width: float, requests: int, canary: int, weight: float) -> float:
    if not 0 < weight < 1 or requests < 1 or not 0 <= canary <= requests:
        return 0.0
    drawn = sqrt(requests * weight * (1 - weight))
    narrow = max(width * drawn, _LEAST)
    if narrow > 0.8 * drawn:  # no narrower than draws: such a window tells nothing
        return 0.0
    by_draws = _log_binomial(requests, canary, weight)
    even = _log_narrow(requests, canary, requests * weight, narrow)
    top = max(even, by_draws)
    mixed = top + log(_NARROW * exp(even - top) + (1 - _NARROW) * exp(by_draws - top))
    return mixed - by_draws


def _log_binomial(n: int, k: int, p: float) -> float:
    ways = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
    return ways + k * log(p) + (n - k) * log1p(-p)


def _log_narrow(n: int, k: int, middle: float, width: float) -> float:
    """The log probability of k under a normal distribution on the integers from 0 to n."""
    away = abs(k - middle) / width
    return -away * away / 2 - log(_total(n, middle, width)) if away < 40 else -inf


@lru_cache(maxsize=256)
def _total(n: int, middle: float, width: float) -> float:
    reach = int(8 * width) + 2
    low, high = max(0, int(middle) - reach), min(n, int(middle) + reach)
    return sum(exp(-(((k - middle) / width) ** 2) / 2) for k in range(low, high + 1))
