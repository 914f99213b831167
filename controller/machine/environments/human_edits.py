"""PURE. People may edit or revert the environment's file: that is followed, or refused."""

from controller.machine import branch_incidents
from controller.machine.environments.adopting import resume_releases, stop_releases
from controller.machine.environments.alerts import notify
from controller.machine.environments.branch import rebase_write, reject_edit, write
from controller.machine.environments.ending import stop
from controller.machine.environments.environment import (
    REMEMBERED,
    Branch,
    EnvironmentContext,
    EnvironmentState,
    moment,
    named_version,
    quarantine_in,
)
from controller.machine.environments.file import EnvironmentFile, LastChange
from controller.machine.environments.proposal import approve
from controller.machine.environments.starting import begin_rollout
from controller.machine.pipelines.version import ModelVersion, Ref


def follow_edit(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    """Follow a person's commit to the environment's file, or refuse it with a reason."""
    branch = context.observed.branch
    if branch is None or branch.commit == env.acted_on:
        return rebase_write(env, context.out)
    env = env.model_copy(
        update={"acted_on": branch.commit, "named_in_file": named_version(branch.file)}
    )
    if env.named_in_file is not None and not env.rollouts and context.observed.past is None:
        return stop_releases(
            env,
            f"The environments branch says that {env.named_in_file} runs in {env.name}.",
            context,
        )
    if branch.ours:
        listed = tuple(q.digest for q in branch.file.quarantine) if branch.file else env.listed
        return env.model_copy(update={"listed": listed})
    if branch.file is None:
        why = branch.problem or "the file is gone; write `model: null` to stop serving"
        return reject_edit(env, why, None, context)
    before = env
    env = _follow_quarantine(env, branch, branch.file, context)
    env = env.model_copy(update={"pinned": branch.commit if branch.file.pinned else None})
    env = _follow_model(env, branch, branch.file, context)
    return _record_lifted(before, env, branch, context)


def _follow_model(
    env: EnvironmentState, branch: Branch, file: EnvironmentFile, context: EnvironmentContext
) -> EnvironmentState:
    """Bring up the version that a person's commit names, or refuse it."""
    by = branch.author or "somebody"
    rollout = env.rollout
    if file.model is None:
        return _stop_serving(resume_releases(env, context.out), by, context)
    ref = Ref(version=file.model.version, digest=file.model.digest)
    if env.stable == ref:
        return _keep(env, by, context)
    if rollout is not None and rollout.version == ref:
        return approve(env, rollout, branch, context)
    version = context.version(ref)
    why_not = _unfit(env, ref, version)
    if why_not is not None:
        return reject_edit(env, why_not, version, context)
    env = resume_releases(env, context.out).model_copy(
        update={"write": None}
    )  # it is older than the person's commit
    why = f"commit {branch.commit[:12]} on the environments branch"
    if branch.proposal is None:
        return begin_rollout(env, ref, "edit", why, by, context)
    # Somebody merged the pull request of a rollout that had ended: approved, but not yet judged.
    env = begin_rollout(env, ref, "release", why, by, context)
    return approve(env, env.rollout, branch, context) if env.rollout else env


def _keep(env: EnvironmentState, by: str, context: EnvironmentContext) -> EnvironmentState:
    """The file names what runs: that ends another request, and a pin ends a release."""
    rollout = env.rollout
    if rollout is not None and (
        rollout.kind == "edit" or (env.pinned is not None and rollout.kind == "release")
    ):
        why = f"{by} keeps {env.stable}"
        env = stop(env, rollout, "aborted", why, context)
    return rebase_write(env, context.out)


def _unfit(env: EnvironmentState, ref: Ref, version: ModelVersion | None) -> str | None:
    """Why a requested version may not run, or None."""
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


def _stop_serving(env: EnvironmentState, by: str, context: EnvironmentContext) -> EnvironmentState:
    if env.rollout is not None:
        why = f"{by} set `model: null`"
        env = stop(env, env.rollout, "aborted", why, context)
    former = env.former
    if env.stable is not None and not env.quarantined(env.stable.digest):
        former = (env.stable, *former)
    nothing = {
        "stable": None,
        "points": False,
        "write": None,
        "unready_since": None,
        "unknown_server": False,
    }
    return env.model_copy(update={**nothing, "former": former[:REMEMBERED]})


def _follow_quarantine(
    env: EnvironmentState, branch: Branch, file: EnvironmentFile, context: EnvironmentContext
) -> EnvironmentState:
    """Quarantine what a person added to the list, and lift what a person removed from it."""
    by = branch.author or "somebody"
    for bad in env.quarantine:
        if bad.digest in env.listed and not file.is_quarantined(bad.digest):
            why = f"commit {branch.commit[:12]}: {branch.subject}"
            incident = branch_incidents.lifted(env.pipeline, env.name, env.stable, bad, by, why)
            version = context.version(env.stable)
            name = f"lifted/{branch.commit}/{bad.digest}"
            env = notify(env, version, "rollback", name, incident, context.out, status="info")
    new = tuple(q for q in quarantine_in(file) if not env.quarantined(q.digest))
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
    """Whether it was removed from the list in the file, and not just never listed there."""
    return digest in env.listed and not file.is_quarantined(digest)


def _record_lifted(
    before: EnvironmentState, env: EnvironmentState, branch: Branch, context: EnvironmentContext
) -> EnvironmentState:
    """Write to the branch, on top of the person's commit, which quarantines it lifted."""
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
