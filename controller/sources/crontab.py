"""When a crontab line in a time zone was last due, and when it is next."""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from specs.cron import RARELY, Cron, CronError, parse
from specs.failures import NeedsHuman

_MINUTE = timedelta(minutes=1)

HORIZON = timedelta(days=366 * (RARELY + 1))
"""How far a time is searched for: every valid line is due within it."""


class Crontab(NamedTuple):
    """A crontab line (five fields, as `specs.cron` reads them) in an IANA time zone.

    A time that the clock skips is due at the first moment after; one that it repeats is due once.
    A line for every hour simply follows the hours: skipped ones are not made up for, and repeated
    ones count twice.
    """

    cron: str
    timezone: str = "UTC"

    def latest_due(self, after: datetime, now: datetime) -> datetime | None:
        """The latest due time after `after` and not after `now`, in UTC, or None.

        One run for the latest time makes up for all missed ones. Searches back nine years. Raises
        `NeedsHuman` for an invalid line.
        """
        cron, zone = self._read(), ZoneInfo(self.timezone)
        now = now.astimezone(UTC)
        after = max(after.astimezone(UTC), now - HORIZON)
        latest = _latest_hourly if cron.hourly else _latest_on
        for day in _days_back(after.astimezone(zone).date(), now.astimezone(zone).date()):
            if cron.names(day):
                due = latest(cron, day, zone, now)
                if due is not None:
                    return due if due > after else None
        return None

    def next_due(self, after: datetime) -> datetime | None:
        """The first due time after `after`, in UTC, or None. Searches nine years ahead. Raises
        `NeedsHuman` for an invalid line."""
        cron, zone = self._read(), ZoneInfo(self.timezone)
        after = after.astimezone(UTC)
        first = after.astimezone(zone).date() - timedelta(days=1)
        for number in range(HORIZON.days):
            day = first + timedelta(days=number)
            if not cron.names(day):
                continue
            due = _first_hourly(cron, day, zone, after) if cron.hourly else None
            if not cron.hourly:
                due = next((m for m in _moments(cron, day, zone) if m > after), None)
            if due is not None:
                return due
        return None

    def _read(self) -> Cron:
        try:
            return parse(self.cron)
        except CronError as error:
            raise NeedsHuman(f"the schedule `{self.cron}` is invalid: {error}") from error


def _moments(cron: Cron, day: date, zone: ZoneInfo) -> Iterator[datetime]:
    return (_moment(day, minute, zone) for minute in cron.times())


def _first_hourly(cron: Cron, day: date, zone: ZoneInfo, after: datetime) -> datetime | None:
    """The first due time of `day` after `after` for a line for every hour."""
    start, end = _moment(day, 0, zone), _moment(day + timedelta(days=1), 0, zone)
    moment = max(start, after.replace(second=0, microsecond=0) + _MINUTE)
    while moment < end:
        here = moment.astimezone(zone)
        if here.date() == day and here.minute in cron.minutes:
            return moment
        moment += _MINUTE
    return None


def _days_back(first: date, last: date) -> Iterator[date]:
    """The days from `last` back to the day before `first`, as a skipped time of that day may be due
    on the next."""
    for number in range((last - first).days + 2):
        yield last - timedelta(days=number)


def _latest_on(cron: Cron, day: date, zone: ZoneInfo, now: datetime) -> datetime | None:
    """The latest due time of `day` that is not after `now`."""
    times = cron.times()
    # Skipped times are due after the gap, and of repeated ones the first counts, so moments are in
    # the same order as times.
    passed = bisect_right(times, now, key=lambda minute: _moment(day, minute, zone))
    return _moment(day, times[passed - 1], zone) if passed else None


def _latest_hourly(cron: Cron, day: date, zone: ZoneInfo, now: datetime) -> datetime | None:
    """Like `_latest_on`, for a line for every hour."""
    start = _moment(day, 0, zone)
    end = _moment(day + timedelta(days=1), 0, zone)
    moment = min(now, end - _MINUTE).replace(second=0, microsecond=0)
    while moment >= start:
        here = moment.astimezone(zone)
        if here.date() == day and here.minute in cron.minutes:
            return moment
        moment -= _MINUTE
    return None


def _moment(day: date, minute: int, zone: ZoneInfo) -> datetime:
    """When the clock of `zone` first shows a time of `day`, in UTC; or else when it skips it."""
    wanted = datetime.combine(day, time(minute // 60, minute % 60))
    moment = wanted.replace(tzinfo=zone).astimezone(UTC)
    if _shown(moment, zone) == wanted:
        return moment
    # In a gap: the old offset gives a moment after the change, the new one a moment before it.
    before = int(wanted.replace(tzinfo=zone, fold=1).timestamp())
    return datetime.fromtimestamp(
        before
        + bisect_right(
            range(int(moment.timestamp()) - before),
            wanted,
            key=lambda ahead: _shown(datetime.fromtimestamp(before + ahead, UTC), zone),
        ),
        UTC,
    )


def _shown(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)
