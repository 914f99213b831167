"""PURE. A human who edits or reverts the environment's file steers; it is obeyed or refused."""

from controller.machine.environments.adopting import ask, go_on
from controller.machine.environments.branch import renew_write, restore
from controller.machine.environments.ending import stop
from controller.machine.environments.environment import (
    REMEMBERED,
    Branch,
    EnvironmentContext,
    EnvironmentState,
    named,
)
from controller.machine.environments.file import EnvironmentFile
from controller.machine.environments.lists import heed_list, say_lifted
from controller.machine.environments.proposal import approve
from controller.machine.environments.starting import begin_rollout
from controller.machine.pipelines.version import ModelVersion, Ref


def heed_branch(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    """Obey a human who edited or reverted the environment's file, or refuse with a reason."""
    branch = context.observed.branch
    if branch is None or branch.commit == env.acted_on:
        return renew_write(env, context.out)
    env = env.model_copy(update={"acted_on": branch.commit, "says": named(branch.file)})
    if env.says is not None and not env.rollouts and context.observed.past is None:
        return ask(
            env, f"The environments branch says that {env.says} runs in {env.name}.", context
        )
    if branch.ours:
        listed = tuple(q.digest for q in branch.file.quarantine) if branch.file else env.listed
        return env.model_copy(update={"listed": listed})
    if branch.file is None:
        why = branch.problem or "the file is gone; write `model: null` to stop serving"
        return restore(env, why, None, context)
    before = env
    env = heed_list(env, branch, branch.file, context)
    env = env.model_copy(update={"pinned": branch.commit if branch.file.pinned else None})
    env = _heed_model(env, branch, branch.file, context)
    return say_lifted(before, env, branch, context)


def _heed_model(
    env: EnvironmentState, branch: Branch, file: EnvironmentFile, context: EnvironmentContext
) -> EnvironmentState:
    """Bring up the version that a person's commit names, or refuse it."""
    by = branch.author or "somebody"
    rollout = env.rollout
    if file.model is None:
        return _stop_serving(go_on(env, context.out), by, context)
    ref = Ref(version=file.model.version, digest=file.model.digest)
    if env.stable == ref:
        return _keep(env, by, context)
    if rollout is not None and rollout.version == ref:
        return approve(env, rollout, branch, context.observed, context.now)
    version = context.observed.versions.get(file.model.version)
    why_not = _unfit(env, ref, version)
    if why_not is not None:
        return restore(env, why_not, version, context)
    env = go_on(env, context.out).model_copy(
        update={"write": None}
    )  # said before the person's word
    why = f"commit {branch.commit[:12]} on the environments branch"
    if branch.proposal is None:
        return begin_rollout(env, ref, "wish", why, by, context)
    # Somebody merged the proposal of a rollout that had ended: approved, and not yet judged.
    env = begin_rollout(env, ref, "release", why, by, context)
    return approve(env, env.rollout, branch, context.observed, context.now) if env.rollout else env


def _keep(env: EnvironmentState, by: str, context: EnvironmentContext) -> EnvironmentState:
    """The file names what runs: a wish for something else is over, and a pin ends a release."""
    rollout = env.rollout
    if rollout is not None and (
        rollout.kind == "wish" or (env.pinned is not None and rollout.kind == "release")
    ):
        why = f"{by} keeps {env.stable}"
        env = stop(env, rollout, "aborted", why, context)
    return renew_write(env, context.out)


def _unfit(env: EnvironmentState, ref: Ref, version: ModelVersion | None) -> str | None:
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
        "stranger": False,
    }
    return env.model_copy(update={**nothing, "former": former[:REMEMBERED]})
