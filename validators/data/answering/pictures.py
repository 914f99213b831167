"""What is drawn of a check that fails: how the values of its column are spread.

Measured for these checks alone, after all others: a second pass over their columns, or none if the
objects are known.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from specs.figures import clip
from validators.data.answering.measure import Work, measure
from validators.data.answering.subjects import Subject, in_units, subjects
from validators.data.metrics.bins import edges, trimmed
from validators.data.metrics.lengths import LengthExtremes
from validators.data.metrics.measured import MetricNeed
from validators.data.metrics.metric import Extremes, position_of
from validators.data.metrics.shape import Binned, BinnedLengths, MemberTally
from validators.data.reading.dataset import OpenedDataset
from validators.data.reading.files import Unreadable
from validators.data.suites.suite import Expectation
from validators.report import MOST_MEMBERS, Check, Histogram, MemberCount, MemberCounts
from validators.verdict import Verdict

MOST: Final = 20
"""Columns that are drawn."""
LONGEST: Final = 40
"""Characters of a member of a set."""

Picture = Histogram | MemberCounts


def drawn(
    checks: Sequence[Check],
    expectations: Mapping[int, Expectation],
    dataset: OpenedDataset,
    work: Work,
) -> list[Check]:
    """The checks, those that fail or warn with a picture of their column; `expectations` are those
    that were evaluated, by the place of their check. Raises `Unreadable`."""
    failing = {
        place: one
        for place, one in expectations.items()
        if checks[place].verdict in (Verdict.FAIL, Verdict.WARN)
    }
    try:
        found = pictures(dataset, failing, work)
    except Unreadable:
        raise
    except Exception:  # of any kind: the verdicts stand without what illustrates them
        return list(checks)
    return [_with_picture(check, found.get(place)) for place, check in enumerate(checks)]


def _with_picture(check: Check, picture: Picture | None) -> Check:
    if picture is None:
        return check
    name = "histogram" if isinstance(picture, Histogram) else "members"
    return check.model_copy(update={name: picture})


def pictures(
    dataset: OpenedDataset, failing: Mapping[int, Expectation], work: Work
) -> dict[int, Picture]:
    """A picture of each failing expectation of one column that can be drawn, by place.

    Raises `Unreadable` if an object turns out not to be.
    """
    found = subjects(dataset, failing, MOST)
    listed = {at: _tally(one) for at, one in found.items() if one.listed}
    binned = {at: one for at, one in found.items() if not one.listed}
    known = _measured(dataset, [*listed.values(), *map(_extremes, binned.values())], work)
    bins = _bins(binned, known)
    known |= _measured(dataset, list(bins.values()), work)
    far = {at: binned[at] for at, need in bins.items() if _is_beyond(known.get(need))}
    bins |= _bins(far, known, every=True)
    known |= _measured(dataset, [one for one in bins.values() if one not in known], work)
    made: dict[int, Picture] = {}
    for at, need in (listed | bins).items():
        state = known.get(need)
        if isinstance(state, list):
            subject = found[at]
            made[at] = (
                _histogram(subject, need.metric.edges, state)
                if isinstance(need.metric, Binned)
                else _members(subject, state)
            )
    return made


def _measured(
    dataset: OpenedDataset, needs: Sequence[MetricNeed], work: Work
) -> dict[MetricNeed, Any]:
    return measure(dataset, list(dict.fromkeys(needs)), work) if needs else {}


def _tally(one: Subject) -> MetricNeed:
    return MetricNeed(one.condition, MemberTally(one.column, one.listed))


def _extremes(one: Subject) -> MetricNeed:
    of = LengthExtremes if one.unit == "character" else Extremes
    return MetricNeed(one.condition, of(one.column))


def _bins(
    of: Mapping[int, Subject], known: Mapping[MetricNeed, Any], *, every: bool = False
) -> dict[int, MetricNeed]:
    found = {}
    for at, one in of.items():
        ends = edges(one.limits, _ends(one, known), whole=one.is_whole, every=every)
        if ends:
            binned = BinnedLengths if one.unit == "character" else Binned
            found[at] = MetricNeed(one.condition, binned(one.column, ends))
    return found


def _ends(one: Subject, known: Mapping[MetricNeed, Any]) -> tuple[float, float] | None:
    state = known.get(_extremes(one))
    if not isinstance(state, list) or not state:
        return None
    least, greatest = (in_units(position_of(at), one) for at in state)
    return None if least is None or greatest is None else (least, greatest)


def _is_beyond(state: object) -> bool:
    """Whether most of the values are beyond the bins."""
    return isinstance(state, list) and 2 * (state[0] + state[-1]) > sum(state)


def _histogram(one: Subject, edges: Sequence[float], state: Sequence[int]) -> Histogram:
    ends, counts = trimmed(edges, state, one.limits)
    return Histogram(
        edges=tuple(map(short, ends)),
        counts=counts,
        below=state[0],
        above=state[-1],
        low=None if one.limits.low is None else short(one.limits.low),
        high=None if one.limits.high is None else short(one.limits.high),
        is_of_values=one.is_of_values,
        is_whole=one.is_whole,
        unit=one.unit,
    )


def short(edge: float) -> float:
    """Without the last digits, in which a bound differs from the limit that is in or out."""
    return float(f"{edge:.12g}")


def _members(one: Subject, state: Sequence[int]) -> MemberCounts:
    *each, n = state
    ranked = sorted(zip(each, map(str, one.listed), strict=True), key=lambda pair: -pair[0])
    shown, rest = ranked[:MOST_MEMBERS], ranked[MOST_MEMBERS:]
    return MemberCounts(
        members=tuple(
            MemberCount(member=clip(member, LONGEST), count=count) for count, member in shown
        ),
        more=sum(count for count, _ in rest),
        others=max(n - sum(each), 0),
        forbidden=one.forbids,
    )
