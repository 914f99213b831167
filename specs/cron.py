"""Crontab lines of five fields: the days and times that a line matches.

Lint and the scheduler share this parser, so the scheduler can run every line that lint accepts.
"""

import re
from calendar import isleap
from collections.abc import Iterator
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

RARELY: Final = 8
"""Years. A line must match a day at least this often; around 2100, 29 February takes this long."""

_MONTHS: Final = (
    *("", "JAN", "FEB", "MAR", "APR", "MAY", "JUN"),
    *("JUL", "AUG", "SEP", "OCT", "NOV", "DEC"),
)
_WEEKDAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


class _Field(NamedTuple):
    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()

    @property
    def values(self) -> frozenset[int]:
        return frozenset(range(self.least, self.most + 1))


_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("weekday", 0, 6, _WEEKDAYS),
)
_ITEM: Final = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/([0-9]{1,4}))?", re.ASCII)


class CronError(ValueError):
    """A line that is not a crontab line, or almost never matches. `str()` is for the user."""


class Cron(NamedTuple):
    """The values that each field matches; Sunday is 0."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool
    """Whether day and weekday are both restricted, so that a match of either is enough."""

    @property
    def hourly(self) -> bool:
        """Whether the line matches every hour."""
        return self.hours == _FIELDS[1].values

    def times(self) -> list[int]:
        """The times of a matching day, in minutes since midnight, in order."""
        return [
            60 * hour + minute for hour in sorted(self.hours) for minute in sorted(self.minutes)
        ]

    def names(self, day: date) -> bool:
        """Whether the line matches `day`."""
        if day.month not in self.months:
            return False
        by_number, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_number or by_weekday if self.either else by_number and by_weekday


@lru_cache(maxsize=256)  # the scheduler asks for the same line again and again
def parse(line: str) -> Cron:
    """Read minute, hour, day, month and weekday, as in crontab(5); raises CronError.

    Names are JAN-DEC and SUN-SAT; Sunday is 0 or 7. If both day and weekday are given, a match of
    either is enough. A step longer than its range is rejected: `*/90` for the minute was meant as
    something that a crontab line cannot express.
    """
    texts = line.split()
    if len(texts) != len(_FIELDS):
        raise CronError(
            f"it has {len(texts)} fields; expected minute, hour, day, month and weekday"
        )
    minutes, hours, days, months, weekdays = (
        frozenset(number for item in text.split(",") for number in _numbers(item, field))
        for text, field in zip(texts, _FIELDS, strict=True)
    )
    either = not (texts[2].startswith("*") or texts[4].startswith("*"))
    cron = Cron(minutes, hours, days, months, weekdays, either)
    _check_that_it_matches(cron)
    return cron


def cron_fault(line: str) -> str | None:
    """What is wrong with `line` as a crontab line; None if nothing is."""
    try:
        parse(line)
    except CronError as fault:
        return str(fault)
    return None


def _numbers(item: str, field: _Field) -> Iterator[int]:
    """The values that one item of a field matches."""
    first, last, step = _span(item, field)
    if step is not None and step > last - first:
        raise CronError(
            f"`{item}` in the {field.name} only matches {first}, because its step is longer than "
            f"the range from {first} to {last}; write `{first}`"
        )
    weekday = field.names == _WEEKDAYS
    for number in range(first, last + 1, step or 1):
        yield number % 7 if weekday else number


def _span(item: str, field: _Field) -> tuple[int, int, int | None]:
    """First, last and step of an item; `a/n` runs to the end of the field's range."""
    weekday = field.names == _WEEKDAYS
    most = 7 if weekday else field.most
    found = _ITEM.fullmatch(item)
    fault = CronError(
        f"`{item}` is not a valid {field.name}; expected {field.least} to {most}, *, a-b or */n"
    )
    if found is None or (found[3] is not None and int(found[3]) == 0):
        raise fault
    step = int(found[3]) if found[3] is not None else None
    if found[1] is None:
        return field.least, field.most, step
    first = _number(found[1], field.names)
    last = first if found[2] is None else _number(found[2], field.names)
    if weekday and found[2] is not None and last == 0:
        last = 7  # FRI-SUN: a range that ends with Sunday ends the week.
    if first is None or last is None or not field.least <= first <= last <= most:
        raise fault
    if found[2] is None and step is not None:
        last = max(first, field.most)
    return first, last, step


def _number(word: str, names: tuple[str, ...]) -> int | None:
    if word.upper() in names:
        return names.index(word.upper())
    return int(word) if word.isdecimal() and len(word) <= 4 else None


def _check_that_it_matches(cron: Cron) -> None:
    """Raise CronError unless the line matches a day in any period of `RARELY` years."""
    if cron.either:
        return
    if not any(day <= _longest(month) for day in cron.days for month in cron.months):
        raise CronError(f"it never matches: none of its months has a day {min(cron.days)}")
    if cron.weekdays == _FIELDS[4].values:
        return
    # A year starts on one of seven weekdays and is a leap year or not; the cycle is 400 years.
    kinds = {_kind(year): _first_and_last(cron, year) for year in range(2000, 2028)}
    ends = [(year, kinds[_kind(year)]) for year in range(2000, 2400 + 2 * RARELY)]
    named = [(year, days) for year, days in ends if days is not None]
    seldom = CronError(
        f"it matches less than once in {RARELY} years: one of day and weekday begins with `*`, so "
        "a date must match both; write `*` alone for the weekday, or name more days"
    )
    if not named:
        raise seldom
    for (year, (_, last)), (later, (first, _)) in pairwise(named):
        if (later, first) > (year + RARELY, last):
            raise seldom


def _kind(year: int) -> tuple[bool, int]:
    return isleap(year), date(year, 1, 1).weekday()


def _first_and_last(cron: Cron, year: int) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Month and day of the first and the last day in `year` that the line matches."""
    start = date(year, 1, 1)
    days = [start + timedelta(days=number) for number in range(365 + isleap(year))]
    named = [(day.month, day.day) for day in days if cron.names(day)]
    return (named[0], named[-1]) if named else None


def _longest(month: int) -> int:
    """The most days that the month can have."""
    return 29 if month == 2 else 30 if month in (4, 6, 9, 11) else 31
