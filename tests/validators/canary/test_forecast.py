"""When a canary begins: will it be decided by its deadline?"""

import pytest

from specs.release import Canary
from specs.traffic import Exchange
from tests.validators.canary.traffic import exchange, requests
from validators.canary import CanaryDecision, CanaryPolicy, begin, judge, update
from validators.canary.forecast import Outlook, outlook, pace, warning

NOON = 1_764_417_600.0
"""2025-11-29 12:00 UTC."""


def lately(rate: float, seconds: float = 86_400.0) -> list[Exchange]:
    """Steady traffic until noon."""
    count = min(int(rate * seconds), 2_000)
    return list(requests(0, count / rate, rate=rate, share=0.0, start=NOON - count / rate))


def ahead(rate: float, **canary: object) -> Outlook:
    spec = Canary.model_validate(canary)
    known = lately(rate) if rate else []
    return outlook(begin(CanaryPolicy.from_spec(spec), known, NOON), pace(known, NOON), spec.steps)


def said(rate: float, **canary: object) -> str:
    spec = Canary.model_validate(canary)
    return warning(ahead(rate, **canary), NOON, spec.on_inconclusive) or ""


def test_three_requests_an_hour_are_told_on_the_day_the_canary_starts() -> None:
    text = said(3 / 3600)
    assert text.startswith(
        "At 3 requests an hour this canary sees about 6 requests by its deadline"
    )
    assert "of about 3," in text
    assert "it will be held at 14:00 UTC" in text
    assert "Raise `deadline`" in text
    assert "`strategy: direct`" in text


@pytest.mark.parametrize(
    ("then", "words"),
    [
        ("rollback", "rolled back at 14:00 UTC"),
        ("hold", "held at 14:00 UTC"),
        ("promote", "promoted without a decision at 14:00 UTC"),
    ],
)
def test_it_says_what_becomes_of_it(then: str, words: str) -> None:
    assert words in said(0.1, on_inconclusive=then)


def test_what_nobody_will_see_is_held_also_where_the_undecided_is_promoted() -> None:
    assert "it will be held" in said(3 / 3600, on_inconclusive="promote")


def test_what_a_single_caller_will_see_is_promoted_as_the_spec_says() -> None:
    seen = Outlook(rate=1, comes=9, reach=1.0, needed=10, takes=1e6, deadline=7200)
    assert "promoted without a decision" in (warning(seen, NOON, "promote") or "")
    unseen = seen.model_copy(update={"reach": 0.9})
    assert "it will be held" in (warning(unseen, NOON, "promote") or "")


def test_what_comes_at_the_smaller_shares_counts_too() -> None:
    ramp = ahead(10.0, steps=["5%", "25%", "50%"], minimum_bake="5m", deadline="2h")
    direct = ahead(10.0, steps=["50%"], minimum_bake="5m", deadline="2h")
    assert ramp.needed is not None
    assert direct.needed is not None
    assert ramp.needed > direct.needed + 500  # 2,000 come before the last share, and say less
    assert ramp.comes == direct.comes == 72_000
    assert ramp.reach < direct.reach == 36_000


def test_a_deadline_on_another_day_is_told_with_its_day() -> None:
    assert "2025-11-30 12:00 UTC" in said(3 / 3600, deadline="1d")


def test_no_traffic_at_all_is_told_too() -> None:
    assert "the router has seen none lately" in said(0)


def test_traffic_that_is_enough_is_not_worth_a_word() -> None:
    assert said(100) == ""


@pytest.mark.parametrize("rate", [2.0, 10.0])
def test_a_canary_like_stable_is_decided_about_when_it_is_said_to_be(rate: float) -> None:
    spec = Canary.model_validate({"steps": ["50%"], "signals": {"errors": {}}, "deadline": "2h"})
    known = list(requests(0, 2000 / rate, rate=rate, share=0.0, start=-2000 / rate))
    state = begin(CanaryPolicy.from_spec(spec), known, 0.0)
    expected = outlook(state, pace(known, 0.0), spec.steps).takes
    assert expected is not None
    taken = []
    for seed in range(1, 6):
        seen, now = state, 0.0
        for batch in range(200):
            now = (batch + 1) * expected / 20
            new = requests(seed * 1000 + batch, expected / 20, rate=rate, share=0.5)
            begins = now - expected / 20
            seen = update(seen, [each._replace(at=begins + each.at) for each in new])
            if judge(seen, now).decision is CanaryDecision.PROMOTE:
                break
        taken.append(now)
    middle = sorted(taken)[2]
    assert expected / 2 <= middle <= 2 * expected


@pytest.mark.parametrize(
    ("rate", "seconds"), [(10.0, 60.0), (10.0, 86_400.0), (0.01, 86_400.0), (3 / 3600, 86_400.0)]
)
def test_the_pace_is_that_of_the_last_hour_or_else_of_the_last_day(
    rate: float, seconds: float
) -> None:
    assert pace(lately(rate, seconds), NOON) == pytest.approx(rate, rel=0.1)


def test_a_pace_of_long_ago_is_none() -> None:
    assert pace([exchange(at=NOON - 3 * 86_400.0)], NOON) == 0.0
    assert pace([], NOON) == 0.0


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (0.5, "30 requests a minute"),
        (1 / 60, "1 request a minute"),
        (0.9 / 60, "54 requests an hour"),
        (1 / 3600, "1 request an hour"),
        (0.5 / 3600, "12 requests a day"),
        (0.5 / 86_400, "0.5 requests a day"),
        (2.0, "2 requests a second"),
    ],
)
def test_a_pace_is_told_in_the_unit_that_has_one_request_or_more(rate: float, words: str) -> None:
    found = Outlook(rate=rate, comes=1, reach=1, needed=None, takes=None, deadline=7200)
    assert f"At {words} this canary sees" in (warning(found, NOON, "hold") or "")


@pytest.mark.parametrize(
    ("comes", "words"), [(0.54, "about 0.54 requests"), (10.4, "10 requests"), (1234.5, "1,234")]
)
def test_a_number_of_requests_is_told_to_the_digits_that_mean_something(
    comes: float, words: str
) -> None:
    found = Outlook(rate=1, comes=comes, reach=1, needed=10**6, takes=1e6, deadline=7200)
    assert words in (warning(found, NOON, "hold") or "")
