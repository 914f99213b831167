"""Counting the router's records: `begin` a state, `update` it. Pure."""

from collections.abc import Iterable, Sequence
from math import inf, isfinite
from typing import Final, TypeVar
from zlib import crc32

from specs.traffic import Arm, Exchange, Split, Waiting
from validators.canary import answers, latency
from validators.canary.answers import GoodAnswer
from validators.canary.policy import OTHERS, REFUSALS, CanaryPolicy
from validators.canary.signal_bets import MINUTE, restart
from validators.canary.splits import BLOCK, bet_on_evenness, is_too_even
from validators.canary.state import FORMAT, ArmAnswers, CanaryState, Stratum, Tally

UNITS: Final = 2048
"""How many of the newest units are remembered, so that each is counted once."""
STRATA: Final = 16
"""How many probabilities are kept apart; requests drawn with any others are not counted."""
TOLD: Final = 24
"""How many statuses, and kinds of answers, of an arm are kept to show."""


def begin(
    policy: CanaryPolicy, history: Sequence[Exchange], at: float, split: Split | None = None
) -> CanaryState:
    """The state before the first request.

    `at` is when the canary begins, in seconds since the epoch; `history` is what the router
    recorded before, oldest first. If that has enough answers of stable, the latency bins come from
    them. If not, stable's first answers during the canary are set aside to fix the bins, and only
    later ones are bet on: no outcome is bet on with bins that it helped to choose.

    `split` says how another router than Headgate's assigns requests; `windows.begin_counting` is
    for those that give no records.
    """
    before = [exchange for exchange in history if exchange.arm is Arm.STABLE]
    known = [each.latency for each in before if _has_latency(policy, each)][-latency.HISTORY :]
    classes = [policy.classed(each.status) for each in before]
    good = [each for each, is_a in zip(before, classes, strict=True) if is_a == "answers"]
    shares = {name: classes.count(name) / len(before) for name in (REFUSALS, OTHERS) if before}
    state = CanaryState(
        policy=policy,
        began=at,
        format=FORMAT,
        base_errors=classes.count("errors") / len(before) if before else None,
        base_statuses=shares,
        split=split,
    )
    if policy.holding:
        seen = tuple(_answer(each) for each in good[-latency.HISTORY :])
        enough = len(seen) >= answers.LEARN_FROM
        update = {"usual": answers.learn(seen)} if enough else {"answers": seen}
        state = state.model_copy(update=update)
    if not policy.latencies:
        return state
    if len(known) < latency.LEARN_FROM:
        return state.model_copy(update={"sample": tuple(known)})
    return state.model_copy(update={"bins": latency.learn(known)})


def is_current(state: CanaryState) -> bool:
    """Whether a stored state has every count that is judged now; if not, its canary starts over."""
    return state.format == FORMAT


def update(state: CanaryState, exchanges: Iterable[Exchange]) -> CanaryState:
    """The state after these records, each given once, in the router's order, in any batches.

    Records that cannot be a draw (time not finite, probability not in (0, 1], stable drawn at 1)
    are left out: missing data multiplies the evidence by one.

    Of a unit that comes back while it is among the last 2,048 seen, only the first outcome counts:
    the errors of a retry burst are one error, and a bet on each would void the guarantee. Whether a
    record counts is known before its outcome, so leaving it out only costs power.
    """
    working = _Working(state)
    for exchange in exchanges:
        if not _is_draw(exchange):
            continue
        if exchange.at >= working.next_restart:
            working = _Working(restart(working.frozen(), exchange.at))
        working.count(exchange)
    return working.frozen()


def with_waiting(state: CanaryState, waiting: Iterable[Waiting]) -> CanaryState:
    """The state to judge while these requests are in flight; it must not be stored.

    They count as records for the sample ratio, and as slower than every latency below their age.
    Of a unit only the oldest request counts, and none if the unit was counted before.
    """
    working = _Working(state)
    for each in sorted(waiting, key=lambda each: -each.age):
        if _could_be(each.arm, each.probability):
            working.wait(each)
    return working.frozen()


class _Arm:
    """A mutable `Tally`."""

    def __init__(self, tally: Tally) -> None:
        self.classes = {
            "errors": tally.errors,
            REFUSALS: tally.refusals,
            OTHERS: tally.other_statuses,
            "answers": 0,
        }
        self.requests = tally.requests
        self.latencies = [list(bins) for bins in tally.latencies]
        self.unended = [list(passed) for passed in tally.unended]
        self.waiting = tally.waiting
        self.kinds = list(tally.kinds)
        self.sizes = list(tally.sizes)
        self.beyond = tally.beyond
        self.at_most, self.buckets = tally.at_most, tally.buckets

    def frozen(self) -> Tally:
        return Tally.model_construct(
            requests=self.requests,
            errors=self.classes["errors"],
            refusals=self.classes[REFUSALS],
            other_statuses=self.classes[OTHERS],
            latencies=tuple(tuple(bins) for bins in self.latencies),
            unended=tuple(tuple(passed) for passed in self.unended),
            waiting=self.waiting,
            kinds=tuple(self.kinds),
            sizes=tuple(self.sizes),
            beyond=self.beyond,
            at_most=self.at_most,
            buckets=self.buckets,
        )


class _Told:
    """A mutable `ArmAnswers`."""

    def __init__(self, seen: ArmAnswers) -> None:
        self.statuses = dict(seen.statuses)
        self.kinds = dict(seen.kinds)
        self.answers = seen.answers
        self.size = seen.size

    def frozen(self) -> ArmAnswers:
        return ArmAnswers.model_construct(
            statuses=self.statuses, kinds=self.kinds, answers=self.answers, size=self.size
        )


class _Working:
    """A mutable `CanaryState`, for one call of `update`."""

    def __init__(self, state: CanaryState) -> None:
        self.state = state
        self.policy = state.policy
        self.newest = -inf if state.newest is None else state.newest
        self.bins = state.bins
        self.sample = list(state.sample)
        self.usual = state.usual
        self.answers = list(state.answers)
        self.units = dict.fromkeys(state.units)
        self.evenness, self.too_even, self.block = state.evenness, state.too_even, state.block
        self.told = {arm: _Told(state.seen.get(arm, ArmAnswers())) for arm in Arm}
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
        arm = self._of(exchange.arm, exchange.probability)
        if arm is None:
            return
        is_a = self.policy.classed(exchange.status)
        arm.requests += 1
        arm.classes[is_a] += 1
        if self.state.split is not None:  # Headgate's own router draws, as its log shows
            self._count_arm(exchange.arm, exchange.probability)
        _tell(self.told[exchange.arm].statuses, exchange.status)
        self.newest = max(self.newest, exchange.at)
        if is_a == "answers" and self.policy.holding:
            self._count_answer(exchange, arm)
        if self.scales and _is_time(exchange.latency):
            stable = exchange.arm is Arm.STABLE
            if is_a == "errors":
                self._count_unended(exchange.latency, arm, stable)
            else:
                self._count_latency(exchange.latency, arm, stable)

    def _count_arm(self, arm: Arm, probability: float) -> None:
        """Bet that the target assigns in turn, on each block of records."""
        block = self.block
        if block is not None and (block[0] != probability or block[1] >= BLOCK):
            self.evenness = bet_on_evenness(self.evenness, block[1], block[2], block[0])
            self.too_even = self.too_even or is_too_even(self.evenness)
            block = None
        _, requests, canary = block or (probability, 0, 0)
        self.block = (probability, requests + 1, canary + (arm is Arm.CANARY))

    def wait(self, waiting: Waiting) -> None:
        if waiting.unit is not None and self._seen(waiting.unit):
            return
        arm = self._of(waiting.arm, waiting.probability)
        if arm is None:
            return
        arm.waiting += 1
        if self.scales and _is_time(waiting.age):
            self._count_unended(waiting.age, arm, waiting.arm is Arm.STABLE)

    def _of(self, arm: Arm, probability: float) -> _Arm | None:
        arms = self.strata.get(probability)
        if arms is None:
            if len(self.strata) == STRATA:
                return None
            arms = self.strata[probability] = {each: self._arm() for each in Arm}
        return arms[arm]

    def _count_latency(self, seconds: float, arm: _Arm, stable: bool) -> None:
        if self.bins is not None:
            for bins, scale in zip(arm.latencies, self.scales, strict=True):
                bins[self.bins.place(seconds / (1 if stable else scale))] += 1
        elif stable:
            self.sample.append(seconds)
            if len(self.sample) >= latency.LEARN_FROM:
                self.bins, self.sample = latency.learn(self.sample), []
                self._begin_bins()

    def _count_unended(self, age: float, arm: _Arm, stable: bool) -> None:
        if self.bins is None:
            return
        for passed, scale in zip(arm.unended, self.scales, strict=True):
            passed[latency.passed(self.bins, age / (1 if stable else scale))] += 1

    def _count_answer(self, exchange: Exchange, arm: _Arm) -> None:
        answer, stable = _answer(exchange), exchange.arm is Arm.STABLE
        told = self.told[exchange.arm]
        told.answers += 1
        told.size += answer.size
        _tell(told.kinds, answer.kind)
        if self.usual is not None:
            arm.kinds[self.usual.kind(answer.kind)] += 1
            margin = None if stable else self.policy.size_margin
            events = self.usual.sizes(answer.size, margin)
            arm.sizes = [n + event for n, event in zip(arm.sizes, events, strict=True)]
            arm.beyond += events[0] or events[answers.SIZES // 2]
        elif stable:
            self.answers.append(answer)
            if len(self.answers) >= answers.LEARN_FROM:
                self.usual, self.answers = answers.learn(self.answers), []
                self._begin_answers()

    def _begin_bins(self) -> None:
        for arms in self.strata.values():
            for arm in arms.values():
                empty = self._arm()
                arm.latencies, arm.unended = empty.latencies, empty.unended

    def _begin_answers(self) -> None:
        for arms in self.strata.values():
            for arm in arms.values():
                empty = self._arm()
                arm.kinds, arm.sizes = empty.kinds, empty.sizes

    def _arm(self) -> _Arm:
        bins = len(self.bins.reference) if self.bins else 0
        usual = self.usual
        return _Arm(
            Tally(
                latencies=((0,) * bins,) * len(self.scales) if bins else (),
                unended=((0,) * latency.PASSES,) * len(self.scales) if bins else (),
                kinds=(0,) * (len(usual.kinds) + 1) if usual else (),
                sizes=(0,) * answers.SIZES if usual else (),
            )
        )

    def _seen(self, unit: str) -> bool:
        fingerprint = crc32(unit.encode())
        seen = fingerprint in self.units
        self.units.pop(fingerprint, None)
        self.units[fingerprint] = None
        if len(self.units) > UNITS:
            del self.units[next(iter(self.units))]
        return seen

    def frozen(self) -> CanaryState:
        return self.state.model_copy(
            update={
                "newest": None if self.newest == -inf else self.newest,
                "bins": self.bins,
                "sample": tuple(self.sample),
                "usual": self.usual,
                "answers": tuple(self.answers),
                "units": tuple(self.units),
                "evenness": self.evenness,
                "too_even": self.too_even,
                "block": self.block,
                "seen": {arm: told.frozen() for arm, told in self.told.items() if told.statuses},
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


_Key = TypeVar("_Key", int, str)


def _tell(told: dict[_Key, int], what: _Key) -> None:
    """Count a value to show; the number of different values is bounded."""
    if what in told or len(told) < TOLD:
        told[what] = told.get(what, 0) + 1


def _is_draw(exchange: Exchange) -> bool:
    return isfinite(exchange.at) and _could_be(exchange.arm, exchange.probability)


def _could_be(arm: Arm, probability: float) -> bool:
    """Whether the arm can be drawn when the canary has that probability."""
    return 0 < probability <= 1 and (probability < 1 or arm is Arm.CANARY)


def _is_time(seconds: float) -> bool:
    return isfinite(seconds) and seconds >= 0


def _has_latency(policy: CanaryPolicy, exchange: Exchange) -> bool:
    """Whether the latency is that of an answer: how fast a 500 came says nothing."""
    return _is_time(exchange.latency) and policy.classed(exchange.status) != "errors"


def _answer(exchange: Exchange) -> GoodAnswer:
    return GoodAnswer(exchange.size, answers.kind_of(exchange.size, exchange.content))
