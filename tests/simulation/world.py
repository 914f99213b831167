"""The simulated world, and controllers in it: real but for what they meet the world with."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from controller.buckets.catalog import Catalog
from controller.config.secrets import Secrets
from controller.effects.environment_files import EnvironmentFileApplier
from controller.executors.collector import AttemptCollector
from controller.git.compare_and_swap import RetryTiming
from controller.git.environments import Environments
from controller.machine.actions import (
    CancelAttempt,
    Deploy,
    Incident,
    Notify,
    ReportCommit,
    ReportUntouched,
    RunSmoke,
    StartAttempt,
    WriteEnvironment,
)
from controller.machine.core import Action, Envelope, Key
from controller.machine.environments.job import owner_of
from controller.machine.pipelines.data import DatasetListing
from controller.notify import NotifyApplier
from controller.notify.protocol import Status
from controller.observers.batches import BatchObserver
from controller.observers.datasets import DatasetObserver, comparable
from controller.observers.environment import EnvironmentObserver
from controller.observers.past import PastReader
from controller.observers.pipeline import PipelineObserver
from controller.observers.repository import RepositoryObserver
from controller.observers.run import RunObserver
from controller.observers.stall import StallObserver
from controller.reconcile.loop import Loop
from controller.reconcile.outbox import Applier, RuntimePolicy
from controller.reports.applier import ReportApplier
from controller.reports.forge import CommitReport
from controller.reports.untouched import UntouchedApplier
from controller.sources.bucket import WatchedDataset
from controller.sources.polling import Polling
from controller.sources.watch import Watcher, WatchRequest
from controller.store.model_versions import Versions
from controller.store.run_graphs import Graphs
from controller.wiring import reconcilers
from controller.wiring.github import WITHOUT_GITHUB
from specs.digests import digest
from specs.failures import Failure
from tests.simulation.chaos import History, Life, Trouble
from tests.simulation.clock import now
from tests.simulation.cluster import Cluster, SimulatedArtifacts, SimulatedExecutor
from tests.simulation.git import Remote, SimulatedMirror, SimulatedRepositories
from tests.simulation.ledger import BookedStore, Ledger
from tests.simulation.serving import Servers, SimulatedDeployer, SimulatedServing
from tests.simulation.store import Memory

GIT_POLL, BUCKET_POLL = 60.0, 60.0
PIPELINE = Key("pipeline", "mean")
REPOSITORY = Key("repository", "team")


@dataclass
class World:
    """All that outlives a controller."""

    rng: random.Random
    history: History
    trouble: Trouble

    def __post_init__(self) -> None:
        self.memory = Memory()
        self.ledger = Ledger(self.memory, self.history)
        self.remote = Remote()
        self.cluster = Cluster(self.rng, self.history)
        self.servers = Servers(self.rng, self.history, lambda _place, _server: None)
        self.bucket = DatasetListing(digest=digest("numbers 0"))
        self.reports: defaultdict[str, list[CommitReport]] = defaultdict(list)
        """By commit, in the order in which they were shown."""
        self.sent: list[tuple[str, str, Incident]] = []
        """To people: the alert, its status, and what was said."""


class SimulatedForge:
    """A `Forge`."""

    def __init__(self, world: World, life: Life) -> None:
        self._world = world
        self._life = life

    async def report(self, report: CommitReport) -> None:
        await self._life.enter("forge")
        self._world.reports[report.commit].append(report)
        self._world.history.say("reported", report.commit[:8], report.state, report.title)
        await self._life.leave("forge")


class SimulatedNotifier:
    """A `Notifier`."""

    def __init__(self, world: World, life: Life) -> None:
        self._world = world
        self._life = life

    async def send(self, url: str, incident: Incident, status: Status, alert: str) -> None:
        await self._life.enter("people")
        self._world.sent.append((alert, status, incident))
        self._world.history.say("told", status, alert, incident.title)
        await self._life.leave("people")


class SimulatedDatasets(DatasetObserver):
    """Lists the one dataset."""

    def __init__(self, world: World, life: Life) -> None:
        self._world = world
        self._life = life

    async def listing(self, dataset: WatchedDataset) -> DatasetListing:
        await self._life.enter("cluster")
        return self._world.bucket.model_copy(update={"at": now()})

    def forget(self) -> None:
        return None


class SimulatedWatcher(Watcher):
    """Hints at a pipeline whose data is not what it listed last, by polling only."""

    def __init__(self, datasets: SimulatedDatasets) -> None:
        self._data = datasets
        self._known: object = None

    def follow(self, pipeline: str, request: WatchRequest, last: float | None) -> None:
        return None

    def listed(self, pipeline: str, dataset: WatchedDataset, found: object) -> None:
        self._known = found

    async def changed(self) -> bool:
        """Whether it is to be looked at again."""
        return comparable(await self._data.listing(WatchedDataset())) != self._known


class Controller:
    """One life of a controller, composed as `wiring.controller` does it."""

    def __init__(self, world: World, life: Life, boundary: Callable[[str, Key], None]) -> None:
        self.world, self.life = world, life
        self.store = BookedStore(world.ledger, life)
        self.mirror = SimulatedMirror(world.remote, life)
        self.repositories = SimulatedRepositories(world.remote, self.mirror)
        timing = RetryTiming(jitter=world.rng.random)
        self.branches = {"team": Environments(self.mirror, backoff=timing)}
        self.artifacts = SimulatedArtifacts(world.cluster, life)
        self.executor = SimulatedExecutor(world.cluster, life)
        self.datasets = SimulatedDatasets(world, life)
        self.watch = SimulatedWatcher(self.datasets)
        self.versions, self.graphs = Versions(self.store), Graphs(self.store)
        self.collector = AttemptCollector(self.executor, self.artifacts, cast("Catalog", None))
        policy = RuntimePolicy(clock=now, wall=now, boundary=boundary, jitter=world.rng.random)
        self.loop = Loop(
            self.store,
            self._kinds(),
            world.ledger.booked(self._appliers(), life),
            policy=policy,
            listen=30.0,
            witness=world.ledger,
        )

    def _kinds(self) -> Any:
        environments = EnvironmentObserver(
            self.versions,
            SimulatedDeployer(self.world.servers, self.life),
            self.repositories,
            self.branches,
            lambda text: text,
            PastReader(self.repositories, self.branches, self.versions, self.artifacts),
            {},
            now,
            BatchObserver(self.executor, self.collector),
        )
        pipelines = PipelineObserver(
            self.store,
            self.repositories,
            self.datasets,
            self.versions,
            self.artifacts,
            self.watch,
            self.branches,
        )
        runs = RunObserver(self.store, self.executor, self.artifacts, self.collector, self.graphs)
        return reconcilers.everything(
            RepositoryObserver(self.repositories, self.branches, self.store),
            pipelines,
            runs,
            environments,
            StallObserver(self.store, ()),
            ["team"],
        )

    def _appliers(self) -> dict[type[Action], Applier]:
        forge = SimulatedForge(self.world, self.life)
        serving = SimulatedServing(self.world.servers, self.versions, self.life)
        secrets = Secrets({})
        reports = ReportApplier(
            self.store, self.artifacts, self.repositories, forge, secrets, graphs=self.graphs
        )

        async def start(_: Key, action: StartAttempt) -> tuple[Envelope, ...]:
            await self.executor.start(action.attempt)
            return ()

        async def cancel(_: Key, action: CancelAttempt) -> tuple[Envelope, ...]:
            await self.executor.cancel(action.attempt)
            return ()

        return {
            StartAttempt: start,
            CancelAttempt: cancel,
            Deploy: serving.deploy,
            RunSmoke: serving.smoke,
            WriteEnvironment: EnvironmentFileApplier(self.repositories, self.branches).apply,
            ReportCommit: reports.apply,
            ReportUntouched: UntouchedApplier(forge).apply,
            Notify: NotifyApplier(SimulatedNotifier(self.world, self.life), secrets).apply,
            **WITHOUT_GITHUB,
        }

    async def run(self) -> None:
        """Live until it is cancelled."""
        self.world.cluster.tell = lambda attempt: self.loop.wake(owner_of(attempt))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.loop.run())
            tasks.create_task(self._poll_git())
            tasks.create_task(self._poll_data())

    async def _poll_git(self) -> None:
        jitter = self.world.rng.random
        source = Polling("team", self.mirror.heads, GIT_POLL, jitter=jitter)
        async with aclosing(cast("Any", source.keys())) as keys:
            async for key in keys:
                self.loop.wake(key)

    async def _poll_data(self) -> None:
        while True:
            await asyncio.sleep(BUCKET_POLL)
            try:
                if await self.watch.changed():
                    self.loop.wake(PIPELINE)
            except Failure:
                continue
