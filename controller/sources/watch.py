"""Runs the sources: those of repositories from the start, those of pipelines as specs come.

A source waits trouble out by itself. One that raises or ends all the same is run anew, after a
pause that grows, and somebody is told if that does not help.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

import structlog

from controller.machine.core import Envelope, Key
from controller.reconcile.outbox import RuntimePolicy
from controller.reconcile.stalls import HUMAN, Stalls
from controller.sources.bucket import BucketSource
from controller.sources.crontab import Crontab
from controller.sources.protocol import Source
from controller.sources.schedule import ScheduleSource
from specs.failures import Failure
from specs.schedule import ScheduleTrigger

STEADY = 30.0
"""Seconds for which a source that was run anew has to go on until it is as good as before."""
KINDS = ("git", "pulls", "bucket", "schedule")
"""The kinds of sources whose faults are told of here; a queue tells of its own."""

log = structlog.get_logger("headgate.watch")


class Wish(NamedTuple):
    """What a pipeline's spec asks to be watched."""

    folders: tuple[Path, ...] = ()
    uris: tuple[str, ...] = ()
    """Datasets in object stores: of those, a queue may tell."""
    schedule: ScheduleTrigger | None = None
    asks: bool = False
    """Whether there are databases to be asked now and then."""


class Watcher:
    """One task for each source, and one queue for the hints of all."""

    def __init__(
        self, send: Callable[[Envelope], Awaitable[None]], bucket_poll: float, policy: RuntimePolicy
    ) -> None:
        self._hints: asyncio.Queue[Key] = asyncio.Queue()
        self._send = send
        self._bucket_poll = bucket_poll
        self._policy = policy
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._sources: dict[tuple[str, str], Source] = {}
        self._wishes: dict[str, Wish] = {}
        self._faults: dict[tuple[str, str], str] = {}
        self._troubles = Stalls()
        self._telling: set[asyncio.Task[None]] = set()

    async def hint(self) -> Key:
        """Wait for the next key to look at."""
        return await self._hints.get()

    @property
    def problems(self) -> Sequence[str]:
        """What keeps sources from watching as they should."""
        found = [source.problem for source in self._sources.values() if source.problem]
        return [*found, *self._faults.values()]

    def restore(self, troubles: Iterable[Key]) -> None:
        """Remember which faults somebody was told of before a restart."""
        for trouble in troubles:
            if trouble.name.partition("/")[0] in KINDS:
                self._troubles.restore(trouble)

    def add(self, kind: str, name: str, source: Source) -> None:
        """Run a source, in place of the one that stood there."""
        self._stop(kind, name)
        self._sources[kind, name] = source
        self._tasks[kind, name] = asyncio.create_task(self._run(Key(kind, name), source))

    def follow(self, pipeline: str, wish: Wish, last: float | None) -> None:
        """Watch what the pipeline's spec asks for now. `last` is when its schedule was last due,
        or since when there is one."""
        if self._wishes.get(pipeline) == wish:
            return
        self._wishes[pipeline] = wish
        self._stop("bucket", pipeline)
        self._stop("schedule", pipeline)
        if wish.folders or wish.uris or wish.asks:
            self.add("bucket", pipeline, BucketSource(pipeline, wish.folders, self._bucket_poll))
        if wish.schedule is not None:
            crontab = Crontab(wish.schedule.cron, wish.schedule.timezone)
            before = datetime.fromtimestamp(last, UTC) if last is not None else None
            source = ScheduleSource(
                pipeline,
                crontab,
                self._send,
                before,
                clock=self._now,
                wake_every=self._policy.wake_every,
            )
            self.add("schedule", pipeline, source)

    def concerned(self, uri: str) -> Sequence[Key]:
        """The pipelines that an object may concern: it lies where one of their datasets does."""
        return [
            Key("pipeline", name)
            for name, wish in self._wishes.items()
            if any(uri.startswith(_fixed(dataset)) for dataset in wish.uris)
        ]

    async def close(self) -> None:
        """Stop all sources."""
        tasks = [*self._tasks.values(), *self._telling]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._policy.wall(), UTC)

    def _stop(self, kind: str, name: str) -> None:
        self._sources.pop((kind, name), None)
        task = self._tasks.pop((kind, name), None)
        if task is not None:
            task.cancel()
        if self._faults.pop((kind, name), None) is not None:
            self._soon(self._tell(Key(kind, name), None))

    async def _run(self, of: Key, source: Source) -> None:
        """Pass on what a source hints at; where it fails, have it begin anew, for ever."""
        failures = 0
        while True:
            steady = asyncio.get_running_loop().call_later(STEADY, self._goes_on, of)
            why = "it ended by itself"
            try:
                async with aclosing(cast("AsyncGenerator[Key, None]", source.keys())) as keys:
                    async for key in keys:
                        self._hints.put_nowait(key)
                        self._goes_on(of)
                        failures = 0
            except Failure as failure:
                why = str(failure)
            except Exception as fault:
                log.exception("a source failed by a fault of Headgate's own", source=str(of))
                why = f"a fault of Headgate's own ({type(fault).__name__}); its log says where"
            finally:
                steady.cancel()
            failures += 1
            self._faults[of] = f"The source {of} fails: {why}. It is run anew until it goes on."
            delay = self._policy.backoff.delay(failures, self._policy.jitter())
            log.error("a source failed, and is run anew", source=str(of), reason=why, delay=delay)
            await self._tell(of, self._faults[of])
            await asyncio.sleep(delay)

    def _goes_on(self, of: Key) -> None:
        """It hinted at something, or has run for a while."""
        self._faults.pop(of, None)
        self._soon(self._tell(of, None))

    def _soon(self, telling: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(telling)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, of: Key, trouble: str | None) -> None:
        """As the loop tells of an object: of what lasts, once, and of its end."""
        now = self._policy.clock()
        if trouble is None:
            message = self._troubles.passed(of, now)
        else:
            message = self._troubles.failed(of, trouble, now, min(HUMAN, self._policy.bears))
        if message is None:
            return
        try:
            await self._send(message)
        except Failure as failure:
            log.warning("nobody could be told of a source yet", reason=str(failure))
            return
        self._troubles.sent(of, message)
        self._hints.put_nowait(message.to)


def _fixed(uri: str) -> str:
    """A dataset's address as far as it is the same for all its objects."""
    return re.split(r"[*?\[]", uri, maxsplit=1)[0]
