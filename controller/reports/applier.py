"""Applies `ReportCommit`: gathers the facts, builds the report, and has it shown."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from controller.artifacts import Artifacts
from controller.buckets.catalog import Catalog
from controller.config.secrets import Secrets
from controller.git.repositories import Repositories
from controller.machine.actions import ReportCommit
from controller.machine.core import Envelope, Key
from controller.machine.runs.ended import report_end
from controller.machine.runs.run import Run
from controller.reports.build import Beside, Worse, build, is_worse
from controller.reports.changed import PreviousRun
from controller.reports.gathering import FactSources, Gathering
from controller.reports.links import NOWHERE, Links
from controller.reports.protocol import CommitReport, Conclusion, Forge
from controller.store.protocol import Store
from specs.failures import Ignore

_ENDED: Mapping[str, Conclusion | None] = {
    "passed": "success",
    "failed": "failure",
    "stopped": "failure",
    "cancelled": "cancelled",
    "running": None,
}


class ReportApplier:
    """Applies `ReportCommit`. `links` says by repository where it is looked at in a browser;
    `datasets` knows the objects of their versions; `home` is the controller's."""

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
    ) -> None:
        self._gathering = Gathering(FactSources(store, artifacts, repositories, datasets, home))
        self._forge = forge
        self._secrets = secrets
        self._links = links or {}

    async def apply(self, _owner: Key, action: ReportCommit) -> Sequence[Envelope]:
        """Report it. Raises `Ignore` for what is overtaken, and what the forge raises.

        Another pull request with the same head and base has the same check: once this one is over,
        that one is said again, as the worse of the two counts for both.
        """
        run = await self._gathering.run(action.run or "")
        latest = await self._gathering.latest(action)
        if latest is not None and latest != action.run:
            raise Ignore(f"{latest} is a later run of that commit, and reports itself")
        if run is not None and action.state == "running" and not run.live:
            raise Ignore(f"{run.id} is over, and its end is reported")
        siblings = await self._gathering.siblings(action)
        await self._forge.report(await self._report(action, run, siblings.runs))
        if run is None or run.live:
            return ()
        every = (*siblings.runs, run) if siblings.counts else siblings.runs
        for each in siblings.runs:
            if not each.live:
                others = [one for one in every if one is not each]
                await self._forge.report(await self._report(report_end(each), each, others))
        return ()

    async def _report(
        self, action: ReportCommit, run: Run | None, siblings: Sequence[Run]
    ) -> CommitReport:
        gathering = self._gathering
        graph = await gathering.graph(run) if run else None
        reports = await gathering.reports(run, graph) if run and not run.live else {}
        plan = None
        if run is not None and graph is not None and run.pull is not None:
            plan = await gathering.plan(run, graph)
        elif action.state == "held" and action.pull is not None:
            plan = await gathering.plan_of_held(action)
        # Before a form escapes them, and once more for what only became a secret's text by it.
        hide, redact = self._secrets.redacted, self._secrets.redact
        said = {"title": redact(action.title), "text": redact(action.text)}
        report = build(
            hide(action).model_copy(update=said),
            hide(run) if run else None,
            hide(graph) if graph else None,
            {name: hide(each) for name, each in reports.items()},
            hide(plan) if plan else None,
            beside=Beside(
                links=self._links.get(action.repository, NOWHERE),
                base=redact(await self._base(action)),
                past=await gathering.past(run) if run and "gate.model" in reports else (),
                before=await gathering.before(plan) if plan and reports else PreviousRun(),
                worse=_worst(action, run, siblings),
                since=await gathering.since(run, graph) if run and run.releases else None,
            ),
        )
        return report.model_copy(update={"text": redact(report.text)})

    async def _base(self, action: ReportCommit) -> str:
        """The name of the branch that the pull request would be merged into, if it is known."""
        if action.pull is None:
            return ""
        pull = (await self._gathering.repository(action.repository)).pulls.get(action.pull)
        return pull.base if pull else ""


def _worst(action: ReportCommit, run: Run | None, siblings: Sequence[Run]) -> Worse | None:
    """The sibling that ended worse than this run, if this is over; or one that goes on, where
    this has nothing bad to say: until that is over, too, the check of both says nothing."""
    if run is None or run.live or action.state == "running":
        return None
    found = None
    least = _ENDED[run.outcome]
    for each in siblings:
        conclusion = _ENDED[each.outcome]
        if each.pull is not None and is_worse(conclusion, least):
            found, least = Worse(each.pull, each.id, _did(each), conclusion), conclusion
    return found


def _did(run: Run) -> str:
    did = {"stopped": "was stopped", "cancelled": "was cancelled", "running": "still runs"}
    return did.get(run.outcome, run.outcome)
