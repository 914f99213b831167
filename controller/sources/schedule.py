"""Sends a pipeline exactly one message for each time at which its schedule is due."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import structlog

from controller.machine.core import Envelope, Key
from controller.machine.messages import ScheduleDue
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


class ScheduleSource:
    """Sends `schedule_due` to one pipeline whenever its crontab line says so.

    `last` is the last time that was sent, or when the schedule was added (None: now); the latest
    time missed since then is sent at the start. The clock is checked every `wake_every` seconds, as
    it may be set. A `send` that raises `TryAgain` or `NeedsHuman` is repeated.
    """

    def __init__(
        self,
        pipeline: str,
        crontab: Crontab,
        send: Callable[[Envelope], Awaitable[None]],
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
        # Only a pipeline with a schedule pays for the import.
        from apscheduler.schedulers.asyncio import AsyncIOScheduler
        from apscheduler.triggers.cron import CronTrigger

        woken = asyncio.Event()
        woken.set()
        # Wake at every whole minute, when lines can be due, and more often as the clock may be set.
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
        """Send what is due; a failure becomes this source's problem, and is tried again."""
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
        """Send the latest due time that was not sent yet; whether there was one."""
        now = self._clock()
        if now < self._last:
            # The clock was set back, and a time may have come due since. If it was sent before, it
            # has the same id.
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
