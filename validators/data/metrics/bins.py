"""PURE. Where the bins of a histogram lie, so that limits are edges between two of them."""

from collections.abc import Sequence
from math import ceil, floor, inf, isfinite, log2, nextafter
from typing import Final, NamedTuple

BINS: Final = 20
"""About how many there are."""


_APART: Final = 1e-11
"""The least width of a bin between two limits, as a share of these."""


class ValueBounds(NamedTuple):
    """Between which values a column may lie: a value is inside if `low <= value < high`."""

    low: float | None
    high: float | None


def bounds(
    low: float | None, high: float | None, *, strict: tuple[bool, bool], whole: bool
) -> ValueBounds:
    """The limits of a suite as bounds; of whole numbers, half-way between two of these."""
    if low is not None:
        low = _just_below(low, strict[0], whole)
    if high is not None:
        high = _just_below(high, not strict[1], whole)
    return ValueBounds(low, high)


def _just_below(limit: float, strict: bool, whole: bool) -> float:
    """The bound below which the limit itself lies if `strict`, and above which otherwise."""
    if whole:
        return floor(limit) + 0.5 if strict else ceil(limit) - 0.5
    return nextafter(limit, inf) if strict else limit


class Steps(NamedTuple):
    """Where bins may begin: at `anchor`, and every `unit` from there, or a power of two of these.

    They depend on the limits and not on the values, so the bins of two versions can be compared.
    """

    anchor: float
    unit: float

    def at(self, step: float) -> float:
        """The edge after so many units."""
        return self.anchor + self.unit * step


def steps(of: ValueBounds, *, whole: bool) -> Steps:
    """Those of values with these bounds, each of which is an edge."""
    low, high = of
    if low is not None and high is not None and low < high:
        return Steps(low, (high - low) / _inside(high - low, whole))
    limit = high if low is None else low
    return Steps((-0.5 if whole else 0.0) if limit is None else limit, 1.0)


def edges(
    of: ValueBounds,
    extremes: tuple[float, float] | None,
    *,
    whole: bool,
    every: bool = False,
) -> tuple[float, ...]:
    """The edges of the bins. Half of them are between two limits if there are two, whatever the
    values are. Of one limit, most are on the side where the values may be, and with `every` they
    reach to all values. Empty if the extremes are not known, or infinite, or too close together.
    """
    low, high = of
    by = steps(of, whole=whole)
    if low is not None and high is not None and low < high:
        inside = _inside(high - low, whole)
        if by.unit <= _APART * max(abs(low), abs(high)):
            return ()
        beside = max(BINS - inside, BINS // 2) // 2
        return tuple(by.at(step) for step in range(-beside, inside + beside + 1))
    if extremes is None:
        return ()
    least, greatest = extremes
    ends = [least, greatest, *(end for end in of if end is not None)]
    span = max(ends) - min(ends)
    inner = 0.0 if every else _inner(of, least, greatest)
    width = _power(inner or span, whole)
    if not (isfinite(span) and isfinite(width) and least + width != least):
        return ()
    if greatest + width == greatest or by.anchor + width == by.anchor:
        return ()
    first, last = floor((least - by.anchor) / width), floor((greatest - by.anchor) / width) + 1
    if low is not None or high is not None:
        first, last = min(first, 0), max(last, 0)
    if inner and low is not None:
        first = max(first, -BINS // 2)
    if inner and high is not None:
        last = min(last, BINS // 2)
    return tuple(by.at(width * step) for step in range(first, last + 1))


def _inner(of: ValueBounds, least: float, greatest: float) -> float:
    """How far the values reach on the side of a single limit where they may be."""
    low, high = of
    if low is not None and high is None:
        return max(greatest - low, 0.0)
    if high is not None and low is None:
        return max(high - least, 0.0)
    return 0.0


def _power(span: float, whole: bool) -> float:
    """The power of two that divides a span into at most `BINS` bins, and more than half as many."""
    if span <= 0:
        return 1.0
    width = float(2.0 ** ceil(log2(span / BINS))) if span / BINS > 0 else 0.0
    return max(width, 1.0) if whole else width


def _inside(span: float, whole: bool) -> int:
    """How many bins there are between two limits: of few whole numbers, one for each."""
    return int(span) if whole and 1 <= span <= BINS else BINS // 2


def trimmed(
    every: Sequence[float], counts: Sequence[int], of: ValueBounds
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Edges and counts without the empty bins at either end that are not between the limits.
    `counts` are those of `Binned`: with what is below and above."""
    first, last = 0, len(every) - 1
    outside_low = of.low if of.low is not None else inf
    outside_high = of.high if of.high is not None else -inf
    while last - first > 1 and not any(counts[: first + 2]) and every[first + 1] <= outside_low:
        first += 1
    while last - first > 1 and not any(counts[last:]) and every[last - 1] >= outside_high:
        last -= 1
    return tuple(every[first : last + 1]), tuple(counts[first + 1 : last + 1])
