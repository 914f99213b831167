"""PURE. Incidents of runs of the default branch; those of releases are in `incidents`."""

from collections.abc import Sequence

from controller.machine.actions import Incident
from controller.machine.incidents import evidence
from controller.machine.runs.data_exceptions import AcceptedVersion
from controller.machine.runs.run import Run, why_ended
from validators.report import Report
from validators.verdict import Verdict


def gate_failed(run: Run, reports: Sequence[Report], older: str | None = None) -> Incident:
    """A gate stopped a run of the default branch. `reports` are those that nobody has overruled;
    `older` says which data is read in place of that which failed, if any is."""
    why = why_ended(run)
    goes_on = f" Runs go on: {older}." if older else ""
    return Incident(
        pipeline=run.pipeline,
        title=f"{run.pipeline}: {run.id} was stopped by {why}",
        what=f"{_because(run)} The candidate was not released.{goes_on}",
        now="what served before; production is unchanged",
        evidence=evidence(reports),
        commands=(f"headgate show {run.id}", f"headgate explain {run.id}"),
    )


def is_overruled(report: Report, verdict: Verdict | None) -> bool:
    """Whether a person has overruled a gate, which counts in its run with that verdict."""
    return verdict is not None and verdict.passes and not report.verdict.passes


def run_failed(run: Run) -> Incident:
    """A step of a run of the default branch failed for good."""
    return Incident(
        pipeline=run.pipeline,
        title=f"{run.pipeline}: {run.id} failed",
        what=f"{_because(run)} {why_ended(run)}",
        now="what served before; production is unchanged",
        commands=(f"headgate logs {run.id}", f"headgate retry {run.id}"),
    )


def passed_again(run: Run) -> Incident:
    """A later run passed."""
    overruled = "; ".join(one.in_full for one in _accepted(run))
    how = f"The other gates passed; {overruled}." if overruled else "All gates passed."
    return Incident(
        pipeline=run.pipeline,
        title=f"{run.pipeline}: {run.id} passed",
        what=f"{_because(run)} {how}",
        commands=(f"headgate show {run.id}",),
    )


def spec_gone(pipeline: str, why: str) -> Incident:
    """A pipeline whose last run failed is gone."""
    return Incident(
        pipeline=pipeline,
        title=f"{pipeline} is gone",
        what=f"It does not run any more: {why}.",
        now="what served before; its environments keep what they run",
    )


def _accepted(run: Run) -> list[AcceptedVersion]:
    """The dataset versions that it read although their gates did not pass."""
    return [one for node in run.nodes.values() if (one := run.accepted_version(node))]


def _because(run: Run) -> str:
    return f"Why it ran: {run.trigger.why}."
