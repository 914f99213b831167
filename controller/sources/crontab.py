"""When a crontab line in a time zone is due: the last time, and the next."""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from specs.cron import RARELY, Cron, CronError, parse
from specs.failures import NeedsHuman

_MINUTE = timedelta(minutes=1)

FURTHEST = timedelta(days=366 * (RARELY + 1))
"""How far away a time is looked for: any line that can be read comes within it."""


class Crontab(NamedTuple):
    """A crontab line (five fields, as `specs.cron` reads them) in an IANA time zone.

    A time that the clock skips is made up for at the first moment after; one that it repeats
    counts once. Only a line for every hour has the hours as they come: none is made up for, and
    one that is repeated counts twice.
    """

    cron: str
    timezone: str = "UTC"

    def latest_due(self, after: datetime, now: datetime) -> datetime | None:
        """The latest time after `after` and not after `now` that is due, in UTC, or None.

        Many missed times are one: a run for the latest does for all. Looks back nine years.
        Raises NeedsHuman where the line cannot be read.
        """
        cron, zone = self._read(), ZoneInfo(self.timezone)
        now = now.astimezone(UTC)
        after = max(after.astimezone(UTC), now - FURTHEST)
        latest = _latest_hourly if cron.hourly else _latest_on
        for day in _days_back(after.astimezone(zone).date(), now.astimezone(zone).date()):
            if cron.names(day):
                due = latest(cron, day, zone, now)
                if due is not None:
                    return due if due > after else None
        return None

    def next_due(self, after: datetime) -> datetime | None:
        """The first time after `after` that is due, in UTC. Looks nine years ahead. Raises
        NeedsHuman where the line cannot be read."""
        cron, zone = self._read(), ZoneInfo(self.timezone)
        after = after.astimezone(UTC)
        first = after.astimezone(zone).date() - timedelta(days=1)
        for number in range(FURTHEST.days):
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
        except CronError as fault:
            raise NeedsHuman(f"the schedule `{self.cron}` cannot run: {fault}") from fault


def _moments(cron: Cron, day: date, zone: ZoneInfo) -> Iterator[datetime]:
    return (_moment(day, minute, zone) for minute in cron.times())


def _first_hourly(cron: Cron, day: date, zone: ZoneInfo, after: datetime) -> datetime | None:
    """The first time of `day` after `after`, of a line for every hour: minute by minute."""
    start, end = _moment(day, 0, zone), _moment(day + timedelta(days=1), 0, zone)
    moment = max(start, after.replace(second=0, microsecond=0) + _MINUTE)
    while moment < end:
        here = moment.astimezone(zone)
        if here.date() == day and here.minute in cron.minutes:
            return moment
        moment += _MINUTE
    return None


def _days_back(first: date, last: date) -> Iterator[date]:
    """From `last` back to the day before `first`: what a day has skipped is due on the next."""
    for number in range((last - first).days + 2):
        yield last - timedelta(days=number)


def _latest_on(cron: Cron, day: date, zone: ZoneInfo, now: datetime) -> datetime | None:
    """The latest time of `day` that is not after `now`."""
    times = cron.times()
    # What the clock skips comes after the gap and of what it repeats the first counts, so that
    # the moments are in the order of the times.
    passed = bisect_right(times, now, key=lambda minute: _moment(day, minute, zone))
    return _moment(day, times[passed - 1], zone) if passed else None


def _latest_hourly(cron: Cron, day: date, zone: ZoneInfo, now: datetime) -> datetime | None:
    """The same for a line for every hour: the clock is followed back, minute by minute."""
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
    """When `zone`'s clock first shows a time of `day`, in UTC; if never, when it skips it."""
    wanted = datetime.combine(day, time(minute // 60, minute % 60))
    moment = wanted.replace(tzinfo=zone).astimezone(UTC)
    if _shown(moment, zone) == wanted:
        return moment
    # In a gap: the old offset puts the time after the change and the new one before.
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
