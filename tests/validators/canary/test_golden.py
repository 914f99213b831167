"""What traffic proves stays what it proves: a controller that is replaced while a canary runs goes
on by the rule that the canary began with."""

import pytest

from tests.validators.canary.traffic import history, requests
from validators.canary import CanaryPolicy, CanaryState, Latency, begin, judge, update
from validators.canary.signal_bets import log_evidence, log_safety

POLICY = CanaryPolicy(
    errors_at_most=0.02,
    latencies=tuple(
        Latency(statistic=statistic, margin=0.1) for statistic in ("mean", "p50", "p90", "p99")
    ),
    deadline=1800,
)


def seen() -> CanaryState:
    """A canary that is somewhat slower, fails and refuses somewhat more, and answers longer."""
    state = begin(POLICY, history(), 0.0)
    for start, share in ((0.0, 0.05), (70.0, 0.25)):
        traffic = requests(
            1,
            70,
            share=share,
            start=start,
            errors=(0.01, 0.02),
            refused=(0.02, 0.03),
            slower=1.15,
        )
        state = update(
            state,
            (
                each._replace(
                    size=each.size * 3, content="text/csv" if each.seq % 9 == 0 else each.content
                )
                if each.probability == share and each.seq % 7 == 0
                else each
                for each in traffic
            ),
        )
    return state


GOLDEN = {
    "errors": (7.2127, -2.3675),
    "errors_at_most": (-0.4980, -17.1280),
    "latency_mean": (2.7374, -1.9202),
    "latency_p50": (1.9322, -3.4212),
    "latency_p90": (2.2137, -2.6281),
    "latency_p99": (1.9979, -1.3176),
    "refusals": (-0.4783, -1.8175),
    "other_statuses": (0.0, 8.6386),
    "content": (-0.7528, 0.4081),
    "size": (-0.5122, 10.3871),
}
"""By signal, the logarithms of the evidence that it is worse, and that it is within its margin."""


def test_the_evidence_of_the_same_traffic_is_the_same() -> None:
    state = seen()
    for signal in (*POLICY.signals, *POLICY.holding):
        found = log_evidence(state, signal), log_safety(state, signal)
        assert found == pytest.approx(GOLDEN[signal], abs=1e-3), signal


def test_the_judgement_of_the_same_traffic_is_the_same() -> None:
    found = judge(seen(), 140.0)
    logs = (found.log_worse, found.log_differs, found.log_records_lost)
    assert logs == pytest.approx((5.4090, -0.6253, -25.7206), abs=1e-3)
    assert {each.signal: each.more_requests for each in found.every} == pytest.approx(
        {
            "errors": 66_342,
            "errors_at_most": 40_600,
            "latency_mean": 10_245,
            "latency_p50": 11_332,
            "latency_p90": 13_748,
            "latency_p99": 58_013,
            "refusals": 17_614,
            "other_statuses": 0,
            "content": 11_516,
            "size": 0,
        },
        abs=2,
    )
