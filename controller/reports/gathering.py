"""Gathers the facts for a report from the store, the artifacts and the repositories."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from controller.artifacts import Artifacts
from controller.buckets.catalog import Catalog, changes
from controller.git.repositories import Repositories
from controller.machine.actions import ReportCommit
from controller.machine.core import Key
from controller.machine.pipelines.dataset_changes import ObjectChanges
from controller.machine.pipelines.pipeline import PipelineState
from controller.machine.pipelines.plan import Plan, PlannedData
from controller.machine.repositories.pull import pull_branch, scope_of
from controller.machine.repositories.repository import RepositoryState
from controller.machine.runs.graph import Graph
from controller.machine.runs.run import Run, passed_before
from controller.planning.plans import Cache, plan_of_pull, plan_of_run
from controller.reports.changes import PreviousRun, rows_read
from controller.reports.exceptions import with_exceptions
from controller.reports.run_summary import DataSince
from controller.reports.trend import VERSIONS, PastMeasurement, past
from controller.store.model_versions import Versions
from controller.store.protocol import Record, Store
from controller.store.run_graphs import Graphs
from specs.failures import NeedsHuman
from validators.report import Report

LOOK_BACK = 100
"""How many of a pipeline's runs, latest first, are searched for a commit's."""
FEW = 4
"""How many of them are searched first: mostly, it is one of these."""


class FactSources(NamedTuple):
    """Where to find the facts."""

    store: Store
    artifacts: Artifacts
    repositories: Repositories
    graphs: Graphs
    datasets: Catalog | None = None
    home: Path | None = None
    """The controller's home folder, as in `Cache`."""


class Siblings(NamedTuple):
    """The other pull requests that share a check with one."""

    counts: bool
    """Whether the pull request itself is open and still has the reported head."""
    runs: tuple[Run, ...]
    """The latest run of each."""


class Gathering:
    """Reads the facts. Missing facts leave gaps in a report but never prevent it."""

    def __init__(self, sources: FactSources) -> None:
        self._store = sources.store
        self._artifacts = sources.artifacts
        self._repositories = sources.repositories
        self._datasets = sources.datasets
        self._graphs = sources.graphs
        self._cache = Cache(sources.store, sources.artifacts, sources.home)
        self._versions = Versions(sources.store)

    async def run(self, id_: str) -> Run | None:
        """The run with that id."""
        record = await self._store.get(Key("run", id_)) if id_ else None
        return Run.model_validate_json(record.text) if record else None

    async def is_reporting(self, run: Run) -> bool:
        """Whether the run has yet to report something."""
        outbox = await self._store.outbox(Key("run", run.id))
        return any(entry.lane == ReportCommit.lane for entry in outbox)

    async def graph(self, run: str) -> Graph | None:
        """The graph of the run with that id."""
        return await self._graphs.get(run)

    async def repository(self, name: str) -> RepositoryState:
        """The stored state of a repository, with its open pull requests."""
        record = await self._store.get(Key("repository", name))
        if record is None:
            return RepositoryState(name=name)
        return RepositoryState.model_validate_json(record.text)

    async def latest(self, action: ReportCommit, run: Run | None) -> str | None:
        """The id of the commit's last run in the same pull request or, for a branch, in the same
        scope. `run` is the action's own: if it is one of these, only later ones are looked for."""
        if not action.pipeline:
            return None
        own = run is not None and _is_told_of(run, action)
        later = await self._later(run) if run is not None and own else None
        found = _at(action, later) if later is not None else await self._at(action)
        runs = [(one.number, one.id) for one in found if _is_told_of(one, action)]
        runs += [(run.number, run.id)] if run is not None and own else []
        return max(runs, default=(0, None))[1]

    async def siblings(self, action: ReportCommit) -> Siblings:
        """The latest runs of the other open pull requests with this head commit and the same
        base."""
        if action.pull is None or not action.pipeline:
            return Siblings(False, ())
        known = await self.repository(action.repository)
        default = known.default_branch or ""
        alike = {
            number
            for number, pull in known.pulls.items()
            if pull.head == action.commit
            and scope_of(pull_branch(number), pull, default) == action.scope
        }
        others = {pull_branch(number) for number in alike - {action.pull}}
        last: dict[str, Run] = {}
        for run in await self._at(action) if others else ():
            if run.branch in others:
                before = last.get(run.branch, run)
                last[run.branch] = max(run, before, key=lambda one: one.number)
        runs = tuple(last[branch] for branch in sorted(last))
        return Siblings(action.pull in alike, runs)

    async def _at(self, action: ReportCommit) -> list[Run]:
        """The stored runs of the pipeline at that commit."""
        return _at(action, await self._store.list("run", f"{action.pipeline}-", LOOK_BACK))

    async def _later(self, run: Run) -> Collection[Record] | None:
        """The pipeline's runs after that one; None if the pipeline does not say how many it had."""
        record = await self._store.get(Key("pipeline", run.pipeline))
        if record is None:
            return None
        last = int(record.body.get("runs", 0))
        return await self._numbered(run.pipeline, range(run.number + 1, last + 1)[-LOOK_BACK:])

    async def _numbered(self, pipeline: str, numbers: range) -> Collection[Record]:
        names = [f"{pipeline}-{number}" for number in numbers]
        return (await self._store.get_all("run", names)).values() if names else ()

    async def plan(self, run: Run, graph: Graph) -> Plan | None:
        """The plan of a run, as of its start."""
        try:
            return await plan_of_run(self._cache, self._repositories, run, graph)
        except NeedsHuman as failure:
            _log().warning("a report has no plan", run=run.id, reason=str(failure))
            return None

    async def plan_of_held(self, action: ReportCommit) -> Plan | None:
        """The plan of a pull request that may not run yet, and the rules that it loosens."""
        pull = (await self.repository(action.repository)).pulls.get(action.pull or 0)
        if pull is None or pull.head != action.commit or not action.pipeline:
            return None
        try:
            return await plan_of_pull(
                self._cache,
                self._repositories,
                action.repository,
                action.pipeline,
                action.commit,
                pull,
            )
        except NeedsHuman as failure:
            _log().warning("a report has no plan", pull=pull.number, reason=str(failure))
            return None

    async def reports(self, run: Run, graph: Graph | None) -> dict[str, Report]:
        """The gates' reports by gate, in order, without lost ones; with the exceptions that apply
        to the run."""
        names = [node.name for node in graph.nodes] if graph else list(run.nodes)
        nodes = ((name, run.nodes[name]) for name in names if name in run.nodes)
        digests = {
            name: node.outputs["report"]
            for name, node in nodes
            if node.verdict is not None and node.outputs
        }
        found = {name: await self.report(name, digest) for name, digest in digests.items()}
        kept = {name: report for name, report in found.items() if report is not None}
        return with_exceptions(kept, run.accepted_versions, run.fallbacks)

    async def report(self, gate: str, digest: str) -> Report | None:
        """The report of a gate; None if it is lost."""
        try:
            content = await self._artifacts.read_bytes(digest)
        except NeedsHuman as failure:
            _log().warning("the report of a gate is lost", gate=gate, reason=str(failure))
            return None
        return Report.model_validate_json(content)

    async def before(self, plan: Plan) -> PreviousRun:
        """Rows and changed objects, since the run that a plan is compared with."""
        run = await self.run(plan.compared_with or "")
        read = rows_read(await self.reports(run, await self.graph(run.id))) if run else {}
        found = {data.name: await self._differences(data) for data in plan.datasets}
        return PreviousRun(read, {name: one for name, one in found.items() if one is not None})

    async def _differences(self, data: PlannedData) -> ObjectChanges | None:
        """How a dataset's objects differ; None if they do not or a version is no longer known."""
        if self._datasets is None or not data.was or not data.version or data.was == data.version:
            return None
        return await self._datasets.differ(data.uri, data.was, data.version)

    async def since(self, run: Run, graph: Graph | None) -> DataSince | None:
        """How the data of a run differs from that of the last run that passed."""
        if self._datasets is None or graph is None or not run.datasets:
            return None
        before = await self._passed_before(run)
        if before is None:
            return None
        found = await changes(self._datasets, graph, before.datasets, run.datasets)
        return DataSince(before.id, found) if found else None

    async def _passed_before(self, run: Run) -> Run | None:
        """See `passed_before`. Older runs are read only if it is none of the last few."""
        found, before = list[Run](), None
        for last, first in ((1, FEW), (FEW + 1, LOOK_BACK)):
            numbers = range(max(run.number - first, 1), max(run.number - last + 1, 1))
            records = await self._numbered(run.pipeline, numbers)
            found += [Run.model_validate_json(record.text) for record in records]
            before = passed_before(run, found)
            if before is not None and before.branch == run.branch:
                break
        return before

    async def past(self, run: Run) -> tuple[PastMeasurement, ...]:
        """What the model gate measured for the last versions before the one this run may have
        made, oldest first."""
        record = await self._store.get(Key("pipeline", run.pipeline))
        number = PipelineState.model_validate_json(record.text).versions if record else 0
        found: list[PastMeasurement] = []
        for each in range(number, max(number - VERSIONS - 1, 0), -1):
            version = await self._versions.get(run.pipeline, each)
            if version is None or version.run == run.id or "model" not in version.reports:
                continue
            report = await self.report("model", version.reports["model"])
            found += [past(each, report)] if report else []
        return tuple(reversed(found[:VERSIONS]))


def _at(action: ReportCommit, records: Iterable[Record]) -> list[Run]:
    """Those of the stored runs that are of the pipeline at that commit."""
    near = (record.text for record in records if action.commit in record.text)
    runs = (Run.model_validate_json(text) for text in near)
    wanted = (action.repository, action.commit, action.pipeline)
    return [run for run in runs if (run.repository, run.commit, run.pipeline) == wanted]


def _is_told_of(run: Run, action: ReportCommit) -> bool:
    """Whether a report like that may be about the run: of the same commit and pipeline, and of the
    same pull request or, for a branch, of the same scope."""
    where = (action.repository, action.commit, action.pipeline, action.pull)
    same_scope = action.pull is not None or run.scope == action.scope
    return (run.repository, run.commit, run.pipeline, run.pull) == where and same_scope


def _log() -> Any:
    """Imported on use: structlog would double the start-up time of commands that never log."""
    import structlog

    return structlog.get_logger("headgate.reports")
