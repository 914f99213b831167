"""The formulas: bets on the arm that a request was assigned to, given how it ended.

The router draws the canary with a known probability rho. If the canary is no different, the arm
is still Bernoulli(rho) once the outcome is known, whatever the outcome, the traffic or the hour.
A bet that multiplies its wealth by

    g(y) / (rho g(y) + 1 - rho)  if the canary answered,   1 / (rho g(y) + 1 - rho)  if stable did

keeps a mean of 1 for any tilt g that is fixed before y is seen. So (Ville 1939) the chance that the
wealth E ever reaches 1/alpha is at most alpha: it may be looked at after every request, and
multiplied across changes of rho. Several tilts are mixed by prior weights. Everything is kept as
logarithms and is a function of counts, so neither order nor batching matters.

Sources: Lindon & Malek 2020 (arXiv 2011.03567), Lindon et al. 2022 (arXiv 2205.14762), Howard et
al. 2021, Waudby-Smith & Ramdas 2023 (the additive form).
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from math import exp, inf, log, log1p
from typing import Final, NamedTuple

RATIOS: Final = (1.5, 2.5, 6.0, 16.0, 48.0)
"""Error rates of a bad canary that are bet on, as multiples of stable's."""
SAFE_RATIOS: Final = (0.02, 0.1, 0.2, 0.5)
"""Error rates of a good canary that are bet on, as multiples of a harmful rate."""
SAME_RATIOS: Final = (0.3, 0.5, 0.67)
"""The same for a rate that is harmful from `TOLERATED` times stable's on."""
TOLERATED: Final = 1.5
LEVEL_RATIOS: Final = (1.5, 2.0, 3.0, 5.0, 10.0)
RECORD_RATIOS: Final = (0.3, 0.5, 0.7, 0.85, 1.2, 1.5, 2.0)
FRACTIONS: Final = (0.02, 0.05, 0.12, 0.3, 0.6, 0.9)
"""Shares of the wealth that the additive form puts at risk."""


class ScoreCount(NamedTuple):
    """How often requests to one arm ended with one score while one probability was in force.

    `times` is a whole number for counts, and any number for expectations.
    """

    probability: float
    canary: bool
    score: float
    """In [0, 1], greater is worse: 1 for an error, 0 for none."""
    times: float


def log_sum(logs: Iterable[float]) -> float:
    """log(sum(exp(x))) without overflow; -inf for no values."""
    values = list(logs)
    top = max(values, default=-inf)
    return top if top == -inf else top + log(sum(exp(x - top) for x in values))


def log_mixture(log_weights: Iterable[float], logs: Iterable[float]) -> float:
    """The logarithm of the weighted sum of the experts' wealth: their E-value."""
    return log_sum(w + s for w, s in zip(log_weights, logs, strict=True))


def log_mean(logs: Sequence[float]) -> float:
    """The logarithm of the mean of E-values: the admissible merge under any dependence."""
    return log_sum(logs) - log(len(logs))


def ratio(
    outcomes: Iterable[ScoreCount], tilts: Sequence[float] = RATIOS, tolerated: float = 1.0
) -> list[float]:
    """Log wealth per tilt against "the canary has events at most `tolerated` times as often".

    Bets only at events (score 1), so rates need not be known and may drift: the chance that an
    event is the canary's is at most q0 = rho t0 / (rho t0 + 1 - rho). With tilts below 1 the same
    formula is against "at least `tolerated` times as often".
    """
    events = [outcome for outcome in outcomes if outcome.score == 1 and outcome.times]
    return [
        sum(_log_odds_bet(event, tolerated, tolerated * tilt) * event.times for event in events)
        for tilt in tilts
    ]


def _log_odds_bet(event: ScoreCount, null: float, bet: float) -> float:
    rho = event.probability
    shift = log((rho * null + 1 - rho) / (rho * bet + 1 - rho))
    return shift + log(bet / null) if event.canary else shift


def one_arm(outcomes: Iterable[ScoreCount], level: float, tilts: Sequence[float]) -> list[float]:
    """Log wealth per tilt q/p on the canary's events alone; needs no stable traffic.

    Tilts above 1 are against "the rate is at most `level`", below 1 against "at least `level`".
    """
    requests = events = 0.0
    for outcome in outcomes:
        if outcome.canary:
            requests += outcome.times
            events += outcome.times * (outcome.score == 1)
    wealth = []
    for tilt in tilts:
        rate = min(level * tilt, (1 + level) / 2)
        gain, loss = log(rate / level), log1p(-rate) - log1p(-level)
        wealth.append(events * gain + (requests - events) * loss)
    return wealth


def additive(outcomes: Iterable[ScoreCount], margin: float, centre: float) -> list[float]:
    """Log wealth per fraction against "the canary's mean score is worse by at least `margin`".

    With Z = (A - rho)(Y - centre), E[Z] = rho (1 - rho) (mean of canary - mean of stable), so
    1 + l (rho (1 - rho) margin - Z) has a mean of at most 1. Any centre is valid; the mean of
    stable is best. l = fraction / max(rho, 1 - rho) keeps every factor positive.
    """
    gains = []
    for rho, canary, score, count in outcomes:
        z = (canary - rho) * (score - centre)
        gains.append((count, (rho * (1 - rho) * margin - z) / max(rho, 1 - rho)))
    return [sum(n * log1p(fraction * gain) for n, gain in gains) for fraction in FRACTIONS]


def log_weighted_mean(weights: Sequence[float], logs: Sequence[float]) -> float:
    """The logarithm of the weighted mean of E-values; weights need not sum to 1."""
    return log_mixture([log(weight / sum(weights)) for weight in weights], logs)


def closed(logs: Sequence[float], weights: Sequence[float] | None = None) -> list[float]:
    """Closed testing: per E-value, the least log mean over all sets that contain it.

    If every signal whose value here reaches 1/alpha is named, the chance that any is named wrongly
    is at most alpha (Vovk & Wang 2021). Only sets with the smallest other values need be tried:
    whatever its weight, a value below a mean lowers it and one above it does not.
    """
    pairs = list(zip(weights or [1.0] * len(logs), logs, strict=True))
    return [
        min(
            log_weighted_mean(*zip(own, *rest[:size], strict=True)) for size in range(len(rest) + 1)
        )
        for i, own in enumerate(pairs)
        for rest in [sorted([*pairs[:i], *pairs[i + 1 :]], key=lambda pair: pair[1])]
    ]


def least(holds: Callable[[int], bool], doublings: int = 30) -> int | None:
    """The least count from which a statement holds; None if it does not at 2**doublings."""
    if holds(0):
        return 0
    enough = next((2**i for i in range(doublings + 1) if holds(2**i)), None)
    return enough and bisect_left(range(enough), 1, lo=enough // 2, key=holds)
