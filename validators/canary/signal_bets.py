"""Per signal: the bet that it is worse (rolls back) and the bet that it is not (promotes).

Each bet is against the statement in the table.

| signal         | rolls back against              | promotes against                        |
|----------------|---------------------------------|-----------------------------------------|
| errors         | it fails no more often          | its rate is higher by the margin        |
| errors_at_most | its rate is below the level     | its rate is above the level             |
| latency_*      | nothing is slower by the margin | the statistic is slower by the margin   |
| refusals       | it refuses no more often        | its rate is higher by the margin and    |
|                |                                 | at least one and a half times stable's  |
| other_statuses | they are no more frequent       | as refusals                             |
| content        | no kind of answer is more       | as refusals, for kinds that stable      |
|                | frequent (holds)                | does not give                           |
| size           | no size is beyond the margin,   | as refusals, for sizes that stable      |
|                | up or down (holds)              | never gave, margin included             |

So errors that really are more frequent roll back even below the margin, if the evidence for that
comes before the evidence for "within the margin"; at a few requests a second there is no other way
to find them in time.
"""

from collections.abc import Sequence
from math import inf, log
from typing import Final

from specs.traffic import Arm
from validators.canary import answers, latency
from validators.canary.betting import (
    FRACTIONS,
    LEVEL_RATIOS,
    RATIOS,
    SAFE_RATIOS,
    SAME_RATIOS,
    TOLERATED,
    ScoreCount,
    additive,
    least,
    log_mean,
    log_mixture,
    log_sum,
    one_arm,
    ratio,
)
from validators.canary.policy import (
    CONTENT,
    ERRORS,
    ERRORS_AT_MOST,
    SIZE,
    STATUSES,
    Latency,
)
from validators.canary.state import CanaryState, Tally

MINUTE: Final = 60.0
UNKNOWN_BASE: Final = 0.001
"""The error rate to expect when there is no traffic to estimate it from."""


def wealth(state: CanaryState, signal: str) -> list[float]:
    """Log wealth per expert of the bet against "no worse", from the start of the canary."""
    if signal in (ERRORS, *STATUSES):
        return ratio(outcomes(state, signal))
    if signal == ERRORS_AT_MOST:
        return one_arm(outcomes(state, signal), level(state), LEVEL_RATIOS)
    if signal in (CONTENT, SIZE):
        return _answers_wealth(state, signal)
    place, _ = watched(state, signal)
    strata = [stratum for stratum in state.strata if stratum.stable.latencies]
    return latency.wealth(
        state.bins,
        [(x.probability, x.stable.latencies[place], x.canary.latencies[place]) for x in strata],
        [(x.probability, x.stable.unended[place], x.canary.unended[place]) for x in strata],
    )


def _answers_wealth(state: CanaryState, signal: str) -> list[float]:
    if state.usual is None:
        return [0.0]
    name, bets = ("kinds", len(state.usual.kinds) + 1)
    if signal == SIZE:
        name, bets = ("sizes", answers.SIZES)
    events = [
        (x.probability, getattr(x.stable, name), getattr(x.canary, name))
        for x in state.strata
        if x.stable.kinds
    ]
    return answers.wealth(events, bets)


def prior(state: CanaryState, signal: str) -> list[float]:
    """Log weight of each expert of `wealth`."""
    if signal in (CONTENT, SIZE):
        if state.usual is None:
            return [0.0]
        return answers.content_prior(state.usual) if signal == CONTENT else answers.size_prior()
    if signal in (ERRORS, ERRORS_AT_MOST, *STATUSES):
        experts = len(LEVEL_RATIOS if signal == ERRORS_AT_MOST else RATIOS)
        return [-log(experts)] * experts
    return latency.prior(watched(state, signal)[1].statistic)


def log_evidence(state: CanaryState, signal: str) -> float:
    """log E against "this signal is no worse": 0 without data, log(1 / alpha) is enough.

    Half of it is the bet from the start, half the average over bets that restart each minute.
    """
    planned = state.policy.restarts
    weights, logs = prior(state, signal), wealth(state, signal)
    plain = log_mixture(weights, logs)
    if not planned:
        return plain
    begun = _begun(state, signal, len(logs))
    running = [s + r for s, r in zip(logs, begun, strict=True)]
    ahead = log(planned - state.minutes) if state.minutes < planned else -inf
    restarted = log_sum([ahead, log_mixture(weights, running)]) - log(planned)
    return log_mean([plain, restarted])


def restart(state: CanaryState, at: float) -> CanaryState:
    """Begin a new bet for each minute that ended by `at`, before what arrives then is counted.

    So a regression after a good quarter of an hour need not first win back what was lost before.
    A bet that has not begun stands at 1, and one that began at S_0 at exp(S - S_0); summed over
    restarts that is exp(S) * sum(exp(-S_0)), one number per expert.
    """
    minutes = min(state.policy.restarts, int((at - state.began) // MINUTE))
    fresh = minutes - state.minutes
    if fresh <= 0:
        return state
    restarts = {}
    for signal in (*state.policy.signals, *state.policy.holding):
        logs = wealth(state, signal)
        begun = _begun(state, signal, len(logs))
        restarts[signal] = tuple(
            log_sum([sofar, log(fresh) - value]) for sofar, value in zip(begun, logs, strict=True)
        )
    return state.model_copy(update={"minutes": minutes, "restarts": restarts})


def _begun(state: CanaryState, signal: str, experts: int) -> tuple[float, ...]:
    """What `State.restarts` holds, for each expert. A signal that was still learning stood at 1."""
    begun = state.restarts.get(signal, (-inf,))
    return begun * experts if len(begun) == 1 else begun


def safety(state: CanaryState, signal: str, seen: Sequence[ScoreCount]) -> list[float]:
    """Log wealth per expert against "worse by the margin or more"; outcomes counted or expected.

    No restarts: earlier failures stay held against the canary. For signals that count requests,
    half of the weight is on the canary alone against a rate equal to the margin, which any harmful
    canary reaches; so a service that never fails can be promoted too. Refusals and the like must
    also be 1.5 times as frequent as stable's to be harmful: a service may refuse many requests, and
    needs no larger margin for it.
    """
    if signal == ERRORS_AT_MOST:
        return one_arm(seen, level(state), SAFE_RATIOS)
    if signal == ERRORS:
        margin = state.policy.margin(signal)
        alone = one_arm(seen, margin, SAFE_RATIOS) if margin else []
        return [*additive(seen, margin, state.base_errors or 0.0), *alone]
    if _counts(signal):
        margin = state.policy.margin(signal)
        centre = state.base_statuses.get(signal, 0.0)
        both = [*additive(seen, margin, centre), *ratio(seen, SAME_RATIOS, TOLERATED)]
        return [*both, *(one_arm(seen, margin, SAFE_RATIOS) if margin else [])]
    if state.bins is None:
        return [0.0] * len(FRACTIONS)
    values = latency.scores(state.bins, watched(state, signal)[1].statistic)
    reference = state.bins.reference
    centre = sum(n * y for n, y in zip(reference, values, strict=True)) / sum(reference)
    return additive(seen, 0.0, centre)


def log_safety_alone(state: CanaryState, signal: str) -> float:
    """The same by those bets alone that need no stable traffic, and so no draw; -inf without any.

    They keep the share of the weight that they have in `log_safety`: whether it is this or that
    may be found out on the way.
    """
    if signal == ERRORS_AT_MOST:
        return log_safety(state, signal)
    margin = state.policy.margin(signal) if signal == ERRORS else 0.0
    if not margin:
        return -inf
    alone = one_arm(outcomes(state, signal), margin, SAFE_RATIOS)
    return log_mixture([log(0.5 / len(alone))] * len(alone), alone)


def safety_prior(state: CanaryState, signal: str) -> list[float]:
    """Log weight of each expert of `safety`."""
    if signal == ERRORS_AT_MOST:
        return [-log(len(SAFE_RATIOS))] * len(SAFE_RATIOS)
    if not _counts(signal):
        return [-log(len(FRACTIONS))] * len(FRACTIONS)
    compared = [(len(FRACTIONS), 1.0)]
    if signal != ERRORS:
        compared = [(len(FRACTIONS), 0.5), (len(SAME_RATIOS), 0.5)]
    parts = compared
    if state.policy.margin(signal):
        parts = [*((n, share / 2) for n, share in compared), (len(SAFE_RATIOS), 0.5)]
    return [log(share / n) for n, share in parts for _ in range(n)]


def log_safety(state: CanaryState, signal: str) -> float:
    """log E against "this signal is worse by the margin or more"."""
    if signal in (CONTENT, SIZE) and has_nothing_to_compare(state):
        return inf
    return log_mixture(safety_prior(state, signal), safety(state, signal, outcomes(state, signal)))


def outcomes(state: CanaryState, signal: str) -> list[ScoreCount]:
    """The counts for a signal."""
    return [
        ScoreCount(stratum.probability, canary, score, count)
        for stratum in state.strata
        for canary, tally in ((False, stratum.stable), (True, stratum.canary))
        for score, count in _scored(state, signal, tally)
    ]


def more_requests(state: CanaryState, signal: str) -> int | None:
    """About how many more requests, over both arms, clear the signal if the canary is like stable.

    0 if it is clear; None if a billion are not enough, or while that is unknown (no bins yet).
    """
    if signal in (CONTENT, SIZE) and has_nothing_to_compare(state):
        return 0
    if is_unknown(state, signal):
        return None
    rho = state.strata[-1].probability if state.strata else state.policy.share
    each = next_request(state, signal, rho)
    weights = safety_prior(state, signal)
    sofar = safety(state, signal, outcomes(state, signal))
    gains = safety(state, signal, each)

    def convinced(more: int) -> bool:
        ahead = [wealth + more * gain for wealth, gain in zip(sofar, gains, strict=True)]
        return log_mixture(weights, ahead) >= -log(state.policy.false_promotion)

    return least(convinced)


def is_unknown(state: CanaryState, signal: str) -> bool:
    """Whether it is still being learned what stable's answers are like."""
    if signal in (CONTENT, SIZE):
        return state.usual is None
    return not _counts(signal) and state.bins is None


def next_request(state: CanaryState, signal: str, rho: float) -> list[ScoreCount]:
    """The expected outcomes of the next request when the canary's share is `rho`."""
    return [
        ScoreCount(rho, canary, score, share * chance)
        for canary, share in ((False, 1 - rho), (True, rho))
        for score, chance in _expected(state, signal, canary)
    ]


def level(state: CanaryState) -> float:
    """The service level for errors, where one is watched."""
    assert state.policy.errors_at_most is not None
    return state.policy.errors_at_most


def watched(state: CanaryState, signal: str) -> tuple[int, Latency]:
    """A latency signal's place in the policy, and its latency."""
    return next((i, own) for i, own in enumerate(state.policy.latencies) if own.name == signal)


def has_nothing_to_compare(state: CanaryState) -> bool:
    """Whether stable gives too few good answers to compare the canary's with."""
    requests = state.requests(Arm.STABLE)
    return state.usual is None and requests >= answers.NOTHING_TO_LEARN


def _counts(signal: str) -> bool:
    """Whether a signal is a share of requests."""
    return signal in (ERRORS, ERRORS_AT_MOST, *STATUSES, CONTENT, SIZE)


def counted(signal: str, tally: Tally) -> tuple[int, int]:
    """How many of an arm's requests are events for the signal, and out of how many."""
    if signal == CONTENT:
        return sum(tally.kinds[-1:]), sum(tally.kinds)
    if signal == SIZE:
        return tally.beyond, sum(tally.kinds)
    if signal in STATUSES:  # a failed request does not show whether it would be refused
        return getattr(tally, signal), tally.requests - tally.errors
    return tally.errors, tally.requests


def _scored(state: CanaryState, signal: str, tally: Tally) -> list[tuple[float, float]]:
    """An arm's scores, and how often it had each."""
    if _counts(signal):
        events, of = counted(signal, tally)
        return [(1.0, events), (0.0, of - events)]
    if state.bins is None:
        return []
    place, own = watched(state, signal)
    slow = sum(
        n for passed, n in enumerate(tally.unended[place]) if latency.is_slow(own.statistic, passed)
    )
    counts = (tally.at_most or tally.latencies)[place]
    ended = _merged(latency.scores(state.bins, own.statistic), counts)
    return [*ended, (1.0, slow)] if slow else ended


def _expected(state: CanaryState, signal: str, canary: bool) -> list[tuple[float, float]]:
    """Scores of an arm's next request and their chances, if both arms behave as stable did."""
    stable = Arm.STABLE
    if _counts(signal):
        base = state.base_statuses.get(signal, UNKNOWN_BASE)
        if signal in (ERRORS, ERRORS_AT_MOST) and state.base_errors is not None:
            base = state.base_errors
        pairs = [counted(signal, stratum.stable) for stratum in state.strata]
        rate = (sum(n for n, _ in pairs) + base) / (sum(of for _, of in pairs) + 1)
        return [(1.0, rate), (0.0, 1 - rate)]
    assert state.bins is not None
    place, own = watched(state, signal)
    seen = state.latencies(stable, place) or [0] * len(state.bins.reference)
    known = sum(state.bins.reference)
    mixed = [
        (n + m / known) / (sum(seen) + 1) for n, m in zip(seen, state.bins.reference, strict=True)
    ]
    scaled = mixed
    if canary and state.counted:
        scaled = latency.placed(state.bins, mixed, 1 + own.margin, up=True)
    elif canary:
        scaled = latency.faster(state.bins, mixed, 1 + own.margin)
    return _merged(latency.scores(state.bins, own.statistic), scaled)


def _merged(scores: Sequence[float], counts: Sequence[float]) -> list[tuple[float, float]]:
    merged: dict[float, float] = {}
    for score, count in zip(scores, counts, strict=True):
        if count:
            merged[score] = merged.get(score, 0.0) + count
    return list(merged.items())
