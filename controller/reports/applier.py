"""Applies `ReportCommit`: gathers the facts, builds the report and hands it to the forge."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from controller.artifacts import Artifacts
from controller.buckets.catalog import Catalog
from controller.config.secrets import Secrets
from controller.git.repositories import Repositories
from controller.machine.actions import ReportCommit
from controller.machine.core import Envelope, Key
from controller.machine.runs.end_report import report_end
from controller.machine.runs.graph import Graph
from controller.machine.runs.node_names import MODEL_GATE
from controller.machine.runs.run import Outcome, Run
from controller.reports.changes import PreviousRun
from controller.reports.commit_report import ReportContext, WorseSibling, build, is_worse
from controller.reports.forge import CommitReport, Conclusion, Forge
from controller.reports.gathering import FactSources, Gathering
from controller.reports.links import NOWHERE, Links
from controller.reports.run_summary import DataSince
from controller.store.protocol import Store
from controller.store.run_graphs import Graphs
from specs.failures import Ignore, TryAgain

BUILT_AT_ONCE = 4
"""Reports that are built at a time: a thousand that are due wait for their turn, not the loop."""


class ReportApplier:
    """Applies `ReportCommit`. `links` holds the web address of each repository; `datasets` knows
    the objects of each dataset version; `home` is the controller's home folder; `graphs` reads the
    graphs of runs, for whoever needs them as well."""

    def __init__(
        self,
        store: Store,
        artifacts: Artifacts,
        repositories: Repositories,
        forge: Forge,
        secrets: Secrets,
        links: Mapping[str, Links] | None = None,
        datasets: Catalog | None = None,
        home: Path | None = None,
        graphs: Graphs | None = None,
    ) -> None:
        graphs = graphs or Graphs(store)
        sources = FactSources(store, artifacts, repositories, graphs, datasets, home)
        self._gathering = Gathering(sources)
        self._forge = forge
        self._secrets = secrets
        self._links = links or {}
        self._turn = asyncio.Semaphore(BUILT_AT_ONCE)

    async def apply(self, _owner: Key, action: ReportCommit) -> Sequence[Envelope]:
        """Report it. Raises `Ignore` where a newer run or result makes the report obsolete,
        `TryAgain` for a release that is held while the result of its run is yet to be reported,
        and whatever the forge raises.

        Pull requests with the same head and base share a check, which shows the worst of their
        results: when one ends, the others that have ended are reported again.
        """
        async with self._turn:
            run = await self._gathering.run(action.run or "")
            latest = await self._gathering.latest(action, run)
            if latest is not None and latest != action.run:
                raise Ignore(f"{latest} is a later run of this commit, with a report of its own")
            if run is not None and action.state == "running" and not run.live:
                raise Ignore(f"{run.id} has ended, and its result is reported")
            if action.state == "held" and run is not None:
                await self._follow(run)
            siblings = await self._gathering.siblings(action)
            report = await self._report(action, run, siblings.runs)
        await self._forge.report(report)
        if run is None or run.live:
            return ()
        every = (*siblings.runs, run) if siblings.counts else siblings.runs
        for each in siblings.runs:
            if not each.live:
                others = [one for one in every if one is not each]
                await self._forge.report(await self._report(report_end(each), each, others))
        return ()

    async def _follow(self, run: Run) -> None:
        """Let an environment's report come after the run's own, which would replace it."""
        if await self._gathering.is_reporting(run):
            raise TryAgain(f"the result of {run.id} is reported first")

    async def _report(
        self, action: ReportCommit, run: Run | None, siblings: Sequence[Run]
    ) -> CommitReport:
        gathering = self._gathering
        graph = await gathering.graph(run.id) if run else None
        reports = await gathering.reports(run, graph) if run and not run.live else {}
        plan = None
        if run is not None and graph is not None and run.pull is not None:
            plan = await gathering.plan(run, graph)
        elif action.state == "held" and action.pull is not None:
            plan = await gathering.plan_of_held(action)
        # Secrets are redacted before Markdown escapes them, and again afterwards, since escaping
        # may itself produce the text of a secret.
        hide, redact = self._secrets.redacted, self._secrets.redact
        said = {"title": redact(action.title), "text": redact(action.text)}
        report = build(
            hide(action).model_copy(update=said),
            hide(run) if run else None,
            hide(graph) if graph else None,
            {name: hide(each) for name, each in reports.items()},
            hide(plan) if plan else None,
            context=ReportContext(
                links=self._links.get(action.repository, NOWHERE),
                base=redact(await self._base(action)),
                past=await gathering.past(run) if run and MODEL_GATE in reports else (),
                before=await gathering.before(plan) if plan and reports else PreviousRun(),
                worse=_worst(action, run, siblings),
                since=await self._since(run, graph),
            ),
        )
        return report.model_copy(update={"text": redact(report.text)})

    async def _since(self, run: Run | None, graph: Graph | None) -> DataSince | None:
        """How the data changed, which only the report on the end of a run says."""
        if run is None or graph is None or run.live or not run.releases:
            return None
        return await self._gathering.since(run, graph)

    async def _base(self, action: ReportCommit) -> str:
        """The name of the branch that the pull request would be merged into, if it is known."""
        if action.pull is None:
            return ""
        pull = (await self._gathering.repository(action.repository)).pulls.get(action.pull)
        return pull.base if pull else ""


def _worst(action: ReportCommit, run: Run | None, siblings: Sequence[Run]) -> WorseSibling | None:
    """The sibling whose result is worse than this run's, if this run has ended. A sibling that is
    still running is worse than a pass: the shared check must not pass before it ends."""
    if run is None or run.live or action.state == "running":
        return None
    found = None
    worst, _ = _result(run.outcome)
    for each in siblings:
        conclusion, verb = _result(each.outcome)
        if each.pull is not None and is_worse(conclusion, worst):
            found, worst = WorseSibling(each.pull, each.id, verb, conclusion), conclusion
    return found


def _result(outcome: Outcome) -> tuple[Conclusion | None, str]:
    """What an outcome means for a merge, and what the run did: `was stopped`."""
    match outcome:
        case "running":
            return None, "is still running"
        case "passed":
            return "success", "passed"
        case "failed":
            return "failure", "failed"
        case "stopped":
            return "failure", "was stopped"
        case "cancelled":
            return "cancelled", "was cancelled"
