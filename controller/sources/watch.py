"""Runs the sources: those of repositories from the start, those of pipelines as their specs need.

A source handles errors by itself. If it raises or ends nevertheless, it is restarted after a
growing delay, and if that does not help, people are notified.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

import structlog

from controller.machine.core import Envelope, Key
from controller.reconcile.outbox import RuntimePolicy
from controller.reconcile.stalls import HUMAN, Stalls
from controller.sources.bucket import DatasetSource, Look, WatchedDataset
from controller.sources.crontab import Crontab
from controller.sources.protocol import Source
from controller.sources.schedule import ScheduleSource
from specs.failures import Failure
from specs.schedule import ScheduleTrigger

STEADY = 30.0
"""Seconds after which a restarted source counts as working."""
KINDS = ("git", "pulls", "bucket", "schedule")
"""The kinds of sources whose errors are reported here; queues report their own."""

log = structlog.get_logger("headgate.watch")


DATASETS = ("bucket", "datasets")
"""The source for the datasets of all pipelines."""
SCHEDULES = ("schedule", "schedules")
"""The source for the schedules of all pipelines."""


class WatchRequest(NamedTuple):
    """What to watch for a pipeline, according to its spec."""

    datasets: tuple[WatchedDataset, ...] = ()
    schedule: ScheduleTrigger | None = None


class Watcher:
    """Runs a task for each source, and collects the hints of all in one queue."""

    def __init__(
        self,
        send: Callable[[Envelope], Awaitable[None]],
        look: Look,
        bucket_poll: float,
        policy: RuntimePolicy,
    ) -> None:
        self._hints: asyncio.Queue[Key] = asyncio.Queue()
        self._send = send
        self._datasets = DatasetSource(look, bucket_poll, self._looked)
        self._schedules = ScheduleSource(send, clock=self._now, wake_every=policy.wake_every)
        self._policy = policy
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._sources: dict[tuple[str, str], Source] = {}
        self._requests: dict[str, WatchRequest] = {}
        self._faults: dict[tuple[str, str], str] = {}
        self._troubles = Stalls()
        self._telling: set[asyncio.Task[None]] = set()

    async def hint(self) -> Key:
        """Wait for the next key to reconcile."""
        return await self._hints.get()

    @property
    def problems(self) -> Sequence[str]:
        """Why sources cannot watch as they should."""
        found = [source.problem for source in self._sources.values() if source.problem]
        return [*found, *self._faults.values()]

    def reachable(self) -> dict[str, bool]:
        """By repository, whether the last poll of its branches worked."""
        return {
            name: not source.problem
            for (kind, name), source in self._sources.items()
            if kind == "git"
        }

    def restore(self, stalls: Iterable[Key]) -> None:
        """Restore which errors were reported before a restart."""
        for stall in stalls:
            if stall.name.partition("/")[0] in KINDS:
                self._troubles.restore(stall)

    def add(self, kind: str, name: str, source: Source) -> None:
        """Run a source, replacing the one of the same kind and name."""
        self._stop(kind, name)
        self._sources[kind, name] = source
        self._tasks[kind, name] = asyncio.create_task(self._run(Key(kind, name), source))

    def follow(self, pipeline: str, request: WatchRequest, last: float | None) -> None:
        """Watch what the pipeline's spec needs now. `last` is when its schedule was last due, or
        when it was added."""
        if self._requests.get(pipeline) == request:
            return
        self._requests[pipeline] = request
        self._datasets.follow(pipeline, request.datasets)
        if request.datasets and DATASETS not in self._tasks:
            self.add(*DATASETS, self._datasets)
        self._works(Key("schedule", pipeline))  # an older controller had a source for each
        self._follow_schedule(pipeline, request.schedule, last)

    def _follow_schedule(
        self, pipeline: str, schedule: ScheduleTrigger | None, last: float | None
    ) -> None:
        if schedule is None:
            self._schedules.follow(pipeline, None)
            return
        crontab = Crontab(schedule.cron, schedule.timezone)
        before = datetime.fromtimestamp(last, UTC) if last is not None else None
        self._schedules.follow(pipeline, crontab, before)
        if SCHEDULES not in self._tasks:
            self.add(*SCHEDULES, self._schedules)

    def listed(self, pipeline: str, dataset: WatchedDataset, found: object) -> None:
        """Note what a pipeline found in a dataset, so that only a change is hinted at."""
        self._datasets.listed(pipeline, dataset, found)

    def pipelines_of(self, uri: str) -> Sequence[Key]:
        """The pipelines with a dataset that an object may belong to."""
        return [
            Key("pipeline", name)
            for name, request in self._requests.items()
            if any(
                dataset.uri and uri.startswith(_fixed(dataset.uri)) for dataset in request.datasets
            )
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
        """Pass on the hints of a source, and restart it whenever it fails."""
        failures = 0
        while True:
            steady = asyncio.get_running_loop().call_later(STEADY, self._works, of)
            why = "it ended by itself"
            try:
                async with aclosing(cast("AsyncGenerator[Key, None]", source.keys())) as keys:
                    async for key in keys:
                        self._hints.put_nowait(key)
                        self._works(of)
                        failures = 0
            except Failure as failure:
                why = str(failure)
            except Exception as error:
                log.exception("internal error in a source", source=str(of))
                why = f"internal error ({type(error).__name__}); see Headgate's log"
            finally:
                steady.cancel()
            failures += 1
            self._faults[of] = f"The source {of} fails: {why}. It is restarted until it works."
            delay = self._policy.backoff.delay(failures, self._policy.jitter())
            log.error("a source failed and is restarted", source=str(of), reason=why, delay=delay)
            await self._tell(of, self._faults[of])
            await asyncio.sleep(delay)

    def _works(self, of: Key) -> None:
        """Called when a source gave a hint, or has run for a while."""
        self._faults.pop(of, None)
        if self._troubles.passed(of, self._policy.clock()) is not None:
            self._soon(self._tell(of, None))

    def _looked(self, pipeline: str, why: str | None) -> None:
        """Called with why a dataset of a pipeline cannot be looked at, or that all can be."""
        of = Key("bucket", pipeline)
        if why is None:
            self._works(of)
            return
        self._faults[of] = f"A dataset of {pipeline} cannot be looked at: {why}. It is tried again."
        self._soon(self._tell(of, self._faults[of]))

    def _soon(self, telling: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(telling)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, of: Key, stall: str | None) -> None:
        """Report an error that lasts, once, and its end, as the loop does for objects."""
        now = self._policy.clock()
        if stall is None:
            message = self._troubles.passed(of, now)
        else:
            message = self._troubles.failed(of, stall, now, min(HUMAN, self._policy.bears))
        if message is None:
            return
        try:
            await self._send(message)
        except Failure as failure:
            log.warning("the state of a source cannot be reported yet", reason=str(failure))
            return
        self._troubles.sent(of, message)
        self._hints.put_nowait(message.to)


def _fixed(uri: str) -> str:
    """The part of a dataset's address before its first wildcard."""
    return re.split(r"[*?\[]", uri, maxsplit=1)[0]
