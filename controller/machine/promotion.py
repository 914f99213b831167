"""PURE. How what an environment runs comes to change: releases, verbs, rollbacks.

Promotion: first the commit on the environments branch, then the traffic. Rollback: first the
traffic, then the commit; a caller must not wait for git to be spared a failing server.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from controller.machine import incidents
from controller.machine.actions import Incident, Notify, RunSmoke, WriteEnvironment
from controller.machine.core import Decision, Key, Letter, Message
from controller.machine.environment import (
    REMEMBERED,
    Environment,
    Observed,
    Out,
    converge,
    record_of,
    server_name,
)
from controller.machine.rollout import (
    Cursor,
    Ended,
    Kind,
    Rollout,
    begin_canary,
    grow,
    may_promote,
    watch,
)
from controller.machine.version import ModelVersion, Quarantined, Ref
from specs.model import NotifyEvent
from validators.canary import Decision as Judged
from validators.report import Report
from validators.verdict import Verdict

IDLE, STARTING, CANARY, WAITING = 10.0, 0.2, 0.5, 5.0
"""Seconds between looks: at rest, while a server starts, under a canary, while others act."""
SMOKE_DEADLINE = 600.0
UNREADY = 30.0
"""Seconds after which a stable server that does not answer wakes somebody."""


def decide(
    state: Environment | None, observed: Observed, inbox: Sequence[Letter], now: float
) -> Decision[Environment]:
    """Heed letters, then humans who edited the branch, then move the rollout; converge."""
    env = state or _begin(inbox)
    out = Out()
    for letter in inbox:
        env = _heed(env, letter.message, observed, out, now)
    env = heed_branch(env, observed, out, now)
    if env.rollout is not None:
        env = _advance(env, env.rollout, observed, out, now)
    env = _watch_stable(env, observed, out, now)
    out.actions += converge(env, observed)
    return Decision(
        state=env,
        actions=tuple(out.actions),
        messages=tuple(out.messages),
        facts=tuple(out.facts),
        requeue_after=_cadence(env),
    )


def _begin(inbox: Sequence[Letter]) -> Environment:
    first = inbox[0].message
    pipeline, name = first.to.name.rsplit("/", 1)
    return Environment(pipeline=pipeline, name=name, repository=first.body["repository"])


def _cadence(env: Environment) -> float:
    rollout = env.rollout
    if rollout is None:
        return IDLE
    if rollout.deployed is not None and rollout.ready is None:
        return STARTING
    return CANARY if rollout.step >= 0 and rollout.decided is None else WAITING


def _heed(
    env: Environment, message: Message, observed: Observed, out: Out, now: float
) -> Environment:
    body, rollout = message.body, env.rollout
    by = body.get("by", "headgate")
    match message.type:
        case "release":
            return _release(env, body, observed, out, now)
        case "smoke_done" if rollout and rollout.id == body["rollout"]:
            report = Report.model_validate(body["report"])
            return _with(env, rollout, smoke=report)
        case "environment_written":
            return _written(env, body, observed, out, now)
        case "environment_moved":
            return env  # the branch is looked at below, and the write is renewed after it
        case "action_failed":
            return _action_failed(env, body, observed, out, now)
        case "approve" if rollout:
            return _with(env, rollout, approved=now, by=by)
        case "promote" if rollout and rollout.ready is not None:
            return promote(env, rollout, observed, out, now, by=by, why=f"promoted by {by}")
        case "pause":
            return env.model_copy(update={"paused": by})
        case "resume":
            return env.model_copy(update={"paused": None})
        case "abort" if rollout:
            return stop(env, rollout, "aborted", f"aborted by {by}", observed, out, now)
        case "rollback":
            return _roll_back_by_hand(env, body, observed, out, now)
        case "retry":
            return _retry(env, by, observed, out, now)
        case _:
            return env


def _with(env: Environment, rollout: Rollout, **facts: Any) -> Environment:
    return env.model_copy(update={"rollout": rollout.model_copy(update=facts)})


# --- what starts a rollout ------------------------------------------------------------------


def _release(
    env: Environment, body: Mapping[str, Any], observed: Observed, out: Out, now: float
) -> Environment:
    ref = Ref(version=body["version"], digest=body["digest"])
    bad = env.quarantined(ref.digest)
    if bad is not None:
        why = f"{ref} is quarantined: {bad.reason}"
        return refuse(env, why, observed.versions.get(ref.version), out, f"release/{ref.version}")
    if env.pinned is not None:
        why = f"{ref} may not replace what runs: pinned by commit {env.pinned[:12]}"
        return refuse(env, why, observed.versions.get(ref.version), out, f"release/{ref.version}")
    if env.stable is not None and env.stable.digest == ref.digest:
        return env
    if env.rollout is not None and env.rollout.version == ref:
        return env
    return begin_rollout(env, ref, "release", body["why"], "headgate", observed, out, now)


def begin_rollout(
    env: Environment,
    ref: Ref,
    kind: Kind,
    why: str,
    by: str,
    observed: Observed,
    out: Out,
    now: float,
) -> Environment:
    """A rollout of that version; it supersedes the one in progress."""
    if env.rollout is not None:
        env = stop(
            env, env.rollout, "superseded", f"superseded by v{ref.version}", observed, out, now
        )
    version = observed.versions.get(ref.version)
    if version is None or version.spec.release is None:
        return refuse(env, f"v{ref.version} is not known", None, out, f"unknown/{ref.version}")
    production = version.spec.release.production
    asks = production.approval == "pull-request" and kind == "release" and env.name == "production"
    number = env.rollouts + 1
    rollout = Rollout(
        id=f"{env.pipeline}-{env.name}-{number}",
        version=ref,
        kind=kind,
        why=why,
        by=by,
        asked=now,
        approval=asks,
        deployed=None if asks else now,
    )
    env = env.model_copy(update={"rollout": rollout, "rollouts": number})
    if asks:
        incident = incidents.held(
            env.pipeline, env.name, ref, env.stable, "It waits for an approval."
        )
        env = tell(env, version, "approval_needed", rollout.id, incident, out)
    return env


def _roll_back_by_hand(
    env: Environment, body: Mapping[str, Any], observed: Observed, out: Out, now: float
) -> Environment:
    """Leave the canary, or bring back a former version, and quarantine what is left behind."""
    by, reason = body["by"], body.get("reason") or f"rolled back by {body['by']}"
    if env.rollout is not None and body.get("to") is None:
        return stop(env, env.rollout, "rolled_back", reason, observed, out, now)
    to = next((r for r in env.former if body.get("to") in (None, r.version)), None)
    version = observed.versions.get(body["to"]) if body.get("to") is not None else None
    to = to or (version.ref if version else None)
    bad = env.stable
    if to is None or bad is None or to == bad or env.quarantined(to.digest):
        why = "there is no former version to go back to that is not quarantined"
        return refuse(env, why, None, out, f"rollback/{now}")
    env = begin_rollout(env, to, "revert", reason, by, observed, out, now)
    return _quarantine(env, bad, reason, now)


def _retry(env: Environment, by: str, observed: Observed, out: Out, now: float) -> Environment:
    """Try the last rollout that was stopped again, and lift its quarantine; or renew a write."""
    if env.write is not None:
        out.actions.append(env.write)
    stopped = env.stopped
    if env.rollout is not None or stopped is None:
        return env
    lifted = tuple(q for q in env.quarantine if q.digest != stopped.version.digest)
    env = env.model_copy(update={"quarantine": lifted, "stopped": None})
    why = f"{stopped.why} (tried again by {by})"
    return begin_rollout(env, stopped.version, stopped.kind, why, by, observed, out, now)


# --- what moves a rollout -------------------------------------------------------------------


def _advance(
    env: Environment, rollout: Rollout, observed: Observed, out: Out, now: float
) -> Environment:
    version = observed.versions[rollout.version.version]
    match rollout.phase(version.spec, env.name, has_stable=env.stable is not None):
        case "approval":
            return env
        case "starting":
            return _start(env, rollout, version, observed, out, now)
        case "smoke":
            return _smoke(env, rollout, version, observed, out, now)
        case "canary":
            return _canary(env, rollout, version, observed, out, now)
        case "promoting":
            if rollout.smoke is not None and not rollout.smoke.verdict.passes:
                why = f"the smoke requests ended {rollout.smoke.verdict}"
                return stop(env, rollout, "failed", why, observed, out, now)
            if rollout.decided is None:
                return promote(env, rollout, observed, out, now, by=rollout.by, why=rollout.why)
            return _renew_write(env, out)


def _start(
    env: Environment,
    rollout: Rollout,
    version: ModelVersion,
    observed: Observed,
    out: Out,
    now: float,
) -> Environment:
    if rollout.deployed is None:  # it was approved just now
        return _with(env, rollout, deployed=now)
    assert version.spec.release is not None
    server = observed.deployed.server(server_name(env.place, rollout.version.version))
    if server is not None and server.ready:
        return _with(env, rollout, ready=now)
    deadline = version.spec.release.serve.startup_deadline.total_seconds()
    if now - rollout.deployed <= deadline:
        return env
    detail = server.detail if server else "it was never started"
    why = f"the server of v{version.number} was not ready within {deadline:g} s: {detail}"
    return stop(env, rollout, "failed", why, observed, out, now)


def _smoke(
    env: Environment,
    rollout: Rollout,
    version: ModelVersion,
    observed: Observed,
    out: Out,
    now: float,
) -> Environment:
    server = observed.deployed.server(server_name(env.place, version.number))
    if rollout.smoke_asked is not None:
        if now - rollout.smoke_asked > SMOKE_DEADLINE:
            why = "the smoke requests did not end"
            return stop(env, rollout, "failed", why, observed, out, now)
        return env
    if server is None or server.address is None:
        return _with(env, rollout, ready=None)  # it went away: start it again
    out.actions.append(
        RunSmoke(
            pipeline=env.pipeline,
            environment=env.name,
            rollout=rollout.id,
            version=version.number,
            address=server.address,
        )
    )
    return _with(env, rollout, smoke_asked=now)


def _canary(
    env: Environment,
    rollout: Rollout,
    version: ModelVersion,
    observed: Observed,
    out: Out,
    now: float,
) -> Environment:
    """Let the judge look, and do as it says; without a word from it, grow or wait."""
    traffic = observed.traffic
    if traffic is not None:
        cursor = Cursor(epoch=traffic.epoch, after=traffic.next)
        rollout = rollout.model_copy(update={"cursor": cursor})
    if rollout.judge is None:
        history = traffic.exchanges if traffic is not None else ()
        return env.model_copy(update={"rollout": begin_canary(rollout, version, history, now)})
    rollout = watch(rollout, traffic.exchanges if traffic is not None else (), now)
    env = env.model_copy(update={"rollout": rollout})
    judgement = rollout.judgement
    assert judgement is not None
    if judgement.decision is Judged.ROLLBACK:
        return stop(env, rollout, "rolled_back", judgement.reason, observed, out, now)
    if judgement.decision is Judged.INCONCLUSIVE:
        return _undecided(env, rollout, version, observed, out, now)
    if env.paused is not None:
        return env
    if may_promote(rollout, version, now):
        return promote(env, rollout, observed, out, now, by=rollout.by, why=judgement.reason)
    return env.model_copy(update={"rollout": grow(rollout, version, now)})


def _undecided(
    env: Environment,
    rollout: Rollout,
    version: ModelVersion,
    observed: Observed,
    out: Out,
    now: float,
) -> Environment:
    """The deadline came before a decision: hold, or roll back, as the spec says."""
    assert version.spec.release is not None
    assert rollout.judgement is not None
    why = rollout.judgement.reason
    if version.spec.release.production.canary.on_inconclusive == "rollback":
        return stop(env, rollout, "rolled_back", why, observed, out, now)
    if rollout.held is not None:
        return env
    env = _with(env, rollout, held=why)
    incident = incidents.held(env.pipeline, env.name, rollout.version, env.stable, why)
    return tell(env, version, "stuck", rollout.id, incident, out)


# --- what ends a rollout --------------------------------------------------------------------


def promote(
    env: Environment,
    rollout: Rollout,
    observed: Observed,
    out: Out,
    now: float,
    *,
    by: str,
    why: str,
) -> Environment:
    """Say so on the branch first, unless a human's commit there is what asked for it.

    A revert does not wait: the commit follows the traffic.
    """
    version = observed.versions[rollout.version.version]
    env = _with(env, rollout, decided=now, by=by)
    assert env.rollout is not None
    if rollout.kind == "wish":
        return _settle(env, env.rollout, observed, out, now)
    verdicts = {"smoke": rollout.smoke.verdict} if rollout.smoke else {}
    report = rollout.judgement.report if rollout.judgement else None
    if report is not None:
        verdicts["canary"] = Verdict.PASS if by == "headgate" else report.verdict
    record = record_of(
        env,
        rollout.version,
        version,
        by=by,
        reason=why,
        at=now,
        verdicts=verdicts,
        evidence=_summary(report),
    )
    verb = "roll back to" if rollout.kind == "revert" else "promote"
    subject = f"{env.pipeline}: {verb} v{version.number} in {env.name}"
    env = write(env, f"{rollout.id}/promote", subject, record, out)
    if rollout.kind == "revert":
        return _settle(env, rollout, observed, out, now)
    return env


def _settle(
    env: Environment, rollout: Rollout, observed: Observed, out: Out, now: float
) -> Environment:
    """The version is what the environment runs: all traffic goes there."""
    version = observed.versions[rollout.version.version]
    was = env.stable
    former = [r for r in (was, *env.former) if r and r != rollout.version]
    out.end(
        env,
        Ended(
            rollout=rollout,
            environment=env.name,
            pipeline=env.pipeline,
            outcome="promoted",
            reason=rollout.why,
            at=now,
        ),
    )
    env = env.model_copy(
        update={
            "stable": rollout.version,
            "former": tuple(former[:REMEMBERED]),
            "rollout": None,
            "paused": None,
        }
    )
    if rollout.kind == "release":
        env = resolve(env, version, rollout.version, out)
    incident = incidents.promoted(env.pipeline, env.name, rollout.version, was)
    env = tell(env, version, "promoted", rollout.id, incident, out, fires=False)
    if env.name == "staging" and rollout.kind == "release":
        out.messages.append(
            Message(
                to=Key("environment", f"{env.pipeline}/production"),
                id=f"release/{rollout.id}",
                type="release",
                body={
                    "version": version.number,
                    "digest": version.digest,
                    "repository": env.repository,
                    "why": rollout.why,
                },
            )
        )
    return env


Stopped = Literal["rolled_back", "aborted", "superseded", "failed"]


def stop(
    env: Environment,
    rollout: Rollout,
    outcome: Stopped,
    why: str,
    observed: Observed,
    out: Out,
    now: float,
) -> Environment:
    """End a rollout without promoting it. Its traffic goes back to stable at once."""
    version = observed.versions.get(rollout.version.version)
    out.end(
        env,
        Ended(
            rollout=rollout,
            environment=env.name,
            pipeline=env.pipeline,
            outcome=outcome,
            reason=why,
            at=now,
        ),
    )
    env = env.model_copy(update={"rollout": None, "stopped": rollout, "write": None})
    if outcome in ("aborted", "superseded"):
        return env
    if rollout.kind == "wish":
        why = f"{rollout.version} could not be brought up: {why}"
        return restore(env, why, version, observed, out, now)
    reports = [r for r in (rollout.smoke, _report(rollout)) if r is not None]
    if outcome == "failed" and env.name != "production":
        incident = incidents.refused(env.pipeline, env.name, env.stable, why)
        incident = incident.model_copy(update={"evidence": incidents.evidence(reports)})
        return tell(env, version, "gate_failed", rollout.id, incident, out)
    env = _quarantine(env, rollout.version, why, now)
    record = record_of(
        env,
        env.stable,
        observed.versions.get(env.stable.version) if env.stable else None,
        by="headgate",
        reason=f"v{rollout.version.version} was rolled back: {why}",
        at=now,
        evidence=_summary(_report(rollout)),
    )
    subject = f"{env.pipeline}: roll back v{rollout.version.version} in {env.name}"
    env = write(env, f"{rollout.id}/rollback", subject, record, out)
    incident = incidents.rolled_back(
        env.pipeline, env.name, rollout.version, env.stable, why, reports
    )
    return tell(env, version, "rollback", rollout.id, incident, out)


def _report(rollout: Rollout) -> Report | None:
    return rollout.judgement.report if rollout.judgement else None


def _quarantine(env: Environment, bad: Ref, why: str, now: float) -> Environment:
    if env.quarantined(bad.digest):
        return env
    entry = Quarantined(version=bad.version, digest=bad.digest, reason=why, since=now)
    return env.model_copy(update={"quarantine": (*env.quarantine, entry)})


def _summary(report: Report | None) -> tuple[Mapping[str, Any], ...]:
    """The evidence as the branch keeps it."""
    fields = {"name", "verdict", "observed", "limit", "baseline", "n", "window", "message"}
    checks = report.checks if report else ()
    return tuple(c.model_dump(mode="json", include=fields, exclude_none=True) for c in checks)


# --- the branch -----------------------------------------------------------------------------


def write(env: Environment, name: str, subject: str, record: Any, out: Out) -> Environment:
    """Owe a commit to the environments branch."""
    owed = WriteEnvironment(
        write=name, repository=env.repository, subject=subject, record=record, seen=env.heeded
    )
    out.actions.append(owed)
    return env.model_copy(update={"write": owed})


def _renew_write(env: Environment, out: Out) -> Environment:
    """After somebody else's commit was heeded, owe the write on top of it."""
    if env.write is None or env.write.seen == env.heeded:
        return env
    owed = env.write.model_copy(update={"seen": env.heeded})
    out.actions.append(owed)
    return env.model_copy(update={"write": owed})


def _written(
    env: Environment, body: Mapping[str, Any], observed: Observed, out: Out, now: float
) -> Environment:
    env = env.model_copy(update={"heeded": body["commit"]})
    if env.write is None or env.write.write != body["write"]:
        return env
    env = env.model_copy(update={"write": None})
    rollout = env.rollout
    if rollout is not None and body["write"] == f"{rollout.id}/promote":
        return _settle(env, rollout, observed, out, now)
    return env


def heed_branch(env: Environment, observed: Observed, out: Out, now: float) -> Environment:
    """Obey a human who edited or reverted the environment's file, or refuse with a reason."""
    branch = observed.branch
    if branch is None or branch.commit == env.heeded:
        return _renew_write(env, out)
    env = env.model_copy(update={"heeded": branch.commit})
    if branch.ours:
        return env
    by = branch.author or "somebody"
    if branch.record is None:
        why = branch.problem or "the file is gone; write `model: null` to stop serving"
        return restore(env, why, None, observed, out, now)
    record = branch.record
    env = env.model_copy(update={"pinned": branch.commit if record.pinned else None})
    rollout = env.rollout
    if record.model is None:
        return _stop_serving(env, by, observed, out, now)
    if env.stable is not None and record.model.digest == env.stable.digest:
        return _renew_write(env, out)
    if rollout is not None and rollout.version.digest == record.model.digest:
        return _with(env, rollout, approved=rollout.approved or now)
    version = observed.versions.get(record.model.version)
    why_not = _unfit(env, record.model, version)
    if why_not is not None:
        return restore(env, why_not, version, observed, out, now)
    why = f"commit {branch.commit[:12]} on the environments branch"
    return begin_rollout(env, record.model, "wish", why, by, observed, out, now)


def _unfit(env: Environment, ref: Ref, version: ModelVersion | None) -> str | None:
    """Why a wished version may not run, or None."""
    if version is None:
        return f"there is no version {ref.version} of {env.pipeline}"
    if version.digest != ref.digest:
        return f"version {ref.version} has the digest {version.digest}, not {ref.digest}"
    bad = env.quarantined(ref.digest)
    if bad is not None:
        return f"{ref} is quarantined: {bad.reason}"
    if not all(verdict.passes for verdict in version.verdicts.values()):
        return f"{ref} did not pass its gates"
    return None


def _stop_serving(
    env: Environment, by: str, observed: Observed, out: Out, now: float
) -> Environment:
    if env.rollout is not None:
        why = f"{by} set `model: null`"
        env = stop(env, env.rollout, "aborted", why, observed, out, now)
    former = (env.stable, *env.former) if env.stable else env.former
    return env.model_copy(update={"stable": None, "former": former[:REMEMBERED]})


def restore(
    env: Environment,
    why: str,
    version: ModelVersion | None,
    observed: Observed,
    out: Out,
    now: float,
) -> Environment:
    """Refuse a human's commit: say why, and let the file name what runs again."""
    stable = observed.versions.get(env.stable.version) if env.stable else None
    record = record_of(env, env.stable, stable, by="headgate", reason=f"refused: {why}", at=now)
    subject = f"{env.pipeline}: refuse a change of {env.name}"
    name = f"{env.place}/refuse/{env.heeded}"
    env = write(env, name, subject, record, out)
    return refuse(env, why, version or stable, out, name)


def refuse(
    env: Environment, why: str, version: ModelVersion | None, out: Out, name: str
) -> Environment:
    """Tell that something is not carried out."""
    incident = incidents.refused(env.pipeline, env.name, env.stable, why)
    return tell(env, version, "refused", name, incident, out, fires=False)


# --- what people are told -------------------------------------------------------------------


def tell(
    env: Environment,
    version: ModelVersion | None,
    event: NotifyEvent,
    name: str,
    incident: Incident,
    out: Out,
    *,
    fires: bool = True,
) -> Environment:
    """Owe one notification; `fires` keeps it as an alert that a later promotion resolves."""
    alert = f"{env.place}/{event}/{name}"
    notify = version.spec.notify if version else ()
    to = tuple(n.to for n in notify if event in n.on)
    out.actions.append(
        Notify(
            event=event,
            status="firing" if fires else "resolved",
            alert=alert,
            to=to,
            incident=incident,
        )
    )
    return env.model_copy(update={"alerts": (*env.alerts, alert)}) if fires else env


def resolve(env: Environment, version: ModelVersion, ref: Ref, out: Out) -> Environment:
    """Every alert of the environment ends with a promotion."""
    for alert in env.alerts:
        event: Any = alert.removeprefix(f"{env.place}/").split("/")[0]
        incident = incidents.promoted(env.pipeline, env.name, ref, env.stable)
        to = tuple(n.to for n in version.spec.notify if event in n.on)
        out.actions.append(
            Notify(event=event, status="resolved", alert=alert, to=to, incident=incident)
        )
    return env.model_copy(update={"alerts": ()})


def _watch_stable(env: Environment, observed: Observed, out: Out, now: float) -> Environment:
    """Wake somebody when what should serve does not, and say when it does again."""
    if env.stable is None:
        return env
    server = observed.deployed.server(server_name(env.place, env.stable.version))
    alert = f"{env.place}/stuck/stable"
    version = observed.versions.get(env.stable.version)
    if server is not None and server.ready:
        if alert in env.alerts:
            incident = incidents.promoted(env.pipeline, env.name, env.stable, env.stable)
            env = tell(env, version, "stuck", "stable", incident, out, fires=False)
            env = env.model_copy(update={"alerts": tuple(a for a in env.alerts if a != alert)})
        return env.model_copy(update={"unready_since": None})
    if env.unready_since is None:
        return env.model_copy(update={"unready_since": now})
    if now - env.unready_since < UNREADY or alert in env.alerts:
        return env
    detail = server.detail if server else "it does not run"
    why = f"The server of {env.stable} does not answer: {detail} It is being restarted."
    incident = incidents.held(env.pipeline, env.name, env.stable, None, why)
    return tell(env, version, "stuck", "stable", incident, out)


def _action_failed(
    env: Environment, body: Mapping[str, Any], observed: Observed, out: Out, now: float
) -> Environment:
    """An effect that will not succeed by itself."""
    rollout, reason = env.rollout, body["reason"]
    kind = body["action"].get("type")
    if kind in ("deploy", "run_smoke") and rollout is not None:
        return stop(env, rollout, "failed", reason, observed, out, now)
    if kind == "notify" or env.stable is None:
        return env
    version = observed.versions.get(env.stable.version)
    incident = incidents.held(env.pipeline, env.name, env.stable, env.stable, reason)
    return tell(env, version, "stuck", f"{kind}", incident, out)
