"""PURE. The report on a run's commit when the run ends."""

from collections.abc import Mapping

from controller.machine.actions import ReportCommit
from controller.machine.runs.run import Run, why_ended

_TITLES: Mapping[str, str] = {
    "passed": "passed",
    "failed": "failed: {why}",
    "stopped": "stopped by {why}",
    "cancelled": "cancelled: {why}",
}


def report_end(run: Run) -> ReportCommit:
    """The run's final status; safe to report again."""
    outcome = run.outcome
    assert outcome != "running", "the caller has looked"
    title = _TITLES[outcome].format(why=why_ended(run))
    return ReportCommit(
        repository=run.repository,
        commit=run.commit,
        pipeline=run.pipeline,
        state=outcome,
        title=f"{run.id} {title}",
        run=run.id,
        pull=run.pull,
        scope=run.scope,
    )
