"""Applies `ReportCommit`: gathers the facts, builds the report, and has it shown."""

from collections.abc import Sequence

import structlog

from controller.artifacts import Artifacts
from controller.kinds.code import Repositories
from controller.machine.actions import ReportCommit
from controller.machine.core import Key, Message
from controller.machine.runs.graph import Graph
from controller.machine.runs.plan import Plan
from controller.machine.runs.run import Run
from controller.outbox import parsed
from controller.plans import Cache, plan_of_run
from controller.reports.build import build
from controller.reports.protocol import Forge
from controller.secrets import Secrets
from controller.store.protocol import Store
from specs.failures import Ignore, NeedsHuman
from validators.report import Report

LOOK_BACK = 100
"""Among how many runs of a pipeline, the latest changed, one of the same commit is looked for."""

log = structlog.get_logger("headgate.reports")


class ReportApplier:
    """Applies `ReportCommit`."""

    def __init__(
        self,
        store: Store,
        artifacts: Artifacts,
        repositories: Repositories,
        forge: Forge,
        secrets: Secrets,
    ) -> None:
        self._store = store
        self._artifacts = artifacts
        self._repositories = repositories
        self._forge = forge
        self._secrets = secrets

    async def apply(self, _owner: Key, action: ReportCommit) -> Sequence[Message]:
        """Report it. Raises `Ignore` for what is overtaken, and what the forge raises."""
        run = await self._run(action)
        latest = await self._latest(action)
        if latest is not None and latest != action.run:
            raise Ignore(f"{latest} is a later run of that commit, and reports itself")
        if run is not None and action.state == "running" and not run.live:
            raise Ignore(f"{run.id} is over, and its end is reported")
        graph = await self._graph(run) if run else None
        reports = await self._reports(run, graph) if run and not run.live else []
        plan = await self._plan(run, graph) if run and graph and run.pull is not None else None
        # Before a form escapes them, and once more for what only became a secret's text by it.
        hide, redact = self._secrets.redacted, self._secrets.redact
        said = {"title": redact(action.title), "text": redact(action.text)}
        report = build(
            hide(action).model_copy(update=said),
            hide(run) if run else None,
            hide(graph) if graph else None,
            [hide(each) for each in reports],
            hide(plan) if plan else None,
        )
        await self._forge.report(report.model_copy(update={"text": redact(report.text)}))
        return ()

    async def _run(self, action: ReportCommit) -> Run | None:
        record = await self._store.get(Key("run", action.run)) if action.run else None
        return parsed(Run, record.body) if record else None

    async def _latest(self, action: ReportCommit) -> str | None:
        """The pipeline's last run of that commit."""
        if not action.pipeline:
            return None
        records = await self._store.list("run", f"{action.pipeline}-", LOOK_BACK)
        wanted = (action.repository, action.commit, action.pipeline)
        runs = [
            (int(body["number"]), str(body["id"]))
            for body in (record.body for record in records)
            if (body.get("repository"), body.get("commit"), body.get("pipeline")) == wanted
        ]
        return max(runs, default=(0, None))[1]

    async def _graph(self, run: Run) -> Graph | None:
        record = await self._store.get(Key("graph", run.id))
        return parsed(Graph, record.body) if record else None

    async def _plan(self, run: Run, graph: Graph) -> Plan | None:
        try:
            return await plan_of_run(
                Cache(self._store, self._artifacts), self._repositories, run, graph
            )
        except NeedsHuman as failure:
            log.warning("there is no plan in a report", run=run.id, reason=str(failure))
            return None

    async def _reports(self, run: Run, graph: Graph | None) -> list[Report]:
        """The gates' reports, in the order of the gates; one that is lost leaves its verdict."""
        names = [node.name for node in graph.nodes] if graph else list(run.nodes)
        found = []
        for name in names:
            node = run.nodes.get(name)
            if node is None or node.verdict is None or not node.outputs:
                continue
            try:
                content = await self._artifacts.read_bytes(node.outputs["report"])
            except NeedsHuman as failure:
                log.warning("the report of a gate is lost", gate=name, reason=str(failure))
                continue
            found.append(Report.model_validate_json(content))
        return found
