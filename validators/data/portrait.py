"""PURE. How the columns of a version are spread that its suite is about, kept beside its report.

It is written by each judgement, whatever the verdict, so that nothing of an accepted version has to
be read again to draw it beside a later one that fails. It has counts, and no value but the members
that the suite itself lists.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence

from validators.report import Check, GateValue, Histogram, MemberCount, MemberCounts

_FEWEST = 3
"""Bins that are worth a comparison."""


class ColumnSketch(GateValue):
    """About how the values of a column are spread that an expectation looks at."""

    asked: str
    """The digest of what is looked at: the column, the rows, the limits, the set."""
    cells: tuple[tuple[float, float, int], ...] = ()
    """From where to where, and about how many values: cells without values are left out."""
    members: tuple[MemberCount, ...] = ()
    """Of a set, in place of cells."""
    others: int = 0
    """How many values are not in the set."""
    estimated: bool = False
    """Whether the counts are estimated from a sample."""


class Portrait(GateValue):
    """What is known of a version's columns, by the name of the check that is about each."""

    sketches: Mapping[str, ColumnSketch] = {}

    def like(self, other: ColumnSketch) -> ColumnSketch | None:
        """Its sketch of what another version's sketch looks at."""
        every = self.sketches.values()
        return next((one for one in every if one.asked == other.asked), None)


def beside(check: Check, own: Portrait, earlier: Portrait) -> Check:
    """The check with what it draws of the earlier version, in the same bins. If the bins of the two
    have no more in common, those of the check are put together until they have.

    Unchanged if the earlier version was not asked the same, or nothing of it can be compared.
    """
    mine = own.sketches.get(check.name)
    theirs = mine and earlier.like(mine)
    if not theirs:
        return check
    if check.members is not None and theirs.members:
        return check.model_copy(update={"reference": _counted(theirs, check.members)})
    if check.histogram is None or not theirs.cells:
        return check
    shared = _shared(check.histogram, theirs.cells)
    if len(shared) <= _FEWEST:
        return check
    histogram = _in_bins(check.histogram, shared)
    return check.model_copy(
        update={"histogram": histogram, "reference": _placed(theirs, histogram)}
    )


def _counted(of: ColumnSketch, like: MemberCounts) -> MemberCounts:
    counts = {one.member: one.count for one in of.members}
    shown = tuple(
        MemberCount(member=one.member, count=counts.get(one.member, 0)) for one in like.members
    )
    more = sum(counts.values()) - sum(one.count for one in shown)
    return like.model_copy(
        update={
            "members": shown,
            "more": max(more, 0),
            "others": of.others,
            "estimated": of.estimated,
        }
    )


def _shared(of: Histogram, cells: Sequence[tuple[float, float, int]]) -> tuple[float, ...]:
    """The edges of a histogram that are within no cell."""
    starts = [low for low, _, _ in cells]

    def within(edge: float) -> bool:
        at = bisect_right(starts, edge) - 1
        return at >= 0 and starts[at] < edge < cells[at][1]

    return tuple(edge for edge in of.edges if not within(edge))


def _in_bins(of: Histogram, edges: Sequence[float]) -> Histogram:
    """The same values in fewer bins, between some of its edges."""
    counts = [0] * (len(edges) + 1)
    counts[0], counts[-1] = of.below, of.above
    for low, count in zip(of.edges, of.counts, strict=False):
        counts[bisect_right(edges, low)] += count
    return of.model_copy(
        update={
            "edges": tuple(edges),
            "counts": tuple(counts[1:-1]),
            "below": counts[0],
            "above": counts[-1],
        }
    )


def _placed(of: ColumnSketch, like: Histogram) -> Histogram:
    """The cells in the bins of a histogram."""
    counts = [0] * (len(like.edges) + 1)
    for low, high, count in of.cells:
        counts[bisect_right(like.edges, low + (high - low) / 2)] += count
    return like.model_copy(
        update={
            "counts": tuple(counts[1:-1]),
            "below": counts[0],
            "above": counts[-1],
            "estimated": of.estimated,
        }
    )
