"""Bins, and the bets on them."""

from math import exp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.validators.canary.traffic import history, requests
from validators.canary import latency
from validators.canary.latency import EXPERTS, PASSES, Bins
from validators.canary.policy import Statistic

KNOWN = [each.latency for each in history()]
BINS = latency.learn(KNOWN)
PLACES = len(BINS.reference)
SAMPLES = st.lists(st.floats(0, 60), min_size=latency.LEARN_FROM, max_size=latency.LEARN_FROM + 50)


def one(place: int) -> tuple[int, ...]:
    return tuple(int(i == place) for i in range(PLACES))


def mean_wealth(share: float, stable: list[float], canary: list[float]) -> list[float]:
    """Each expert's mean wealth after one request whose bin is drawn with these chances."""
    means = [0.0] * EXPERTS
    for place in range(PLACES):
        nothing = (0,) * PLACES
        for chance, counted in (
            ((1 - share) * stable[place], (share, one(place), nothing)),
            (share * canary[place], (share, nothing, one(place))),
        ):
            logs = latency.wealth(BINS, [counted])
            means = [m + chance * exp(s) for m, s in zip(means, logs, strict=True)]
    return means


def chances(weights: list[float]) -> list[float]:
    return [weight / sum(weights) for weight in weights]


WEIGHTS = st.lists(st.floats(0.01, 1), min_size=PLACES, max_size=PLACES)


@given(st.floats(0.01, 0.99), WEIGHTS)
@settings(max_examples=10, deadline=None)
def test_without_a_difference_the_bets_win_nothing_however_wrong_the_bins(
    share: float, weights: list[float]
) -> None:
    same = chances(weights)
    assert mean_wealth(share, same, same) == pytest.approx([1.0] * EXPERTS)


@given(st.floats(0.01, 0.99), WEIGHTS, st.integers(1, PLACES - 1))
@settings(max_examples=10, deadline=None)
def test_a_canary_that_is_faster_everywhere_loses_on_average(
    share: float, weights: list[float], bins: int
) -> None:
    stable = chances(weights)
    canary = [sum(stable[: bins + 1]), *stable[bins + 1 :], *[0.0] * bins]
    assert max(mean_wealth(share, stable, canary)) <= 1 + 1e-9


@given(SAMPLES)
@settings(max_examples=40, deadline=None)
def test_bins_hold_every_latency_they_were_learned_from(known: list[float]) -> None:
    bins = latency.learn(known)
    assert sum(bins.reference) == len(known)
    assert list(bins.edges) == sorted(set(bins.edges))
    assert len(bins.reference) == len(bins.edges) + 1 <= 85
    logs = latency.wealth(bins, [(0.3, bins.reference, bins.reference)])
    assert all(abs(value) < 1e6 for value in logs)


def test_equal_latencies_make_bins_that_still_tell_slower_ones() -> None:
    bins = latency.learn([0.05] * latency.LEARN_FROM)
    assert bins.place(0.05) == 0 < bins.place(0.06) < bins.place(1.0) < bins.place(9.0)


def test_quantiles_come_back_to_the_resolution_of_the_bins() -> None:
    counts = [0] * PLACES
    seen = sorted(each.latency for each in requests(5, 100))
    for value in seen:
        counts[BINS.place(value)] += 1
    for level in (0.5, 0.9, 0.99):
        exact = seen[int(level * len(seen))]
        assert latency.quantile(BINS, counts, level) == pytest.approx(exact, rel=0.05)
    assert latency.mean(BINS, counts) == pytest.approx(sum(seen) / len(seen), rel=0.05)


def test_of_nothing_there_is_no_quantile() -> None:
    assert latency.quantile(BINS, [0] * PLACES, 0.5) is None
    assert latency.mean(BINS, [0] * PLACES) is None


def test_the_share_above_an_edge_is_that_of_its_level() -> None:
    for level in (0.5, 0.9, 0.99, 0.999):
        share = latency.tail(BINS, latency.edge(BINS, level))
        assert share == pytest.approx(1 - level, abs=0.001)


@pytest.mark.parametrize("statistic", ["mean", "p50", "p90", "p99"])
def test_the_weights_of_the_experts_are_one(statistic: Statistic) -> None:
    assert sum(map(exp, latency.prior(statistic))) == pytest.approx(1)
    assert len(latency.prior(statistic)) == EXPERTS


def test_while_bins_are_learned_nothing_is_bet() -> None:
    assert latency.wealth(None, []) == [0.0] * EXPERTS


def test_dividing_the_known_latencies_moves_them_down() -> None:
    moved = latency.faster(BINS, BINS.reference, 1.5)
    assert sum(moved) == len(KNOWN)
    assert latency.quantile(BINS, [round(n) for n in moved], 0.5) == pytest.approx(
        (latency.quantile(BINS, BINS.reference, 0.5) or 0) / 1.5, rel=0.05
    )


def test_bins_are_values() -> None:
    assert Bins.model_validate_json(BINS.model_dump_json()) == BINS
    assert hash(BINS) == hash(latency.learn(KNOWN))


def test_a_quantile_within_the_first_bin_is_below_its_edge() -> None:
    counts = [10, *[0] * (PLACES - 1)]
    assert latency.quantile(BINS, counts, 0.5) == pytest.approx(BINS.edges[0] / 2)
    assert latency.quantile(BINS, [1, *counts[1:]], 0.5) == pytest.approx(BINS.edges[0] / 2)


@pytest.mark.parametrize(("statistic", "level"), [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)])
def test_what_promotes_a_quantile_is_the_share_above_it(statistic: Statistic, level: float) -> None:
    scores = latency.scores(BINS, statistic)
    slow = sum(n * score for n, score in zip(BINS.reference, scores, strict=True))
    assert slow / len(KNOWN) == pytest.approx(1 - level, abs=0.001)


def test_of_a_request_without_an_answer_only_the_bets_on_the_far_tail_say_anything() -> None:
    hangs = tuple(int(passed == PASSES - 1) for passed in range(PASSES))
    gained = latency.wealth(BINS, [], [(0.5, (0,) * PASSES, hangs)])
    betting = {level for level, won in zip(latency.levels(), gained, strict=True) if won}
    assert betting == {0.99, 0.999}
