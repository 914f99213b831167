"""What is going on in the cluster: one watch over the pods of all attempts, and one list of Jobs.

The watch is fast, a list is the truth: pods are listed again whenever the watch cannot go on, and
every few minutes. Jobs say little that pods do not: they are listed only while somebody asks.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import Any, Final

import structlog

from controller.executors.kubernetes.interpret import workload_reason
from controller.executors.kubernetes.names import ATTEMPT, NODE, QUEUE
from deployers.kubernetes.cluster import ApiRefusal, Cluster, Manifest, UnknownKind, explained
from specs.failures import Failure, NeedsHuman, TryAgain

log = structlog.get_logger("headgate.executor")

RELIST: Final = 300.0
"""Seconds after which pods are listed again, whatever the watch says."""
WATCH_SECONDS: Final = 280
SHORTEST: Final = 0.2
"""Seconds between two attempts to watch, at the least; after failures more."""
LONGEST: Final = 10.0
BETWEEN_LISTS: Final = 1.0
"""Seconds between two lists of Jobs, at the least; for long lists more."""
BETWEEN_EVENTS: Final = 10.0
"""Seconds between two lists of events, at the least."""

OF_NODES: Final = f"-{NODE}-0"

PodChange = Callable[[Manifest, bool], None]
"""Called with a pod that changed, and whether it is gone."""


class PodWatch:
    """Tells of every pod with these labels, and of its changes, for as long as it runs."""

    def __init__(
        self,
        cluster: Cluster,
        selector: str,
        changed: PodChange,
        listed: Callable[[Collection[Manifest]], None],
    ) -> None:
        self._cluster = cluster
        self._selector = selector
        self._changed = changed
        self._listed = listed
        self._listed_at = 0.0
        self.unreachable: Failure | None = None
        """Why nothing is known at present."""
        self.first = asyncio.Event()
        """Set once all pods were listed."""

    async def run(self) -> None:
        """Watch until it is cancelled."""
        version, pause = "", SHORTEST
        while True:
            began, connected, before = time.monotonic(), False, version
            try:
                if not version or began - self._listed_at > RELIST:
                    version = await self._list()
                async for version in self._watch(version):  # noqa: B007, B020 - also when it is cut
                    self.unreachable, connected = None, True
            except ApiRefusal as refusal:
                version = ""
                if refusal.code != 410:
                    self.unreachable = explained(refusal, "watch pods")
            except Failure as failure:
                if not connected:  # else it was cut, and nothing is known to be missed yet
                    self.unreachable = failure
                log.info("the cluster cannot be watched", reason=str(failure))
            except Exception as error:  # it must not end while there are attempts
                log.exception("the watch of pods failed")
                version = ""
                named = f"{type(error).__name__}: {error}"
                self.unreachable = TryAgain(f"the cluster's pods cannot be watched ({named})")
            lasted = time.monotonic() - began
            went_on = lasted > pause or (connected and version != before)
            pause = SHORTEST if went_on else min(pause * 2, LONGEST)
            await asyncio.sleep(max(0.0, pause - lasted))

    async def _list(self) -> str:
        began = time.monotonic()
        pods, version = await self._cluster.list("pods", labelSelector=self._selector)
        self._listed_at = began
        self.unreachable = None
        self._listed(pods)
        self.first.set()
        return version

    async def _watch(self, version: str) -> AsyncIterator[str]:
        """Tell of what happens after a version; the version of each event. Raises `ApiRefusal` and
        `TryAgain`."""
        query = {
            "watch": "true",
            "labelSelector": self._selector,
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        async with self._cluster.stream("pods", query) as chunks:
            yield version  # it is connected
            async for line in lines_of(chunks):
                event = json.loads(line)
                found = event["object"]
                if event["type"] == "ERROR":
                    said = found.get("message", "")
                    raise ApiRefusal(found.get("code", 500), found.get("reason", ""), said)
                if event["type"] != "BOOKMARK":
                    self._changed(found, event["type"] == "DELETED")
                yield found["metadata"]["resourceVersion"]


async def lines_of(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Lines that end with a line feed, and with nothing else; a last one without is left out, as
    the connection was cut in it."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield line


class JobLister:
    """The Jobs, and TrainJobs, with these labels, listed while somebody waits for news."""

    def __init__(self, cluster: Cluster, selector: str, kinds: Collection[str]) -> None:
        """`kinds` are `jobs` and `trainjobs`, as far as there are such attempts."""
        self._cluster = cluster
        self._selector = selector
        self._kinds = kinds
        self._wanted = asyncio.Event()
        self._news = asyncio.Condition()
        self._begun = float("-inf")
        self._events_at = float("-inf")
        self.jobs: Mapping[str, Manifest] = {}
        """By name."""
        self.refused: Mapping[str, str] = {}
        """Why pods are not created, by the Job's name."""
        self.queued: Mapping[str, str] = {}
        """What Kueue says about the Jobs that it holds back, by name."""
        self.unreachable: Failure | None = None
        """Why they cannot be listed at present."""

    async def after(self, moment: float) -> None:
        """Wait until a list that began after that moment (by `time.monotonic`) is there."""
        async with self._news:
            while self._begun < moment:
                self._wanted.set()
                await self._news.wait()

    async def run(self) -> None:
        """List whenever somebody waits, until it is cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            began = time.monotonic()
            try:
                await self._look(began)
            except Failure as failure:
                log.info("the cluster's Jobs cannot be listed", reason=str(failure))
                self.unreachable = failure
                self._wanted.set()
                await asyncio.sleep(failure.after or 2.0 if isinstance(failure, TryAgain) else 30.0)
                continue
            except Exception as error:  # somebody waits for the next one
                log.exception("the list of Jobs failed")
                named = f"{type(error).__name__}: {error}"
                self.unreachable = TryAgain(f"the cluster's Jobs cannot be listed ({named})")
                self._wanted.set()
                await asyncio.sleep(LONGEST)
                continue
            took = time.monotonic() - began
            await asyncio.sleep(max(BETWEEN_LISTS, 5 * took))

    async def _look(self, began: float) -> None:
        jobs: dict[str, Manifest] = {}
        for kind in sorted(self._kinds):
            try:
                found, _ = await self._cluster.list(kind, labelSelector=self._selector)
            except UnknownKind:
                if kind != "trainjobs":
                    raise
                found = []  # who creates the first is told that Trainer is not there
            jobs |= {job["metadata"]["name"]: job for job in found}
        idle = [name for name, job in jobs.items() if not job.get("status", {}).get("active")]
        if idle and began - self._events_at > BETWEEN_EVENTS:
            self._events_at = began
            self.refused = await self._refusals()
            if any(QUEUE in jobs[name]["metadata"]["labels"] for name in idle):
                self.queued = await self._workloads()
        async with self._news:
            self.unreachable, self.jobs, self._begun = None, jobs, began
            self._news.notify_all()

    async def _refusals(self) -> dict[str, str]:
        selected = "reason=FailedCreate,involvedObject.kind=Job"
        try:
            events, _ = await self._cluster.list("events", fieldSelector=selected)
        except Failure as failure:  # they explain, and nothing waits for them
            log.info("the cluster's events cannot be listed", reason=str(failure))
            return {}
        # The Job of a TrainJob's nodes is named after it.
        return {
            event["involvedObject"]["name"].removesuffix(OF_NODES): str(event.get("message", ""))
            for event in events
        }

    async def _workloads(self) -> dict[str, str]:
        try:
            found, _ = await self._cluster.list("workloads")
        except (TryAgain, NeedsHuman) as failure:
            return dict.fromkeys(self.jobs, f"Kueue cannot be asked: {failure}")
        return {
            owner["name"]: workload_reason(workload)
            for workload in found
            for owner in workload["metadata"].get("ownerReferences", ())
            if owner["kind"] in ("Job", "TrainJob")
        }


def attempt_of(obj: Mapping[str, Any]) -> str:
    """The name of the Job that an object belongs to."""
    return str(obj["metadata"].get("labels", {}).get(ATTEMPT, ""))
