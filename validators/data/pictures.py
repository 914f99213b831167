"""What is drawn of a check that fails: how the values of its column are spread.

Measured for these checks alone, after all others: a second pass over their columns, or none if the
objects are known.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, Final, NamedTuple

from specs.figures import clip
from validators.data.bins import ValueBounds, bounds, edges, trimmed
from validators.data.conditions import Condition, condition_of
from validators.data.dataset import OpenedDataset
from validators.data.literals import Unfit
from validators.data.measure import Work, measure
from validators.data.measured import MetricNeed
from validators.data.metrics.metric import Extremes, position_of
from validators.data.metrics.shape import Binned, MemberTally, per_unit, unit_of
from validators.data.of_columns import limits, listed_in
from validators.data.suite import Expectation
from validators.report import MOST_MEMBERS, Histogram, MemberCount, MemberCounts

MOST: Final = 20
"""Columns that are drawn."""
_LONGEST: Final = 40
_EACH: Final = frozenset(f"expect_column_{name}_to_be_between" for name in ("values", "min", "max"))
"""Whose limits hold for each value of the column."""
_STATISTICS: Final = frozenset(f"expect_column_{name}_to_be_between" for name in ("mean", "median"))
"""Whose limits are values of the column."""
_AMONG: Final = frozenset(
    {"expect_column_values_to_be_in_set", "expect_column_distinct_values_to_be_in_set"}
)

Picture = Histogram | MemberCounts


class _Subject(NamedTuple):
    """What a failing expectation is about."""

    column: str
    kind: Any
    condition: Condition | None
    limits: ValueBounds
    listed: tuple[object, ...] = ()
    is_of_values: bool = True

    @property
    def is_whole(self) -> bool:
        import pyarrow as pa

        return bool(pa.types.is_integer(self.kind) or pa.types.is_date(self.kind))


def pictures(
    dataset: OpenedDataset, failing: Mapping[int, Expectation], work: Work
) -> dict[int, Picture]:
    """A picture of each failing expectation of one column that can be drawn, by place.

    Raises `Unreadable` if an object turns out not to be.
    """
    subjects = _subjects(dataset, failing)
    drawn = {at: one for at, one in subjects.items() if not one.listed}
    asked = [*_tallies(subjects).values(), *(_extremes(one) for one in drawn.values())]
    known = measure(dataset, list(dict.fromkeys(asked)), work) if asked else {}
    bins = {
        at: MetricNeed(one.condition, Binned(one.column, found))
        for at, one in drawn.items()
        if (found := edges(one.limits, _ends(one, known), whole=one.is_whole))
    }
    if bins:
        known |= measure(dataset, list(dict.fromkeys(bins.values())), work)
    made: dict[int, Picture] = {}
    for at, one in subjects.items():
        need = bins.get(at) or _tallies({at: one}).get(at)
        state = known.get(need) if need is not None else None
        if isinstance(state, list):
            made[at] = _members(one, state) if one.listed else _histogram(one, need, state)
    return made


def _subjects(dataset: OpenedDataset, failing: Mapping[int, Expectation]) -> dict[int, _Subject]:
    found: dict[int, _Subject] = {}
    columns: set[str] = set()
    for at, one in failing.items():
        try:
            subject = _subject(dataset, one)
        except Unfit:
            continue
        if subject is not None and len(columns | {subject.column}) <= MOST:
            columns.add(subject.column)
            found[at] = subject
    return found


def _subject(dataset: OpenedDataset, one: Expectation) -> _Subject | None:
    kwargs = one.kwargs
    column = kwargs.get("column")
    kind = dataset.kinds.get(column) if isinstance(column, str) else None
    if kind is None or not isinstance(column, str):
        return None
    condition, none = condition_of(kwargs), ValueBounds(None, None)
    if one.type in _AMONG:
        return _Subject(column, kind, condition, none, listed_in(kwargs, kind))
    if unit_of(kind) is None:
        return None
    subject = _Subject(column, kind, condition, none)
    if one.type not in _EACH | _STATISTICS:
        return subject
    low, high = (None if at is None else _in_units(at, kind) for at in limits(kwargs, kind))
    strict = bool(kwargs.get("strict_min")), bool(kwargs.get("strict_max"))
    of = bounds(low, high, strict=strict, whole=subject.is_whole)
    return subject._replace(limits=of, is_of_values=one.type in _EACH)


def _in_units(at: Any, kind: Any) -> float | None:
    found = float(at) / per_unit(kind)
    return found if isfinite(found) else None


def _tallies(subjects: Mapping[int, _Subject]) -> dict[int, MetricNeed]:
    return {
        at: MetricNeed(one.condition, MemberTally(one.column, one.listed))
        for at, one in subjects.items()
        if one.listed
    }


def _extremes(one: _Subject) -> MetricNeed:
    return MetricNeed(one.condition, Extremes(one.column))


def _ends(one: _Subject, known: Mapping[MetricNeed, Any]) -> tuple[float, float] | None:
    state = known.get(_extremes(one))
    if not isinstance(state, list) or not state:
        return None
    least, greatest = (_in_units(position_of(at), one.kind) for at in state)
    return None if least is None or greatest is None else (least, greatest)


def _histogram(one: _Subject, need: MetricNeed | None, state: Sequence[int]) -> Histogram:
    assert need is not None
    assert isinstance(need.metric, Binned)
    ends, counts = trimmed(need.metric.edges, state, one.limits)
    unit = unit_of(one.kind)
    return Histogram(
        edges=tuple(map(_short, ends)),
        counts=counts,
        below=state[0],
        above=state[-1],
        low=None if one.limits.low is None else _short(one.limits.low),
        high=None if one.limits.high is None else _short(one.limits.high),
        is_of_values=one.is_of_values,
        is_whole=one.is_whole,
        unit="number" if unit is None else unit,
    )


def _short(edge: float) -> float:
    """Without the last digits, in which a bound differs from the limit that is in or out."""
    return float(f"{edge:.12g}")


def _members(one: _Subject, state: Sequence[int]) -> MemberCounts:
    *each, n = state
    ranked = sorted(zip(each, map(str, one.listed), strict=True), key=lambda pair: -pair[0])
    shown, rest = ranked[:MOST_MEMBERS], ranked[MOST_MEMBERS:]
    return MemberCounts(
        members=tuple(
            MemberCount(member=clip(member, _LONGEST), count=count) for count, member in shown
        ),
        more=sum(count for count, _ in rest),
        others=max(n - sum(each), 0),
    )
