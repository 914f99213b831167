"""The judge's stories: what an on-call engineer, a reviewer and a committer rely on."""

from collections.abc import Iterable
from math import log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specs.release import (
    Canary,
    ContentSignal,
    ErrorSignal,
    LatencySignal,
    Signals,
    SizeSignal,
    StatusSignal,
)
from specs.traffic import Arm, Exchange
from tests.validators.canary.traffic import exchange, history, requests
from validators.canary import (
    CanaryDecision,
    CanaryPolicy,
    CanaryState,
    Judgement,
    Latency,
    begin,
    judge,
    report,
    update,
)
from validators.canary.signal_bets import log_evidence
from validators.verdict import Verdict

HISTORY = history()
POLICY = CanaryPolicy(minimum_bake=60, deadline=1800)


def judged(traffic: Iterable[Exchange], at: float, policy: CanaryPolicy = POLICY) -> Judgement:
    return judge(update(begin(policy, HISTORY, 0.0), traffic), at)


def first_decision(
    traffic: Iterable[Exchange], policy: CanaryPolicy = POLICY
) -> tuple[CanaryDecision, float]:
    """The first decision of a judge that looks once a second, and when it fell."""
    state, second = begin(policy, HISTORY, 0.0), 1.0
    for each in traffic:
        if each.at >= second:
            decision = judge(state, second).decision
            if decision is not CanaryDecision.WAIT:
                return decision, second
            second += 1
        state = update(state, [each])
    return judge(state, second).decision, second


def test_a_canary_that_fails_is_rolled_back_within_seconds() -> None:
    decision, second = first_decision(requests(1, 60, errors=(0.001, 0.05)))
    assert decision is CanaryDecision.ROLLBACK
    assert second < 30


def test_a_canary_of_a_service_that_never_fails_is_rolled_back_all_the_same() -> None:
    decision, second = first_decision(requests(2, 60, errors=(0.0, 0.05)))
    assert decision is CanaryDecision.ROLLBACK
    assert second < 30


def test_a_slow_canary_is_rolled_back_and_its_latency_is_named() -> None:
    judgement = judged(requests(3, 30, slower=2.0), 30.0)
    assert judgement.decision is CanaryDecision.ROLLBACK
    assert [each.signal for each in judgement.evidence if each.guilty] == ["latency_p99"]
    assert judgement.evidence[0].signal == "latency_p99"


def test_a_failing_canary_has_its_errors_named_and_not_its_latency() -> None:
    judgement = judged(requests(4, 60, errors=(0.001, 0.05)), 60.0)
    assert [each.signal for each in judgement.evidence if each.guilty] == ["errors"]


def test_a_canary_as_good_as_stable_is_promoted_after_its_bake() -> None:
    decision, second = first_decision(requests(5, 600, share=0.5, errors=(0.001, 0.001)))
    assert decision is CanaryDecision.PROMOTE
    assert POLICY.minimum_bake <= second < 120


def test_a_canary_that_is_slower_within_its_margin_is_not_rolled_back() -> None:
    judgement = judged(requests(6, 300, share=0.5, slower=1.1), 300.0)
    assert judgement.decision in (CanaryDecision.WAIT, CanaryDecision.PROMOTE)


def test_no_traffic_is_neither_a_promotion_nor_a_rollback() -> None:
    assert judged([], 100.0).decision is CanaryDecision.WAIT
    assert judged([], 1800.0).decision is CanaryDecision.INCONCLUSIVE


def test_too_little_traffic_waits_and_says_how_much_more_it_takes() -> None:
    judgement = judged(requests(7, 20), 20.0)
    assert judgement.decision is CanaryDecision.WAIT
    assert judgement.more_requests is not None
    more = requests(8, judgement.more_requests * 1.5 / 100, start=20.0)
    later = update(update(begin(POLICY, HISTORY, 0.0), requests(7, 20)), more)
    assert all(each.safe for each in judge(later, 2000.0).evidence)


def test_a_canary_without_a_single_record_is_never_promoted() -> None:
    only_stable = [exchange(at=i / 100, share=0.001) for i in range(100_00)]
    assert judged(only_stable, 100.0).decision is CanaryDecision.WAIT


def test_a_promotion_needs_traffic_that_still_comes() -> None:
    state = update(begin(POLICY, HISTORY, 0.0), requests(5, 200, share=0.5))
    assert judge(state, 200.0).decision is CanaryDecision.PROMOTE
    assert judge(state, 400.0).decision is CanaryDecision.WAIT


def test_a_promotion_waits_for_the_minimum_bake() -> None:
    policy = CanaryPolicy(minimum_bake=1000, deadline=1800)
    state = update(begin(policy, HISTORY, 0.0), requests(5, 200, share=0.5))
    judgement = judge(state, 200.0)
    assert judgement.decision is CanaryDecision.WAIT
    assert all(each.safe for each in judgement.evidence)


def test_a_rollback_does_not_wait_for_bake_freshness_or_deadline() -> None:
    state = update(begin(POLICY, HISTORY, 0.0), requests(1, 30, errors=(0.001, 0.1)))
    for now in (30.0, 1000.0, 9000.0):
        assert judge(state, now).decision is CanaryDecision.ROLLBACK


def test_a_canary_that_loses_records_is_not_promoted() -> None:
    kept = [e for e in requests(9, 120, share=0.5) if e.arm is Arm.STABLE or e.seq % 2]
    judgement = judged(kept, 120.0)
    assert judgement.records_lost
    assert judgement.canary_short
    assert judgement.decision is CanaryDecision.WAIT
    assert report(judgement, "x").verdict is Verdict.ERROR


def test_when_stable_loses_records_nothing_is_held_against_the_canary() -> None:
    traffic = requests(9, 120, share=0.5, errors=(0.05, 0.05))
    kept = [e for e in traffic if e.arm is Arm.CANARY or (e.status == 200 and e.seq % 2)]
    judgement = judged(kept, 120.0)
    assert log_evidence(update(begin(POLICY, HISTORY, 0.0), kept), "errors") > log(100)
    assert judgement.records_lost
    assert judgement.decision is CanaryDecision.WAIT
    assert Judgement.model_validate_json(judgement.model_dump_json()) == judgement
    assert report(judgement, "x").verdict is Verdict.ERROR


def test_a_canary_that_hangs_is_rolled_back_though_most_of_its_records_are_still_to_come() -> None:
    sent = requests(15, 40, share=0.5)
    ended = sorted(
        (
            each._replace(status=0, latency=30.0) if each.arm is Arm.CANARY else each
            for each in sent
        ),
        key=lambda each: each.at + each.latency,
    )
    by_second_33 = [each for each in ended if each.at + each.latency <= 33]
    judgement = judged(by_second_33, 33.0)
    assert judgement.records_lost
    assert judgement.decision is CanaryDecision.ROLLBACK
    assert report(judgement, "x").verdict is Verdict.FAIL


def test_the_service_level_rolls_back_even_when_stable_is_as_bad() -> None:
    policy = CanaryPolicy(errors_at_most=0.02, minimum_bake=60, deadline=1800)
    judgement = judged(requests(10, 120, share=0.5, errors=(0.06, 0.06)), 120.0, policy)
    assert judgement.decision is CanaryDecision.ROLLBACK
    assert [each.signal for each in judgement.evidence if each.guilty] == ["errors_at_most"]


def test_the_service_level_needs_no_stable_traffic() -> None:
    policy = CanaryPolicy(errors_margin=None, errors_at_most=0.01, latencies=())
    traffic = [
        exchange(at=i / 10, canary=True, share=1.0, status=500 * (i % 5 == 0)) for i in range(200)
    ]
    assert judged(traffic, 20.0, policy).decision is CanaryDecision.ROLLBACK


def test_a_late_regression_is_found_sooner_with_restarts() -> None:
    good = requests(11, 900, rate=20, share=0.25)
    bad = list(requests(12, 600, rate=20, share=0.25, errors=(0.001, 0.02), start=900.0))
    state = update(begin(POLICY, HISTORY, 0.0), good)
    plain = state.model_copy(update={"policy": POLICY.model_copy(update={"deadline": 30.0})})

    def found(start: CanaryState) -> float:
        moved, limit = start, log(1 / POLICY.false_rollback)
        for each in bad:
            moved = update(moved, [each])
            if each.status == 500 and log_evidence(moved, "errors") >= limit:
                return each.at - 900
        return float("inf")

    assert found(state) < found(plain)


def test_evidence_is_carried_over_the_steps_of_a_ramp() -> None:
    first = list(requests(13, 30, errors=(0.001, 0.02), share=0.05))
    second = list(requests(14, 3, errors=(0.001, 0.02), share=0.25, start=30.0))
    both = log_evidence(update(begin(POLICY, HISTORY, 0.0), [*first, *second]), "errors")
    alone = log_evidence(update(begin(POLICY, HISTORY, 0.0), second), "errors")
    assert both > alone


@given(st.lists(st.booleans(), max_size=80), st.sampled_from([0.05, 0.25, 0.5]))
@settings(max_examples=40, deadline=None)
def test_errors_never_roll_back_a_canary_that_made_none(arms: list[bool], share: float) -> None:
    policy = CanaryPolicy(latencies=(), deadline=1800)
    traffic = [
        exchange(at=float(i), canary=canary, share=share, status=200 if canary else 500)
        for i, canary in enumerate(arms)
    ]
    assert judged(traffic, 90.0, policy).decision is not CanaryDecision.ROLLBACK


@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 8))
@settings(max_examples=60, deadline=None)
def test_one_more_error_of_the_canary_never_makes_it_look_better(
    canary: int, stable: int, good: int
) -> None:
    traffic = [
        *[exchange(canary=True, status=500, share=0.25)] * canary,
        *[exchange(status=500, share=0.25)] * stable,
        *[exchange(canary=True, share=0.25)] * good,
    ]
    policy = CanaryPolicy(errors_at_most=0.05, latencies=(), deadline=1800)
    state = update(begin(policy, HISTORY, 0.0), traffic)
    more = update(state, [exchange(canary=True, status=500, share=0.25)])
    before, after = judge(state, 50.0), judge(more, 50.0)
    assert after.log_worse >= before.log_worse - 1e-12
    by_signal = {each.signal: each for each in before.evidence}
    for each in after.evidence:
        assert each.log_safe <= by_signal[each.signal].log_safe + 1e-12
    assert report(after, "x").verdict.rank >= report(before, "x").verdict.rank


TRAFFIC = st.builds(
    lambda seed, seconds, errors, slower, share: list(
        requests(seed, seconds, errors=(0.01, errors), slower=slower, share=share)
    ),
    st.integers(0, 10**6),
    st.floats(0, 12),
    st.sampled_from([0.0, 0.01, 0.3]),
    st.sampled_from([0.7, 1.0, 2.0]),
    st.sampled_from([0.05, 0.5]),
)


@given(TRAFFIC, st.sampled_from([12.0, 70.0, 1800.0]))
@settings(max_examples=40, deadline=None)
def test_the_report_passes_exactly_when_it_promotes_and_fails_exactly_when_it_rolls_back(
    traffic: list[Exchange], at: float
) -> None:
    judgement = judged(traffic, at)
    verdict = report(judgement, "x").verdict
    assert verdict.passes == (judgement.decision is CanaryDecision.PROMOTE)
    assert (verdict is Verdict.FAIL) == (judgement.decision is CanaryDecision.ROLLBACK)
    assert Judgement.model_validate_json(judgement.model_dump_json()) == judgement


def test_the_policy_is_that_of_the_spec() -> None:
    signals = Signals(
        errors=ErrorSignal(not_worse_by=0.01, at_most=0.05),
        latency_p50=LatencySignal(not_worse_by=0.1),
        latency_p99=LatencySignal(not_worse_by=0.3),
    )
    policy = CanaryPolicy.from_spec(Canary(signals=signals, steps=(0.1, 0.5), false_rollback=0.02))
    assert policy == CanaryPolicy(
        errors_margin=0.01,
        errors_at_most=0.05,
        latencies=(Latency(statistic="p50", margin=0.1), Latency(statistic="p99", margin=0.3)),
        refusals_margin=0.01,
        others_margin=0.01,
        content_margin=0.01,
        sizes_beyond=0.01,
        false_rollback=0.02,
        false_promotion=0.05,
        minimum_bake=300,
        deadline=7200,
        share=0.1,
    )
    asked = ("errors", "errors_at_most", "latency_p50", "latency_p99")
    assert policy.signals == (*asked, "refusals", "other_statuses")
    assert policy.holding == ("content", "size")
    assert CanaryPolicy.from_spec(Canary()) == CanaryPolicy()


def test_what_is_watched_unasked_can_be_switched_off_and_given_limits_of_its_own() -> None:
    signals = Signals(
        errors=ErrorSignal(counts=("4xx", "no_answer")),
        refusals=StatusSignal(enabled=False),
        other_statuses=StatusSignal(not_worse_by=0.02),
        content=ContentSignal(enabled=False),
        size=SizeSignal(differs_by=0.5),
    )
    policy = CanaryPolicy.from_spec(Canary(signals=signals))
    assert policy.signals == ("errors", "other_statuses")
    assert policy.holding == ("size",)
    assert (policy.margin("other_statuses"), policy.size_margin) == (0.02, 0.5)
    assert [policy.classed(status) for status in (0, 422, 503, 302, 204)] == [
        "errors",
        "errors",
        "other_statuses",
        "other_statuses",
        "answers",
    ]


def test_a_policy_that_watches_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot fail"):
        CanaryPolicy(errors_margin=None, latencies=())


def test_a_canary_is_as_old_as_it_is_whenever_it_began() -> None:
    began = 1_764_417_600.0
    traffic = [each._replace(at=began + each.at) for each in requests(5, 200, share=0.5)]
    state = update(begin(POLICY, HISTORY, began), traffic)
    assert judge(state, began + 59.0).window == 59.0
    assert judge(state, began + 200.0).decision is CanaryDecision.PROMOTE
    assert judge(begin(POLICY, HISTORY, began), began + 1799.0).decision is CanaryDecision.WAIT
    assert (
        judge(begin(POLICY, HISTORY, began), began + 1800.0).decision is CanaryDecision.INCONCLUSIVE
    )
