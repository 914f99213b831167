"""Before a canary: how soon would it tell that errors have doubled?"""

import pytest

from specs.release import Canary
from tests.validators.canary.traffic import requests
from validators.canary import CanaryDecision, CanaryPolicy, CanaryState, begin, judge, update
from validators.canary.detection import Detection, detection


def started(rate: float, errors: float, **canary: object) -> tuple[CanaryState, Canary]:
    """A canary after 2,000 requests to stable, at time 0."""
    spec = Canary.model_validate({"signals": {"errors": {}}, **canary})
    before = 2000 / rate
    known = list(requests(0, before, rate=rate, share=0.0, start=-before, errors=(errors, 0.0)))
    return begin(CanaryPolicy.from_spec(spec), known, 0.0), spec


def found(rate: float, errors: float, **canary: object) -> Detection:
    state, spec = started(rate, errors, **canary)
    said = detection(state, rate, spec.steps)
    assert said is not None
    return said


def test_much_traffic_tells_a_doubling_of_errors_in_minutes() -> None:
    said = found(100, 0.02, steps=["50%"])
    assert said.takes is not None
    assert said.takes < 600
    assert said.text.startswith("this traffic can tell a doubling of errors (from ")
    assert said.canary == 2 * said.stable


def test_little_traffic_cannot_tell_it_by_the_deadline_and_says_when_it_could() -> None:
    said = found(0.05, 0.02, deadline="2h")
    assert said.takes is not None
    assert said.takes > said.deadline
    assert "cannot tell a doubling of errors" in said.text
    assert "by the canary's deadline of 2 h, only in " in said.text


def test_of_a_service_that_never_fails_it_says_which_errors_it_can_tell() -> None:
    assert "can tell that 0.2 % of requests fail within " in found(100, 0.0).text


def test_more_traffic_and_a_larger_share_tell_it_sooner() -> None:
    slow, fast = found(1, 0.05, steps=["5%"]).takes, found(10, 0.05, steps=["5%"]).takes
    half = found(1, 0.05, steps=["50%"]).takes
    assert slow is not None
    assert fast is not None
    assert half is not None
    assert fast == pytest.approx(slow / 10, rel=0.2)
    assert half < slow


def test_nothing_is_said_without_traffic_or_where_errors_are_not_watched() -> None:
    state, spec = started(1, 0.05)
    assert detection(state, 0.0, spec.steps) is None
    state, spec = started(1, 0.05, signals={"latency_p99": {}})
    assert detection(state, 1.0, spec.steps) is None


@pytest.mark.parametrize("rate", [2.0, 10.0])
def test_doubled_errors_are_rolled_back_about_when_it_is_said(rate: float) -> None:
    state, spec = started(rate, 0.05, steps=["50%"], deadline="1d")
    said = detection(state, rate, spec.steps)
    assert said is not None
    assert said.takes is not None
    taken = []
    for seed in range(1, 8):
        seen, now = state, 0.0
        for batch in range(200):
            begins, now = batch * said.takes / 20, (batch + 1) * said.takes / 20
            new = requests(
                seed * 1000 + batch,
                said.takes / 20,
                rate=rate,
                share=0.5,
                errors=(said.stable, said.canary),
            )
            seen = update(seen, [each._replace(at=begins + each.at) for each in new])
            if judge(seen, now).decision is CanaryDecision.ROLLBACK:
                break
        taken.append(now)
    middle = sorted(taken)[3]
    assert said.takes / 2 <= middle <= 2 * said.takes
