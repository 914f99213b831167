"""Counts in windows: the promises hold as for records, and where they cannot, the judge says so."""

import random
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import inf

import pytest

from specs.traffic import Arm, ArmWindow, Exchange, LatencyBucket, Split, TrafficWindow
from validators.canary import (
    CanaryDecision,
    CanaryPolicy,
    CanaryState,
    Judgement,
    begin,
    begin_counting,
    count,
    headline,
    judge,
    latency,
    report,
    update,
)
from validators.canary.latency import Bins
from validators.verdict import Verdict

BOUNDS = tuple(0.01 * 1.15**n for n in range(24))
SECONDS = 15.0
ERRORS_ONLY = CanaryPolicy(
    latencies=(), false_rollback=0.1, false_promotion=0.1, minimum_bake=60.0, deadline=1800
)


def arm(draw: random.Random, requests: int, errors: float, slower: float = 1.0) -> ArmWindow:
    """What an arm answered: each request fails by itself, latencies are log-normal."""
    failed = sum(draw.random() < errors for _ in range(requests))
    known = [slower * draw.lognormvariate(-3.0, 0.5) for _ in range(requests - failed)]
    bounds = (0.0, *BOUNDS, inf)
    return ArmWindow(
        requests=requests,
        errors=failed,
        latencies=tuple(
            LatencyBucket(
                up_to=high if high < inf else None, count=sum(low < one <= high for one in known)
            )
            for low, high in pairwise(bounds)
        ),
    )


def windows(
    seed: int,
    many: int,
    *,
    requests: int = 150,
    weight: Sequence[float] = (0.25,),
    errors: tuple[float, float] = (0.01, 0.01),
    slower: float = 1.0,
    split: Split = "draw",
    start: float = 0.0,
) -> Iterator[TrafficWindow]:
    """Windows of a gateway that draws, or takes turns. Errors are those of stable and canary, and
    rise to five times in every fifth window of both."""
    draw = random.Random(seed)
    turns = 0.0
    for seq in range(many):
        share = weight[seq * len(weight) // many]
        some = draw.randrange(requests // 2, requests * 3 // 2)
        turns += share * some
        canary = int(turns) if split == "turns" else sum(draw.random() < share for _ in range(some))
        turns -= int(turns)
        hour = 5 if seq % 5 == 0 else 1
        at = start + SECONDS * seq
        yield TrafficWindow(
            seq=seq,
            start=at,
            end=at + SECONDS,
            weight=share,
            stable=arm(draw, some - canary, hour * errors[0]),
            canary=arm(draw, canary, hour * errors[1], slower),
        )


def history(seed: int = 0) -> list[TrafficWindow]:
    """Stable alone, before the canary."""
    return list(windows(seed, 20, weight=(0.0,), start=-20 * SECONDS))


def begun(policy: CanaryPolicy = ERRORS_ONLY, split: Split = "draw") -> CanaryState:
    return begin_counting(policy, history(), 0.0, split)


def decisions(state: CanaryState, seen: Sequence[TrafficWindow]) -> set[CanaryDecision]:
    """What the judge says after every window."""
    found = set()
    for window in seen:
        state = count(state, [window])
        found.add(judge(state, window.end).decision)
    return found


def after(state: CanaryState, seen: Sequence[TrafficWindow]) -> tuple[CanaryState, Judgement]:
    state = count(state, seen)
    return state, judge(state, seen[-1].end)


def test_a_canary_that_is_no_worse_is_rolled_back_no_more_often_than_promised() -> None:
    weights, rolled_back = (0.05, 0.25, 0.5), 0
    for seed in range(100):
        seen = list(windows(seed, 60, weight=weights, requests=80))
        rolled_back += CanaryDecision.ROLLBACK in decisions(begun(), seen)
    assert rolled_back <= 100 * ERRORS_ONLY.false_rollback


def test_fivefold_errors_are_found_from_counts() -> None:
    found = 0
    for seed in range(20):
        seen = list(windows(seed, 60, errors=(0.01, 0.05)))
        found += CanaryDecision.ROLLBACK in decisions(begun(), seen)
    assert found >= 18


def test_a_canary_like_stable_is_promoted_from_counts() -> None:
    _, judged = after(begun(), list(windows(1, 240, errors=(0.0005, 0.0005))))
    assert judged.decision is CanaryDecision.PROMOTE
    assert judged.basis.startswith("counts in 240 windows of 15 s, ")
    assert "counts in 240 windows of 15 s" in report(judged, "mean 7").notes[1]


def test_windows_give_the_same_evidence_however_they_are_cut() -> None:
    seen = list(windows(3, 30, errors=(0.01, 0.03)))
    policy = ERRORS_ONLY.model_copy(update={"deadline": 60.0})  # no restarts: those are by minute
    whole, _ = after(begun(policy), seen)
    cut = begun(policy)
    for window in seen:
        for piece in (window.stable, None), (None, window.canary):
            part = TrafficWindow(
                seq=0,
                start=window.start,
                end=window.end,
                weight=window.weight,
                stable=piece[0] or ArmWindow(),
                canary=piece[1] or ArmWindow(),
            )
            cut = count(cut, [part])
    assert judge(cut, 450).log_worse == judge(whole, 450).log_worse


@pytest.mark.parametrize("weight", [0.05, 0.25, 0.5])
def test_a_gateway_that_takes_turns_is_detected_within_minutes(weight: float) -> None:
    for seed in range(10):
        state, judged = after(
            begun(), list(windows(seed, 40, weight=(weight,), split="turns", errors=(0.01, 0.3)))
        )
        assert state.too_even
        assert judged.decision is CanaryDecision.WAIT, "thirtyfold errors, but not comparable"
        assert "too even for random draws" in headline(judged)


def test_draws_are_not_taken_for_turns() -> None:
    for seed in range(60):
        state, _ = after(begun(), list(windows(seed, 60, weight=(0.05, 0.25, 0.5), requests=40)))
        assert not state.too_even


def test_where_turns_are_declared_a_service_level_still_rolls_back_and_promotes() -> None:
    policy = ERRORS_ONLY.model_copy(update={"errors_at_most": 0.05, "errors_margin": None})
    bad = list(windows(5, 60, split="turns", errors=(0.01, 0.1)))
    good = list(windows(5, 60, split="turns", errors=(0.001, 0.001)))
    assert CanaryDecision.ROLLBACK in decisions(begun(policy, "turns"), bad)
    assert after(begun(policy, "turns"), good)[1].decision is CanaryDecision.PROMOTE


def test_declared_turns_leave_a_comparison_inconclusive_and_say_why_and_what_to_do() -> None:
    policy = CanaryPolicy(deadline=600.0, minimum_bake=60.0)
    _, judged = after(begun(policy, "turns"), list(windows(6, 60, split="turns")))
    assert judged.decision is CanaryDecision.INCONCLUSIVE
    said = headline(judged)
    assert said.startswith("Not judged: the target assigns requests in turn (`split: turns`)")
    assert "latency_p99 cannot be compared with stable's" in said
    assert report(judged, "mean 7").verdict is Verdict.INCONCLUSIVE


def test_counts_of_sticky_sessions_prove_nothing() -> None:
    policy = ERRORS_ONLY.model_copy(update={"errors_at_most": 0.05})
    _, judged = after(begun(policy, "units"), list(windows(7, 60, errors=(0.01, 0.5))))
    assert judged.decision is CanaryDecision.WAIT
    assert "`split: units`" in headline(judged)


LATENCY = CanaryPolicy(
    errors_margin=None, false_rollback=0.1, false_promotion=0.1, minimum_bake=60.0, deadline=1800
)


def test_a_slow_canary_is_rolled_back_by_its_buckets_and_a_like_one_is_not() -> None:
    slow = list(windows(8, 60, slower=2.0))
    assert CanaryDecision.ROLLBACK in decisions(begun(LATENCY), slow)
    alike = sum(
        CanaryDecision.ROLLBACK in decisions(begun(LATENCY), list(windows(seed, 40)))
        for seed in range(20)
    )
    assert alike <= 20 * LATENCY.false_rollback


def test_a_canary_as_slow_as_the_margin_is_not_rolled_back_by_where_its_buckets_lie() -> None:
    at_margin = sum(
        CanaryDecision.ROLLBACK in decisions(begun(LATENCY), list(windows(seed, 40, slower=1.2)))
        for seed in range(20)
    )
    assert at_margin <= 20 * LATENCY.false_rollback


def test_a_canary_as_fast_as_stable_is_promoted_if_its_buckets_are_fine_enough() -> None:
    wide = LATENCY.model_copy(
        update={"latencies": (LATENCY.latencies[0].model_copy(update={"margin": 0.5}),)}
    )
    state, judged = after(begun(wide), list(windows(9, 200, weight=(0.5,))))
    assert judged.limits == ""
    assert judged.decision is CanaryDecision.PROMOTE
    assert judged.canary.p50 == pytest.approx(0.05, rel=0.1)
    narrow = LATENCY.model_copy(
        update={"latencies": (LATENCY.latencies[0].model_copy(update={"margin": 0.05}),)}
    )
    state, judged = after(begun(narrow), list(windows(9, 200, weight=(0.5,))))
    assert judged.decision is CanaryDecision.INCONCLUSIVE
    assert "too far apart to show a difference below 5 %" in judged.limits
    assert state.bins is not None


@pytest.mark.parametrize("lacking", [0.0, 0.5])
def test_latencies_of_stable_alone_are_no_evidence_against_a_canary(lacking: float) -> None:
    """As where the counters of a new version's buckets are not read yet."""

    def without(seen: ArmWindow) -> ArmWindow:
        left = [
            bucket.model_copy(update={"count": int(bucket.count * lacking)})
            for bucket in seen.latencies
        ]
        return seen.model_copy(update={"latencies": tuple(left) if lacking else ()})

    seen = [
        one.model_copy(update={"canary": without(one.canary)})
        for one in windows(3, 40, errors=(0.0, 0.0))
    ]
    state, judged = after(begun(LATENCY), seen)
    assert judged.decision is not CanaryDecision.ROLLBACK
    assert [sum(one.stable.buckets) for one in state.strata] == [0]


def _in_buckets(counts: Sequence[int], bounds: Sequence[float]) -> ArmWindow:
    buckets = tuple(
        LatencyBucket(up_to=bound, count=count)
        for bound, count in zip((*bounds, None), counts, strict=True)
    )
    return ArmWindow(requests=sum(counts), latencies=buckets)


def _with_latencies(
    policy: CanaryPolicy, counts: Sequence[int], bounds: Sequence[float]
) -> Judgement:
    """What is judged of two arms with the same counts per bucket."""
    one = _in_buckets(counts, bounds)
    seen = [
        TrafficWindow(
            seq=n, start=SECONDS * n, end=SECONDS * (n + 1), weight=0.5, stable=one, canary=one
        )
        for n in range(60)
    ]
    before = TrafficWindow(
        seq=0, start=-SECONDS, end=0.0, weight=0.0, canary=ArmWindow(),
        stable=_in_buckets([20 * count for count in counts], bounds),
    )  # fmt: skip
    return after(begin_counting(policy, [before], 0.0, "draw"), seen)[1]


def test_a_quantile_within_a_wide_bucket_below_its_edge_is_not_shown() -> None:
    wide = LATENCY.model_copy(
        update={"latencies": (LATENCY.latencies[0].model_copy(update={"margin": 0.5}),)}
    )
    judged = _with_latencies(wide, [400, 575, 22, 1, 1, 1], (0.05, 0.1, 0.5, 0.55, 0.6))
    assert judged.decision is not CanaryDecision.PROMOTE
    assert "buckets end at 0.1 s and 0.5 s" in judged.limits


def test_a_mean_is_not_shown_by_buckets() -> None:
    of_mean = LATENCY.model_copy(
        update={
            "latencies": (
                LATENCY.latencies[0].model_copy(update={"statistic": "mean", "margin": 0.5}),
            )
        }
    )
    judged = _with_latencies(of_mean, [400, 600, 0, 0], (0.1, 1.0, 2.0))
    assert judged.decision is not CanaryDecision.PROMOTE
    assert judged.limits == "Buckets do not show a mean: watch a quantile, such as `latency_p99`."


def test_a_canary_slower_than_the_margin_is_promoted_no_more_often_than_promised() -> None:
    wide = LATENCY.model_copy(
        update={"latencies": (LATENCY.latencies[0].model_copy(update={"margin": 0.5}),)}
    )
    wrong = sum(
        CanaryDecision.PROMOTE
        in decisions(begun(wide), list(windows(seed, 60, weight=(0.5,), slower=1.5)))
        for seed in range(20)
    )
    assert wrong <= 20 * LATENCY.false_promotion


@pytest.mark.parametrize("factor", [1.0, 1.2, 1.5, 2.0, 3.7])
def test_a_latency_known_to_its_bucket_is_placed_around_where_it_would_be(factor: float) -> None:
    bins = Bins(edges=(0.01, 0.02, 0.04, 0.05, 0.4, 1.0), reference=(1,) * 7)
    draw = random.Random(1)
    for _ in range(500):
        known = draw.lognormvariate(-2.5, 1.5)
        counts = [0] * 7
        counts[bins.place(known)] = 1
        low, high = (latency.placed(bins, counts, factor, up=up).index(1) for up in (False, True))
        assert low <= bins.place(known / factor) <= high


def records(seed: int, many: int, *, turns: bool) -> list[Exchange]:
    draw = random.Random(seed)
    arms = [n % 4 == 0 if turns else draw.random() < 0.25 for n in range(many)]
    return [
        Exchange(n, n / 10, Arm.CANARY if canary else Arm.STABLE, 0.25, 200, 0.01)
        for n, canary in enumerate(arms)
    ]


@pytest.mark.parametrize(
    ("split", "turns", "detected"),
    [("draw", True, True), ("draw", False, False), (None, True, False)],
)
def test_turns_are_detected_in_records_too_unless_headgates_own_router_drew(
    split: Split | None, turns: bool, detected: bool
) -> None:
    state = update(begin(ERRORS_ONLY, (), 0.0, split), records(1, 2000, turns=turns))
    assert bool(judge(state, 200.0).undrawn) is detected
    assert judge(state, 200.0).basis == "records of 2,000 requests"


def test_windows_without_latencies_are_said_to_have_none() -> None:
    seen = [
        TrafficWindow(
            seq=0, start=0, end=SECONDS, weight=0.5,
            stable=ArmWindow(requests=9), canary=ArmWindow(requests=9),
        )
    ]  # fmt: skip
    _, judged = after(begin_counting(LATENCY, (), 0.0, "draw"), seen)
    assert judged.limits == "Its windows have no latencies, so latency signals cannot be judged."


def test_what_a_state_learned_of_windows_survives_being_stored() -> None:
    state, _ = after(begun(LATENCY), list(windows(10, 20)))
    assert CanaryState.model_validate_json(state.model_dump_json()) == state
