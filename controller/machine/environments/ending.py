"""PURE. How a rollout ends.

Promotion: first the commit on the environments branch, then the traffic. Rollback: first the
traffic, then the commit; a caller must not wait for git to be spared a failing server.
"""

from typing import Literal

from controller.machine import incidents
from controller.machine.core import Envelope, Key
from controller.machine.environments.alerts import over, resolve, tell
from controller.machine.environments.background import background
from controller.machine.environments.branch import restore, summary, write
from controller.machine.environments.environment import (
    REMEMBERED,
    EnvironmentContext,
    EnvironmentState,
    file_of,
    moved,
    named,
)
from controller.machine.environments.rollout import EndedRollout, Rollout
from controller.machine.environments.warm import warm_after
from controller.machine.messages import EnvironmentWritten, ReleaseRequested
from controller.machine.pipelines.version import ModelVersion, Quarantined, Ref
from validators.canary import evidence
from validators.report import Report
from validators.verdict import Verdict

Stopped = Literal["rolled_back", "aborted", "superseded", "failed"]


def promote(
    env: EnvironmentState,
    rollout: Rollout,
    context: EnvironmentContext,
    *,
    by: str,
    why: str,
) -> EnvironmentState:
    """Say so on the branch first, unless a human's commit there is what asked for it.

    A revert does not wait: the commit follows the traffic.
    """
    version = context.observed.versions[rollout.version.version]
    env = moved(env, rollout, decided=context.now, by=by)
    assert env.rollout is not None
    if rollout.kind == "wish":
        return settle(env, env.rollout, context)
    verdicts = {"smoke": rollout.smoke.verdict} if rollout.smoke else {}
    report = report_of(rollout)
    if report is not None:
        judged = by == "headgate" and rollout.undecided is None
        verdicts["canary"] = Verdict.PASS if judged else report.verdict
    file = file_of(
        env,
        rollout.version,
        version,
        by=by,
        reason=why,
        at=context.now,
        verdicts=verdicts,
        evidence=summary(report),
    )
    verb = "roll back to" if rollout.kind == "revert" else "promote"
    subject = f"{verb} v{version.number} in {env.name}"
    env = write(env, f"{rollout.id}/promote", subject, file, context.out)
    if rollout.kind == "revert":
        return settle(env, rollout, context)
    return env


def settle(
    env: EnvironmentState, rollout: Rollout, context: EnvironmentContext
) -> EnvironmentState:
    """The version is what the environment runs: all traffic goes there."""
    version = context.observed.versions[rollout.version.version]
    was = env.stable
    former = [
        r
        for r in (was, *env.former)
        if r and r != rollout.version and not env.quarantined(r.digest)
    ]
    context.out.end(
        EndedRollout(
            rollout=rollout,
            environment=env.name,
            pipeline=env.pipeline,
            outcome="promoted",
            reason=rollout.undecided or rollout.why,
            at=context.now,
            beside=was,
        ),
    )
    env = env.model_copy(
        update={
            "stable": rollout.version,
            "points": rollout.points,
            "brought": rollout.id,
            "former": tuple(former[:REMEMBERED]),
            "rollout": None,
            "warm": warm_after(env, rollout, version, context.now),
            "stopped": None if _is(env.stopped, rollout.version) else env.stopped,
            "unready_since": None,
            "stranger": False,
            "lost": None,
        }
    )
    released = rollout.kind == "release"
    env = resolve(env, version, rollout.version, was, context.out, released=released)
    place = (env.pipeline, env.name, rollout.version, was)
    incident = incidents.promoted(*place, rollout.undecided, points=rollout.points)
    if rollout.kind == "revert":
        incident = incidents.brought_back(*place, rollout.by, rollout.why, points=rollout.points)
    env = tell(env, version, "promoted", rollout.id, incident, context.out, status="info")
    if env.name == "staging" and rollout.kind == "release":
        message = ReleaseRequested(
            version=version.number,
            digest=version.digest,
            repository=env.repository,
            why=rollout.why,
            run=rollout.run or "",
            commit=rollout.commit or "",
        )
        to = Key("environment", f"{env.pipeline}/production")
        context.out.messages.append(Envelope(to=to, id=f"release/{rollout.id}", message=message))
    return env


def stop(
    env: EnvironmentState, rollout: Rollout, outcome: Stopped, why: str, context: EnvironmentContext
) -> EnvironmentState:
    """End a rollout without promoting it. Its traffic goes back to stable at once.

    `failed` is the version's own fault: its server, or the smoke requests.
    """
    version = context.observed.versions.get(rollout.version.version)
    env = _leave(env, rollout, outcome, why, version, context)
    if outcome in ("aborted", "superseded"):
        return env
    if rollout.kind != "release":
        return _not_served(env, rollout, why, version, context)
    reports = [r for r in (rollout.smoke, report_of(rollout)) if r is not None]
    ends = "failed" if outcome == "failed" else "rolled back"
    about = (why, reports, background(env, rollout, context.observed, context.now, ends))
    place = (env.pipeline, env.name, rollout.version, env.stable)
    if outcome == "failed" and env.name != "production":
        incident = incidents.failed_before_production(*place, *about)
        return tell(env, version, "gate_failed", rollout.id, incident, context.out)
    env = quarantine(env, rollout.version, why, context.now)
    file = file_of(
        env,
        env.stable,
        context.observed.versions.get(env.stable.version) if env.stable else None,
        by="headgate",
        reason=f"v{rollout.version.version}: {why}",
        at=context.now,
        evidence=summary(report_of(rollout)),
    )
    number = rollout.version.version
    if outcome == "failed":
        subject = f"quarantine v{number}, which did not start in {env.name}"
        env = write(env, f"{rollout.id}/rollback", subject, file, context.out)
        incident = incidents.did_not_start(*place, *about)
        return tell(env, version, "gate_failed", rollout.id, incident, context.out)
    subject = f"roll back v{number} in {env.name}"
    env = write(env, f"{rollout.id}/rollback", subject, file, context.out)
    incident = incidents.rolled_back(*place, *about)
    return tell(env, version, "rollback", rollout.id, incident, context.out)


def give_up(
    env: EnvironmentState, rollout: Rollout, why: str, context: EnvironmentContext
) -> EnvironmentState:
    """End a rollout that something around its version stopped: a full disk, a missing secret.

    That says nothing of the version, so it is not quarantined: `retry` tries it again.
    """
    version = context.observed.versions.get(rollout.version.version)
    env = _leave(env, rollout, "failed", why, version, context)
    if rollout.kind != "release":
        return _not_served(env, rollout, why, version, context)
    about = background(env, rollout, context.observed, context.now, "given up")
    incident = incidents.not_brought_up(
        env.pipeline, env.name, rollout.version, env.stable, why, about
    )
    return tell(env, version, "stuck", rollout.id, incident, context.out)


def _leave(
    env: EnvironmentState,
    rollout: Rollout,
    outcome: Stopped,
    why: str,
    version: ModelVersion | None,
    context: EnvironmentContext,
) -> EnvironmentState:
    """No rollout is in progress any more, and nothing of its own is owed to the branch."""
    context.out.end(
        EndedRollout(
            rollout=rollout,
            environment=env.name,
            pipeline=env.pipeline,
            outcome=outcome,
            reason=why,
            at=context.now,
            beside=env.stable,
        ),
    )
    promotes = env.write is not None and env.write.write == f"{rollout.id}/promote"
    owed = None if promotes else env.write
    env = env.model_copy(update={"rollout": None, "stopped": rollout, "write": owed})
    goes_on = incidents.ended(env.pipeline, env.name, env.stable)
    return over(
        env, version, rollout.id, goes_on, context.out
    )  # nothing waits for a person any more


def _not_served(
    env: EnvironmentState,
    rollout: Rollout,
    why: str,
    version: ModelVersion | None,
    context: EnvironmentContext,
) -> EnvironmentState:
    """What a person asked for, or fled to, cannot be brought up.

    A former version stays healthy, and what should have been left serves on: wake somebody.
    """
    if rollout.kind == "wish":
        why = f"{rollout.version} could not be brought up: {why}"
        needed = env.stable is not None  # perhaps somebody fled from it
        return restore(env, why, version, context, needs_human=needed)
    incident = incidents.not_brought_back(
        env.pipeline, env.name, rollout.version, env.stable, why, rollout.id
    )
    return tell(env, version, "stuck", rollout.id, incident, context.out)


def report_of(rollout: Rollout) -> Report | None:
    judgement = rollout.judgement
    if judgement is None:
        return None
    report = evidence.report(judgement, rollout.id, rollout.judge)
    if rollout.forecast is None or report.verdict is not Verdict.INCONCLUSIVE:
        return report
    forecast = f"As it began: {rollout.forecast}"
    return report.model_copy(update={"notes": (*report.notes, forecast)})


def quarantine(env: EnvironmentState, bad: Ref, why: str, now: float) -> EnvironmentState:
    if env.quarantined(bad.digest):
        return env
    entry = Quarantined(version=bad.version, digest=bad.digest, reason=why, since=now)
    former = tuple(r for r in env.former if r.digest != bad.digest)
    return env.model_copy(update={"quarantine": (*env.quarantine, entry), "former": former})


def _is(rollout: Rollout | None, version: Ref) -> bool:
    return rollout is not None and rollout.version == version


def written(
    env: EnvironmentState, message: EnvironmentWritten, context: EnvironmentContext
) -> EnvironmentState:
    """The commit that was asked for is on the branch."""
    if env.write is None or env.write.write != message.write:
        return env
    said = named(env.write.file)
    listed = tuple(q.digest for q in env.write.file.quarantine)
    env = env.model_copy(
        update={"acted_on": message.commit, "says": said, "listed": listed, "write": None}
    )
    stable = context.observed.versions.get(env.stable.version) if env.stable else None
    goes_on = incidents.ended(env.pipeline, env.name, env.stable)
    env = over(env, stable, "write_environment", goes_on, context.out)
    rollout = env.rollout
    if rollout is not None and message.write == f"{rollout.id}/promote":
        return settle(env, rollout, context)
    return env
