"""Runs the sources: those of repositories from the start, those of pipelines as specs come."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, cast

from controller.machine.core import Key, Message
from controller.sources.bucket import BucketSource
from controller.sources.protocol import Source
from controller.sources.schedule import Crontab, ScheduleSource
from specs.model import ScheduleTrigger


class Wish(NamedTuple):
    """What a pipeline's spec asks to be watched."""

    folders: tuple[Path, ...] = ()
    uris: tuple[str, ...] = ()
    """Datasets in object stores: of those, a queue may tell."""
    schedule: ScheduleTrigger | None = None


class Watch:
    """One task for each source, and one queue for the hints of all."""

    def __init__(
        self,
        send: Callable[[Message], Awaitable[None]],
        bucket_poll: float,
        clock: Callable[[], float],
        wake_every: float,
    ) -> None:
        self._hints: asyncio.Queue[Key] = asyncio.Queue()
        self._send = send
        self._bucket_poll = bucket_poll
        self._clock = clock
        self._wake_every = wake_every
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._sources: dict[tuple[str, str], Source] = {}
        self._wishes: dict[str, Wish] = {}

    async def hint(self) -> Key:
        """Wait for the next key to look at."""
        return await self._hints.get()

    @property
    def problems(self) -> Sequence[str]:
        """What keeps sources from watching as they should."""
        return [source.problem for source in self._sources.values() if source.problem]

    def add(self, kind: str, name: str, source: Source) -> None:
        """Run a source, in place of the one that stood there."""
        self._stop(kind, name)
        self._sources[kind, name] = source
        self._tasks[kind, name] = asyncio.create_task(self._run(source))

    def follow(self, pipeline: str, wish: Wish, last: float | None) -> None:
        """Watch what the pipeline's spec asks for now. `last` is when its schedule was last due,
        or since when there is one."""
        if self._wishes.get(pipeline) == wish:
            return
        self._wishes[pipeline] = wish
        self._stop("bucket", pipeline)
        self._stop("schedule", pipeline)
        if wish.folders or wish.uris:
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
                wake_every=self._wake_every,
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
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    def _stop(self, kind: str, name: str) -> None:
        self._sources.pop((kind, name), None)
        task = self._tasks.pop((kind, name), None)
        if task is not None:
            task.cancel()

    async def _run(self, source: Source) -> None:
        async with aclosing(cast("AsyncGenerator[Key, None]", source.keys())) as keys:
            async for key in keys:
                self._hints.put_nowait(key)


def _fixed(uri: str) -> str:
    """A dataset's address as far as it is the same for all its objects."""
    return re.split(r"[*?\[]", uri, maxsplit=1)[0]
