"""PURE. What on-call is told, as values: made from facts, rendered by `controller/notify`."""

from collections.abc import Sequence

from controller.machine.actions import Evidence, Incident
from controller.machine.pipelines.version import Ref
from controller.machine.runs.run import Run, why_ended
from specs.digests import short
from validators.report import Check, Report
from validators.verdict import Verdict

__all__ = ["Evidence", "Incident"]

MOST = 8
"""Evidence lines in one notification; the report has them all."""


def evidence(reports: Sequence[Report]) -> tuple[Evidence, ...]:
    """The checks that stopped it, worst first; where none did, those that did not pass."""
    checks = [check for report in reports for check in report.checks]
    stopped = [check for check in checks if check.verdict in (Verdict.FAIL, Verdict.ERROR)]
    doubtful = [check for check in checks if check.verdict in (Verdict.INCONCLUSIVE, Verdict.WARN)]
    worst = sorted(stopped or doubtful, key=lambda check: -check.verdict.rank)
    return tuple(_line(check) for check in worst[:MOST])


def gate_failed(run: Run, reports: Sequence[Report]) -> Incident:
    """A gate stopped a run of the default branch."""
    why = why_ended(run)
    return Incident(
        pipeline=run.pipeline,
        title=f"{run.pipeline}: {run.id} was stopped by {why}",
        what=f"{_because(run)} The candidate was not released.",
        now="what served before; production is unchanged",
        evidence=evidence(reports),
        commands=(f"headgate show {run.id}", f"headgate explain {run.id}"),
    )


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
    return Incident(
        pipeline=run.pipeline,
        title=f"{run.pipeline}: {run.id} passed",
        what=f"{_because(run)} All gates passed.",
        commands=(f"headgate show {run.id}",),
    )


def spec_gone(pipeline: str, why: str) -> Incident:
    """A pipeline that failed will not run again."""
    return Incident(
        pipeline=pipeline,
        title=f"{pipeline} is gone",
        what=f"It does not run any more: {why}.",
        now="what served before; its environments keep what they run",
    )


def rolled_back(
    pipeline: str, environment: str, bad: Ref, now: Ref | None, why: str, reports: Sequence[Report]
) -> Incident:
    """A version was taken out of an environment."""
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: {environment} rolled back v{bad.version}",
        what=f"{why} {short(bad.digest)} is quarantined and will not be released again.",
        was=str(bad),
        now=str(now) if now else "nothing: there was no version before it",
        needs_human=now is None,
        evidence=evidence(reports),
        commands=(
            f"headgate releases {pipeline}",
            f"headgate logs {pipeline}/{environment}",
            f"headgate retry {pipeline}/{environment}",
        ),
    )


def not_brought_back(
    pipeline: str, environment: str, wanted: Ref, bad: Ref | None, why: str
) -> Incident:
    """A rollback that could not be carried out: what should have been left serves on."""
    place = f"{pipeline}/{environment}"
    still = f"{bad} is still serving" if bad else "Nothing is serving"
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: {environment} could not go back to v{wanted.version}",
        what=f"{still}, because {wanted} could not be brought up: {why}",
        now=f"{bad}, which was to be rolled back" if bad else None,
        needs_human=True,
        commands=(
            f"headgate retry {place}",
            f"headgate logs {place}",
            f"headgate models {pipeline}",
        ),
    )


def not_brought_up(
    pipeline: str, environment: str, version: Ref, now: Ref | None, why: str
) -> Incident:
    """Something around a version keeps it from being released; its fault it is not."""
    place = f"{pipeline}/{environment}"
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: v{version.version} cannot be brought up in {environment}",
        what=f"{why} {version} is not quarantined; retry it once that is mended.",
        now=str(now) if now else None,
        needs_human=True,
        commands=(f"headgate retry {place}", f"headgate logs {place}", "headgate doctor"),
    )


def failed_before_production(
    pipeline: str,
    environment: str,
    version: Ref,
    now: Ref | None,
    why: str,
    reports: Sequence[Report],
) -> Incident:
    """A version did not start, or failed its smoke requests, where no caller depends on it."""
    place = f"{pipeline}/{environment}"
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: v{version.version} failed in {environment}",
        what=f"{why} It does not go on to production.",
        now=str(now) if now else None,
        evidence=evidence(reports),
        commands=(f"headgate logs {place}", f"headgate retry {place}"),
    )


def promoted(pipeline: str, environment: str, version: Ref, was: Ref | None) -> Incident:
    """A version went into an environment."""
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: v{version.version} is in {environment}",
        what="It serves all traffic.",
        was=str(was) if was else None,
        now=str(version),
        commands=(f"headgate releases {pipeline}",),
    )


def stuck(pipeline: str, environment: str, now: Ref | None, why: str) -> Incident:
    """Something that should work by itself does not."""
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: {environment} is stuck",
        what=why,
        now=str(now) if now else None,
        needs_human=True,
        commands=(f"headgate logs {pipeline}/{environment}", "headgate doctor"),
    )


def recovered(pipeline: str, environment: str, now: Ref) -> Incident:
    """It works again."""
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: {environment} serves again",
        what="Its server answers as ready.",
        now=str(now),
    )


def ended(pipeline: str, environment: str, now: Ref | None) -> Incident:
    """What needed somebody is over."""
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: {environment} goes on",
        what="What needed somebody is over.",
        now=str(now) if now else None,
    )


def held(pipeline: str, environment: str, version: Ref, now: Ref | None, why: str) -> Incident:
    """A canary that the judge could not decide waits for a person."""
    waits = _waits(pipeline, environment, version, now, why, "promote")
    go_back = f"headgate rollback {pipeline}/{environment}"
    return waits.model_copy(update={"commands": (*waits.commands, go_back)})


def approval(
    pipeline: str, environment: str, version: Ref, now: Ref | None, url: str = ""
) -> Incident:
    """A rollout waits until somebody agrees to it; until then it cannot be promoted.

    `url` is its pull request's.
    """
    merge = f" Merging {url} approves it, closing that declines it." if url else ""
    why = f"It is brought up once somebody approves.{merge}"
    return _waits(pipeline, environment, version, now, why, "approve")


def not_proposed(
    pipeline: str, environment: str, version: Ref, now: Ref | None, why: str
) -> Incident:
    """The pull request for an approval cannot be opened; the command still approves."""
    why = f"Its pull request cannot be opened: {why}"
    return _waits(pipeline, environment, version, now, why, "approve")


def refused(pipeline: str, environment: str, now: Ref | None, why: str) -> Incident:
    """A wish, or a release, that is not carried out."""
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: a change of {environment} was refused",
        what=why,
        now=str(now) if now else None,
        needs_human=True,
        commands=(f"headgate releases {pipeline}", f"headgate models {pipeline}"),
    )


def _waits(
    pipeline: str, environment: str, version: Ref, now: Ref | None, why: str, go_on: str
) -> Incident:
    place = f"{pipeline}/{environment}"
    return Incident(
        pipeline=pipeline,
        environment=environment,
        title=f"{pipeline}: v{version.version} waits in {environment}",
        what=f"{version} waits for you. {why}",
        now=str(now) if now else None,
        needs_human=True,
        commands=(f"headgate {go_on} {place}", f"headgate abort {place}"),
    )


def _because(run: Run) -> str:
    return f"It ran because of {run.trigger.why}."


def _line(check: Check) -> Evidence:
    return Evidence(
        signal=check.subject or check.name,
        observed=_text(check.observed),
        limit=check.limit or "",
        baseline=_text(check.baseline),
        n=check.n,
        note=check.message,
    )


def _text(value: float | str | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:.4g}"
