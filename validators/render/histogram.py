"""PURE. Histograms as values to draw: where each bar stands, and what is said of it."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import ceil, floor
from typing import Final, NamedTuple

from specs.digests import short
from specs.figures import clip, number, percent, significant
from validators.render.safe_text import clean
from validators.report import Check, Histogram, MemberCounts, ReferenceVersion

WIDTH: Final = 560
HEIGHT: Final = 96
_GAP: Final = 10
"""Between the bins and the bar of what is beyond them."""
_LEAST: Final = 2.0
"""The height of a bar of few values among many, which must not vanish."""
_FEW: Final = 4
_DIGIT: Final = 7.5
"""The width of a digit."""
_MARGIN: Final = 60
"""From either end of the axis, within which words begin or end at their mark."""
_LONGEST: Final = 40
"""Characters of a column's name below the axis."""
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
    """A histogram to draw, and the outline of the one that it is compared with."""

    said: str
    """All of it, for who does not see it."""
    highest: str
    """The share of the highest bar or step."""
    bars: tuple[Bar, ...]
    outlines: tuple[str, ...]
    """Paths of the reference; none without one."""
    limits: tuple[AxisMark, ...]
    axis: tuple[AxisMark, ...]

    @property
    def counted(self) -> tuple[Bar, ...]:
        """The bars with a number above them: those outside, if they are few and apart."""
        outside = tuple(bar for bar in self.bars if bar.outside)
        apart = all(
            right.middle - left.middle > _DIGIT * (len(left.label) + len(right.label)) / 2
            for left, right in pairwise(outside)
        )
        return outside if apart and len(outside) <= _FEW else ()


class Row(NamedTuple):
    """How many values equal a member, in this version and in the reference."""

    name: str
    said: str
    width: float
    """Of its bar, in percent of the longest."""
    outside: bool = False
    before: str = ""
    width_before: float = 0.0


class _Plan(NamedTuple):
    """Where things stand: the horizontal place of an edge, and the height of a share."""

    at: Callable[[float], float]
    highest: float

    def height(self, count: int, n: int) -> float:
        return round(max(HEIGHT * count / (n or 1) / self.highest, _LEAST if count else 0), 1)


def drawing(check: Check) -> Drawing | None:
    """The histogram of what a check found, with that of the reference; None if it has none."""
    of = check.histogram
    if of is None:
        return None
    other = check.reference if isinstance(check.reference, Histogram) else None
    if other is not None and other.edges != of.edges:
        other = None
    both = [of] if other is None else [of, other]
    beyond = WIDTH / 24 + _GAP
    left = beyond if any(one.below for one in both) else 0.0
    right = WIDTH - (beyond if any(one.above for one in both) else 0.0)
    first, last = of.edges[0], of.edges[-1]

    def at(edge: float) -> float:
        return round(left + (right - left) * (edge - first) / (last - first), 1)

    every = [count / (one.n or 1) for one in both for count in (one.below, one.above, *one.counts)]
    plan = _Plan(at, max(every) or 1.0)
    limits = [
        _mark(at(end), _edge(of, end, upper=upper))
        for end, upper in ((of.low, False), (of.high, True))
        if end is not None and first <= end <= last
    ]
    axis = [
        AxisMark(at(first), _edge(of, first), "start"),
        AxisMark(WIDTH / 2, _of_what(check, of), "middle"),
        AxisMark(at(last), _edge(of, last, upper=True), "end"),
        *([AxisMark(0, "less", "start")] if left else []),
        *([AxisMark(WIDTH, "more", "end")] if right < WIDTH else []),
    ]
    said = [_said(of), *([f"the reference: {_said(other)}"] if other else [])]
    return Drawing(
        said=clean("; ".join([*said, f"limit: {check.limit or 'none'}"])),
        highest=percent(plan.highest),
        bars=tuple(_bars(of, plan)),
        outlines=tuple(_outlines(other, plan)) if other else (),
        limits=tuple(limits),
        axis=tuple(axis),
    )


def _mark(x: float, said: str) -> AxisMark:
    """A mark whose words stay within the picture."""
    anchor = "start" if x < _MARGIN else "end" if x > WIDTH - _MARGIN else "middle"
    return AxisMark(x, said, anchor)


def _of_what(check: Check, of: Histogram) -> str:
    """What the axis is of."""
    what = clip(clean(check.subject or ""), _LONGEST)
    if of.unit == "character":
        return f"length of {what}, in characters" if what else "length, in characters"
    return f"{what} (UTC)" if of.unit == "second" else what


def _bars(of: Histogram, plan: _Plan) -> Iterator[Bar]:
    def bar(x: float, width: float, count: int, outside: bool, where: str) -> Bar:
        height = plan.height(count, of.n)
        said = f"{where}: {number(count)} ({percent(count / of.n)})"
        return Bar(
            x, round(HEIGHT - height, 1), round(width, 1), height, outside, number(count), said
        )

    if of.below:
        yield bar(0, WIDTH / 24, of.below, of.is_of_values, f"below {_edge(of, of.edges[0])}")
    for low, high, count in zip(of.edges, of.edges[1:], of.counts, strict=False):
        if count:
            where = _between(of, low, high)
            outside = of.is_of_values and _is_outside(of, low, high)
            x, end = plan.at(low), plan.at(high)
            yield bar(x, max(end - x - 1, 1), count, outside, where)
    if of.above:
        x = round(WIDTH - WIDTH / 24, 1)
        where = f"above {_edge(of, of.edges[-1], upper=True)}"
        yield bar(x, WIDTH / 24, of.above, of.is_of_values, where)


def _outlines(of: Histogram, plan: _Plan) -> Iterator[str]:
    """The paths around the bars of the reference."""

    def top(count: int) -> float:
        return round(HEIGHT - plan.height(count, of.n), 1)

    wide, last = round(WIDTH / 24, 1), round(WIDTH - WIDTH / 24, 1)
    if of.below:
        yield f"M0 {HEIGHT}V{top(of.below)}H{wide}V{HEIGHT}"
    steps = (
        f"V{top(count)}H{plan.at(end)}" for end, count in zip(of.edges[1:], of.counts, strict=True)
    )
    yield f"M{plan.at(of.edges[0])} {HEIGHT}{''.join(steps)}V{HEIGHT}"
    if of.above:
        yield f"M{last} {HEIGHT}V{top(of.above)}H{WIDTH}V{HEIGHT}"


def _is_outside(of: Histogram, low: float, high: float) -> bool:
    below = of.low is not None and high <= of.low
    return below or (of.high is not None and low >= of.high)


def _said(of: Histogram) -> str:
    inside = f"{_about(of)}{number(of.n)} values"
    if of.below or of.above:
        beyond = [
            f"{number(count)} {word}"
            for count, word in ((of.below, "below"), (of.above, "above"))
            if count
        ]
        inside += f", {' and '.join(beyond)} what is drawn"
    most = max(range(len(of.counts)), key=lambda place: of.counts[place])
    top = f"most, {number(of.counts[most])}, {_between(of, *of.edges[most : most + 2])}"
    return f"{inside}; drawn {_between(of, of.edges[0], of.edges[-1])}; {top}"


def _about(of: Histogram | MemberCounts) -> str:
    return "about " if of.estimated else ""


def legend(check: Check, reference: ReferenceVersion | None) -> tuple[str, str]:
    """What is drawn as bars and, if anything, as an outline."""
    own = check.histogram or check.members
    if own is None:
        return "", ""
    now, other = f"this version: {number(own.n)} values", check.reference
    if other is None:
        return now, ""
    name = "an earlier version"
    if reference is not None:
        name = f"version {short(reference.version)} of {reference.day}, which {_how(reference)}"
    sampled = ", estimated from a sample" if other.estimated else ""
    return now, clean(f"{name}: {_about(other)}{number(other.n)} values{sampled}")


def _how(reference: ReferenceVersion) -> str:
    did = reference.how
    return f"was {did}" if did.startswith("accepted") else did


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
    if found is None or not found.n:
        return []
    before = check.reference if isinstance(check.reference, MemberCounts) else None
    now, then = _shares(found), _shares(before) if before else {}
    most = max((*(n / found.n for _, n, _ in now.values()), *_highest(before))) or 1
    rows = []
    for key, (name, count, outside) in now.items():
        row = Row(name, _counted(count, found), round(100 * count / found.n / most, 1), outside)
        if before and before.n:
            there = then[key][1] if key in then else 0
            width = round(100 * there / before.n / most, 1)
            row = row._replace(before=_counted(there, before), width_before=width)
        rows.append(row)
    return rows


def _highest(of: MemberCounts | None) -> list[float]:
    return [n / of.n for _, n, _ in _shares(of).values()] if of and of.n else []


def _counted(count: int, of: MemberCounts) -> str:
    return f"{number(count)} ({percent(count / of.n)})"


def _shares(of: MemberCounts) -> dict[int, tuple[str, int, bool]]:
    """By place: a name, how many values, and whether they may not be there. The last two are the
    other members, and all other values, which are never named."""
    found = {at: (clean(one.member), one.count, of.forbidden) for at, one in enumerate(of.members)}
    if of.more:
        found[-2] = ("other members of the set", of.more, of.forbidden)
    others = "other values" if of.forbidden else "other values, not in the set"
    found[-1] = (others, of.others, not of.forbidden)
    return found
