"""The promises, on seeded traffic: how often the judge may be wrong, and how soon it is right.

Small on purpose, and fixed by their seeds; `benchmarks/judge.py` measures the same at length.
"""

from collections.abc import Iterator
from math import sqrt
from statistics import median

from specs.traffic import Arm, Exchange
from tests.validators.canary.traffic import history, requests
from validators.canary import CanaryDecision, CanaryPolicy, CanaryState, begin, judge, update

HISTORY = history()
CANARIES = 40
LOOKS = 30
"""Each after four seconds of traffic."""
EAGER = CanaryPolicy(false_rollback=0.1, false_promotion=0.1, minimum_bake=1e6, deadline=1800)


def ramped(seed: int, errors: tuple[float, float]) -> Iterator[list[Exchange]]:
    """A ramp over three shares, with errors of both arms that rise to five times and fall."""
    for look in range(LOOKS):
        hour = 5 if look % 10 < 3 else 1
        yield list(
            requests(
                1000 * seed + look,
                4.0,
                rate=25,
                share=(0.05, 0.25, 0.5)[look * 3 // LOOKS],
                errors=(hour * errors[0], hour * errors[1]),
                start=4.0 * look,
            )
        )


def z_score(state: CanaryState) -> float:
    """The decision of a two-proportion test on the same counts."""
    (n1, e1), (n0, e0) = (
        (state.requests(arm), state.errors(arm)) for arm in (Arm.CANARY, Arm.STABLE)
    )
    pooled = (e1 + e0) / (n1 + n0) if n1 and n0 else 0.0
    deviation = sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n0)) if pooled else 0.0
    return (e1 / n1 - e0 / n0) / deviation if deviation else 0.0


def test_a_canary_that_is_no_worse_is_rolled_back_no_more_often_than_promised() -> None:
    ours = naive = 0
    for seed in range(CANARIES):
        state, decisions, scores = begin(EAGER, HISTORY, 0.0), set(), [0.0]
        for look, traffic in enumerate(ramped(seed, (0.01, 0.01)), 1):
            state = update(state, traffic)
            decisions.add(judge(state, 4.0 * look).decision)
            scores.append(z_score(state))
        ours += CanaryDecision.ROLLBACK in decisions
        naive += max(scores) > 1.282  # the same chance of 10 %, if it were looked at once
    assert ours <= CANARIES * EAGER.false_rollback
    assert naive > 2 * CANARIES * EAGER.false_rollback


def test_a_canary_that_is_worse_by_the_margin_is_promoted_no_more_often_than_promised() -> None:
    promoted = 0
    for seed in range(CANARIES):
        state, safe = begin(EAGER, HISTORY, 0.0), False
        for look in range(10):
            state = update(
                state,
                requests(
                    seed * 100 + look, 4, rate=50, share=0.5, errors=(0.001, 0.0061),
                    start=4.0 * look,
                ),
            )  # fmt: skip
            errors = [each for each in judge(state, 4.0 * look).evidence if each.signal == "errors"]
            safe = safe or errors[0].safe
        promoted += safe
    assert promoted <= CANARIES * EAGER.false_promotion


def test_tenfold_errors_are_found_in_half_the_canaries_within_two_minutes() -> None:
    policy, times = CanaryPolicy(deadline=1800), []
    for seed in range(9):
        state, found = begin(policy, HISTORY, 0.0), float("inf")
        for second in range(0, 300, 5):
            traffic = requests(seed * 1000 + second, 5, errors=(0.001, 0.01), start=float(second))
            state = update(state, traffic)
            if judge(state, second + 5.0).decision is CanaryDecision.ROLLBACK:
                found = second + 5.0
                break
        times.append(found)
    assert median(times) <= 120
