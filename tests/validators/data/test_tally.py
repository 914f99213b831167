"""Sorted pieces of values tell how often each occurs, however they were divided and are held."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from validators.data.metrics import tally
from validators.data.metrics.tally import (
    Neighbours,
    Piece,
    SortedCounts,
    SortedKeys,
    Tallied,
    piece_of,
    together,
)

NUMBERS = st.one_of(
    st.lists(st.integers(-5, 5), max_size=30),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30),
    st.integers(-9, 9).flatmap(lambda low: st.just(list(range(low, low + 20)))),
)
BATCHES = st.lists(NUMBERS, max_size=5)


def tallied(batches: list[list[int]], kind: str = "int64") -> SortedCounts:
    """The tally of these batches."""
    return together(pieces(batches, kind))


def pieces(batches: list[list[int]], kind: str = "int64") -> list[Piece]:
    """The piece of each batch that has values."""
    found = (piece_of(np.array(batch, kind)) for batch in batches)
    return [one for one in found if one is not None]


@pytest.fixture(params=["by their counts", "one by one"])
def held(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How values that overlap are held; the second way is for many, and here for all."""
    if request.param == "one by one":
        monkeypatch.setattr(tally, "_MANY", 0)
        monkeypatch.setattr(tally, "_OFTEN", 2**40)
        monkeypatch.setattr(tally, "_STRIDE", 3)


@pytest.mark.usefixtures("held")
def test_a_tally_counts_as_counting_does() -> None:
    @given(BATCHES)
    def counts(batches: list[list[int]]) -> None:
        every = sorted(value for batch in batches for value in batch)
        counter, found = Counter(every), tallied(batches)
        assert found.n == len(every)
        assert found.distinct == len(counter)
        assert found.once == sum(times == 1 for times in counter.values())
        assert found.repeated.tolist() == sorted(v for v, times in counter.items() if times > 1)
        assert [found.at(place) for place in range(len(every))] == every
        most = max(counter.values(), default=0)
        modes = {value for value, times in counter.items() if times == most}
        among = [*sorted(modes)[:2], 77]
        assert found.most_frequent(among) == (len(modes), len(modes & set(among)))

    counts()


def test_values_that_overlap_are_held_one_by_one_if_they_are_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tally, "_MANY", 3)
    (many,) = tallied([[1, 5, 9], [2, 5, 10]]).pieces
    assert isinstance(many, SortedKeys)
    (few,) = tallied([[5, 5, 5, 9] * 9, [5, 9] * 9]).pieces
    assert isinstance(few, Piece)


def test_a_key_that_counts_up_takes_no_room() -> None:
    found = tallied([list(range(at, at + 1000)) for at in range(0, 9000, 1000)])
    assert [piece.keys for piece in found.pieces] == [
        range(at, at + 1000) for at in range(0, 9000, 1000)
    ]
    assert (found.once, found.at(8999)) == (9000, 8999)


@pytest.mark.parametrize("values", [[2**64 - 1, 0, 2**63], [2**63, 2**63], [1, 2, 3]])
def test_unsigned_numbers_stay_what_they_are(values: list[int]) -> None:
    found = tallied([values, [2**64 - 1, 5]], "uint64")
    every = sorted([*values, 2**64 - 1, 5])
    assert [found.at(place) for place in range(len(every))] == every


@given(BATCHES)
def test_what_is_kept_of_an_object_says_the_same(batches: list[list[int]]) -> None:
    metric = Tallied("x")
    dumped = metric.dump(pieces(batches))
    again = together(metric.load(dumped))
    whole = tallied(batches)
    assert (again.n, again.distinct, again.once) == (whole.n, whole.distinct, whole.once)


def test_too_many_values_are_not_kept() -> None:
    rng = np.random.default_rng(1)
    piece = piece_of(rng.integers(0, 2**40, 5000))
    assert piece is not None
    assert Tallied("x").dump([piece]) is None


def test_neighbours_of_a_share_are_those_that_a_quantile_lies_between() -> None:
    found = Neighbours("x", (Fraction(1, 2), Fraction(1))).seen(tallied([[40, 10], [30, 20]]))
    assert found == [(Fraction(3, 2), 20, 30), (Fraction(3), 40, 40)]
