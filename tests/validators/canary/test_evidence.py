"""The wording of the report that is read at three in the morning."""

import pytest

from tests.validators.canary.test_judge import HISTORY, judged
from tests.validators.canary.traffic import exchange, requests
from validators.canary import CanaryPolicy, Latency, begin, judge, report, update
from validators.canary.comparison import figure
from validators.canary.evidence import odds
from validators.verdict import Verdict


def test_a_rollback_explains_itself_with_value_limit_baseline_n_window_and_next_step() -> None:
    judgement = judged(requests(1, 60, errors=(0.001, 0.05)), 60.0)
    told = report(judgement, "flight-delay 7")
    check = told.checks[0]
    assert (check.name, check.verdict) == ("errors", Verdict.FAIL)
    assert isinstance(check.observed, float)
    assert isinstance(check.baseline, float)
    assert check.observed == judgement.canary.error_rate
    assert check.baseline == judgement.stable.error_rate
    assert check.difference == pytest.approx(check.observed - check.baseline)
    assert check.limit == "not worse by more than 0.5 points"
    assert check.n == judgement.canary.requests
    assert check.window == 60
    assert check.next_step is not None
    assert "no action is needed to restore service" in check.next_step
    assert "Look for failing requests" in check.next_step
    assert f"{judgement.canary.errors:,} of {judgement.canary.requests:,} requests" in check.message
    assert told.notes[0].startswith("Rolled back: the canary is worse than stable in errors.")
    assert "at most once in 100" in told.notes[0]


def test_waiting_says_for_what_and_about_how_long() -> None:
    told = report(judged(requests(7, 20), 20.0), "flight-delay 7")
    assert told.verdict is Verdict.INCONCLUSIVE
    assert told.notes[0].startswith("Waiting: about ")
    assert "more requests" in told.notes[0]
    assert "at 100 a second" in told.notes[0]


def test_without_a_request_the_report_says_so_and_where_to_look() -> None:
    told = report(judged([], 1800.0), "flight-delay 7")
    assert told.notes == ("Not decided by the deadline: no request has reached the canary yet.",)
    fresh = next(check for check in told.checks if check.name == "fresh traffic")
    assert fresh.next_step is not None
    assert "reaches the router" in fresh.next_step
    assert (fresh.observed, fresh.limit, fresh.window) == (None, "<= 60 s", 1800)
    assert {check.difference for check in told.checks} == {None}
    baked = next(check for check in told.checks if check.name == "minimum bake")
    assert (baked.observed, baked.limit, baked.window) == (1800, ">= 60 s", 1800)


def test_after_the_deadline_the_report_names_the_commands() -> None:
    told = report(judged(requests(7, 20), 1800.0), "flight-delay 7")
    assert any("`headgate promote`" in (check.next_step or "") for check in told.checks)


def test_a_promotion_passes_every_check() -> None:
    told = report(judged(requests(5, 200, share=0.5), 200.0), "flight-delay 7")
    assert {check.verdict for check in told.checks} == {Verdict.PASS}
    assert told.notes[0].startswith("Every signal is shown to be within its margin: ")


def test_a_mean_latency_is_reported_and_judged() -> None:
    policy = CanaryPolicy(latencies=(Latency(statistic="mean", margin=0.2),), minimum_bake=0)
    good = judge(update(begin(policy, HISTORY, 0.0), requests(5, 200, share=0.5)), 200.0)
    bad = judge(update(begin(policy, HISTORY, 0.0), requests(5, 60, slower=2.0)), 60.0)
    assert report(good, "x").verdict is Verdict.PASS
    check = report(bad, "x").checks[0]
    assert (check.name, check.verdict) == ("latency_mean", Verdict.FAIL)
    assert check.observed == pytest.approx(2 * float(check.baseline or 0), rel=0.2)


@pytest.mark.parametrize(
    ("log_e", "text"),
    [
        (0.0, "1"),
        (-9.0, "below 0.01"),
        (5.3, "200"),
        (7.2, "1,339"),
        (4.6025, "100"),
        (4.3, "74"),
        (1.65, "5.2"),
        (900.0, "more than a million"),
    ],
)
def test_evidence_is_a_number_people_read(log_e: float, text: str) -> None:
    assert odds(log_e) == text


@pytest.mark.parametrize(
    ("failing", "said"),
    [
        (1.0, "the canary answered 500 to {n} of {n} requests (100 %)"),
        (0.0, "the canary failed 0 of {n} requests (0 %)"),
    ],
)
def test_a_canary_that_fails_all_or_none_is_said_to_in_plain_numbers(
    failing: float, said: str
) -> None:
    judgement = judged(requests(7, 1, errors=(0.0, failing)), 1.0)
    (check,) = [one for one in report(judgement, "x").checks if one.name == "errors"]
    assert check.message.startswith(said.format(n=judgement.canary.requests))


@pytest.mark.parametrize(
    ("signal", "value", "text"),
    [
        ("errors", 1.0, "100 %"),
        ("errors", 0.0004, "0.04 %"),
        ("errors", 0.99997, ">99.99 %"),
        ("errors_at_most", 0.034, "3.4 %"),
        ("latency_p99", 0.1314, "131 ms"),
        ("latency_p99", 30.0, "30,000 ms"),
        ("latency_mean", None, ""),
    ],
)
def test_a_signal_is_shown_in_its_unit(signal: str, value: float | None, text: str) -> None:
    assert figure(signal, value) == text


def test_whoever_looks_is_told_what_kind_of_requests_to_look_for() -> None:
    slow = report(judged(requests(3, 30, slower=2.0), 30.0), "x").checks[0]
    assert "Look for slow requests" in (slow.next_step or "")
    refused = report(judged(requests(1, 20, refused=(0.0, 0.9)), 20.0), "x").checks[0]
    assert "Look for refused requests" in (refused.next_step or "")


@pytest.mark.parametrize(("stale", "fresh"), [(60.0, True), (60.1, False)])
def test_traffic_is_fresh_for_as_long_as_the_policy_says(stale: float, fresh: bool) -> None:
    state = update(begin(CanaryPolicy(), HISTORY, 0.0), [exchange(at=10.0)])
    judgement = judge(state, 10.0 + stale)
    assert judgement.fresh is fresh
    check = report(judgement, "x").checks[-1]
    assert check.name == "fresh traffic"
    assert check.observed == pytest.approx(stale)
