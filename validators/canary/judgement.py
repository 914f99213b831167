"""The decision: roll back, hold, promote, wait, or say at the deadline that nothing is decided.

Pure: the same state and time give the same judgement. It may be asked after every request and
every second; the chances of a wrong decision hold for the whole canary, however often it is asked.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import partial
from math import inf, log
from typing import Final

from specs.figures import duration
from specs.traffic import Arm, Waiting
from validators.canary import latency
from validators.canary import signal_bets as families
from validators.canary.betting import (
    RECORD_RATIOS,
    ScoreCount,
    closed,
    log_mean,
    log_weighted_mean,
    ratio,
)
from validators.canary.policy import ERRORS, ERRORS_AT_MOST, CanaryPolicy
from validators.canary.record import with_waiting
from validators.canary.splits import why_undrawn
from validators.canary.state import ArmAnswers, CanaryState
from validators.canary.windows import too_coarse
from validators.report import GateValue

SAMPLE_RATIO_ALPHA: Final = 0.001
"""The chance of reporting lost records when none are."""


class CanaryDecision(StrEnum):
    """What to do with the canary."""

    ROLLBACK = "rollback"
    HOLD = "hold"
    """Its answers differ from stable's in kind or size. That may be intended: a person decides."""
    PROMOTE = "promote"
    WAIT = "wait"
    INCONCLUSIVE = "inconclusive"
    """The deadline has passed. The canary is held: more traffic or a person can still decide."""


class Served(GateValue):
    """How one arm served its requests. Latencies in seconds, to the resolution of the bins."""

    requests: int
    errors: int
    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    waiting: int = 0
    """Requests without an answer yet."""
    oldest: float | None = None
    """Seconds that the oldest of those has waited."""
    seen: ArmAnswers = ArmAnswers()

    @property
    def error_rate(self) -> float | None:
        """The share of failed requests; None without requests."""
        return self.errors / self.requests if self.requests else None


class SignalJudgement(GateValue):
    """The evidence on one signal, as logarithms of E-values (betting odds)."""

    signal: str
    log_worse: float
    """Against "the canary is no worse"; -inf when lost records make it impossible to tell."""
    log_guilty: float
    """The same over every combination of signals (closed testing)."""
    log_safe: float
    """Against "the canary is worse by the margin"."""
    guilty: bool
    """Shown to be worse. The chance to name any signal wrongly is at most `false_rollback`."""
    safe: bool
    """Shown to be within the margin. The chance of error is at most `false_promotion`."""
    more_requests: int | None
    """About how many more, over both arms, show it if the canary is like stable; None: unknown."""


class Judgement(GateValue):
    """A decision and everything that it is based on."""

    policy: CanaryPolicy
    decision: CanaryDecision
    log_worse: float
    """log of the weighted mean E over the signals: rolls back at log(1 / false_rollback)."""
    evidence: tuple[SignalJudgement, ...]
    """Per signal, the strongest evidence of harm first."""
    log_differs: float = -inf
    """The same over the holding signals, for which `log_worse` is evidence that they differ."""
    differences: tuple[SignalJudgement, ...] = ()
    usual_kinds: tuple[str, ...] = ()
    """The kinds of answers that are usual for stable; empty while unknown."""
    stable: Served
    canary: Served
    window: float
    """Seconds since the canary began."""
    stale: float | None
    """Seconds since the newest request; None before the first."""
    log_records_lost: float
    """log E against "records come in the drawn proportion"."""
    records_lost: bool
    """The proportion is off: one arm leaves too few records. Nothing is promoted."""
    canary_short: bool
    """Whether the canary has fewer records than its share."""
    undrawn: str = ""
    """Why the arms cannot be compared, in a clause; empty if they can."""
    windows: int = 0
    """How many windows of counts were judged; 0: records."""
    window_seconds: float = 0.0
    """How long these were together."""
    limits: str = ""
    """What these counts cannot show, in a sentence; empty if nothing."""

    @property
    def uncompared(self) -> tuple[SignalJudgement, ...]:
        """The signals that cannot be compared with stable's, as requests are not drawn."""
        if not self.undrawn:
            return ()
        return tuple(
            each for each in self.every if each.signal != ERRORS_AT_MOST or each.log_worse == -inf
        )

    @property
    def basis(self) -> str:
        """What was judged: `records of 12,345 requests`, `counts in 240 windows of 15 s`."""
        requests = self.canary.requests + self.stable.requests
        if not self.windows:
            return f"records of {requests:,} request{'' if requests == 1 else 's'}"
        each = duration(self.window_seconds / self.windows)
        what = "1 window" if self.windows == 1 else f"{self.windows:,} windows"
        return f"counts in {what} of {each}, {requests:,} requests in all"

    @property
    def every(self) -> tuple[SignalJudgement, ...]:
        """The evidence of the signals that roll back, then of those that hold."""
        return (*self.evidence, *self.differences)

    @property
    def differs(self) -> bool:
        """Whether its answers are shown to differ from stable's in kind or size."""
        return self.log_differs >= -log(self.policy.false_rollback)

    @property
    def baked(self) -> bool:
        """Whether the canary has had traffic for long enough."""
        return self.window >= self.policy.minimum_bake

    @property
    def fresh(self) -> bool:
        """Whether traffic is still coming in."""
        return self.stale is not None and self.stale <= self.policy.freshness

    @property
    def more_requests(self) -> int | None:
        """About how many more requests promote a canary that is like stable; None if unknown."""
        needed = [each.more_requests for each in self.every]
        known = [each for each in needed if each is not None]
        return max(known) if len(known) == len(needed) else None


def judge(state: CanaryState, now: float, waiting: Sequence[Waiting] = ()) -> Judgement:
    """Judge the traffic counted so far by the policy that the state began with.

    `waiting` holds the requests in flight when the newest records were read. When records are lost
    no evidence is believed (E = 0), with one exception: the errors of a canary that is short of
    records. That bet is on errors alone, so missing records of the canary can only weaken it, and a
    canary that hangs is short of records because it is bad.

    Where requests are not drawn, only bets on the canary alone are believed.
    """
    policy, window = state.policy, max(0.0, now - state.began)
    waiting = [each for each in waiting if each.age <= window]
    state = with_waiting(state, waiting)
    log_records_lost = _log_records_lost(state)
    records_lost = log_records_lost >= -log(SAMPLE_RATIO_ALPHA)
    canary_short = _records(state, Arm.CANARY) < _drawn(state)

    undrawn = why_undrawn(state.split, counted=state.counted, too_even=state.too_even)

    def believed(signal: str) -> float:
        if undrawn and (signal != ERRORS_AT_MOST or state.split == "units"):
            return -inf
        if not records_lost or (canary_short and signal == ERRORS):
            return families.log_evidence(state, signal)
        return -inf

    worse = [believed(signal) for signal in policy.signals]
    differing = [believed(signal) for signal in policy.holding]
    judgement = Judgement(
        policy=policy,
        decision=CanaryDecision.WAIT,
        log_worse=log_weighted_mean(policy.weights, worse),
        evidence=_evidence(state, policy.signals, worse, closed(worse, policy.weights), undrawn),
        log_differs=log_mean(differing) if differing else -inf,
        differences=_evidence(state, policy.holding, differing, closed(differing), undrawn),
        usual_kinds=state.usual.kinds if state.usual else (),
        stable=_served(state, Arm.STABLE, waiting),
        canary=_served(state, Arm.CANARY, waiting),
        window=window,
        stale=None if state.newest is None else max(0.0, now - state.newest),
        log_records_lost=log_records_lost,
        records_lost=records_lost,
        canary_short=canary_short,
        undrawn=undrawn,
        windows=state.windows,
        window_seconds=state.window_seconds,
        limits=too_coarse(state),
    )
    return judgement.model_copy(update={"decision": decide(judgement)})


def decide(judgement: Judgement) -> CanaryDecision:
    """In order of precedence: harm, what a person must decide, safety, the deadline."""
    policy = judgement.policy
    if judgement.log_worse >= -log(policy.false_rollback):
        return CanaryDecision.ROLLBACK
    if judgement.differs:
        return CanaryDecision.HOLD
    sound = judgement.baked and judgement.fresh and not judgement.records_lost
    if sound and all(each.safe for each in judgement.every):
        return CanaryDecision.PROMOTE
    return (
        CanaryDecision.INCONCLUSIVE if judgement.window >= policy.deadline else CanaryDecision.WAIT
    )


def _evidence(
    state: CanaryState,
    signals: Sequence[str],
    worse: Sequence[float],
    guilty: Sequence[float],
    undrawn: str,
) -> tuple[SignalJudgement, ...]:
    """The evidence per signal, the strongest evidence of harm first."""
    policy, safe = state.policy, _safety(state, undrawn)
    found = []
    for signal, log_worse, log_guilty in zip(signals, worse, guilty, strict=True):
        log_safe = safe(signal)
        found.append(
            SignalJudgement(
                signal=signal,
                log_worse=log_worse,
                log_guilty=log_guilty,
                log_safe=log_safe,
                guilty=log_guilty >= -log(policy.false_rollback),
                safe=log_safe >= -log(policy.false_promotion),
                more_requests=None if undrawn else families.more_requests(state, signal),
            )
        )
    return tuple(sorted(found, key=lambda each: -each.log_guilty))


def _safety(state: CanaryState, undrawn: str) -> Callable[[str], float]:
    """The evidence that a signal is within its margin, by its name."""
    if not undrawn:
        # Of latencies in buckets that are too coarse, nothing shows that they are within a margin.
        unshown = {own.name for own in state.policy.latencies} if too_coarse(state) else set()
        return lambda name: -inf if name in unshown else families.log_safety(state, name)
    if state.split == "units":
        return lambda _: -inf
    return partial(families.log_safety_alone, state)


def _records(state: CanaryState, arm: Arm) -> int:
    """Known requests: ended or in flight."""
    return state.requests(arm) + state.total(arm, "waiting")


def _log_records_lost(state: CanaryState) -> float:
    """The bet used for errors, on all records: each is the canary's with the drawn probability."""
    records = [
        ScoreCount(stratum.probability, canary, 1.0, tally.requests + tally.waiting)
        for stratum in state.strata
        for canary, tally in ((False, stratum.stable), (True, stratum.canary))
    ]
    return log_mean(ratio(records, RECORD_RATIOS))


def _drawn(state: CanaryState) -> float:
    """How many records the canary should have."""
    return sum(
        stratum.probability * (tally.requests + tally.waiting)
        for stratum in state.strata
        for tally in (stratum.stable, stratum.canary)
    )


def _served(state: CanaryState, arm: Arm, waiting: Sequence[Waiting]) -> Served:
    served = Served(
        requests=state.requests(arm),
        errors=state.errors(arm),
        waiting=state.total(arm, "waiting"),
        oldest=max((each.age for each in waiting if each.arm is arm), default=None),
        seen=state.seen.get(arm, ArmAnswers()),
    )
    if state.bins is None or not state.strata:
        return served
    # Any latency signal will do: all count the same answers, and the canary's scale is undone.
    counts = state.latencies(arm, 0)
    scale = 1 + state.policy.latencies[0].margin if arm is Arm.CANARY else 1.0
    if state.counted:
        counts, scale = state.buckets(arm), 1.0
    found = {
        "mean": latency.mean(state.bins, counts),
        **{
            name: latency.quantile(state.bins, counts, level)
            for name, level in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
        },
    }
    scaled = {name: None if value is None else value * scale for name, value in found.items()}
    return served.model_copy(update=scaled)
