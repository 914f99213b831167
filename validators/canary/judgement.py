"""The decision: roll back, promote, wait, or admit at the deadline that nothing is decided.

Pure: the same state and time give the same judgement. It may be asked after every request and
every second; the chances of a wrong decision hold for the whole canary, however often it is asked.
"""

from enum import StrEnum
from math import inf, log
from typing import Final

from specs.traffic import Arm
from validators.canary import families, latency
from validators.canary.bets import RECORD_RATIOS, Outcome, closed, log_mean, ratio
from validators.canary.policy import ERRORS, Policy
from validators.canary.state import State
from validators.report import Value

SAMPLE_RATIO_ALPHA: Final = 0.001
"""The chance to call records lost though none are."""


class Decision(StrEnum):
    """What to do with the canary."""

    ROLLBACK = "rollback"
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
    """log of the mean E over all signals: rolls back at log(1 / false_rollback)."""
    evidence: tuple[Evidence, ...]
    """Per signal, the most incriminating first."""
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
        needed = [each.more_requests for each in self.evidence]
        known = [each for each in needed if each is not None]
        return max(known) if len(known) == len(needed) else None


def judge(state: State, now: float) -> Judgement:
    """What the traffic counted so far says, by the policy that the state was begun with.

    When records are lost no evidence is believed (E = 0), with one exception: what errors say of
    a canary that is short of records. That bet is on errors alone, so a canary's missing records
    can only weaken it; and a canary that hangs is short exactly because it is bad.
    """
    policy = state.policy
    log_records_lost = _log_records_lost(state)
    records_lost = log_records_lost >= -log(SAMPLE_RATIO_ALPHA)
    canary_short = state.requests(Arm.CANARY) < _drawn(state)
    worse = [
        families.log_evidence(state, signal)
        if not records_lost or (canary_short and signal == ERRORS)
        else -inf
        for signal in policy.signals
    ]
    evidence = tuple(
        _evidence(state, signal, log_worse, log_guilty)
        for signal, log_worse, log_guilty in zip(policy.signals, worse, closed(worse), strict=True)
    )
    judgement = Judgement(
        policy=policy,
        decision=Decision.WAIT,
        log_worse=log_mean(worse),
        evidence=tuple(sorted(evidence, key=lambda each: -each.log_guilty)),
        stable=_served(state, Arm.STABLE),
        canary=_served(state, Arm.CANARY),
        window=max(0.0, now - state.began),
        stale=None if state.newest is None else max(0.0, now - state.newest),
        log_records_lost=log_records_lost,
        records_lost=records_lost,
        canary_short=canary_short,
    )
    return judgement.model_copy(update={"decision": decide(judgement)})


def decide(judgement: Judgement) -> Decision:
    """The order of precedence: harm, then safety, then the clock."""
    policy = judgement.policy
    if judgement.log_worse >= -log(policy.false_rollback):
        return Decision.ROLLBACK
    sound = judgement.baked and judgement.fresh and not judgement.records_lost
    if sound and all(each.safe for each in judgement.evidence):
        return Decision.PROMOTE
    return Decision.INCONCLUSIVE if judgement.window >= policy.deadline else Decision.WAIT


def _evidence(state: State, signal: str, log_worse: float, log_guilty: float) -> Evidence:
    log_safe = families.log_safety(state, signal)
    return Evidence(
        signal=signal,
        log_worse=log_worse,
        log_guilty=log_guilty,
        log_safe=log_safe,
        guilty=log_guilty >= -log(state.policy.false_rollback),
        safe=log_safe >= -log(state.policy.false_promotion),
        more_requests=families.more_requests(state, signal),
    )


def _log_records_lost(state: State) -> float:
    """The bet of the errors, on all records: each should be the canary's with the drawn chance."""
    records = [
        Outcome(stratum.probability, canary, 1.0, tally.requests)
        for stratum in state.strata
        for canary, tally in ((False, stratum.stable), (True, stratum.canary))
    ]
    return log_mean(ratio(records, RECORD_RATIOS))


def _drawn(state: State) -> float:
    """How many of the records should be the canary's."""
    return sum(
        stratum.probability * (stratum.stable.requests + stratum.canary.requests)
        for stratum in state.strata
    )


def _served(state: State, arm: Arm) -> Served:
    served = Served(requests=state.requests(arm), errors=state.errors(arm))
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
