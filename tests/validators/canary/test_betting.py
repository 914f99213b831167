"""The formulas: golden values, and what must hold for any traffic."""

from itertools import count
from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validators.canary.betting import (
    FRACTIONS,
    LEVEL_RATIOS,
    RATIOS,
    RECORD_RATIOS,
    SAFE_RATIOS,
    ScoreCount,
    additive,
    closed,
    least,
    log_mean,
    log_sum,
    log_weighted_mean,
    one_arm,
    ratio,
)

SHARES = st.floats(0.01, 0.99)
RATES = st.floats(0.0001, 0.9)
LOGS = st.lists(st.floats(-50, 50), min_size=1, max_size=5)


def log_errors(canary: int, stable: int, share: float) -> float:
    """log E of the error bet after that many errors of each arm."""
    return log_mean(
        ratio([ScoreCount(share, True, 1.0, canary), ScoreCount(share, False, 1.0, stable)])
    )


@pytest.mark.parametrize(
    ("share", "golden"),
    [
        (0.05, {0: 3, 1: 3, 2: 3, 3: 4, 5: 4, 10: 5, 20: 7, 40: 10}),
        (0.50, {0: 9, 1: 12, 2: 15, 3: 18, 5: 23, 10: 33, 20: 49, 40: 79}),
    ],
)
def test_the_least_errors_that_roll_back_are_those_of_the_golden_table(
    share: float, golden: dict[int, int]
) -> None:
    found = {
        stable: next(a for a in count() if log_errors(a, stable, share) >= log(100))
        for stable in golden
    }
    assert found == golden


def expected_wealth(
    outcomes: list[ScoreCount], bet: list[list[float]], experts: int
) -> list[float]:
    """Each expert's mean wealth after one request, over all ways it can end."""
    return [
        sum(outcome.times * exp(logs[k]) for outcome, logs in zip(outcomes, bet, strict=True))
        for k in range(experts)
    ]


def one_request(share: float, stable: float, canary: float) -> list[ScoreCount]:
    """How one request can end, with probabilities."""
    return [
        ScoreCount(share, arm, score, weight * chance)
        for arm, weight, rate in ((False, 1 - share, stable), (True, share, canary))
        for score, chance in ((1.0, rate), (0.0, 1 - rate))
    ]


def single(outcome: ScoreCount) -> list[ScoreCount]:
    return [outcome._replace(times=1)]


@given(SHARES, RATES)
def test_without_a_difference_the_bets_win_nothing_on_average(share: float, rate: float) -> None:
    ends = one_request(share, rate, rate)
    bets = [ratio(single(end)) for end in ends]
    assert expected_wealth(ends, bets, len(RATIOS)) == pytest.approx([1.0] * len(RATIOS))


@given(SHARES, RATES, st.floats(0, 1))
def test_against_a_better_canary_the_bets_lose_on_average(
    share: float, rate: float, better: float
) -> None:
    ends = one_request(share, rate, rate * better)
    bets = [ratio(single(end)) for end in ends]
    assert max(expected_wealth(ends, bets, len(RATIOS))) <= 1 + 1e-9


@given(SHARES, st.floats(0, 0.4), st.floats(0.001, 0.3), st.floats(0, 0.3), st.floats(0, 1))
def test_a_harmful_canary_is_not_promoted_by_the_additive_bet(
    share: float, stable: float, margin: float, excess: float, centre: float
) -> None:
    ends = one_request(share, stable, stable + margin + excess)
    bets = [additive(single(end), margin, centre) for end in ends]
    assert max(expected_wealth(ends, bets, len(FRACTIONS))) <= 1 + 1e-9


@given(SHARES, st.floats(0.001, 0.5), st.floats(1, 2))
def test_a_harmful_canary_is_not_promoted_by_the_bet_on_it_alone(
    share: float, level: float, worse: float
) -> None:
    ends = one_request(share, 0.5, level * worse)
    bets = [one_arm(single(end), level, SAFE_RATIOS) for end in ends]
    assert max(expected_wealth(ends, bets, len(SAFE_RATIOS))) <= 1 + 1e-9


@given(SHARES, st.floats(0.001, 0.9), st.floats(0, 1))
def test_a_canary_within_its_service_level_is_not_rolled_back_by_it(
    share: float, level: float, better: float
) -> None:
    ends = one_request(share, 0.5, level * better)
    bets = [one_arm(single(end), level, LEVEL_RATIOS) for end in ends]
    assert max(expected_wealth(ends, bets, len(LEVEL_RATIOS))) <= 1 + 1e-9


@given(SHARES)
def test_the_bet_on_records_wins_nothing_on_average_when_they_come_as_drawn(share: float) -> None:
    ends = [ScoreCount(share, True, 1.0, share), ScoreCount(share, False, 1.0, 1 - share)]
    bets = [ratio(single(end), RECORD_RATIOS) for end in ends]
    assert expected_wealth(ends, bets, len(RECORD_RATIOS)) == pytest.approx(
        [1.0] * len(RECORD_RATIOS)
    )


@given(st.integers(0, 300), SHARES)
def test_errors_of_stable_alone_never_count_against_the_canary(stable: int, share: float) -> None:
    assert log_errors(0, stable, share) <= 0


def test_a_service_without_errors_promotes_after_about_a_thousand_canary_requests() -> None:
    perfect = [ScoreCount(0.05, True, 0.0, 921)]
    assert max(one_arm(perfect, 0.005, (1e-9,))) == pytest.approx(log(100), rel=0.01)
    assert max(one_arm(perfect, 0.005, SAFE_RATIOS)) < log(100)


@given(LOGS)
def test_naming_by_closed_testing_never_says_more_than_the_signal_itself(
    logs: list[float],
) -> None:
    named = closed(logs)
    assert all(value <= own + 1e-9 for value, own in zip(named, logs, strict=True))
    assert all(value <= log_mean(logs) + 1e-9 for value in named)


@given(LOGS)
def test_closed_testing_takes_the_least_mean_over_all_sets(logs: list[float]) -> None:
    sets = [[i for i in range(len(logs)) if mask >> i & 1] for mask in range(1, 1 << len(logs))]
    brute = [
        min(log_mean([logs[j] for j in chosen]) for chosen in sets if i in chosen)
        for i in range(len(logs))
    ]
    assert closed(logs) == pytest.approx(brute)


@given(
    st.lists(st.tuples(st.sampled_from([1.0, 0.125]), st.floats(-50, 50)), min_size=1, max_size=5)
)
def test_closed_testing_of_weighed_signals_takes_the_least_mean_too(
    signals: list[tuple[float, float]],
) -> None:
    sets = [
        [signal for i, signal in enumerate(signals) if mask >> i & 1]
        for mask in range(1, 1 << len(signals))
    ]
    brute = [
        min(log_weighted_mean(*zip(*chosen, strict=True)) for chosen in sets if own in chosen)
        for own in signals
    ]
    weights, logs = zip(*signals, strict=True)
    assert closed(logs, weights) == pytest.approx(brute)


def test_sums_of_logarithms_neither_overflow_nor_vanish() -> None:
    assert log_sum([]) == float("-inf")
    assert log_sum([5000.0, 5000.0]) == pytest.approx(5000 + log(2))
    assert log_sum([-9000.0, float("-inf")]) == -9000


@given(st.integers(0, 5000))
def test_the_least_count_is_found(threshold: int) -> None:
    assert least(lambda n: n >= threshold) == threshold


def test_a_count_that_is_never_enough_is_none() -> None:
    assert least(lambda _: False) is None


def test_a_service_level_that_most_requests_may_miss_is_still_found_to_be_missed() -> None:
    failing = [ScoreCount(0.5, True, 1.0, 50)]
    assert min(one_arm(failing, 0.6, LEVEL_RATIOS)) > log(100)


def test_of_requests_that_did_not_fail_the_bets_on_one_arm_lose() -> None:
    good = [ScoreCount(0.5, True, 0.0, 50), ScoreCount(0.5, False, 1.0, 1000)]
    assert max(one_arm(good, 0.1, LEVEL_RATIOS)) < 0
    assert min(one_arm(good, 0.1, SAFE_RATIOS)) > 0
