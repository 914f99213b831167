"""PURE. People who change the list of what is quarantined, in the environment's file."""

from controller.machine import branch_incidents
from controller.machine.environments.alerts import tell
from controller.machine.environments.branch import write
from controller.machine.environments.ending import stop
from controller.machine.environments.environment import (
    Branch,
    EnvironmentContext,
    EnvironmentState,
    moment,
    quarantined,
)
from controller.machine.environments.file import EnvironmentFile, LastChange


def heed_list(
    env: EnvironmentState, branch: Branch, file: EnvironmentFile, context: EnvironmentContext
) -> EnvironmentState:
    """Quarantine what a person put on the list, and lift what a person took off it."""
    by = branch.author or "somebody"
    for bad in env.quarantine:
        if bad.digest in env.listed and not file.is_quarantined(bad.digest):
            why = f"commit {branch.commit[:12]}: {branch.subject}"
            incident = branch_incidents.lifted(env.pipeline, env.name, env.stable, bad, by, why)
            version = context.observed.versions.get(env.stable.version) if env.stable else None
            name = f"lifted/{branch.commit}/{bad.digest}"
            env = tell(env, version, "rollback", name, incident, context.out, status="info")
    new = tuple(q for q in quarantined(file) if not env.quarantined(q.digest))
    kept = tuple(q for q in env.quarantine if not _is_off(env, file, q.digest))
    bad_ones = {q.digest for q in new}
    former = tuple(r for r in env.former if r.digest not in bad_ones)
    listed = tuple(q.digest for q in file.quarantine)
    update = {"quarantine": (*kept, *new), "former": former, "listed": listed}
    env = env.model_copy(update=update)
    if env.rollout is not None and env.rollout.version.digest in bad_ones:
        why = f"{by} quarantined it in commit {branch.commit[:12]}"
        env = stop(env, env.rollout, "aborted", why, context)
    return env


def _is_off(env: EnvironmentState, file: EnvironmentFile, digest: str) -> bool:
    """Whether the file listed it, and does not any more: what was never listed there, nobody can
    have taken off."""
    return digest in env.listed and not file.is_quarantined(digest)


def say_lifted(
    before: EnvironmentState, env: EnvironmentState, branch: Branch, context: EnvironmentContext
) -> EnvironmentState:
    """Say on the branch, on top of the person's commit, what it lifted: nobody has to guess."""
    gone = [q for q in before.quarantine if not env.quarantined(q.digest)]
    if not gone or branch.file is None or env.write is not None:
        return env
    which = ", ".join(f"v{q.version}" for q in gone)
    what = "; ".join(f"v{q.version} was quarantined: {q.reason}" for q in gone)
    by = branch.author or "somebody"
    reason = f"lifted by commit {branch.commit[:12]} ({branch.subject}); {what}"
    changed = LastChange(by=by, reason=reason, at=moment(context.now))
    file = branch.file.model_copy(update={"changed": changed})
    subject = f"lift the quarantine of {which} in {env.name}"
    return write(env, f"{env.place}/lift/{branch.commit}", subject, file, context.out)
