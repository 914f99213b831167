"""The decision: roll back, promote, wait, or admit at the deadline that nothing is decided.

Pure: the same state and time give the same judgement. It may be asked after every request and
every second; the chances of a wrong decision hold for the whole canary, however often it is asked.
"""

from collections.abc import Sequence
from enum import StrEnum
from math import inf, log
from typing import Final

from specs.traffic import Arm, Waiting
from validators.canary import families, latency
from validators.canary.bets import (
    RECORD_RATIOS,
    Outcome,
    closed,
    log_mean,
    log_weighted_mean,
    ratio,
)
from validators.canary.policy import ERRORS, Policy
from validators.canary.record import with_waiting
from validators.canary.state import Seen, State
from validators.report import Value

SAMPLE_RATIO_ALPHA: Final = 0.001
"""The chance to call records lost though none are."""


class Decision(StrEnum):
    """What to do with the canary."""

    ROLLBACK = "rollback"
    HOLD = "hold"
    """Its answers are of another kind or size than stable's, which may be meant: a person says."""
    PROMOTE = "promote"
    WAIT = "wait"
    INCONCLUSIVE = "inconclusive"
    """The deadline has passed. It holds: more traffic can still decide, and so can a person."""


class Served(Value):
    """What one arm answered. Latencies in seconds, to the resolution of the bins."""

    requests: int
    errors: int
    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    waiting: int = 0
    """Requests that had no answer yet."""
    oldest: float | None = None
    """Seconds that the oldest of them has waited."""
    seen: Seen = Seen()

    @property
    def error_rate(self) -> float | None:
        """Failed requests per request; None without any, which is not zero."""
        return self.errors / self.requests if self.requests else None


class Evidence(Value):
    """What the traffic says of one signal, as logarithms of E-values (betting odds)."""

    signal: str
    log_worse: float
    """Against "the canary is no worse"; -inf when records are lost, so that it can't be told."""
    log_guilty: float
    """The same, held against every combination of the signals (closed testing)."""
    log_safe: float
    """Against "the canary is worse by the margin"."""
    guilty: bool
    """Named as what is worse, with a chance of at most `false_rollback` to name wrongly."""
    safe: bool
    """Shown to be within the margin, with a chance of at most `false_promotion` to err."""
    more_requests: int | None
    """About how many more, of both arms, show it if the canary is like stable; None if unknown."""


class Judgement(Value):
    """A decision with all that it rests on."""

    policy: Policy
    decision: Decision
    log_worse: float
    """log of the mean E over the signals: rolls back at log(1 / false_rollback)."""
    evidence: tuple[Evidence, ...]
    """Per signal, the most incriminating first."""
    log_differs: float = -inf
    """The same over what holds: `log_worse` in these says that the canary differs."""
    differences: tuple[Evidence, ...] = ()
    usual_kinds: tuple[str, ...] = ()
    """The kinds of answers that are usual of stable; none while that is not known."""
    stable: Served
    canary: Served
    window: float
    """Seconds since the canary began."""
    stale: float | None
    """Seconds since the newest request; None before the first."""
    log_records_lost: float
    """log E against "records come in the drawn proportion"."""
    records_lost: bool
    """The proportion is off: one arm's requests leave too few records. Nothing is promoted."""
    canary_short: bool
    """Whether it is the canary that has fewer records than were drawn for it."""

    @property
    def every(self) -> tuple[Evidence, ...]:
        """What rolls back and what holds."""
        return (*self.evidence, *self.differences)

    @property
    def differs(self) -> bool:
        """Whether its answers are shown to differ from stable's in kind or size."""
        return self.log_differs >= -log(self.policy.false_rollback)

    @property
    def baked(self) -> bool:
        """Whether the canary has been under traffic for long enough."""
        return self.window >= self.policy.minimum_bake

    @property
    def fresh(self) -> bool:
        """Whether the traffic still comes."""
        return self.stale is not None and self.stale <= self.policy.freshness

    @property
    def more_requests(self) -> int | None:
        """About how many more requests promote a canary that is like stable; None if unknown."""
        needed = [each.more_requests for each in self.every]
        known = [each for each in needed if each is not None]
        return max(known) if len(known) == len(needed) else None


def judge(state: State, now: float, waiting: Sequence[Waiting] = ()) -> Judgement:
    """What the traffic counted so far says, by the policy that the state was begun with.

    `waiting` is what was in flight when the newest records were read. When records are lost no
    evidence is believed (E = 0), with one exception: what errors say of a canary that is short of
    records. That bet is on errors alone, so a canary's missing records can only weaken it; and a
    canary that hangs is short exactly because it is bad.
    """
    policy, window = state.policy, max(0.0, now - state.began)
    waiting = [each for each in waiting if each.age <= window]
    state = with_waiting(state, waiting)
    log_records_lost = _log_records_lost(state)
    records_lost = log_records_lost >= -log(SAMPLE_RATIO_ALPHA)
    canary_short = _records(state, Arm.CANARY) < _drawn(state)

    def believed(signal: str) -> float:
        if not records_lost or (canary_short and signal == ERRORS):
            return families.log_evidence(state, signal)
        return -inf

    worse = [believed(signal) for signal in policy.signals]
    differing = [believed(signal) for signal in policy.holding]
    judgement = Judgement(
        policy=policy,
        decision=Decision.WAIT,
        log_worse=log_weighted_mean(policy.weights, worse),
        evidence=_evidence(state, policy.signals, worse, closed(worse, policy.weights)),
        log_differs=log_mean(differing) if differing else -inf,
        differences=_evidence(state, policy.holding, differing, closed(differing)),
        usual_kinds=state.usual.kinds if state.usual else (),
        stable=_served(state, Arm.STABLE, waiting),
        canary=_served(state, Arm.CANARY, waiting),
        window=window,
        stale=None if state.newest is None else max(0.0, now - state.newest),
        log_records_lost=log_records_lost,
        records_lost=records_lost,
        canary_short=canary_short,
    )
    return judgement.model_copy(update={"decision": decide(judgement)})


def decide(judgement: Judgement) -> Decision:
    """The order of precedence: harm, then what a person has to see, then safety, then the clock."""
    policy = judgement.policy
    if judgement.log_worse >= -log(policy.false_rollback):
        return Decision.ROLLBACK
    if judgement.differs:
        return Decision.HOLD
    sound = judgement.baked and judgement.fresh and not judgement.records_lost
    if sound and all(each.safe for each in judgement.every):
        return Decision.PROMOTE
    return Decision.INCONCLUSIVE if judgement.window >= policy.deadline else Decision.WAIT


def _evidence(
    state: State, signals: Sequence[str], worse: Sequence[float], guilty: Sequence[float]
) -> tuple[Evidence, ...]:
    """What each signal says, the most incriminating first."""
    policy = state.policy
    found = []
    for signal, log_worse, log_guilty in zip(signals, worse, guilty, strict=True):
        log_safe = families.log_safety(state, signal)
        found.append(
            Evidence(
                signal=signal,
                log_worse=log_worse,
                log_guilty=log_guilty,
                log_safe=log_safe,
                guilty=log_guilty >= -log(policy.false_rollback),
                safe=log_safe >= -log(policy.false_promotion),
                more_requests=families.more_requests(state, signal),
            )
        )
    return tuple(sorted(found, key=lambda each: -each.log_guilty))


def _records(state: State, arm: Arm) -> int:
    """Requests that are known of: ended, or in flight."""
    return state.requests(arm) + state.total(arm, "waiting")


def _log_records_lost(state: State) -> float:
    """The bet of the errors, on all records: each should be the canary's with the drawn chance."""
    records = [
        Outcome(stratum.probability, canary, 1.0, tally.requests + tally.waiting)
        for stratum in state.strata
        for canary, tally in ((False, stratum.stable), (True, stratum.canary))
    ]
    return log_mean(ratio(records, RECORD_RATIOS))


def _drawn(state: State) -> float:
    """How many of the records should be the canary's."""
    return sum(
        stratum.probability * (tally.requests + tally.waiting)
        for stratum in state.strata
        for tally in (stratum.stable, stratum.canary)
    )


def _served(state: State, arm: Arm, waiting: Sequence[Waiting]) -> Served:
    served = Served(
        requests=state.requests(arm),
        errors=state.errors(arm),
        waiting=state.total(arm, "waiting"),
        oldest=max((each.age for each in waiting if each.arm is arm), default=None),
        seen=state.seen.get(arm, Seen()),
    )
    if state.bins is None or not state.strata:
        return served
    # Any latency signal will do: all count the same answers, and the canary's scale is undone.
    counts = state.latencies(arm, 0)
    scale = 1 + state.policy.latencies[0].margin if arm is Arm.CANARY else 1.0
    found = {
        "mean": latency.mean(state.bins, counts),
        **{
            name: latency.quantile(state.bins, counts, level)
            for name, level in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
        },
    }
    scaled = {name: None if value is None else value * scale for name, value in found.items()}
    return served.model_copy(update=scaled)
