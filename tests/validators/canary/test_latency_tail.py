"""A latency names the part of the distribution that is slower, and how many callers it hurt."""

from collections.abc import Iterator
from random import Random

import pytest

from specs.figures import milliseconds, relative
from specs.traffic import Arm, Exchange
from tests.validators.canary.traffic import history, requests
from validators.canary import (
    CanaryDecision,
    CanaryPolicy,
    CanaryState,
    Judgement,
    Latency,
    begin,
    headline,
    judge,
    report,
    update,
)
from validators.canary.impact import harm
from validators.canary.latency_tail import SlowAnswers, Tail, tail_of

P99 = CanaryPolicy(latencies=(Latency(statistic="p99", margin=0.2),))


def slowed(
    share: float, factor: float, *, after: float = 0.0, seconds: float = 900.0
) -> Iterator[Exchange]:
    """Traffic of which a share of the canary's answers takes `factor` times as long."""
    random = Random(3)
    for each in requests(3, seconds, share=0.2):
        slow = each.arm is Arm.CANARY and each.at >= after and random.random() < share
        yield each._replace(latency=each.latency * factor) if slow else each


def convicted(
    traffic: Iterator[Exchange], policy: CanaryPolicy = P99
) -> tuple[Judgement, CanaryState]:
    """The judgement at the first look, of two a second, that rolls back."""
    state = begin(policy, history(), 0.0)
    for each in traffic:
        state = update(state, [each])
        if each.seq % 50 == 0:
            judgement = judge(state, each.at)
            if judgement.decision is CanaryDecision.ROLLBACK:
                return judgement, state
    raise AssertionError("it is not rolled back")


def tail(state: CanaryState, signal: str = "latency_p99") -> Tail:
    found = tail_of(state, signal)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("share", "factor", "name"),
    [
        (0.004, 50.0, "beyond p99.9"),
        (0.2, 3.0, "beyond p99"),
        (1.0, 2.0, "throughout"),
    ],
)
def test_what_convicts_is_named_with_the_shares_of_both_arms_beyond_it(
    share: float, factor: float, name: str
) -> None:
    judgement, state = convicted(slowed(share, factor))
    found = tail(state)
    assert found.name == name
    assert found.canary.share > 1.3 * found.stable.share
    assert found.allowed == pytest.approx(1.2 * found.beyond)
    check = report(judgement, "x", state).checks[0]
    assert check.message.startswith(f"slower {name}: ")
    assert f"latency_p99 ({name})" in headline(judgement, state)


def test_a_p99_within_its_limit_that_is_rolled_back_is_no_contradiction() -> None:
    """p99 itself is up by less than 20 %; the evidence is further out in the tail."""
    judgement, state = convicted(slowed(0.004, 50.0))
    canary, stable = judgement.canary.p99, judgement.stable.p99
    assert canary is not None
    assert stable is not None
    assert canary / stable < 1.2
    check = report(judgement, "x", state).checks[0]
    assert check.limit == "no quantile slower by more than 20 %"
    assert check.message.startswith(
        "slower beyond p99.9: 0.51 % of its answers took longer than 288 ms (240 ms and the "
        "allowed 20 %), 0.08 % of stable's longer than 240 ms; "
    )
    assert f"p99 {relative(canary / stable - 1)}" in check.message


def test_a_canary_that_became_slow_under_way_is_said_to_have() -> None:
    good = update(begin(P99, history(), 0.0), slowed(0.0, 1.0, seconds=240.0))
    bad = [each._replace(at=240.0 + each.at) for each in slowed(0.3, 3.0, seconds=20.0)]
    late = tail(update(good, bad))
    assert late.late
    assert str(late).endswith("; it became so while the canary ran")
    early = tail(update(begin(P99, history(), 0.0), slowed(0.3, 3.0, seconds=240.0)))
    assert not early.late
    assert "it became so" not in str(early)


def test_a_canary_that_is_looked_at_in_its_first_minute_has_not_become_slow() -> None:
    state = update(begin(P99, history(), 0.0), slowed(0.3, 3.0, seconds=50.0))
    assert not tail(state).late
    brief = P99.model_copy(update={"deadline": 50.0})
    assert not tail(update(begin(brief, history(), 0.0), slowed(0.3, 3.0, seconds=50.0))).late


def test_a_signal_without_bins_or_latency_has_no_tail() -> None:
    state = begin(P99, [], 0.0)
    assert tail_of(state, "latency_p99") is None
    assert tail_of(begin(P99, history(), 0.0), "errors") is None


def test_who_was_hurt_is_counted_as_failed_and_as_slow() -> None:
    judgement, state = convicted(slowed(0.2, 3.0))
    found = tail(state)
    slow, canary = found.canary, judgement.canary
    assert harm(judgement, state).startswith(
        f"{slow.slower:,} of {slow.answers:,} of the canary's answers took longer than "
        f"{milliseconds(found.allowed)}; "
        f"{canary.errors:,} of {canary.requests:,} requests to the canary failed ("
    )
    failing, state = convicted(requests(1, 60, share=0.2, errors=(0.001, 0.2)))
    assert harm(failing, state).startswith(
        f"{failing.canary.errors:,} of {failing.canary.requests:,} requests to the canary failed ("
    )
    assert "took longer" not in harm(failing, state)


def test_before_the_first_request_nobody_was_hurt() -> None:
    state = begin(P99, history(), 0.0)
    assert harm(judge(state, 1.0), state) == "none, as no request had reached it"


def test_callers_that_were_refused_are_counted_as_that() -> None:
    judgement, state = convicted(requests(1, 60, share=0.2, refused=(0.0, 0.9)))
    refused = judgement.canary.seen.statuses[422]
    said = f"the canary answered 422 to {refused:,} of {judgement.canary.requests:,} requests ("
    assert harm(judgement, state).startswith(said)


def test_a_state_that_was_stored_before_it_counted_all_this_has_no_tail() -> None:
    _, state = convicted(slowed(0.2, 3.0))
    assert tail_of(state.model_copy(update={"format": 1}), "latency_p99") is None


def test_of_no_answers_none_is_slow() -> None:
    assert SlowAnswers(0, 0).share == 0
