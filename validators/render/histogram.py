"""Histograms as values to draw: where each bar stands, and what is said of it. Pure."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from math import ceil, floor
from typing import Final, NamedTuple

from specs.figures import number, percent, significant
from validators.render.safe_text import clean
from validators.report import Check, Histogram, MemberCounts

WIDTH: Final = 560
HEIGHT: Final = 96
_GAP: Final = 10
"""Between the bins and the bar of what is beyond them."""
_LEAST: Final = 2.0
"""The height of a bar of few values among many, which must not vanish."""
_FEW: Final = 4
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Bar(NamedTuple):
    """A rectangle, from the upper left."""

    x: float
    y: float
    width: float
    height: float
    outside: bool
    """Whether its values are not within the limits."""
    label: str
    said: str

    @property
    def middle(self) -> float:
        return round(self.x + self.width / 2, 1)


class AxisMark(NamedTuple):
    """A place of the axis."""

    x: float
    said: str
    anchor: str


class Drawing(NamedTuple):
    """A histogram to draw."""

    name: str
    said: str
    """All of it, for who does not see it."""
    bars: tuple[Bar, ...]
    limits: tuple[AxisMark, ...]
    axis: tuple[AxisMark, ...]

    @property
    def counted(self) -> tuple[Bar, ...]:
        """The bars with a number above them: those outside, if they are few."""
        outside = tuple(bar for bar in self.bars if bar.outside)
        return outside if len(outside) <= _FEW else ()


class Row(NamedTuple):
    """How many values equal a member."""

    name: str
    said: str
    width: float
    """Of its bar, in percent of the longest."""
    outside: bool = False


def drawings(check: Check) -> list[Drawing]:
    """The histogram of what a check found, and the one that it is compared with."""
    named = (("this version", check.histogram), ("reference", check.reference))
    return [_drawing(name, found, check.limit or "") for name, found in named if found]


def _drawing(name: str, of: Histogram, limit: str) -> Drawing:
    left = (WIDTH / 24 + _GAP) if of.below else 0.0
    right = WIDTH - ((WIDTH / 24 + _GAP) if of.above else 0.0)
    first, last = of.edges[0], of.edges[-1]

    def at(edge: float) -> float:
        return round(left + (right - left) * (edge - first) / (last - first), 1)

    limits = [
        AxisMark(at(end), _edge(of, end, upper=upper), "middle")
        for end, upper in ((of.low, False), (of.high, True))
        if end is not None and first <= end <= last
    ]
    ends = [
        AxisMark(at(first), _edge(of, first), "start"),
        AxisMark(at(last), _edge(of, last, upper=True), "end"),
    ]
    return Drawing(
        name,
        _said(of, limit),
        tuple(_bars(of, at)),
        tuple(limits),
        tuple(ends),
    )


def _bars(of: Histogram, at: Callable[[float], float]) -> Iterator[Bar]:
    most = max(of.below, of.above, *of.counts, 1)

    def bar(x: float, width: float, count: int, outside: bool, where: str) -> Bar:
        height = round(max(HEIGHT * count / most, _LEAST), 1)
        said = f"{where}: {number(count)}"
        return Bar(
            x, round(HEIGHT - height, 1), round(width, 1), height, outside, number(count), said
        )

    if of.below:
        yield bar(0, WIDTH / 24, of.below, of.is_of_values, f"below {_edge(of, of.edges[0])}")
    for low, high, count in zip(of.edges, of.edges[1:], of.counts, strict=False):
        if count:
            where = _between(of, low, high)
            outside = of.is_of_values and _is_outside(of, low, high)
            yield bar(at(low), max(at(high) - at(low) - 1, 1), count, outside, where)
    if of.above:
        x = round(WIDTH - WIDTH / 24, 1)
        where = f"above {_edge(of, of.edges[-1], upper=True)}"
        yield bar(x, WIDTH / 24, of.above, of.is_of_values, where)


def _is_outside(of: Histogram, low: float, high: float) -> bool:
    below = of.low is not None and high <= of.low
    return below or (of.high is not None and low >= of.high)


def _said(of: Histogram, limit: str) -> str:
    inside = f"{number(of.n)} values"
    if of.below or of.above:
        beyond = [
            f"{number(count)} {word}"
            for count, word in ((of.below, "below"), (of.above, "above"))
            if count
        ]
        inside += f", {' and '.join(beyond)} what is drawn"
    most = max(range(len(of.counts)), key=lambda place: of.counts[place])
    top = f"most, {number(of.counts[most])}, {_between(of, *of.edges[most : most + 2])}"
    drawn = _between(of, of.edges[0], of.edges[-1])
    return clean(f"{inside}; drawn {drawn}; {top}; limit: {limit}")


def _between(of: Histogram, low: float, high: float) -> str:
    first, last = _edge(of, low), _edge(of, high, upper=True)
    return first if first == last else f"{first} to {last}"


def _edge(of: Histogram, edge: float, *, upper: bool = False) -> str:
    """As a person writes it; of whole numbers, the nearest one that is within."""
    if of.is_whole:
        edge = floor(edge) if upper else ceil(edge)
    with suppress(OverflowError):  # of a time that no calendar has
        if of.unit == "day":
            return f"{_EPOCH + timedelta(days=edge):%Y-%m-%d}"
        if of.unit == "second":
            return f"{_EPOCH + timedelta(seconds=edge):%Y-%m-%d %H:%M}"
    return number(edge) if of.is_whole else significant(edge)


def member_rows(check: Check) -> list[Row]:
    """How the values are spread over the members of a set, and how many are not in it."""
    found = check.members
    if found is None:
        return []
    n = _total(found)
    counts = [(clean(one.member), one.count, False) for one in found.members]
    counts += [("other members", found.more, False)] if found.more else []
    counts += [("not in the set", found.others, True)]
    most = max((count for _, count, _ in counts), default=0) or 1
    return [
        Row(name, f"{number(count)} ({percent(count / n)})", round(100 * count / most, 1), outside)
        for name, count, outside in counts
        if n
    ]


def _total(found: MemberCounts) -> int:
    return sum(one.count for one in found.members) + found.more + found.others
