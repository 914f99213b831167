"""PURE. What starts a rollout: a release, a person's verb."""

from collections.abc import Mapping
from typing import Any

from controller.machine.environments.alerts import refuse
from controller.machine.environments.ending import quarantine, stop
from controller.machine.environments.environment import Environment, Observed, Out
from controller.machine.environments.rollout import Kind, Rollout
from controller.machine.pipelines.version import Ref


def release(
    env: Environment, body: Mapping[str, Any], observed: Observed, out: Out, now: float
) -> Environment:
    ref = Ref(version=body["version"], digest=body["digest"])
    version = observed.versions.get(ref.version)
    bad = env.quarantined(ref.digest)
    if bad is not None:
        why = f"{ref} is quarantined: {bad.reason}"
        return refuse(env, why, version, observed, out, f"release/{ref.version}")
    env = env.model_copy(update={"waiting": None})
    if env.pinned is not None:
        why = f"{ref} may not replace what runs: pinned by commit {env.pinned[:12]}"
        env = env.model_copy(update={"waiting": body})
        return refuse(env, why, version, observed, out, f"release/{ref.version}")
    if env.rollout is not None and env.rollout.kind != "release":
        return env.model_copy(update={"waiting": body})  # a person's word comes first
    if env.stable is not None and env.stable.digest == ref.digest:
        if env.rollout is not None:  # a revert on the watched branch takes the newer one back
            why = f"superseded by {ref}, which serves already"
            env = stop(env, env.rollout, "superseded", why, observed, out, now)
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
    version = observed.versions.get(ref.version)
    if version is None or version.spec.release is None:
        why = f"v{ref.version} is not known"
        return refuse(env, why, version, observed, out, f"unknown/{ref.version}")
    if env.rollout is not None:
        env = stop(
            env, env.rollout, "superseded", f"superseded by v{ref.version}", observed, out, now
        )
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
    return env.model_copy(update={"rollout": rollout, "rollouts": number})


def roll_back(
    env: Environment, body: Mapping[str, Any], observed: Observed, out: Out, now: float
) -> Environment:
    """Leave the canary, or bring back a former version, and quarantine what is left behind."""
    by, reason = body["by"], body.get("reason") or f"rolled back by {body['by']}"
    rollout, wanted = env.rollout, body.get("to")
    if (
        rollout is not None
        and rollout.kind == "revert"
        and wanted in (None, rollout.version.version)
    ):
        return env  # it is on its way back
    if rollout is not None and rollout.deployed is not None and wanted is None:
        return stop(env, rollout, "rolled_back", reason, observed, out, now)
    number = wanted if wanted is not None else next((r.version for r in env.former), None)
    version = observed.versions.get(number) if number is not None else None
    to = version.ref if version and version.spec.release else None
    bad = env.stable
    if to is None or bad is None or to == bad or env.quarantined(to.digest):
        why = "there is no former version to go back to that is not quarantined"
        return refuse(env, why, None, observed, out, f"rollback/{now}", needs_human=bad is not None)
    env = begin_rollout(env, to, "revert", reason, by, observed, out, now)
    return quarantine(env, bad, reason, now)


def retry(
    env: Environment, body: Mapping[str, Any], observed: Observed, out: Out, now: float
) -> Environment:
    """Try the last rollout that was stopped again, and lift its quarantine; or renew a write."""
    if env.write is not None:
        out.actions.append(env.write)
    stopped = env.stopped
    if env.rollout is not None or stopped is None:
        return env
    if stopped.version == env.stable:
        return env.model_copy(update={"stopped": None})
    if env.pinned is not None:
        why = f"{stopped.version} may not replace what runs: pinned by commit {env.pinned[:12]}"
        version = observed.versions.get(stopped.version.version)
        return refuse(env, why, version, observed, out, f"retry/{stopped.id}")
    lifted = tuple(q for q in env.quarantine if q.digest != stopped.version.digest)
    env = env.model_copy(update={"quarantine": lifted, "stopped": None})
    why = f"{stopped.why} (tried again by {who(body)})"
    # The file no longer asks for what was a wish, so it has to be told.
    kind: Kind = "release" if stopped.kind == "release" else "revert"
    by = body.get("by", "headgate")
    return begin_rollout(env, stopped.version, kind, why, by, observed, out, now)


def who(body: Mapping[str, Any]) -> str:
    """The person who said it, with the reason that was given."""
    by, reason = body.get("by", "headgate"), body.get("reason")
    return f"{by}: {reason}" if reason else str(by)
