"""How many rows a version has, against the median of the accepted ones before it. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median
from typing import Final, NamedTuple

from specs.dataset_checks import Season, VolumeRule
from specs.figures import number, percent
from validators.data.history.past import PastVersion
from validators.data.history.verdicts import found, undecided
from validators.report import Check

FEWEST: Final = 3
"""Versions that a median is taken of, at least."""
_SEASONS: Final[Mapping[Season, Callable[[datetime], int]]] = {
    "hour": lambda moment: moment.hour,
    "weekday": lambda moment: moment.weekday(),
    "day": lambda moment: moment.day,
    "month": lambda moment: moment.month,
}


class _Count(NamedTuple):
    """What is compared."""

    name: str
    unit: str
    now: float
    before: Sequence[float]
    """Of the versions that count."""


def volume_checks(
    rule: VolumeRule, past: Sequence[PastVersion], now: PastVersion
) -> Iterator[Check]:
    """Whether the rows are near the median. Of data that grows, the rows that were added and those
    of each new object are; where old objects go as new ones come, all rows and those of each new
    object. `past` is oldest first."""
    alike = [one.rows for one in past if _is_same_season(rule.season, one.at, now.at)]
    every = _Count("rows", "rows", now.rows, alike[-rule.of :])
    if not past or now.new_rows == now.rows:
        yield _check(rule, every)
        return
    steps = [
        (one, other)
        for one, other in pairwise(past)
        if _is_same_season(rule.season, other.at, now.at) and other.new_rows != other.rows
    ][-rule.of :]
    if 2 * sum(map(_lost_rows, steps)) > len(steps):
        yield _check(rule, every)
    else:
        added = [other.rows - one.rows for one, other in steps]
        yield _check(rule, _Count("rows added", "rows added", now.rows - past[-1].rows, added))
    if now.new_objects:
        before = [one.new_rows / one.new_objects for _, one in steps if one.new_objects]
        each = now.new_rows / now.new_objects
        yield _check(rule, _Count("rows per new object", "rows per new object", each, before))


def _lost_rows(step: tuple[PastVersion, PastVersion]) -> bool:
    """Whether rows of the first version are gone in the second."""
    one, other = step
    return other.rows - one.rows < other.new_rows


def _check(rule: VolumeRule, count: _Count) -> Check:
    name = f"volume of {count.name}"
    n = len(count.before)
    of_season = f" of the same {_word(rule.season)}" if rule.season else ""
    rests = f"{n} accepted version{'s' * (n != 1)}{of_season}"
    if n < FEWEST:
        why = f"a median needs at least {FEWEST} accepted versions{of_season}; there "
        why += f"{'is' if n == 1 else 'are'} {n}"
        return undecided(name, why, subject=count.name, n=n)
    middle = median(count.before)
    change = count.now / middle - 1 if middle else (0.0 if count.now == 0 else float("inf"))
    way = "more" if change > 0 else "fewer"
    differs = f"{percent(abs(change))} {way} than" if change else "exactly"
    if not middle and count.now:
        differs = "where there were none:"
    return found(
        rule,
        name,
        f"{_figure(count.now)} {count.unit}, {differs} the median {_figure(middle)} of {rests}",
        passes=abs(change) <= rule.within,
        subject=count.name,
        observed=count.now,
        baseline=middle,
        limit=f"within {percent(rule.within)} of the median",
        n=n,
        next_step="Look whether the delivery is complete and delivered once; if it is meant, let a "
        "person accept the version with `headgate accept`.",
    )


def _figure(value: float) -> str:
    return number(int(value) if float(value).is_integer() else round(value, 1))


def _word(season: Season) -> str:
    return "day of the month" if season == "day" else season


def _is_same_season(season: Season | None, one: float, other: float) -> bool:
    if season is None:
        return True
    of = _SEASONS[season]
    return of(datetime.fromtimestamp(one, UTC)) == of(datetime.fromtimestamp(other, UTC))
