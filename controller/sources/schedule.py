"""Sends pipelines exactly one message for each time at which their schedule is due: one source for
the schedules of all pipelines."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import structlog

from controller.machine.core import Envelope, Key
from controller.machine.messages import ScheduleDue
from controller.sources.agenda import Agenda
from controller.sources.crontab import Crontab
from specs.failures import Failure

BETWEEN_LOOKS = timedelta(minutes=1)
"""Longer than the time between any two looks at the clock."""

log = structlog.get_logger()


def message_for(pipeline: str, due: datetime) -> Envelope:
    """The message for a due time. Its id contains the time in UTC, so it is delivered once."""
    at = due.astimezone(UTC).isoformat()
    id_ = f"schedule/{pipeline}/{at}"
    return Envelope(to=Key("pipeline", pipeline), id=id_, message=ScheduleDue(at=at))


class _Schedule:
    """The schedule of one pipeline."""

    def __init__(self, crontab: Crontab, last: datetime) -> None:
        self.crontab = crontab
        self.last = last
        self.problem: str | None = None
        """Why the last message could not be sent."""


class ScheduleSource:
    """Sends `schedule_due` to each pipeline whenever its crontab line says so.

    The clock is checked every `wake_every` seconds, as it may be set, and at every whole minute,
    when lines can be due. Only the schedules that are due by then are looked at; all of them if the
    clock was set back. A `send` that raises `TryAgain` or `NeedsHuman` is repeated.
    """

    def __init__(
        self,
        send: Callable[[Envelope], Awaitable[None]],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        wake_every: float,
    ) -> None:
        self._send = send
        self._clock = clock
        self._wake_every = wake_every
        self._schedules: dict[str, _Schedule] = {}
        self._agenda: Agenda[str] = Agenda()
        self._looked: datetime | None = None
        self._woken = asyncio.Event()

    @property
    def problem(self) -> str | None:
        """Why the last message of a schedule could not be sent, and of how many more."""
        problems = [each.problem for each in self._schedules.values() if each.problem]
        more = f" (and {len(problems) - 1} more schedules)" if len(problems) > 1 else ""
        return problems[0] + more if problems else None

    def follow(self, pipeline: str, crontab: Crontab | None, last: datetime | None = None) -> None:
        """Follow this schedule of a pipeline instead of the one before; None: none any more.

        `last` is the last time that was sent, or when the schedule was added (None: now). The
        latest time missed since then is sent at once.
        """
        self._schedules.pop(pipeline, None)
        self._agenda.remove(pipeline)
        if crontab is not None:
            self._schedules[pipeline] = _Schedule(crontab, last or self._clock())
            self._agenda.add(pipeline, 0.0)
            self._woken.set()

    async def keys(self) -> AsyncIterator[Key]:
        """The key of each pipeline, after each message that was sent to it."""
        # Only a controller with a schedule pays for the import.
        from apscheduler.schedulers.asyncio import AsyncIOScheduler
        from apscheduler.triggers.cron import CronTrigger

        scheduler = AsyncIOScheduler(timezone=UTC)
        minutely = CronTrigger(minute="*", timezone=UTC)
        scheduler.add_job(
            _set, minutely, args=(self._woken,), coalesce=True, misfire_grace_time=None
        )
        scheduler.start()
        for pipeline in self._schedules:
            self._agenda.add(pipeline, 0.0)
        self._woken.set()
        try:
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), self._wake_every)
                self._woken.clear()
                for pipeline in self.due():
                    if await self.send_due(pipeline):
                        yield Key("pipeline", pipeline)
        finally:
            scheduler.shutdown(wait=False)

    def due(self) -> list[str]:
        """The pipelines whose schedules have to be looked at now; each is named once."""
        now = self._clock()
        if self._looked is not None and now < self._looked:  # due times are sooner than they were
            for pipeline in self._schedules:
                self._agenda.add(pipeline, 0.0)
        self._looked = now
        return self._agenda.due(now.timestamp())

    async def send_due(self, pipeline: str) -> bool:
        """Send the latest due time of a pipeline that was not sent yet; whether there was one. A
        failure becomes this source's problem, and is tried again."""
        schedule = self._schedules.get(pipeline)
        if schedule is None:
            return False  # it was dropped while others were looked at
        again, sent = 0.0, False
        try:
            sent = await self._send_latest(pipeline, schedule)
            coming = schedule.crontab.next_due(schedule.last)
            again = coming.timestamp() if coming is not None else again
        except Failure as error:
            schedule.problem = str(error)
            log.warning("schedule cannot be sent", pipeline=pipeline, problem=str(error))
        except Exception as error:
            schedule.problem = f"the schedule of {pipeline} failed: {error!r}; it is tried again"
            log.exception("schedule failed", pipeline=pipeline)
        else:
            schedule.problem = None
        if self._schedules.get(pipeline) is schedule:
            self._agenda.add(pipeline, again)
        return sent

    async def _send_latest(self, pipeline: str, schedule: _Schedule) -> bool:
        now = self._clock()
        if now < schedule.last:
            # The clock was set back, and a time may have come due since. If it was sent before, it
            # has the same id.
            schedule.last = now - BETWEEN_LOOKS
        due = schedule.crontab.latest_due(schedule.last, now)
        if due is None:
            return False
        await self._send(message_for(pipeline, due))
        schedule.last = due
        return True


async def _set(woken: asyncio.Event) -> None:
    """Wake the source. A coroutine, so that APScheduler calls it in the loop and not a thread."""
    woken.set()
