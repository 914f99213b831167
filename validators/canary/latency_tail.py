"""Where a latency signal found the canary slower: the part of the distribution, in shares.

A signal named after one quantile watches all of them (`latency.prior`), so it may roll back for
another one. The bet with the most evidence tells which.
"""

from collections.abc import Iterable
from math import inf, log
from typing import NamedTuple

from specs.figures import milliseconds, percent
from specs.traffic import Arm
from validators.canary import latency
from validators.canary import signal_bets as families
from validators.canary.betting import log_sum
from validators.canary.judgement import SignalJudgement
from validators.canary.record import is_current
from validators.canary.state import CanaryState


class SlowAnswers(NamedTuple):
    """How many answers of an arm took longer than some time."""

    slower: int
    answers: int

    @property
    def share(self) -> float:
        """The share of those that did; 0 if there are no answers."""
        return self.slower / self.answers if self.answers else 0.0


class Tail(NamedTuple):
    """The part of the distribution whose bet has the most evidence against the canary."""

    level: float
    """The quantile of stable's latencies before the canary where the part begins."""
    everywhere: bool
    """Whether the bet was on the whole distribution; `level` is then where it shows most."""
    beyond: float
    """That quantile of stable's, in seconds."""
    margin: float
    """How much longer the canary may take, relative."""
    stable: SlowAnswers
    """Of stable's answers, those that took longer than `beyond`."""
    canary: SlowAnswers
    """Of the canary's, those that took longer than `beyond` and the margin."""
    late: bool
    """Whether the evidence comes from bets that began later: the canary was better at first."""

    @property
    def allowed(self) -> float:
        """Seconds that an answer of the canary may take before it counts as slower."""
        return self.beyond * (1 + self.margin)

    @property
    def name(self) -> str:
        """`beyond p99.9`, of stable's latencies before the canary."""
        return "throughout" if self.everywhere else f"beyond p{100 * self.level:g}"

    def __str__(self) -> str:
        """`slower beyond p99.9: 3.1 % of its answers took longer than 144 ms, ...`."""
        late = "; it became so while the canary ran" if self.late else ""
        return (
            f"slower {self.name}: {percent(self.canary.share)} of its answers took longer than "
            f"{milliseconds(self.allowed)} ({milliseconds(self.beyond)} and the allowed "
            f"{percent(self.margin)}), {percent(self.stable.share)} of stable's longer than "
            f"{milliseconds(self.beyond)}{late}"
        )


def convicting(state: CanaryState | None, evidence: SignalJudgement) -> Tail | None:
    """The part of the distribution that the evidence comes from.

    None if the state has less evidence than was judged, as requests in flight are not stored.
    """
    tail = tail_of(state, evidence.signal) if state is not None else None
    if state is None or tail is None:
        return None
    kept = families.log_evidence(state, evidence.signal)
    return tail if kept > evidence.log_worse - log(2) else None


def tail_of(state: CanaryState, signal: str) -> Tail | None:
    """Where a latency signal has the most evidence against the canary.

    None while there are no bins, and so no bets, or if the signal is not a latency.
    """
    if (
        state.bins is None
        or not is_current(state)
        or not any(own.name == signal for own in state.policy.latencies)
    ):
        return None
    plain, restarted = _gains(state, signal)
    levels = latency.levels()
    tails = [level for level in dict.fromkeys(levels) if level is not None]
    best = max([*tails, None], key=lambda one: _together(one, levels, plain, restarted))
    everywhere = best is None
    if best is None:
        best = max(tails, key=lambda one: _together(one, levels, plain, restarted))
    late = _of(best, levels, restarted) > _of(best, levels, plain) + log(2)
    return _tail(state, signal, best, everywhere=everywhere, late=late)


def _tail(state: CanaryState, signal: str, level: float, *, everywhere: bool, late: bool) -> Tail:
    assert state.bins is not None
    place, own = families.watched(state, signal)
    at = latency.edge(state.bins, level)

    def slower(arm: Arm) -> SlowAnswers:
        counts = state.latencies(arm, place)
        return SlowAnswers(sum(counts[at + 1 :]), sum(counts))

    return Tail(
        level=level,
        everywhere=everywhere,
        beyond=state.bins.edges[at],
        margin=own.margin,
        stable=slower(Arm.STABLE),
        canary=slower(Arm.CANARY),
        late=late,
    )


def _gains(state: CanaryState, signal: str) -> tuple[list[float], list[float]]:
    """The log evidence of each bet: for bets begun with the canary, and for those begun later."""
    logs, weights = families.wealth(state, signal), families.prior(state, signal)
    plain = [weight + gain for weight, gain in zip(weights, logs, strict=True)]
    planned = state.policy.restarts
    begun = state.restarts.get(signal)
    if not planned or begun is None:
        return plain, [-inf] * len(plain)
    restarted = [one + since - log(planned) for one, since in zip(plain, begun, strict=True)]
    return plain, restarted


def _of(level: float | None, levels: Iterable[float | None], gains: Iterable[float]) -> float:
    return log_sum(gain for one, gain in zip(levels, gains, strict=True) if one == level)


def _together(
    level: float | None, levels: list[float | None], plain: list[float], restarted: list[float]
) -> float:
    return log_sum([_of(level, levels, plain), _of(level, levels, restarted)])
