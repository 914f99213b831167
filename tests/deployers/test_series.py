"""From samples to windows: what is counted, and what is refused with a reason."""

from collections.abc import Mapping, Sequence

import pytest

from deployers.counting.eras import Era, Eras
from deployers.counting.series import SETTLED, Question, Series, UncountableError, windows
from specs.counters import BackendCounters, CounterNames
from specs.traffic import ArmWindow, LatencyBucket, TrafficWindow

NAMES = BackendCounters(preset="traefik").names()
ERA = Era(start=-SETTLED, end=1000.0, stable="v1", canary="v2", weight=0.5)
Samples = Mapping[int, float]
"""By seconds."""


def counter(server: str, samples: Samples, code: str = "200", **labels: str) -> Series:
    found = {"instance": "gateway:80", "service": f"{server}@file", "code": code, **labels}
    name = {"__name__": "traefik_service_requests_total"}
    return Series({**name, **found}, [(at * 1000, value) for at, value in samples.items()])


def bucket(server: str, up_to: str, samples: Samples, code: str = "200", **more: str) -> Series:
    labels = {"__name__": f"{NAMES.latency}_bucket", "le": up_to, **more}
    return counter(server, samples, code, **labels)


def counted(
    *series: Series,
    errors: Sequence[str] = ("no_answer", "5xx"),
    era: Era = ERA,
    names: CounterNames = NAMES,
) -> tuple[TrafficWindow, ...]:
    asked = Question(names=names, errors=errors, eras=[era], after=0, until=1_000_000)
    return windows(series, asked)


def arms(*series: Series, errors: Sequence[str] = ("no_answer", "5xx")) -> list[list[int]]:
    """Of each window: requests and errors of stable, then of the canary."""
    return [
        [one.stable.requests, one.stable.errors, one.canary.requests, one.canary.errors]
        for one in counted(*series, errors=errors)
    ]


def test_a_counter_that_appears_began_at_zero_and_one_that_vanishes_goes_on_later() -> None:
    stable = counter("v1", {0: 100, 20: 120, 40: 140, 60: 160})
    first_failure = counter("v2", {20: 1, 60: 4}, code="500")
    assert arms(stable, first_failure) == [[20, 0, 1, 1], [20, 0, 0, 0], [20, 0, 3, 3]]


def test_of_a_gateway_that_restarts_what_was_before_the_next_scrape_is_left_out() -> None:
    stable = counter("v1", {0: 100, 20: 120, 40: 7, 60: 27})
    canary = counter("v2", {0: 10, 20: 12, 40: 13, 60: 15}, code="500")
    assert arms(stable, canary) == [[20, 0, 2, 2], [20, 0, 2, 2]]


def test_missed_scrapes_make_a_longer_window() -> None:
    (window,) = counted(counter("v1", {0: 100, 200: 150}))
    assert (window.start, window.end, window.stable.requests) == (0.0, 200.0, 50)


def test_a_window_in_which_the_weight_changes_is_left_out_and_so_is_the_time_until_it_settles() -> (
    None
):
    eras = [
        Era(start=-SETTLED, end=50.0, stable="v1", canary="v2", weight=0.1),
        Era(start=55.0, end=130.0, stable="v1", canary="v2", weight=0.5),
    ]
    series = counter("v1", {at: float(at) for at in range(0, 160, 20)})
    asked = Question(names=NAMES, errors=(), eras=eras, after=0, until=200_000)
    found = [(one.start, one.end, one.weight) for one in windows([series], asked)]
    assert found == [(0.0, 20.0, 0.1), (20.0, 40.0, 0.1), (80.0, 100.0, 0.5), (100.0, 120.0, 0.5)]


def test_several_gateways_make_one_window_of_each_quarter_of_a_minute() -> None:
    one = counter("v1", {0: 0, 20: 10, 40: 20}, instance="a")
    two = counter("v1", {1: 0, 21: 10, 41: 20}, instance="b")
    found = [(each.start, each.end, each.stable.requests) for each in counted(one, two)]
    assert found == [(0.0, 21.0, 20), (21.0, 41.0, 20)]


@pytest.mark.parametrize(
    ("errors", "failed"),
    [(("5xx",), 12), (("no_answer",), 14), (("404",), 16), (("no_answer", "5xx"), 18)],
)
def test_what_is_an_error_is_told_by_the_status(errors: Sequence[str], failed: int) -> None:
    codes = {"200": 1, "404": 16, "500": 4, "502": 8, "499": 6}
    series = [counter("v1", {0: 0, 20: n}, code=code) for code, n in codes.items()]
    assert arms(*series, errors=errors) == [[35, failed, 0, 0]]


def test_latencies_are_those_of_requests_that_did_not_fail() -> None:
    times = {0: 0.0, 20: 0.0, 40: 10.0}
    few = {0: 0.0, 20: 0.0, 40: 4.0}
    series = [
        counter("v1", times),
        bucket("v1", "0.1", few),
        bucket("v1", "+Inf", times),
        bucket("v1", "+Inf", times, code="500"),
    ]
    *_, window = counted(*series)
    assert window.stable == ArmWindow(
        requests=10,
        latencies=(LatencyBucket(up_to=0.1, count=4), LatencyBucket(up_to=None, count=6)),
        timed=10,
    )


def test_gateways_with_different_buckets_tell_no_latencies() -> None:
    times = {0: 0.0, 20: 0.0, 40: 10.0}
    series = [
        *(counter("v1", times, instance=name) for name in "ab"),
        *(bucket("v1", "+Inf", times, instance=name) for name in "ab"),
        bucket("v1", "0.1", times, instance="a"),
        bucket("v1", "0.2", times, instance="b"),
    ]
    *_, window = counted(*series)
    assert (window.stable.requests, window.stable.latencies) == (20, ())


def test_counters_of_two_targets_are_refused_as_errors_of_one_arm_would_be_known_first() -> None:
    stable = counter("v1", {0: 0, 20: 500}, instance="pod-of-v1")
    canary = counter("v2", {5: 0, 25: 500}, instance="pod-of-v2")
    with pytest.raises(UncountableError, match="counted by different targets, which are scraped"):
        counted(stable, canary)


def test_a_gateway_that_was_only_asked_for_the_canary_so_far_is_counted() -> None:
    stable = counter("v1", {0: 0, 20: 5}, instance="a")
    canary = counter("v2", {5: 0, 25: 3}, instance="b")
    assert arms(stable, canary) == [[5, 0, 3, 0]]


def test_a_gateway_that_two_jobs_scrape_is_refused_as_each_request_would_count_twice() -> None:
    one = counter("v1", {0: 0, 20: 10, 40: 20}, job="envoy")
    two = counter("v1", {5: 2, 25: 12, 45: 22}, job="pods")
    with pytest.raises(UncountableError, match=r"more than once.*choose one .*`where`, by job"):
        counted(one, two)


def test_a_rate_is_refused() -> None:
    with pytest.raises(UncountableError, match=r"grew by 0.25, which is no number of requests"):
        counted(counter("v1", {0: 0.25, 20: 0.75}))


def test_patterns_that_do_not_tell_the_arms_apart_are_refused() -> None:
    vague = NAMES.model_copy(update={"stable": "*", "canary": "*{server}*"})
    with pytest.raises(UncountableError, match=r"service='v2@file' match both"):
        counted(counter("v2", {0: 0, 20: 5}), names=vague)


def test_a_server_whose_name_continues_another_one_s_is_another_server() -> None:
    exact = BackendCounters(preset="envoy").names()
    asked = Question(names=exact, errors=(), eras=[ERA], after=0, until=100_000)
    name = {"__name__": "envoy_cluster_upstream_rq", "envoy_cluster_name": "v1.b"}
    assert windows([Series(name, [(0, 0.0), (20_000, 9.0)])], asked)[0].stable.requests == 0


# -- eras --------------------------------------------------------------------------------------


def test_an_era_ends_when_it_was_last_seen_before_something_else_was() -> None:
    five = ("v1", "v2", 0.05)
    eras = Eras().seen(five, 0.0, 10.0).seen(five, 10.0, 12.0)
    assert [(era.start, era.end) for era in eras.known] == [(10.0, None)]
    more = eras.seen(("v1", "v2", 0.5), 12.0, 14.0)
    assert [(era.start, era.end, era.weight) for era in more.known] == [
        (10.0, 12.0, 0.05),
        (14.0, None, 0.5),
    ]


def test_an_era_ends_before_another_weight_is_applied_and_goes_on_if_it_is_the_same() -> None:
    seen = ("v1", "v2", 0.05)
    eras = Eras().seen(seen, 0.0, 10.0)
    assert eras.changing(seen, 12.0) == eras
    changing = eras.changing(("v1", "v2", 0.25), 12.0)
    assert [(era.start, era.end) for era in changing.known] == [(10.0, 12.0)]
    assert changing.seen(seen, 12.0, 13.0).known[-1].start == 13.0, "it is not in force yet"
