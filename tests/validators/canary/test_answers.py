"""A canary whose answers differ from stable's: refused, empty, another type, another size."""

from collections.abc import Callable, Iterable
from math import exp, inf
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specs.figures import percent
from specs.traffic import Arm, Exchange
from tests.validators.canary.traffic import exchange, history, requests
from validators.canary import (
    CanaryDecision,
    CanaryPolicy,
    Judgement,
    Latency,
    begin,
    judge,
    report,
    update,
)
from validators.canary.answers import GoodAnswer, learn
from validators.canary.betting import TOLERATED, ScoreCount
from validators.canary.evidence import headline
from validators.canary.record import TOLD
from validators.canary.signal_bets import (
    counted,
    log_safety,
    next_request,
    safety,
    safety_prior,
)
from validators.verdict import Verdict

HISTORY = history()
POLICY = CanaryPolicy(minimum_bake=60, deadline=1800)
ERRORS = CanaryPolicy(latencies=(), minimum_bake=60, deadline=1800)


def judged(traffic: Iterable[Exchange], at: float, policy: CanaryPolicy = POLICY) -> Judgement:
    return judge(update(begin(policy, HISTORY, 0.0), traffic), at)


def answering(
    change: Callable[[Exchange, Random], Exchange], seconds: float = 200.0, share: float = 0.5
) -> list[Exchange]:
    """Traffic with the canary's answers changed by `change`."""
    random = Random(9)
    return [
        change(each, random) if each.arm is Arm.CANARY and each.status == 200 else each
        for each in requests(5, seconds, share=share)
    ]


def changed(**fields: object) -> Callable[[Exchange, Random], Exchange]:
    return lambda each, _: each._replace(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [422, 401, 404, 429])
@pytest.mark.parametrize("policy", [POLICY, ERRORS], ids=["with latency", "errors only"])
def test_a_canary_that_refuses_what_stable_answers_is_rolled_back(
    status: int, policy: CanaryPolicy
) -> None:
    traffic = requests(1, 20, share=0.05, refused=(0.0, 0.98), refusal=status)
    judgement = judged(traffic, 20.0, policy)
    assert judgement.decision is CanaryDecision.ROLLBACK
    assert [each.signal for each in judgement.evidence if each.guilty] == ["refusals"]


def test_a_tenth_of_refusals_that_stable_gives_as_well_does_no_harm() -> None:
    judgement = judged(requests(2, 300, share=0.5, refused=(0.1, 0.1)), 300.0)
    assert judgement.decision is CanaryDecision.PROMOTE


def test_a_canary_that_refuses_five_in_a_hundred_more_is_rolled_back() -> None:
    judgement = judged(requests(3, 300, share=0.5, refused=(0.01, 0.06)), 300.0)
    assert judgement.decision is CanaryDecision.ROLLBACK


@pytest.mark.parametrize("status", [302, 101, 304, 600])
def test_a_canary_that_redirects_or_answers_with_an_unknown_status_is_rolled_back(
    status: int,
) -> None:
    traffic = requests(1, 20, share=0.05, refused=(0.0, 0.9), refusal=status)
    judgement = judged(traffic, 20.0)
    assert judgement.decision is CanaryDecision.ROLLBACK
    assert [each.signal for each in judgement.evidence if each.guilty] == ["other_statuses"]


def test_what_counts_as_an_error_is_the_teams_to_say() -> None:
    policy = POLICY.model_copy(update={"counts": ("no_answer", "5xx", "422")})
    judgement = judged(requests(1, 20, share=0.05, refused=(0.0, 0.98)), 20.0, policy)
    assert [each.signal for each in judgement.evidence if each.guilty] == ["errors"]


def test_refusals_that_are_not_watched_do_not_roll_back() -> None:
    policy = POLICY.model_copy(update={"refusals_margin": None})
    assert judged(requests(1, 200, share=0.5, refused=(0, 0.9)), 200.0, policy).decision in (
        CanaryDecision.PROMOTE,
        CanaryDecision.WAIT,
    )


def test_the_statuses_are_named_with_how_often_each_arm_gave_them() -> None:
    judgement = judged(requests(1, 20, share=0.05, refused=(0.0, 0.98)), 20.0)
    told = report(judgement, "x").checks[0]
    canary, stable = judgement.canary, judgement.stable
    assert (
        f"the canary answered 422 to {canary.seen.statuses[422]:,} of {canary.requests:,} requests "
        f"({percent(canary.seen.statuses[422] / canary.requests)}), stable to 0 of "
        f"{stable.requests:,} requests (0 %)" in told.message
    )
    assert (told.name, told.verdict) == ("refusals", Verdict.FAIL)


HTML = changed(content="text/html", size=700)


@pytest.mark.parametrize(
    ("change", "signal"),
    [
        (changed(size=0, content=""), "content"),
        (changed(size=0), "content"),
        (HTML, "content"),
        (changed(content="text/html"), "content"),
        (changed(content="", size=100), "content"),
        (changed(size=2), "size"),
        (changed(size=5000), "size"),
        (lambda each, random: HTML(each, random) if random.random() < 0.05 else each, "content"),
    ],
    ids=["empty", "empty JSON", "HTML", "HTML of that size", "no type", "{}", "huge", "5 % HTML"],
)
def test_a_canary_whose_answers_are_of_another_kind_or_size_is_held_for_a_person(
    change: Callable[[Exchange, Random], Exchange], signal: str
) -> None:
    judgement = judged(answering(change), 200.0)
    assert judgement.decision is CanaryDecision.HOLD
    assert signal in [each.signal for each in judgement.differences if each.guilty]
    told = headline(judgement)
    assert signal in told
    assert "`headgate promote`" in told
    assert "`headgate rollback`" in told
    assert report(judgement, "x").verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    "change",
    [
        lambda each, random: each._replace(size=each.size + random.randint(0, 16)),
        lambda each, _: each._replace(size=each.size * 3 // 2),
        lambda each, _: each._replace(size=each.size * 2 // 3),
        changed(),
    ],
    ids=["more digits", "half as large again", "a third smaller", "the same"],
)
def test_an_honest_retrain_is_promoted_at_the_usual_pace(
    change: Callable[[Exchange, Random], Exchange],
) -> None:
    assert judged(answering(change, 100.0), 100.0).decision is CanaryDecision.PROMOTE


def test_half_an_answer_is_held_where_all_are_cut() -> None:
    judgement = judged(answering(lambda each, _: each._replace(size=each.size // 4)), 200.0)
    assert judgement.decision is CanaryDecision.HOLD


def test_what_is_held_is_told_with_the_values_of_both_arms() -> None:
    judgement = judged(answering(HTML), 200.0)
    check = next(each for each in report(judgement, "x").checks if each.name == "content")
    n = judgement.canary.seen.answers
    assert f"the canary's answers are text/html ({n:,} of {n:,})" in check.message
    assert "stable's answers are application/json (" in check.message
    assert (check.observed, check.baseline) == (1.0, 0.0)


def test_a_canary_that_fails_and_differs_is_rolled_back_and_not_held() -> None:
    traffic = [
        each._replace(size=0) if each.arm is Arm.CANARY else each
        for each in requests(1, 60, errors=(0.001, 0.05))
    ]
    assert judged(traffic, 60.0).decision is CanaryDecision.ROLLBACK


def test_where_stable_gives_no_good_answer_there_is_nothing_to_differ_from() -> None:
    broken = list(requests(1, 100, share=0.5, errors=(1.0, 0.0)))
    policy = ERRORS.model_copy(update={"minimum_bake": 0.0})
    state = update(begin(policy, [], 0.0), broken)
    assert log_safety(state, "content") == log_safety(state, "size") == inf
    assert log_safety(state, "errors") < inf
    judgement = judge(state, 100.0)
    assert judgement.decision is CanaryDecision.PROMOTE


def test_without_history_what_is_usual_is_learned_before_anything_is_held() -> None:
    state = begin(ERRORS, [], 0.0)
    assert state.usual is None
    traffic = answering(HTML)
    judgement = judge(update(state, traffic), 200.0)
    assert judgement.decision is CanaryDecision.HOLD
    assert judgement.usual_kinds == ("application/json",)


def test_a_media_type_is_shown_short_and_printable() -> None:
    judgement = judged(answering(changed(content="\x1b[2J" + "a" * 500)), 200.0)
    told = headline(judgement)
    assert "\x1b" not in told
    assert "a" * 61 not in told


@given(st.integers(0, 10**6), st.sampled_from([0.05, 0.5]))
@settings(max_examples=20, deadline=None)
def test_answers_that_vary_much_and_alike_are_not_held(seed: int, share: float) -> None:
    random = Random(seed)

    def vary(each: Exchange) -> Exchange:
        content = random.choice(["application/json", "application/json", "text/csv", ""])
        return each._replace(size=int(random.lognormvariate(6, 2)), content=content)

    policy = ERRORS.model_copy(update={"false_rollback": 0.001})
    state = begin(policy, [vary(each) for each in HISTORY[:300]], 0.0)
    for second in range(10):
        traffic = requests(seed + second, 1, share=share, start=float(second))
        state = update(state, map(vary, traffic))
        assert judge(state, second + 1.0).decision is not CanaryDecision.HOLD


def test_a_latency_alone_may_be_watched_and_refusals_still_roll_back() -> None:
    policy = CanaryPolicy(errors_margin=None, latencies=(Latency(statistic="mean", margin=0.2),))
    assert (
        judged(requests(1, 20, refused=(0, 0.9)), 20.0, policy).decision is CanaryDecision.ROLLBACK
    )


@given(
    st.floats(0.01, 0.99),
    st.floats(0.0, 0.5),
    st.floats(0.0, 0.3),
    st.sampled_from(["refusals", "other_statuses", "content", "size"]),
)
@settings(max_examples=60, deadline=None)
def test_a_canary_that_is_worse_by_margin_and_half_is_not_promoted_by_what_is_no_error(
    share: float, stable: float, excess: float, signal: str
) -> None:
    state = begin(POLICY, HISTORY[:50], 0.0)
    harmful = max(stable + POLICY.margin(signal), TOLERATED * stable) + excess
    ends = [
        ScoreCount(share, arm, score, weight * chance)
        for arm, weight, rate in ((False, 1 - share, stable), (True, share, min(harmful, 1.0)))
        for score, chance in ((1.0, rate), (0.0, 1 - rate))
    ]
    weights = safety_prior(state, signal)
    mean = sum(
        end.times
        * sum(
            exp(weight + gained)
            for weight, gained in zip(
                weights, safety(state, signal, [end._replace(times=1)]), strict=True
            )
        )
        for end in ends
    )
    assert sum(map(exp, weights)) == pytest.approx(1)
    assert mean <= 1 + 1e-9


def test_a_size_that_stable_gave_itself_is_neither_shorter_nor_longer() -> None:
    usual = learn([GoodAnswer(100, "application/json")] * 20)
    assert not any(usual.sizes(100, None))
    assert usual.sizes(99, None) == [True] * 4 + [False] * 4
    assert usual.sizes(101, None) == [False] * 4 + [True] * 4


def test_the_canary_may_differ_by_its_margin_and_sixteen_bytes_and_stable_by_nothing() -> None:
    usual = learn([GoodAnswer(100, "application/json")] * 20)
    assert not any(usual.sizes(216, 1.0))
    assert any(usual.sizes(217, 1.0))
    assert not any(usual.sizes(42, 1.0))
    assert any(usual.sizes(41, 1.0))
    state = begin(ERRORS, HISTORY, 0.0)
    longest = state.usual.long[0] if state.usual else 0
    seen = [exchange(size=longest + 16), exchange(size=longest + 16, canary=True)]
    (stratum,) = update(state, seen).strata
    assert (stratum.stable.beyond, stratum.canary.beyond) == (1, 0)


def test_beyond_all_that_stable_gave_is_what_is_shorter_or_longer_than_every_answer() -> None:
    state = begin(ERRORS, [each._replace(size=100 + each.seq % 1000) for each in HISTORY], 0.0)
    sizes = {1: 1, 9000: 1, 102: 0, 1098: 0}
    for size, beyond in sizes.items():
        (stratum,) = update(state, [exchange(size=size)]).strata
        assert stratum.stable.beyond == beyond
        assert any(stratum.stable.sizes)


def test_where_nothing_is_held_no_canary_is() -> None:
    policy = POLICY.model_copy(update={"content_margin": None, "size_margin": None})
    judgement = judged(requests(5, 100, share=0.5), 100.0, policy)
    assert (judgement.decision, judgement.differs) == (CanaryDecision.PROMOTE, False)


def test_the_statuses_of_a_class_are_named_the_most_frequent_first() -> None:
    seen = [
        *requests(1, 20, share=0.05, refused=(0.0, 0.9)),
        exchange(at=20, canary=True, status=404),
    ]
    judgement = judged(seen, 20.0)
    refused = judgement.canary.seen.statuses[422]
    assert f": 422 to {refused:,}, 404 to 1)" in report(judgement, "x").checks[0].message


def test_no_more_statuses_are_told_apart_than_a_person_reads() -> None:
    many = [exchange(canary=True, status=status) for status in range(400, 430)]
    told = judged(many, 20.0).canary.seen.statuses
    assert list(told) == list(range(400, 400 + TOLD))


def test_a_signal_nobody_asked_for_is_named_by_what_it_weighs() -> None:
    """Naming a signal takes at least as much evidence as saying that some signal is worse."""
    judgement = judged(requests(1, 3, share=0.05, refused=(0.0, 0.98)), 3.0)
    assert judgement.evidence[0].signal == "refusals"
    assert judgement.evidence[0].log_worse > judgement.log_worse > 0
    assert judgement.evidence[0].log_guilty <= judgement.log_worse


def test_what_stable_refuses_is_expected_to_be_refused_again() -> None:
    refusing = list(requests(2, 40, share=0.0, refused=(0.2, 0.2), errors=(0.1, 0.1), start=-40))
    state = begin(ERRORS, refusing, 0.0)
    for seen in (
        state,
        update(state, requests(3, 40, share=0.5, refused=(0.2, 0.2), errors=(0.1, 0.1))),
    ):
        expected = {
            signal: sum(each.times for each in next_request(seen, signal, 0.5) if each.score)
            for signal in ("errors", "refusals", "other_statuses")
        }
        assert expected == pytest.approx(
            {"errors": 0.1, "refusals": 0.2, "other_statuses": 0}, abs=0.05
        )


def test_any_kind_that_is_usual_of_stable_is_usual_of_the_canary() -> None:
    known = [each._replace(content="text/csv") if each.seq % 2 else each for each in HISTORY]
    state = begin(ERRORS, known, 0.0)
    assert state.usual is not None
    assert set(state.usual.kinds) == {"text/csv", "application/json"}
    for content, unusual in (("text/csv", 0), ("application/json", 0), ("text/html", 1)):
        (stratum,) = update(state, [exchange(canary=True, content=content)]).strata
        assert counted("content", stratum.canary) == (unusual, 1)


def test_an_answer_is_told_of_once() -> None:
    seen = judged([exchange(canary=True, size=70)] * 3, 20.0).canary.seen
    assert (seen.answers, seen.size, seen.kinds) == (3, 210, {"application/json": 3})
