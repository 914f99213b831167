"""PURE. How a rollout ends.

Promotion: first the commit on the environments branch, then the traffic. Rollback: first the
traffic, then the commit, since callers must not wait for git while a server fails.
"""

from typing import Literal

from controller.machine import incidents
from controller.machine.core import Envelope, Key
from controller.machine.environments.alerts import background, notify, resolve, resolve_by_release
from controller.machine.environments.branch import reject_edit, summary, write
from controller.machine.environments.environment import (
    REMEMBERED,
    EnvironmentContext,
    EnvironmentState,
    file_of,
    named_version,
    with_rollout,
)
from controller.machine.environments.rollout import EndedRollout, Rollout, Warm, strategy_of
from controller.machine.messages import EnvironmentWritten, ReleaseRequested
from controller.machine.pipelines.version import ModelVersion, Quarantined, Ref
from validators.canary import evidence, switch
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
    """Promote: enqueue the commit; once it is made, `finish` follows.

    A person's own commit on the branch needs no other, and a revert does not wait for its commit.
    """
    version = context.observed.versions[rollout.version.version]
    env = with_rollout(env, rollout, decided=context.now, by=by)
    assert env.rollout is not None
    if rollout.kind == "edit":
        return finish(env, env.rollout, context)
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
        return finish(env, rollout, context)
    return env


def finish(
    env: EnvironmentState, rollout: Rollout, context: EnvironmentContext
) -> EnvironmentState:
    """The rollout's version becomes stable: all traffic goes there."""
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
            "stable_rollout": rollout.id,
            "former": tuple(former[:REMEMBERED]),
            "rollout": None,
            "warm": warm_after(env, rollout, version, context.now),
            "stopped": None if _is_of(env.stopped, rollout.version) else env.stopped,
            "unready_since": None,
            "unknown_server": False,
            "lost_history": None,
        }
    )
    env = resolve_by_release(env, rollout, was, context)
    place = (env.pipeline, env.name, rollout.version, was)
    incident = incidents.promoted(*place, rollout.undecided, points=rollout.points)
    if rollout.kind == "revert":
        incident = incidents.brought_back(*place, rollout.by, rollout.why, points=rollout.points)
    env = notify(env, version, "promoted", rollout.id, incident, context.out, status="info")
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

    `failed`: the version itself failed, as its server did not start or its smoke requests failed.
    """
    version = context.version(rollout.version)
    env = _end_rollout(env, rollout, outcome, why, context)
    if outcome in ("aborted", "superseded"):
        return env
    if rollout.kind != "release":
        return _could_not_serve(env, rollout, why, context)
    reports = [r for r in (rollout.smoke, report_of(rollout)) if r is not None]
    ends = "failed" if outcome == "failed" else "rolled back"
    about = (why, reports, background(env, rollout, context, ends))
    place = (env.pipeline, env.name, rollout.version, env.stable)
    if outcome == "failed" and env.name != "production":
        incident = incidents.failed_before_production(*place, *about)
        return notify(env, version, "gate_failed", rollout.id, incident, context.out)
    env = quarantine(env, rollout.version, why, context.now)
    file = file_of(
        env,
        env.stable,
        context.version(env.stable),
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
        return notify(env, version, "gate_failed", rollout.id, incident, context.out)
    subject = f"roll back v{number} in {env.name}"
    env = write(env, f"{rollout.id}/rollback", subject, file, context.out)
    incident = incidents.rolled_back(*place, *about)
    return notify(env, version, "rollback", rollout.id, incident, context.out)


def give_up(
    env: EnvironmentState, rollout: Rollout, why: str, context: EnvironmentContext
) -> EnvironmentState:
    """End a rollout that failed for a reason outside its version: a full disk, a missing secret.

    The version is not quarantined; `retry` tries it again.
    """
    version = context.version(rollout.version)
    env = _end_rollout(env, rollout, "failed", why, context)
    if rollout.kind != "release":
        return _could_not_serve(env, rollout, why, context)
    about = background(env, rollout, context, "given up")
    incident = incidents.not_brought_up(
        env.pipeline, env.name, rollout.version, env.stable, why, about
    )
    return notify(env, version, "stuck", rollout.id, incident, context.out)


def _end_rollout(
    env: EnvironmentState,
    rollout: Rollout,
    outcome: Stopped,
    why: str,
    context: EnvironmentContext,
) -> EnvironmentState:
    """Record the end of the rollout, and drop its own pending commit."""
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
    pending = None if promotes else env.write
    env = env.model_copy(update={"rollout": None, "stopped": rollout, "write": pending})
    done = incidents.ended(env.pipeline, env.name, env.stable)
    return resolve(env, context.version(rollout.version), rollout.id, done, context.out)


def _could_not_serve(
    env: EnvironmentState, rollout: Rollout, why: str, context: EnvironmentContext
) -> EnvironmentState:
    """The version that a person asked for cannot be brought up.

    It is not quarantined. What the person wanted to leave keeps serving, so somebody is woken.
    """
    version = context.version(rollout.version)
    if rollout.kind == "edit":
        why = f"{rollout.version} could not be started: {why}"
        needed = env.stable is not None  # perhaps somebody wanted to leave it
        return reject_edit(env, why, version, context, needs_human=needed)
    incident = incidents.not_brought_back(
        env.pipeline, env.name, rollout.version, env.stable, why, rollout.id
    )
    return notify(env, version, "stuck", rollout.id, incident, context.out)


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


def _is_of(rollout: Rollout | None, version: Ref) -> bool:
    return rollout is not None and rollout.version == version


def written(
    env: EnvironmentState, message: EnvironmentWritten, context: EnvironmentContext
) -> EnvironmentState:
    """The commit is on the branch."""
    if env.write is None or env.write.write != message.write:
        return env
    said = named_version(env.write.file)
    listed = tuple(q.digest for q in env.write.file.quarantine)
    env = env.model_copy(
        update={"acted_on": message.commit, "named_in_file": said, "listed": listed, "write": None}
    )
    stable = context.version(env.stable)
    done = incidents.ended(env.pipeline, env.name, env.stable)
    env = resolve(env, stable, "write_environment", done, context.out)
    rollout = env.rollout
    if rollout is not None and message.write == f"{rollout.id}/promote":
        return finish(env, rollout, context)
    return env


def warm_after(
    env: EnvironmentState, rollout: Rollout, version: ModelVersion, now: float
) -> Warm | None:
    """The former stable, whose server a blue-green switch keeps; None if it is not kept."""
    was, release = env.stable, version.spec.release
    switches = is_switch(env, rollout, version)
    if was is None or release is None or not switches or env.quarantined(was.digest):
        return None
    keep_for = release.production.blue_green.keep_for.total_seconds()
    return Warm(
        version=was,
        rollout=rollout.id,
        until=now + keep_for,
        before=rollout.before or switch.FormerCounts(),
        cursor=rollout.cursor,
    )


def is_switch(env: EnvironmentState, rollout: Rollout, version: ModelVersion) -> bool:
    """Whether it takes all traffic at once and keeps the former server: `strategy: blue-green`."""
    of_release = rollout.kind == "release" and env.name == "production" and env.has_server
    return of_release and strategy_of(version.spec) == "blue-green"
