"""Watches the local directories of a pipeline's datasets."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

import structlog
from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from controller.machine.core import Key

DEBOUNCE = 0.5
"""Seconds for which changes are collected into one hint."""

FALLBACK_INTERVAL = 5.0
"""Seconds between hints while a directory cannot be watched, at most."""

ABSENT = 0.5
"""Seconds between checks whether a missing directory exists."""

# Without opening and closing for reading, as listing a dataset would then cause a hint itself.
_HEARD: list[type[FileSystemEvent]] = [
    DirCreatedEvent, DirDeletedEvent, DirMovedEvent, FileClosedEvent,
    FileCreatedEvent, FileDeletedEvent, FileModifiedEvent, FileMovedEvent,
]  # fmt: skip

log = structlog.get_logger()


class BucketSource:
    """Hints at `Key("pipeline", pipeline)` when something changes below one of `folders`.

    Also hints every `interval` seconds: the listing is the truth, and watching only makes it fast.
    A folder may be missing, deleted and created again; its creation is a change, too. If the
    system's watches are used up, it hints every few seconds instead.
    """

    def __init__(
        self,
        pipeline: str,
        folders: Sequence[Path],
        interval: float,
        *,
        debounce: float = DEBOUNCE,
        fallback_interval: float = FALLBACK_INTERVAL,
    ) -> None:
        self._key = Key("pipeline", pipeline)
        self._folders = tuple(folders)
        self._interval = interval
        self._debounce = debounce
        self._fallback_interval = min(fallback_interval, interval)
        self._problem: str | None = None

    @property
    def problem(self) -> str | None:
        """Why it polls instead of watching."""
        return self._problem

    async def keys(self) -> AsyncIterator[Key]:
        """The pipeline's key: at the start, after changes, and every `interval` seconds."""
        changed = asyncio.Event()
        watcher = _Watcher(_Handler(asyncio.get_running_loop(), changed))
        try:
            while True:
                changed.clear()
                absent = await asyncio.to_thread(self._absent)
                # First watch, then hint, so that no change in between is missed.
                self._say(await asyncio.to_thread(watcher.watch, self._folders))
                yield self._key
                wait = self._fallback_interval if self._problem else self._interval
                try:
                    async with asyncio.timeout(wait):
                        await self._news(changed, absent)
                except TimeoutError:
                    continue
                await asyncio.sleep(self._debounce)
        finally:
            await asyncio.to_thread(watcher.close)

    async def _news(self, changed: asyncio.Event, absent: set[Path]) -> None:
        """Wait until something changes, or one of the `absent` folders exists."""
        while absent and not changed.is_set():
            if absent - await asyncio.to_thread(self._absent):
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(ABSENT):
                    await changed.wait()
        await changed.wait()

    def _absent(self) -> set[Path]:
        return {folder for folder in self._folders if not folder.exists()}

    def _say(self, problem: str | None) -> None:
        if problem and problem != self._problem:
            log.warning("polling instead of watching", key=str(self._key), problem=problem)
        self._problem = problem


class _Handler(FileSystemEventHandler):
    """Called in watchdog's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, changed: asyncio.Event) -> None:
        self._loop = loop
        self._changed = changed

    def on_any_event(self, event: FileSystemEvent) -> None:  # noqa: ARG002 - watchdog's signature
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._changed.set)


class _Watcher:
    """Watches on folders; a watch is renewed when its folder was replaced."""

    def __init__(self, handler: FileSystemEventHandler) -> None:
        self._handler = handler
        self._observer: BaseObserver | None = None
        self._watched: dict[Path, tuple[tuple[int, int], ObservedWatch]] = {}

    def watch(self, folders: Sequence[Path]) -> str | None:
        """Watch each folder as it is now; why one cannot be watched, or None."""
        problem = None
        for folder in folders:
            try:
                about = folder.stat()
                identity = (about.st_dev, about.st_ino)
                known = self._watched.get(folder)
                if known is None or known[0] != identity:
                    self._forget(folder)
                    watch = self._started().schedule(
                        self._handler, str(folder), recursive=True, event_filter=_HEARD
                    )
                    self._watched[folder] = (identity, watch)
            except OSError as error:
                self._forget(folder)
                problem = _explained(folder, error)
        return problem

    def close(self) -> None:
        """Stop watching and wait for watchdog's threads."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()

    def _started(self) -> BaseObserver:
        if self._observer is None:
            observer = Observer()
            observer.start()
            self._observer = observer
        return self._observer

    def _forget(self, folder: Path) -> None:
        known = self._watched.pop(folder, None)
        if known and self._observer:
            self._observer.unschedule(known[1])


def _explained(folder: Path, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return (
            f"{folder} cannot be watched: the system's inotify watches are used up; "
            "raise fs.inotify.max_user_watches"
        )
    if error.errno == errno.EMFILE:
        return (
            f"{folder} cannot be watched: too many open files or inotify instances; raise "
            "`ulimit -n` or fs.inotify.max_user_instances"
        )
    return f"{folder} cannot be watched: {os.strerror(error.errno or 0)}"
