"""Runs by the clock: a crontab line in a time zone, exactly one message per time that is due."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger

from controller.machine.core import Key, Message
from specs.failures import Failure

TYPE = "schedule_due"

BETWEEN_LOOKS = timedelta(minutes=1)
"""Longer than any two looks at the clock are apart."""

log = structlog.get_logger()

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# How far back a missed time is looked for: in steps, so that no step has many times in it.
_WINDOWS = tuple(timedelta(hours=hours) for hours in (1, 24, 24 * 31, 24 * 366, 24 * 366 * 8))


def trigger_of(cron: str, timezone: str) -> BaseTrigger:
    """APScheduler's trigger for a crontab line that `specs.cron` accepts.

    Two things are read as crontab(5) has them and not as APScheduler does: Sunday is weekday 0
    and 7, and where day and weekday are both given, either is enough.
    """
    minute, hour, day, month, weekday = cron.split()
    zone = ZoneInfo(timezone)

    def fields(day: str, weekday: str) -> CronTrigger:
        return CronTrigger(
            minute=minute,
            hour=hour,
            day=day,
            month=month.lower(),
            day_of_week=weekday,
            timezone=zone,
        )

    if day.startswith("*") or weekday.startswith("*"):
        return fields(day, _weekdays(weekday))
    return OrTrigger([fields(day, "*"), fields("*", _weekdays(weekday))])


def _weekdays(field: str) -> str:
    """The weekdays of a crontab field by name, such as `sun,mon` for `0-1`."""
    if field == "*":
        return field
    names: list[str] = []
    for item in field.lower().split(","):
        span, _, step = item.partition("/")
        first, dash, last = ("0", "-", "6") if span == "*" else span.partition("-")
        start = _weekday(first)
        stop = _weekday(last) if dash else 6 if step else start
        stop += 7 * (stop < start)
        names += [_WEEKDAYS[day % 7] for day in range(start, stop + 1, int(step or 1))]
    return ",".join(dict.fromkeys(names))


def _weekday(text: str) -> int:
    return int(text) if text.isdigit() else _WEEKDAYS.index(text)


class Crontab(NamedTuple):
    """A crontab line (five fields, as `specs.cron` accepts them) in an IANA time zone.

    An hour that the clock skips is made up for right after; one that it repeats counts once,
    unless the line is for every hour.
    """

    cron: str
    timezone: str = "UTC"

    def latest_due(self, after: datetime, now: datetime) -> datetime | None:
        """The latest time after `after` and not after `now` that is due, in UTC, or None.

        Many missed times are one: a run for the latest does for all. Looks back eight years.
        """
        trigger = trigger_of(self.cron, self.timezone)
        after, now = after.astimezone(UTC), now.astimezone(UTC)
        for window in _WINDOWS:
            start = max(after, now - window)
            times = list(self._times(trigger, start, now))
            if times:
                return times[-1]
            if start == after:
                break
        return None

    def _times(self, trigger: BaseTrigger, start: datetime, now: datetime) -> Iterator[datetime]:
        """The times after `start` and not after `now`. In UTC: wall time goes back in autumn."""
        hourly = self.cron.split()[1].startswith("*")
        while due := trigger.get_next_fire_time(None, start + timedelta(microseconds=1)):
            start = due.astimezone(UTC)
            if start > now:
                return
            if hourly or not due.fold:
                yield start


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
        scheduler = AsyncIOScheduler(timezone=UTC)
        trigger = trigger_of(*self._crontab)
        scheduler.add_job(_set, trigger, args=(woken,), coalesce=True, misfire_grace_time=None)
        scheduler.start()
        try:
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), self._wake_every)
                woken.clear()
                try:
                    sent = await self.send_due()
                    self._problem = None
                except Failure as error:
                    self._problem = str(error)
                    log.warning(
                        "schedule cannot be sent", pipeline=self._pipeline, problem=str(error)
                    )
                    continue
                if sent:
                    yield Key("pipeline", self._pipeline)
        finally:
            scheduler.shutdown(wait=False)

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
