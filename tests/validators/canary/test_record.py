"""Counting: any batches, bounded state, each unit once, no impossible records."""

from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specs.traffic import Arm, Exchange
from tests.validators.canary.traffic import exchange, history, requests
from validators.canary import CanaryPolicy, CanaryState, Latency, begin, judge, update
from validators.canary.latency import LEARN_FROM
from validators.canary.record import STRATA, UNITS
from validators.canary.signal_bets import log_evidence, log_safety, outcomes

POLICY = CanaryPolicy(
    errors_at_most=0.02,
    latencies=(Latency(statistic="p99", margin=0.2), Latency(statistic="mean", margin=0.1)),
    deadline=600,
)
HISTORY = history()

EXCHANGES = st.lists(
    st.builds(
        Exchange,
        seq=st.just(0),
        at=st.floats(0, 700) | st.sampled_from([nan, inf]),
        arm=st.sampled_from(Arm),
        probability=st.sampled_from([0.05, 0.25, 0.5, 1.0, 0.0, nan, -1.0, 2.0]),
        status=st.sampled_from([200, 200, 200, 302, 404, 500, 503, 0]),
        latency=st.floats(0, 3) | st.sampled_from([nan, inf, -1.0]),
        unit=st.none() | st.sampled_from(["ada", "bob", "eve"]),
        size=st.sampled_from([0, 100, 105, 3000]),
        content=st.sampled_from(["", "application/json", "text/html"]),
    ),
    max_size=60,
)


@given(EXCHANGES, st.lists(st.integers(1, 30), min_size=1), st.booleans())
@settings(max_examples=60, deadline=None)
def test_batches_of_any_size_give_the_same_state_as_one_by_one(
    exchanges: list[Exchange], sizes: list[int], known: bool
) -> None:
    start = begin(POLICY, HISTORY if known else HISTORY[: LEARN_FROM - 3], 0.0)
    single = batched = start
    for each in exchanges:
        single = update(single, [each])
    rest = list(exchanges)
    while rest:
        size = sizes[len(rest) % len(sizes)]
        batched, rest = update(batched, rest[:size]), rest[size:]
    assert batched == single == update(start, exchanges)


@given(EXCHANGES)
@settings(max_examples=60, deadline=None)
def test_a_stored_state_comes_back_as_it_was(exchanges: list[Exchange]) -> None:
    state = update(begin(POLICY, HISTORY, 0.0), exchanges)
    again = CanaryState.model_validate_json(state.model_dump_json())
    assert again == state
    assert judge(again, 700.0) == judge(state, 700.0)


@given(EXCHANGES, EXCHANGES)
@settings(max_examples=30, deadline=None)
def test_a_restart_in_between_changes_nothing(
    before: list[Exchange], after: list[Exchange]
) -> None:
    state = update(begin(POLICY, HISTORY, 0.0), before)
    stored = CanaryState.model_validate_json(state.model_dump_json())
    assert update(stored, after) == update(state, after)


def test_without_data_there_is_no_evidence_on_either_side() -> None:
    state = begin(POLICY, HISTORY, 0.0)
    for signal in (*POLICY.signals, *POLICY.holding):
        assert log_evidence(state, signal) == pytest.approx(0.0, abs=1e-12)
        assert log_safety(state, signal) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    "broken",
    [
        exchange(at=nan, canary=True, status=500),
        exchange(at=inf, canary=True, status=500),
        exchange(share=nan, canary=True, status=500),
        exchange(share=0.0, canary=True, status=500),
        exchange(share=-0.5, canary=True, status=500),
        exchange(share=1.5, canary=True, status=500),
        exchange(share=1.0, canary=False, status=500),
    ],
)
def test_a_record_that_cannot_be_a_draw_says_nothing(broken: Exchange) -> None:
    state = begin(POLICY, HISTORY, 0.0)
    assert update(state, [broken] * 50) == state


@pytest.mark.parametrize("latency", [nan, inf, -1.0])
def test_a_missing_latency_is_not_a_fast_answer(latency: float) -> None:
    state = update(begin(POLICY, HISTORY, 0.0), [exchange(canary=True, latency=latency)] * 20)
    assert state.requests(Arm.CANARY) == 20
    assert sum(state.latencies(Arm.CANARY, 0)) == 0
    assert log_evidence(state, "latency_p99") == pytest.approx(0.0, abs=1e-12)


def test_a_fast_500_is_an_error_and_no_fast_answer() -> None:
    state = update(begin(POLICY, HISTORY, 0.0), [exchange(canary=True, status=500)] * 3)
    assert state.errors(Arm.CANARY) == 3
    assert sum(state.latencies(Arm.CANARY, 0)) == 0
    assert log_evidence(state, "latency_p99") == pytest.approx(0.0, abs=1e-12)


def test_a_request_that_hangs_is_an_error_and_as_slow_as_it_is_old() -> None:
    state = update(begin(POLICY, HISTORY, 0.0), [exchange(canary=True, status=0, latency=30.0)])
    assert state.errors(Arm.CANARY) == 1
    assert state.strata[0].canary.unended[0][-1] == 1


def test_a_refused_request_is_no_error_of_the_server() -> None:
    assert (
        update(begin(POLICY, [], 0.0), [exchange(canary=True, status=404)]).errors(Arm.CANARY) == 0
    )


def test_a_retry_storm_of_one_caller_is_one_outcome() -> None:
    storm = [exchange(canary=True, status=500, unit="ada")] * 300
    state = update(begin(POLICY, HISTORY, 0.0), storm)
    assert (state.requests(Arm.CANARY), state.errors(Arm.CANARY)) == (1, 1)
    assert update(state, storm) == state


def test_the_memory_of_units_is_bounded_and_forgets_the_oldest() -> None:
    crowd = [exchange(unit=f"caller-{i}") for i in range(UNITS + 1)]
    state = update(begin(POLICY, HISTORY, 0.0), crowd)
    assert len(state.units) == UNITS
    assert update(state, [crowd[-1]]).requests(Arm.STABLE) == UNITS + 1
    assert update(state, [crowd[0]]).requests(Arm.STABLE) == UNITS + 2


def test_the_state_stays_small_whatever_comes() -> None:
    state = begin(POLICY, HISTORY, 0.0)
    worst = [
        exchange(at=float(i % 600), canary=i % 2 == 0, share=1 / (i % 40 + 2), unit=f"{i}")
        for i in range(20_000)
    ]
    state = update(state, worst)
    assert len(state.strata) == STRATA
    assert len(state.model_dump_json()) < 100_000
    ordinary = update(begin(CanaryPolicy(), HISTORY, 0.0), requests(1, 100))
    assert len(ordinary.model_dump_json()) < 8_000


def test_without_history_bins_are_fixed_before_anything_is_bet_on_them() -> None:
    learning = list(requests(3, 2.3, share=0.1))
    state = begin(CanaryPolicy(), [], 0.0)
    used = 0
    while state.bins is None:
        assert log_evidence(state, "latency_p99") == pytest.approx(0.0, abs=1e-12)
        state, used = update(state, [learning[used]]), used + 1
    assert sum(state.bins.reference) == LEARN_FROM
    assert state.sample == ()
    assert sum(state.latencies(Arm.STABLE, 0)) == sum(state.latencies(Arm.CANARY, 0)) == 0
    state = update(state, [exchange(latency=0.05, canary=True)])
    assert sum(state.latencies(Arm.CANARY, 0)) == 1


def test_short_history_is_topped_up_with_stable_under_the_canary() -> None:
    state = begin(CanaryPolicy(), HISTORY[:150], 0.0)
    assert state.bins is None
    assert len(state.sample) == sum(each.status < 500 for each in HISTORY[:150])
    assert update(state, requests(4, 1, share=0.1)).bins is not None


def test_what_stable_did_before_is_what_the_bets_expect_of_it() -> None:
    before = [
        exchange(at=-5.0, status=status) for status in (200, 200, 200, 500, 500, 404, 302, 200)
    ]
    state = begin(CanaryPolicy(), [*before, exchange(at=-1.0, status=500, canary=True)], 0.0)
    assert state.base_errors == 2 / 8
    assert state.base_statuses == {"refusals": 1 / 8, "other_statuses": 1 / 8}
    assert begin(CanaryPolicy(), [], 0.0).base_errors is None


def test_every_answer_counts_once_for_the_promotion() -> None:
    state = update(begin(POLICY, HISTORY, 0.0), requests(1, 20, share=0.5))
    for signal in ("errors", "latency_p99", "latency_mean", "refusals"):
        seen = outcomes(state, signal)
        failed = 0 if signal == "errors" else state.errors(Arm.CANARY) + state.errors(Arm.STABLE)
        total = state.requests(Arm.CANARY) + state.requests(Arm.STABLE)
        assert sum(each.times for each in seen) == total - failed
        assert all(each.times >= 0 for each in seen)


def test_a_bet_is_begun_anew_with_each_minute() -> None:
    state = begin(POLICY, HISTORY, 0.0)
    minutes = [update(state, [exchange(at=at)]).minutes for at in (59.9, 60.0, 119.9, 120.0, 900.0)]
    assert minutes == [0, 1, 1, 2, POLICY.restarts]
