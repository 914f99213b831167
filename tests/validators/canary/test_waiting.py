"""Requests in flight count as records, and as slower than every latency below their age."""

from collections.abc import Iterator
from math import exp
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.traffic import NO_ANSWER, Arm, Exchange, Waiting
from tests.validators.canary.traffic import exchange, history, requests
from validators.canary import (
    CanaryDecision,
    CanaryPolicy,
    CanaryState,
    Latency,
    begin,
    judge,
    latency,
    report,
    update,
)
from validators.canary.latency import EXPERTS, PASSES
from validators.canary.record import with_waiting

HISTORY = history()
POLICY = CanaryPolicy(minimum_bake=60, deadline=1800)
EAGER = CanaryPolicy(false_rollback=0.1, false_promotion=0.1, minimum_bake=1e6, deadline=1800)
BINS = latency.learn([each.latency for each in HISTORY])
CANARIES = 40
NO_MARGIN = begin(CanaryPolicy(latencies=(Latency(statistic="p99", margin=0.0),)), HISTORY, 0.0)


def look(sent: list[Exchange], since: float, at: float) -> tuple[list[Exchange], list[Waiting]]:
    """The router's answer at a time: requests ended since the last look, and those in flight."""
    ends = [(each, each.at + each.latency) for each in sent if each.at <= at]
    ended = [each for each, end in ends if since < end <= at]
    flying = [
        Waiting(each.arm, each.probability, at - each.at, each.unit)
        for each, end in ends
        if end > at
    ]
    return ended, flying


def first_rollback(sent: list[Exchange], policy: CanaryPolicy, every: float, until: float) -> float:
    """When a judge that looks at this interval rolls back; infinite if never."""
    state, at = begin(policy, HISTORY, 0.0), 0.0
    while at < until:
        ended, flying = look(sent, at, at + every)
        at += every
        state = update(state, ended)
        if judge(state, at, flying).decision is CanaryDecision.ROLLBACK:
            return at
    return float("inf")


def frozen(seed: int, rate: float, share: float) -> list[Exchange]:
    """A canary that answers nothing until the router's limit of 30 s."""
    return [
        each._replace(status=NO_ANSWER, latency=30.0) if each.arm is Arm.CANARY else each
        for each in requests(seed, 40, rate=rate, share=share)
    ]


@pytest.mark.parametrize(
    ("rate", "share", "within"), [(10, 0.05, 15), (10, 0.25, 5), (100, 0.05, 3)]
)
def test_a_frozen_canary_is_out_in_seconds_where_latency_is_watched(
    rate: float, share: float, within: float
) -> None:
    times = sorted(
        first_rollback(frozen(seed, rate, share), POLICY, 0.5, 30.0) for seed in range(5)
    )
    assert times[2] <= within


def test_where_only_errors_are_watched_a_hang_counts_at_the_time_limit() -> None:
    policy = CanaryPolicy(latencies=(), minimum_bake=60, deadline=1800)
    assert 30 < first_rollback(frozen(1, 20, 0.25), policy, 1.0, 40.0) < 35


def test_a_frozen_canary_loses_no_records_and_says_what_waits() -> None:
    ended, flying = look(frozen(1, 20, 0.25), 0.0, 10.0)
    judgement = judge(update(begin(POLICY, HISTORY, 0.0), ended), 10.0, flying)
    assert not judgement.records_lost
    assert judgement.decision is CanaryDecision.ROLLBACK
    told = report(judgement, "x").checks[0]
    assert told.name == "latency_p99"
    assert f"{judgement.canary.waiting} requests to the canary wait" in told.message
    assert f"the oldest for {judgement.canary.oldest:.2g} s" in told.message


def slow_tails(seed: int, look_every: float, looks: int) -> Iterator[Exchange]:
    """Both arms alike; one answer in fifty takes seconds, and of those some end in failure."""
    random = Random(seed)
    for each in requests(seed, look_every * looks, rate=25, share=0.25):
        if random.random() < 0.02:
            status = random.choice([200, 500, NO_ANSWER])
            yield each._replace(latency=random.uniform(0.3, 12.0), status=status)
        else:
            yield each


def test_a_canary_that_is_no_slower_is_rolled_back_as_seldom_as_promised_while_some_wait() -> None:
    wrong = 0
    for seed in range(CANARIES):
        sent = list(slow_tails(seed, 1.0, 40))
        wrong += first_rollback(sent, EAGER, 1.0, 40.0) < float("inf")
    assert wrong <= CANARIES * EAGER.false_rollback


@given(st.floats(0.01, 0.99), st.integers(1, PASSES - 1))
def test_a_request_without_an_answer_says_nothing_on_average_of_which_arm_has_it(
    share: float, passed: int
) -> None:
    one = tuple(int(i == passed) for i in range(PASSES))
    none = (0,) * PASSES
    means = [0.0] * EXPERTS
    for chance, unended in ((1 - share, (share, one, none)), (share, (share, none, one))):
        logs = latency.wealth(BINS, [], [unended])
        means = [m + chance * exp(gained) for m, gained in zip(means, logs, strict=True)]
    assert means == pytest.approx([1.0] * EXPERTS)


@given(st.floats(0, 40))
def test_what_a_request_counts_for_while_it_waits_it_counts_for_when_it_ends(age: float) -> None:
    far = [i for i, gained in enumerate(_gained(age, waits=True)) if gained]
    waiting, ended = _gained(age, waits=True), _gained(age, waits=False)
    assert [waiting[i] for i in far] == pytest.approx([ended[i] for i in far])


def _gained(age: float, *, waits: bool) -> list[float]:
    state = NO_MARGIN
    if waits:
        state = with_waiting(state, [Waiting(Arm.CANARY, 0.5, age)])
    else:
        state = update(state, [exchange(canary=True, latency=age)])
    tally = state.strata[0]
    return latency.wealth(
        state.bins,
        [(0.5, tally.stable.latencies[0], tally.canary.latencies[0])],
        [(0.5, tally.stable.unended[0], tally.canary.unended[0])],
    )


def test_what_is_in_flight_is_not_kept() -> None:
    state = update(begin(POLICY, HISTORY, 0.0), requests(1, 10))
    before: CanaryState = state.model_copy(deep=True)
    judge(state, 10.0, [Waiting(Arm.CANARY, 0.05, 9.0)] * 50)
    assert state == before


def test_a_caller_who_asks_again_and_again_waits_once() -> None:
    state = begin(POLICY, HISTORY, 0.0)
    flying = [Waiting(Arm.CANARY, 0.05, age / 10, "ada") for age in range(1, 100)]
    assert judge(state, 10.0, flying).canary.waiting == 1
    counted = update(state, [exchange(canary=True, share=0.05, unit="ada")])
    assert judge(counted, 10.0, flying).canary.waiting == 0


def test_a_request_from_before_the_canary_says_nothing_of_it() -> None:
    flying = [Waiting(Arm.CANARY, 0.5, 20.0)] * 50
    assert judge(begin(POLICY, HISTORY, 0.0), 10.0, flying).canary.waiting == 0


@pytest.mark.parametrize("probability", [0.0, -1.0, 2.0, float("nan")])
def test_what_cannot_have_been_drawn_does_not_wait_either(probability: float) -> None:
    flying = [Waiting(Arm.CANARY, probability, 5.0)] * 50
    assert judge(begin(POLICY, HISTORY, 0.0), 10.0, flying).canary.waiting == 0


def test_of_a_caller_who_asks_again_the_oldest_request_counts() -> None:
    state = begin(POLICY, HISTORY, 0.0)
    flying = [Waiting(Arm.CANARY, 0.05, age, "ada") for age in (0.001, 30.0, 0.002)]
    (stratum,) = with_waiting(state, flying).strata
    assert stratum.canary.unended[0][-1] == 1
