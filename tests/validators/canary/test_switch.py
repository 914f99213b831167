"""After a switch: failed requests against what failed before it."""

from random import Random

import pytest

from specs.figures import percent
from specs.release import BlueGreen
from specs.traffic import Arm, Exchange
from validators.canary import switch
from validators.verdict import Verdict


def rule(**changed: object) -> BlueGreen:
    return BlueGreen.model_validate({"keep_for": "1h", **changed})


def traffic(statuses: list[int], begin: float = 100.0) -> list[Exchange]:
    return [
        Exchange(seq=i, at=begin + i, arm=Arm.STABLE, probability=0.0, status=one, latency=0.01)
        for i, one in enumerate(statuses)
    ]


def watched(before: list[int], after: list[int], **changed: object) -> switch.SwitchWatch:
    one = rule(**changed)
    seen = switch.before(one, traffic(before))
    return switch.update(switch.begin(one, seen, 1000.0), traffic(after, 1000.0))


def draw(random: Random, rate: float, n: int) -> list[int]:
    return [500 if random.random() < rate else 200 for _ in range(n)]


def test_a_version_that_answers_nobody_is_found_within_a_few_requests() -> None:
    assert watched([200] * 1000, [500] * 10).worse
    assert not watched([200] * 1000, [200] * 1000).worse


@pytest.mark.parametrize("before", [3, 20, 300])
def test_the_less_is_known_of_the_former_the_more_may_fail(before: int) -> None:
    few, more = watched([200] * before, []), watched([200] * before * 10, [])
    assert few.level is not None
    assert more.level is not None
    assert few.level > more.level


def test_without_a_request_before_only_a_service_level_is_watched() -> None:
    assert watched([], [500] * 50).level is None
    assert not watched([], [500] * 50).worse
    assert watched([], [500] * 50, errors={"at_most": "5%"}).worse


def test_what_counts_as_a_failure_is_for_the_spec_to_say() -> None:
    assert not watched([200] * 1000, [422] * 50).worse
    assert watched([200] * 1000, [422] * 50, errors={"counts": [422]}).worse


def test_what_came_before_the_switch_is_not_held_against_the_version() -> None:
    one = rule()
    begun = switch.begin(one, switch.before(one, traffic([200] * 1000)), 1000.0)
    assert switch.update(begun, traffic([500] * 50, 900.0)).requests == 0


def test_a_version_like_the_former_is_left_as_seldom_as_the_spec_says() -> None:
    random, rolled = Random(7), 0
    for _ in range(200):
        before, after = draw(random, 0.05, 400), draw(random, 0.05, 400)
        one = rule(false_rollback="10%", errors={"not_worse_by": "0%"})
        seen = switch.begin(one, switch.before(one, traffic(before)), 1000.0)
        for begin in range(0, 400, 20):  # looked at time and again
            seen = switch.update(seen, traffic(after[begin : begin + 20], 1000.0 + begin))
            if seen.worse:
                rolled += 1
                break
    assert rolled <= 20


def test_a_version_that_fails_three_times_as_often_is_found() -> None:
    random = Random(7)
    before = draw(random, 0.05, 2000)
    found = sum(watched(before, draw(random, 0.15, 2000)).worse for _ in range(20))
    assert found == 20


def test_the_report_names_both_sides_and_the_limit() -> None:
    bad = watched([200] * 990 + [500] * 10, [500] * 20)
    report = switch.report(bad, "mean-production-2", "v1")
    assert report.verdict is Verdict.FAIL
    (check,) = report.checks
    assert "20 of 20 requests failed (100 %), 10 of 1,000 of v1 before" in check.message
    assert check.message.endswith(
        ", limit 200."
    )  # half of the chance is spent on the former's rate
    assert check.subject == "errors"
    assert (check.name, check.observed, check.baseline, check.n) == ("errors", "100 %", "1 %", 20)
    assert bad.level is not None
    assert check.limit == f"<= {percent(bad.level)}"
    assert "no request has come" in switch.headline(watched([200], []), "v1")
    assert "not watched" in switch.headline(watched([], []), "v1")


def test_before_the_first_request_the_report_knows_only_the_limit() -> None:
    (check,) = switch.report(watched([200] * 100, []), "mean-production-2", "v1").checks
    assert (check.verdict, check.observed, check.n) == (Verdict.INCONCLUSIVE, None, 0)
    (check,) = switch.report(watched([], []), "mean-production-2", "v1").checks
    assert (check.observed, check.baseline, check.limit) == (None, None, None)
    assert check.message.endswith(", limit 0.")


def test_where_failures_are_not_to_be_watched_nothing_is_judged() -> None:
    seen = watched([200] * 1000, [500] * 50, errors=None)
    assert (seen.level, seen.worse, seen.before.requests) == (None, False, 1000)


def test_where_the_former_is_not_known_nothing_is_judged_by_it() -> None:
    unknown = switch.begin(rule(), switch.FormerCounts(), 1000.0)
    assert (unknown.level, unknown.before.requests, unknown.before.failed) == (None, 0, 0)
