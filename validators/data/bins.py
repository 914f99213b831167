"""PURE. Where the bins of a histogram lie, so that limits are edges between two of them."""

from collections.abc import Sequence
from math import ceil, floor, inf, isfinite, nextafter
from typing import Final, NamedTuple

BINS: Final = 20
"""About how many there are."""


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


def edges(
    of: ValueBounds, extremes: tuple[float, float] | None, *, whole: bool
) -> tuple[float, ...]:
    """The edges of the bins: half of them between two limits if there are two, whatever the values
    are; else from the least value to the greatest. Empty if these are not known, or infinite."""
    low, high = of
    if low is not None and high is not None and low < high:
        inside = _inside(high - low, whole)
        width = (high - low) / inside
        beside = max(BINS - inside, BINS // 2) // 2
        return _steps(low, width, -beside, inside + beside)
    if extremes is None:
        return ()
    least, greatest = _apart(*extremes, whole=whole)
    limit = least if low is None and high is None else high if low is None else low
    assert limit is not None
    least, greatest = min(least, limit), max(greatest, limit)
    width = (greatest - least) / _inside(greatest - least, whole, BINS)
    if not (isfinite(width) and width > 0 and limit + width != limit):
        return ()
    found = _steps(limit, width, -ceil((limit - least) / width), ceil((greatest - limit) / width))
    return (least, *found[1:-1], greatest)


def _inside(span: float, whole: bool, most: int = BINS // 2) -> int:
    """How many bins a span has: of few whole numbers, one for each."""
    return int(span) if whole and 1 <= span <= BINS else most


def _apart(least: float, greatest: float, *, whole: bool) -> tuple[float, float]:
    if whole:
        return least - 0.5, greatest + 0.5
    if least == greatest:
        return least - 0.5, greatest + 0.5
    return least, nextafter(greatest, inf)


def _steps(start: float, width: float, first: int, last: int) -> tuple[float, ...]:
    return tuple(start + width * step for step in range(first, last + 1))


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
