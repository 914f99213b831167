"""Counting the router's records: `begin` a state, `update` it. Pure."""

from collections.abc import Iterable, Sequence
from math import inf, isfinite
from typing import Final
from zlib import crc32

from specs.traffic import NO_ANSWER, Arm, Exchange
from validators.canary import latency
from validators.canary.families import MINUTE, restart
from validators.canary.policy import Policy
from validators.canary.state import State, Stratum, Tally

UNITS: Final = 2048
"""How many of the newest units are remembered, to count each once."""
STRATA: Final = 16
"""How many probabilities are told apart; requests drawn with further ones are not counted."""


def begin(policy: Policy, history: Sequence[Exchange], at: float) -> State:
    """The state before the first request.

    `at` is when the canary begins, in seconds since the epoch; `history` what the router recorded
    before, oldest first. If that holds enough answers of stable, latencies are binned by them.
    Else the first ones of stable under the canary are set aside for it: bets begin when the bins
    are fixed, on what comes after, so that no outcome is bet on with bins that it helped to draw.
    """
    before = [exchange for exchange in history if exchange.arm is Arm.STABLE]
    known = [each.latency for each in before if _has_latency(each)][-latency.HISTORY :]
    state = State(
        policy=policy,
        began=at,
        base_errors=sum(each.failed for each in before) / len(before) if before else None,
    )
    if not policy.latencies:
        return state
    if len(known) < latency.LEARN_FROM:
        return state.model_copy(update={"sample": tuple(known)})
    return state.model_copy(update={"bins": latency.learn(known)})


def update(state: State, exchanges: Iterable[Exchange]) -> State:
    """The state after these records, each given once, in the router's order, in any batches.

    What can't be a draw (no finite time, no probability in (0, 1], stable drawn at 1) says
    nothing and is left out: missing data multiplies the evidence by one.

    Of a unit that comes back only the first outcome counts while it is among the last 2,048 units
    seen: the errors of a retry burst are one error, and bets on each would void the guarantee.
    Whether a record counts is known before its outcome, so leaving it out costs power only.
    """
    working = _Working(state)
    for exchange in exchanges:
        if not _is_draw(exchange):
            continue
        if exchange.at >= working.next_restart:
            working = _Working(restart(working.frozen(), exchange.at))
        working.count(exchange)
    return working.frozen()


class _Arm:
    """A `Tally` that can be counted up."""

    def __init__(self, tally: Tally) -> None:
        self.requests = tally.requests
        self.errors = tally.errors
        self.latencies = [list(bins) for bins in tally.latencies]

    def frozen(self) -> Tally:
        return Tally.model_construct(
            requests=self.requests,
            errors=self.errors,
            latencies=tuple(tuple(bins) for bins in self.latencies),
        )


class _Working:
    """A `State` that can be counted up, for one call of `update`."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.newest = -inf if state.newest is None else state.newest
        self.bins = state.bins
        self.sample = list(state.sample)
        self.units = dict.fromkeys(state.units)
        self.strata = {
            stratum.probability: {
                Arm.STABLE: _Arm(stratum.stable),
                Arm.CANARY: _Arm(stratum.canary),
            }
            for stratum in state.strata
        }
        self.scales = [1 + own.margin for own in state.policy.latencies]
        over = state.minutes >= state.policy.restarts
        self.next_restart = inf if over else state.began + MINUTE * (state.minutes + 1)

    def count(self, exchange: Exchange) -> None:
        if exchange.unit is not None and self._seen(exchange.unit):
            return
        arms = self.strata.get(exchange.probability)
        if arms is None:
            if len(self.strata) == STRATA:
                return
            arms = self.strata[exchange.probability] = {arm: self._arm() for arm in Arm}
        arm = arms[exchange.arm]
        arm.requests += 1
        arm.errors += exchange.failed
        self.newest = max(self.newest, exchange.at)
        if self.scales and _has_latency(exchange):
            self._count_latency(exchange, arm)

    def _count_latency(self, exchange: Exchange, arm: _Arm) -> None:
        stable = exchange.arm is Arm.STABLE
        if self.bins is not None:
            for bins, scale in zip(arm.latencies, self.scales, strict=True):
                bins[self.bins.place(exchange.latency / (1 if stable else scale))] += 1
        elif stable:
            self.sample.append(exchange.latency)
            if len(self.sample) >= latency.LEARN_FROM:
                self._fix_bins()

    def _fix_bins(self) -> None:
        self.bins, self.sample = latency.learn(self.sample), []
        for arms in self.strata.values():
            for arm in arms.values():
                arm.latencies = self._arm().latencies

    def _arm(self) -> _Arm:
        empty = (0,) * len(self.bins.reference) if self.bins else ()
        return _Arm(Tally.model_construct(latencies=(empty,) * len(self.scales) if empty else ()))

    def _seen(self, unit: str) -> bool:
        fingerprint = crc32(unit.encode())
        seen = fingerprint in self.units
        self.units.pop(fingerprint, None)
        self.units[fingerprint] = None
        if len(self.units) > UNITS:
            del self.units[next(iter(self.units))]
        return seen

    def frozen(self) -> State:
        return self.state.model_copy(
            update={
                "newest": None if self.newest == -inf else self.newest,
                "bins": self.bins,
                "sample": tuple(self.sample),
                "units": tuple(self.units),
                "strata": tuple(
                    Stratum.model_construct(
                        probability=probability,
                        stable=arms[Arm.STABLE].frozen(),
                        canary=arms[Arm.CANARY].frozen(),
                    )
                    for probability, arms in self.strata.items()
                ),
            }
        )


def _is_draw(exchange: Exchange) -> bool:
    if not (isfinite(exchange.at) and 0 < exchange.probability <= 1):
        return False
    return exchange.probability < 1 or exchange.arm is Arm.CANARY


def _has_latency(exchange: Exchange) -> bool:
    """Whether the latency counts: an answer's, or the age at which waiting for one ended.

    How fast a 500 came says nothing; it is counted with the errors.
    """
    known = isfinite(exchange.latency) and exchange.latency >= 0
    return known and (exchange.status == NO_ANSWER or not exchange.failed)
