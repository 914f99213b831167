"""The draw and the ring, as values."""

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from deployers.assignment import assign, draw, pseudonym
from deployers.records import RequestRecord, Ring
from specs.traffic import Arm, Exchange
from tests.deployers.world import as_drawn

moments = st.floats(min_value=0, max_value=4e9)
shares = st.floats(min_value=0, max_value=1)


@given(seed=st.integers(), at=moments, share=shares, unit=st.none() | st.text())
def test_a_draw_can_be_made_again_from_its_record(
    seed: int, at: float, share: float, unit: str | None
) -> None:
    arm = assign(seed, share, at, unit)
    record = Exchange(0, at, arm, share, 200, 0.01, unit)
    other = Arm.STABLE if arm is Arm.CANARY else Arm.CANARY
    assert as_drawn(seed, record)
    assert not as_drawn(seed, record._replace(arm=other))


@given(seed=st.integers(), at=moments, unit=st.none() | st.text())
def test_a_share_of_nothing_gets_nothing_and_of_all_gets_all(
    seed: int, at: float, unit: str | None
) -> None:
    assert assign(seed, 0.0, at, unit) is Arm.STABLE
    assert assign(seed, 1.0, at, unit) is Arm.CANARY


def test_draws_of_requests_close_in_time_are_even_and_independent() -> None:
    draws = [draw(1, 1.7e9 + number * 2.4e-7, None) for number in range(20_000)]
    tenths = Counter(int(value * 10) for value in draws)
    # 20,000 draws in ten cells: the chi-squared statistic has mean 9 and exceeds 33 once in 10^4.
    assert sum((tenths[cell] - 2000) ** 2 / 2000 for cell in range(10)) < 33
    same = sum((a < 0.5) == (b < 0.5) for a, b in pairwise(draws))
    assert abs(same - 10_000) < 4 * 71  # four deviations of a fair coin


def test_another_seed_is_another_split() -> None:
    arms = [[assign(seed, 0.5, float(at), None) for at in range(100)] for seed in (1, 2)]
    assert arms[0] != arms[1]


def test_a_session_is_recorded_under_a_pseudonym() -> None:
    assert pseudonym(b"session-of-alice") == pseudonym(b"session-of-alice")
    assert "alice" not in pseudonym(b"session-of-alice")


@given(added=st.integers(0, 40), start=st.integers(0, 50), size=st.integers(1, 10))
def test_a_ring_gives_what_it_still_has_in_order(added: int, start: int, size: int) -> None:
    ring = Ring(capacity=16)
    for number in range(added):
        ring.add(RequestRecord(float(number), Arm.STABLE, 0.0, 200, 0.0, None))
    page = ring.page(start, size)
    expected = [at for at in range(max(added - 16, 0), added) if at >= start][:size]
    assert [int(record.at) for record in page.records] == expected
    assert page.first >= start
    if expected:
        assert page.first == expected[0]
    assert ring.answers.total() == added
