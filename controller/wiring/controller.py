"""The composition root: creates all observers and effects, and says who applies which action."""

import asyncio
import socket
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from controller.artifacts.opening import open_artifacts, open_remote
from controller.buckets.catalog import DATASETS, Catalog
from controller.buckets.roots import Roots
from controller.buckets.stores import Stores
from controller.config.secrets import Secrets
from controller.config.settings import RepositorySettings, Settings
from controller.effects.batches import BatchApplier
from controller.effects.environment_files import EnvironmentFileApplier
from controller.effects.recalled_targets import RecalledTargets
from controller.effects.serving import Serving
from controller.effects.shipping import Shipper
from controller.effects.smoke import Smoker
from controller.effects.sweep import Sweeper
from controller.executors.collector import AttemptCollector
from controller.executors.protocol import ManagedExecutor
from controller.executors.registry import ExecutorSetup, make_executor
from controller.executors.virtualenvs import Virtualenvs
from controller.executors.workspace import Workspace
from controller.git import Mirror
from controller.git.environments import Environments
from controller.git.notes import REF
from controller.git.notes_history import compact
from controller.git.repositories import Repositories
from controller.github.connect import connect
from controller.machine.actions import (
    CancelAttempt,
    Deploy,
    Notify,
    ReportCommit,
    ReportPolicy,
    ReportUntouched,
    RunSmoke,
    StartAttempt,
    StartBatch,
    WriteEnvironment,
)
from controller.machine.core import Action, Envelope, Key
from controller.machine.environments.job import owner_of
from controller.notify import AppriseNotifier, NotifyApplier
from controller.notify.save_monitor import SaveMonitor
from controller.observers.batches import BatchObserver
from controller.observers.datasets import DatasetObserver
from controller.observers.environment import EnvironmentObserver
from controller.observers.past import PastReader
from controller.observers.pipeline import PipelineObserver
from controller.observers.repository import RepositoryObserver
from controller.observers.run import RunObserver
from controller.observers.stall import StallObserver
from controller.queries.polling import QueryVersions
from controller.reconcile.loop import Loop
from controller.reconcile.outbox import Applier, RuntimePolicy
from controller.reconcile.tenure import Alone, Tenure
from controller.reports.applier import ReportApplier
from controller.reports.forge import Forge
from controller.reports.forge_by_repository import ForgeByRepository
from controller.reports.links import Links, on_github
from controller.reports.notes_forge import NotesForge
from controller.reports.policy_applier import PolicyApplier
from controller.reports.untouched import UntouchedApplier
from controller.sources.bucket import DEBOUNCE
from controller.sources.polling import Polling
from controller.sources.queues import Queues
from controller.sources.sqs import queues_of
from controller.sources.watch import Watcher
from controller.store.database import DatabaseStore
from controller.store.model_versions import Versions
from controller.store.protocol import Transaction
from controller.store.run_graphs import Graphs
from controller.wiring import reconcilers
from controller.wiring.github import WITHOUT_GITHUB, GitHubReads, OnGitHub
from controller.wiring.operations import Operations
from controller.wiring.serving_cluster import serving_cluster
from deployers.confinement import Confinement, confinement
from deployers.counting.prometheus import PrometheusServer
from deployers.engine import Engine
from deployers.processes import Processes
from deployers.protocol import Deployer, Desired
from deployers.registry import DeployerSetup, make_deployer
from deployers.windows import SERVING


class Controller:
    """Everything that one controller consists of, made from its settings."""

    def __init__(
        self,
        settings: Settings,
        base: Path,
        secrets: Secrets,
        store: DatabaseStore,
        policy: RuntimePolicy = RuntimePolicy(),  # noqa: B008 - a constant value
        *,
        identity: str,
        roots: Roots | None = None,
        tenure: Tenure = Alone(),  # noqa: B008 - it has no state
    ) -> None:
        """`identity` is the installation's, by which it knows what it made elsewhere. `roots` says
        where local datasets may be, instead of the settings."""
        home = settings.path(base)
        self.settings = settings
        self.policy = policy
        self.tenure = tenure
        self.store = store
        self.secrets = secrets
        self.identity = identity
        self.artifacts = open_artifacts(settings, home, identity)
        self.mirrors = mirrors = _mirrors(settings, base, home)
        self.engine = Engine(settings.docker.host, home)  # it connects when first used
        self.repositories = Repositories(mirrors, home / "checkouts", self.engine)
        bucket_poll = settings.bucket_poll.total_seconds()
        self.stores = Stores(settings.stores)
        self.catalog = self._catalog(home, roots or roots_of(settings, base))
        self.versions = Versions(store)
        self.graphs = Graphs(store)
        self.query_versions = QueryVersions(
            lambda name: secrets.reveal((name,))[name], longest=bucket_poll, clock=policy.clock
        )
        self.confinement = self._confined(home, settings.private(base))
        self.deployer = self._deployer(home, base)
        self.processes = Processes(home / "attempts")
        virtualenvs = Virtualenvs(home / "environments", self.confinement)
        self.executor = self._executor(base, home / "attempts", virtualenvs)
        self.collector = AttemptCollector(self.executor, self.artifacts, self.catalog)
        self.smoker = Smoker(self.versions, self.repositories)
        self.github = self._on_github(base)
        self.notes = NotesForge(mirrors)
        forge = self._forge()
        links = on_github(settings.github.url, self.github.names) if self.github else {}
        self.reports = self._reports(forge, links, home)
        self.policies = PolicyApplier(self.repositories, forge, secrets, links)
        self.untouched = UntouchedApplier(forge)
        self.branches = {name: Environments(mirror) for name, mirror in mirrors.items()}
        self.datasets = DatasetObserver(self.catalog, self.query_versions)
        self.watch = Watcher(self.send, self.datasets.look, bucket_poll, policy)
        self.queues = Queues(
            queues_of(settings.stores), store, self.watch, self.catalog.hint, self.send, policy
        )
        self.environment_files = EnvironmentFileApplier(self.repositories, self.branches, tenure)
        self.batches = BatchApplier(self.versions, self.catalog, self.repositories, self.executor)
        self.serving = self._serving(home, virtualenvs)
        self.notifier, self.save_monitor = self._notifying()
        self.sweeper = self._sweeper(home, virtualenvs)
        self.operations = Operations(self)

    def _deployer(self, home: Path, base: Path) -> Deployer:
        router = self.settings.router
        setup = DeployerSetup(
            home=home / SERVING,
            redact=self.secrets.redact,
            engine=self.engine,
            confinement=self.confinement,
            silence=router.silence.total_seconds(),
            trusted=router.trusted_proxies,
            cluster=serving_cluster(self.settings, base, self.identity),
            reveal=self.secrets.reveal,
            may=lambda place: self.tenure.holds(Key("environment", place)),
            prometheus={
                name: PrometheusServer(one.url, one.token)
                for name, one in self.settings.prometheus.items()
            },
            recall=RecalledTargets(self.versions, self.tenure, self._deployed_by).recall,
        )
        return make_deployer(setup)

    async def _deployed_by(self, asked: Deploy) -> Desired:
        return await self.serving.deployed_by(asked)

    def _catalog(self, home: Path, roots: Roots) -> Catalog:
        return Catalog(
            home / DATASETS,
            self.stores,
            roots=roots,
            longest=self.settings.bucket_poll.total_seconds(),
            # Shorter than what comes between a change and the listing for it.
            moment=DEBOUNCE / 2,
            clock=self.policy.clock,
        )

    def _confined(self, home: Path, private: tuple[Path, ...]) -> Confinement:
        """How local steps and servers are confined. Raises `NeedsHuman`."""
        folders = (path.parent for path in private)
        socket = self.engine.address.removeprefix("unix://")
        return confinement(
            (home, *folders, *private, Path(socket) if socket.startswith("/") else home),
            self.settings.run_as,
        )

    def _executor(self, base: Path, home: Path, virtualenvs: Virtualenvs) -> ManagedExecutor:
        workspace = Workspace(
            home=home,
            artifacts=self.artifacts,
            datasets=self.catalog,
            checkouts=self.repositories,
            virtualenvs=virtualenvs,
            secrets=self.secrets,
        )
        slots = asyncio.Semaphore(self.settings.slots)
        return make_executor(
            ExecutorSetup(
                workspace,
                slots,
                self.processes,
                self.confinement,
                self.engine,
                self.settings.kubernetes,
                base,
                open_remote(self.settings, self.identity),
                self.settings.stores,
                self.identity,
                self.tenure,
            )
        )

    def _serving(self, home: Path, virtualenvs: Virtualenvs) -> Serving:
        remote, stores = open_remote(self.settings, self.identity), self.settings.stores
        shipper = None if remote is None else Shipper(self.artifacts, remote, stores)
        return Serving(
            self.deployer,
            self.versions,
            self.artifacts,
            self.repositories,
            virtualenvs,
            self.secrets,
            home / "models",
            self.settings.ports,
            self.engine,
            shipper,
        )

    def _on_github(self, base: Path) -> OnGitHub | None:
        connection = connect(self.settings, base, self.secrets)
        if connection is None:
            return None
        known = (self.store, self.artifacts, self.repositories, self.mirrors, self.secrets)
        reads = GitHubReads(*known, self.settings.path(base))
        return OnGitHub(connection, self.settings.github.url, reads)

    def _notifying(self) -> tuple[NotifyApplier, SaveMonitor]:
        """What notifies people, and what notifies them when the store itself fails."""
        issues = self.github.issues.tell if self.github else None
        name = self.settings.name or socket.gethostname()
        notifier = NotifyApplier(AppriseNotifier(), self.secrets, issues, name)
        return notifier, SaveMonitor(self.store, notifier.apply, self.settings.notify)

    def _sweeper(self, home: Path, virtualenvs: Virtualenvs) -> Sweeper:
        return Sweeper(
            self.store,
            self.deployer,
            self.processes,
            self.artifacts,
            self.catalog,
            virtualenvs,
            self.serving,
            self.mirrors,
            home / "checkouts",
            self.engine,
            self.executor.reap,
        )

    def loop(self) -> Loop:
        """The loop that reconciles all kinds of objects, those that the controller has."""
        everyone = self.settings.notify
        environments = EnvironmentObserver(
            self.versions,
            self.deployer,
            self.repositories,
            self.branches,
            self.secrets.redact,
            PastReader(self.repositories, self.branches, self.versions, self.artifacts),
            self.settings.ports,
            self.policy.clock,
            BatchObserver(self.executor, self.collector),
            self.github.proposals if self.github else None,
            everyone,
        )
        pulls = self.github.pulls if self.github else None
        pipelines = PipelineObserver(
            self.store,
            self.repositories,
            self.datasets,
            self.versions,
            self.artifacts,
            self.watch,
            self.branches,
            confined=self.confinement.works or self.settings.untrusted == "anywhere",
            everyone=everyone,
        )
        kinds = reconcilers.everything(
            RepositoryObserver(self.repositories, self.branches, self.store, pulls),
            pipelines,
            self._run_observer(),
            environments,
            StallObserver(self.store, everyone),
            [*self.mirrors],
        )
        return Loop(
            self.store,
            kinds,
            self._appliers(),
            policy=self.policy,
            witness=self.operations.metrics,
            tenure=self.tenure,
        )

    def runs(self, report: Applier) -> Loop:
        """A loop that reconciles only runs; `report` applies their reports."""
        appliers: dict[type[Action], Applier] = {
            StartAttempt: self._start,
            CancelAttempt: self._cancel,
            ReportCommit: report,
        }
        return Loop(self.store, {"run": reconcilers.runs(self._run_observer())}, appliers)

    def _reports(self, forge: Forge, links: Mapping[str, Links], home: Path) -> ReportApplier:
        return ReportApplier(
            self.store,
            self.artifacts,
            self.repositories,
            forge,
            self.secrets,
            links,
            self.catalog,
            home,
            self.graphs,
        )

    def _run_observer(self) -> RunObserver:
        return RunObserver(self.store, self.executor, self.artifacts, self.collector, self.graphs)

    def _appliers(self) -> dict[type[Action], Applier]:
        return {
            StartAttempt: self._start,
            CancelAttempt: self._cancel,
            Deploy: self.serving.deploy,
            StartBatch: self.batches.apply,
            RunSmoke: self.smoker.smoke,
            WriteEnvironment: self.environment_files.apply,
            ReportCommit: self.reports.apply,
            ReportPolicy: self.policies.apply,
            ReportUntouched: self.untouched.apply,
            Notify: self.notifier.apply,
            **(self.github.appliers() if self.github else WITHOUT_GITHUB),
        }

    def _forge(self) -> Forge:
        """Where reports go: GitHub, and git notes without GitHub or if the settings say so."""
        notes = self.notes
        if self.github is None:
            return notes
        forges: dict[str, list[Forge]] = {}
        for each in self.settings.repositories:
            there = each.name in self.github.names
            forges[each.name] = [notes] if each.notes or not there else []
            forges[each.name] += [self.github.forge] if there else []
        return ForgeByRepository(forges)

    def poll(self, repository: RepositorySettings) -> None:
        """Check a repository regularly for changes."""
        name, interval = repository.name, repository.poll.total_seconds()
        self.watch.add("git", name, Polling(name, self.mirrors[name].heads, interval))
        if self.github is not None and name in self.github.names:
            look = partial(self.github.pulls.now, name)
            self.watch.add("pulls", name, Polling(name, look, interval))

    async def send(self, envelope: Envelope) -> None:
        """Deliver a message that does not come from a machine."""
        await self.store.commit(Transaction(send=(envelope,)), self.policy.clock())

    async def _start(self, _owner: Key, action: StartAttempt) -> tuple[Envelope, ...]:
        await self.executor.start(action.attempt)
        return ()

    async def _cancel(self, _owner: Key, action: CancelAttempt) -> tuple[Envelope, ...]:
        await self.executor.cancel(action.attempt)
        return ()

    def wake_ended(self, loop: Loop) -> None:
        """From now on, wake a run, or an environment with a batch, as soon as one of its attempts
        ends."""
        self.executor.announce(lambda attempt: loop.wake(owner_of(attempt)))

    async def wake_hinted(self, loop: Loop) -> None:
        """Wake the objects that sources hint at."""
        while True:
            loop.wake(await self.watch.hint())

    async def serve_webhooks(self, loop: Loop) -> None:
        """Serve GitHub's webhooks, if the settings say so, and wake the objects they hint at.

        Raises `NeedsHuman` if the secret is missing or the address cannot be used.
        """
        if self.github is None:
            return

        async def send(envelope: Envelope) -> None:
            await self.send(envelope)
            loop.wake(envelope.to)

        webhook, problem = self.settings.github.webhook, self.save_monitor
        await self.github.receive(webhook, self.secrets, send, lambda: bool(problem.problem))

    async def prune_messages(self) -> None:
        """Forget messages that are too old to be sent again."""
        keep = self.settings.keep.total_seconds()
        await self.sweeper.forget_messages(keep, self.policy.clock())

    async def compact_notes(self) -> None:
        """Shorten the history of the notes in each repository."""
        for mirror in self.mirrors.values():
            await compact(mirror, REF)

    async def sweep(self) -> None:
        """Delete what is no longer needed."""
        # Compared with file times, so it must be the machine's clock, not the policy's.
        keep, leads = self.settings.keep.total_seconds(), self.tenure.leads
        await self.sweeper.sweep(keep, time.time(), leads=leads)

    async def sweep_checks(self) -> None:
        """Conclude checks on GitHub that would stay in progress for ever."""
        if self.github is not None:
            await self.github.checks(self.reports.apply).sweep(time.time())

    async def close(self) -> None:
        """Close everything; steps, servers and routers keep running."""
        if self.github is not None:
            await self.github.close()
        await self.notes.close()
        await self.watch.close()
        await self.smoker.close()
        await self.collector.close()
        await self.executor.close()
        await self.engine.close()
        self.processes.close()
        await self.deployer.close()
        for mirror in self.mirrors.values():
            await mirror.close()


def roots_of(settings: Settings, base: Path) -> Roots:
    """Where local datasets may be."""
    allowed = (base / root for root in settings.data_roots)
    return Roots.of(allowed, settings.path(base), settings.private(base))


def _mirrors(settings: Settings, base: Path, home: Path) -> dict[str, Mirror]:
    return {
        each.name: Mirror(each.address(base), home / "mirrors" / each.name)
        for each in settings.repositories
    }
