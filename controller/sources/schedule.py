"""Runs by the clock: a crontab line in a time zone, exactly one message per time that is due."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger

from controller.machine.core import Key, Message
from specs.cron import RARELY, Cron, CronError, parse
from specs.failures import Failure, NeedsHuman

TYPE = "schedule_due"

BETWEEN_LOOKS = timedelta(minutes=1)
"""Longer than any two looks at the clock are apart."""

_MINUTE = timedelta(minutes=1)

FURTHEST = timedelta(days=366 * (RARELY + 1))
"""How far back a missed time is looked for: any line that can be read comes within it."""

log = structlog.get_logger()


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
        try:
            cron = parse(self.cron)
        except CronError as fault:
            raise NeedsHuman(f"the schedule `{self.cron}` cannot run: {fault}") from fault
        zone = ZoneInfo(self.timezone)
        now = now.astimezone(UTC)
        after = max(after.astimezone(UTC), now - FURTHEST)
        latest = _latest_hourly if cron.hourly else _latest_on
        for day in _days_back(after.astimezone(zone).date(), now.astimezone(zone).date()):
            if cron.names(day):
                due = latest(cron, day, zone, now)
                if due is not None:
                    return due if due > after else None
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


def message_for(pipeline: str, due: datetime) -> Message:
    """What a pipeline is told. Its id is the time in UTC, so telling twice is telling once."""
    at = due.astimezone(UTC).isoformat()
    return Message(
        to=Key("pipeline", pipeline),
        id=f"schedule/{pipeline}/{at}",
        type=TYPE,
        body={"at": at},
    )


class ScheduleSource:
    """Sends `schedule_due` to one pipeline whenever its crontab line says so.

    `last` is the last time that was sent before, or since when there is the schedule (None: since
    now); the latest time missed since is sent at the start. The clock is looked at every
    `wake_every` seconds, as it may be set. A `send` that raises TryAgain or NeedsHuman is repeated.
    """

    def __init__(
        self,
        pipeline: str,
        crontab: Crontab,
        send: Callable[[Message], Awaitable[None]],
        last: datetime | None = None,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        wake_every: float,
    ) -> None:
        self._pipeline = pipeline
        self._crontab = crontab
        self._send = send
        self._clock = clock
        self._wake_every = wake_every
        self._last = last or clock()
        self._problem: str | None = None

    @property
    def problem(self) -> str | None:
        """Why the last message could not be sent."""
        return self._problem

    async def keys(self) -> AsyncIterator[Key]:
        """The pipeline's key, after each message that was sent to it."""
        woken = asyncio.Event()
        woken.set()
        # Lines are due at whole minutes; which, `Crontab` says. Looked at more often, as the clock
        # may be set.
        scheduler = AsyncIOScheduler(timezone=UTC)
        minutely = CronTrigger(minute="*", timezone=UTC)
        scheduler.add_job(_set, minutely, args=(woken,), coalesce=True, misfire_grace_time=None)
        scheduler.start()
        try:
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), self._wake_every)
                woken.clear()
                if await self._look():
                    yield Key("pipeline", self._pipeline)
        finally:
            scheduler.shutdown(wait=False)

    async def _look(self) -> bool:
        """Send what is due; what fails is told as this source's problem, and tried again."""
        try:
            sent = await self.send_due()
        except Failure as error:
            self._problem = str(error)
            log.warning("schedule cannot be sent", pipeline=self._pipeline, problem=str(error))
        except Exception as error:
            self._problem = f"the schedule of {self._pipeline} failed: {error!r}; it is tried again"
            log.exception("schedule failed", pipeline=self._pipeline)
        else:
            self._problem = None
            return sent
        return False

    async def send_due(self) -> bool:
        """Send the latest time that is due and was not sent yet; whether there was one."""
        now = self._clock()
        if now < self._last:
            # The clock was set back since the last look, and a time may have come due since. One
            # that was sent before has the same id.
            self._last = now - BETWEEN_LOOKS
        due = self._crontab.latest_due(self._last, now)
        if due is None:
            return False
        await self._send(message_for(self._pipeline, due))
        self._last = due
        return True


async def _set(woken: asyncio.Event) -> None:
    """Wake the source. A coroutine, so that APScheduler calls it in the loop and not a thread."""
    woken.set()
