"""Watches the datasets that trigger pipelines: one source for all of them."""

import asyncio
import math
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Final, NamedTuple

import structlog

from controller.machine.core import Key
from controller.sources.agenda import Agenda
from controller.sources.folders import Folders
from specs.datasets import Query

DEBOUNCE = 0.5
"""Seconds for which changes are collected before a dataset is looked at."""
FALLBACK_INTERVAL = 5.0
"""Seconds between looks at a dataset whose folder cannot be watched, at most..."""
FALLBACK_FACTOR = 20.0
"""...but so many times as long as a look takes, at least."""
ABSENT = 0.5
"""Seconds between checks whether missing folders exist."""
_NOTHING: Final = object()
"""In place of what a pipeline listed last: nothing yet."""

log = structlog.get_logger()


class WatchedDataset(NamedTuple):
    """What is at `uri`, or the rows of `query`. Pipelines with equal ones share looks."""

    uri: str = ""
    base: Path | None = None
    """What `uri` is relative to, for data in the repository."""
    marker: str | None = None
    """The name of the file that says that the dataset is complete."""
    query: Query | None = None
    folder: Path | None = None
    """The folder of this machine to be watched, if it is in one."""


Look = Callable[[WatchedDataset], Awaitable[object]]
"""Finds what a dataset holds now; equal results if nothing changed. Raises no `Failure`."""
Tell = Callable[[str, str | None], None]
"""Told, after each look, of a pipeline: why one of its datasets cannot be looked at, or, once that
is known, that all can be."""


class DatasetSource:
    """Hints at `Key("pipeline", NAME)` when a dataset is not what the pipeline listed last.

    Each dataset is looked at every `interval` seconds: that is the truth. Watching its folder only
    makes it fast. A folder may be missing, deleted and created again; its creation is a change,
    too. One that cannot be watched is looked at every few seconds instead. A look that raises is
    an internal error: it is logged, and made again when the next one is due.
    """

    def __init__(
        self,
        look: Look,
        interval: float,
        tell: Tell = lambda _pipeline, _why: None,
        *,
        debounce: float = DEBOUNCE,
        fallback_interval: float = FALLBACK_INTERVAL,
    ) -> None:
        self._look = look
        self._interval = interval
        self._tell = tell
        self._debounce = debounce
        self._fallback_interval = min(fallback_interval, interval)
        self._follows: dict[str, tuple[WatchedDataset, ...]] = {}
        self._listed: dict[WatchedDataset, dict[str, object]] = {}
        self._folders: dict[Path, _Folder] = {}
        self._agenda: Agenda[WatchedDataset] = Agenda()
        self._spread: set[WatchedDataset] = set()
        self._tasks: dict[object, asyncio.Task[None]] = {}
        self._absent: set[_Folder] = set()
        self._check_at = 0.0
        self._unused: set[_Folder] = set()
        self._heard: set[Path] = set()
        """Folders in which something changed since a look at one of their datasets began."""
        self._stirred: set[WatchedDataset] = set()
        """Datasets of whose folder that was heard since the last look at them began."""
        self._hints: dict[str, None] = {}
        self._news = asyncio.Event()
        self._errors: dict[WatchedDataset, str | None] = {}

    @property
    def problem(self) -> str | None:
        """Why it polls instead of watching."""
        problems = [folder.problem for folder in self._folders.values() if folder.problem]
        more = f" (and {len(problems) - 1} more folders)" if len(problems) > 1 else ""
        return problems[0] + more if problems else None

    def follow(self, pipeline: str, datasets: Sequence[WatchedDataset]) -> None:
        """Watch these datasets for a pipeline, instead of those before."""
        for dataset in self._follows.get(pipeline, ()):
            if dataset not in datasets:
                self._leave(pipeline, dataset)
        self._follows[pipeline] = tuple(dict.fromkeys(datasets))
        for dataset in self._follows[pipeline]:
            listed = self._listed.setdefault(dataset, {})
            if pipeline not in listed:
                listed[pipeline] = _NOTHING
                self._agenda.add(dataset, monotonic() + self._debounce)
                if dataset.folder is not None:
                    folder = self._folders.setdefault(dataset.folder, _Folder(dataset.folder))
                    folder.datasets.add(dataset)
        self._tell_of(pipeline)
        self._news.set()

    def listed(self, pipeline: str, dataset: WatchedDataset, found: object) -> None:
        """Note what a pipeline listed, which is as `look` has it. It counts as a look at a dataset
        that no other pipeline has."""
        listed = self._listed.get(dataset, {})
        if pipeline not in listed:
            return
        listed[pipeline] = found
        if len(listed) == 1 and self._only_polls(dataset):
            self._agenda.remove(dataset)
            self._agenda.add(dataset, monotonic() + self._interval)

    def _only_polls(self, dataset: WatchedDataset) -> bool:
        """Whether the next look is due only because the last one was long ago. Listings of object
        stores are reused, so they are no looks."""
        folder = self._folders.get(dataset.folder) if dataset.folder is not None else None
        return (
            folder is not None
            and folder.problem is None
            and folder.path not in self._heard
            and dataset not in self._stirred
            and dataset in self._spread
            and dataset not in self._tasks
            and self._errors.get(dataset) is None
        )

    async def keys(self) -> AsyncIterator[Key]:
        """The keys of pipelines, when they have to list again."""
        folders = Folders(partial(self._hear, asyncio.get_running_loop()))
        for dataset in self._listed:
            self._agenda.add(dataset, monotonic())
        try:
            while True:
                self._news.clear()
                while self._hints:
                    name = next(iter(self._hints))
                    del self._hints[name]
                    yield Key("pipeline", name)
                self._begin(folders)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._sleep()):
                        await self._news.wait()
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(folders.close)

    def _leave(self, pipeline: str, dataset: WatchedDataset) -> None:
        del self._listed[dataset][pipeline]
        if self._listed[dataset]:
            return
        del self._listed[dataset]
        self._agenda.remove(dataset)
        self._spread.discard(dataset)
        self._stirred.discard(dataset)
        self._errors.pop(dataset, None)
        if dataset.folder is not None:
            folder = self._folders[dataset.folder]
            folder.datasets.discard(dataset)
            if not folder.datasets:
                self._unused.add(folder)

    def _sleep(self) -> float | None:
        """Seconds until something is due; None if nothing is."""
        at = min(self._agenda.next, self._check_at if self._absent else math.inf)
        return None if math.isinf(at) else max(0.0, at - monotonic())

    def _begin(self, folders: Folders) -> None:
        """Begin with all that is due."""
        now = monotonic()
        for dataset in self._agenda.due(now):
            if dataset in self._tasks:
                self._agenda.add(dataset, now + self._debounce)
                continue
            if dataset.folder is not None:
                self._heard.discard(dataset.folder)
                self._stirred.discard(dataset)
            self._run(dataset, self._look_at(dataset, folders))
        while self._unused:
            folder = self._unused.pop()
            self._run(object(), self._unwatch(folder, folders))
        if self._absent and now >= self._check_at:
            self._check_at = now + ABSENT
            if ABSENT not in self._tasks:
                self._run(ABSENT, self._find_absent(tuple(self._absent)))

    def _run(self, of: object, work: Coroutine[Any, Any, None]) -> None:
        """Run it beside the others: one that hangs is not in their way."""

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.pop(of, None)
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("internal error in watching datasets", exc_info=error)
            self._news.set()

        self._tasks[of] = asyncio.create_task(work)
        self._tasks[of].add_done_callback(ended)

    async def _look_at(self, dataset: WatchedDataset, folders: Folders) -> None:
        began = monotonic()
        folder = self._folders.get(dataset.folder) if dataset.folder is not None else None
        found: object = _NOTHING
        why = None
        try:
            if folder is not None:  # first watch, then look: no change in between is missed
                await self._watch(folder, folders)
            found = await self._look(dataset)
        except Exception as error:  # one dataset's must not end the looks at all others
            why = f"internal error ({type(error).__name__}); see Headgate's log"
            if self._errors.get(dataset) != why:
                log.exception("internal error in a look at a dataset", dataset=_name(dataset))
        if dataset not in self._listed:
            return
        if found is not _NOTHING:
            self._compare(self._listed[dataset], found)
        self._looked(dataset, why)
        self._agenda.add(dataset, began + self._wait(dataset, folder, monotonic() - began))

    async def _watch(self, folder: "_Folder", folders: Folders) -> None:
        async with folder.lock:
            await asyncio.to_thread(folder.watch, folders)
        (self._absent.add if folder.is_absent else self._absent.discard)(folder)

    def _compare(self, listed: dict[str, object], found: object) -> None:
        """Hint at the pipelines that listed something else."""
        for pipeline, last in listed.items():
            if last is _NOTHING or last != found:
                listed[pipeline] = found
                self._hints[pipeline] = None

    def _looked(self, dataset: WatchedDataset, why: str | None) -> None:
        """Note how a look ended, and tell of it."""
        self._errors[dataset] = why
        for pipeline in self._listed[dataset]:
            self._tell_of(pipeline)

    def _tell_of(self, pipeline: str) -> None:
        datasets = self._follows[pipeline]
        for dataset in datasets:
            if why := self._errors.get(dataset):
                self._tell(pipeline, f"{_name(dataset)}: {why}")
                return
        if all(dataset in self._errors for dataset in datasets):
            self._tell(pipeline, None)

    def _wait(self, dataset: WatchedDataset, folder: "_Folder | None", took: float) -> float:
        """Seconds from one look to the next. The first time it is less, so that the looks at all
        datasets are spread over the interval."""
        if folder is not None and folder.problem and not folder.is_absent:
            return min(self._interval, max(self._fallback_interval, FALLBACK_FACTOR * took))
        if dataset in self._spread:
            return self._interval
        self._spread.add(dataset)
        return self._interval * random.random()  # noqa: S311 - not for security

    async def _unwatch(self, folder: "_Folder", folders: Folders) -> None:
        async with folder.lock:
            if not folder.datasets:
                await asyncio.to_thread(folders.forget, folder.path)
            if not folder.datasets:  # else it is watched again by the look that is due
                self._absent.discard(folder)
                self._folders.pop(folder.path, None)

    async def _find_absent(self, absent: Sequence["_Folder"]) -> None:
        """Look at the datasets whose folders exist now."""
        there = await asyncio.to_thread(lambda: [each for each in absent if _exists(each.path)])
        for folder in there:
            for dataset in folder.datasets:
                self._agenda.add(dataset, monotonic())

    def _hear(self, loop: asyncio.AbstractEventLoop, path: Path) -> None:
        """Called in the watching thread."""
        if path not in self._heard:
            self._heard.add(path)
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._changed, path)

    def _changed(self, path: Path) -> None:
        if path in self._folders:
            for dataset in self._folders[path].datasets:
                self._stirred.add(dataset)
                self._agenda.add(dataset, monotonic() + self._debounce)
            self._news.set()


def _exists(path: Path) -> bool:
    """Whether it exists; not, if that may not be known. `Path.exists` would raise."""
    return os.path.exists(path)  # noqa: PTH110 - as above


def _name(dataset: WatchedDataset) -> str:
    """The dataset in a message."""
    return dataset.uri or "the rows of a query"


class _Folder:
    """A folder with datasets."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.datasets: set[WatchedDataset] = set()
        self.problem: str | None = None
        """Why it is not watched."""
        self.is_absent = False
        self.lock = asyncio.Lock()

    def watch(self, folders: Folders) -> None:
        """Watch it, if that is possible. Blocking."""
        problem = folders.watch(self.path)
        self.is_absent = problem is not None and not _exists(self.path)
        if problem and problem != self.problem:
            log.warning("polling instead of watching", folder=str(self.path), problem=problem)
        self.problem = problem
