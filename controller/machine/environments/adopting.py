"""PURE. A state that does not know an environment is rebuilt from the environments branch.

The branch is the truth: its quarantine is adopted before anything is released, and nothing is
released while the branch names a version that cannot be restored.
"""

from controller.machine import branch_incidents
from controller.machine.environments.alerts import notify, resolve
from controller.machine.environments.environment import (
    REMEMBERED,
    Branch,
    EnvironmentContext,
    EnvironmentState,
    ObservedEnvironment,
    PastReleases,
    RolloutDecisionBuilder,
    named_version,
    quarantine_in,
)
from controller.machine.environments.job import is_batch
from controller.machine.incidents import ended
from controller.machine.pipelines.ended_run import facts_of
from controller.machine.pipelines.version import Ref

UNKNOWN = "unknown-state"
_OUTDATED = (
    "stable",
    "stable_rollout",
    "rollout",
    "warm",
    "job",
    "stopped",
    "acted_on",
    "write",
    "deferred_release",
    "unready_since",
)
"""What no longer holds in a state that is older than the branch."""


def is_new(env: EnvironmentState) -> bool:
    """Whether the state does not know the environment, or what runs there."""
    nothing = env.stable is None and env.rollout is None
    return nothing and (env.unknown is not None or (env.acted_on is None and not env.rollouts))


def is_behind(env: EnvironmentState, branch: Branch | None) -> bool:
    """Whether the state is older than the branch, as one from a backup: it lacks that rollout."""
    return branch is not None and branch.ours and branch.rollout > env.rollouts


def adopt(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    """Adopt the quarantine, the pin, numbers, what serves, and what it can be rolled back to."""
    past = context.observed.past
    if past is not None and is_behind(env, context.observed.branch):
        env = env.model_copy(update=dict.fromkeys(_OUTDATED) | {"former": ()})
    elif not is_new(env):
        return env
    if past is None:
        return _report_unknown_servers(env, context)
    file = past.file
    listed = tuple(q for q in quarantine_in(file) if not env.quarantined(q.digest))
    env = env.model_copy(
        update={
            "quarantine": (*env.quarantine, *listed),
            "listed": tuple(q.digest for q in file.quarantine),
            "pinned": past.commit if file.pinned else env.pinned,
            "acted_on": env.acted_on or past.commit,
            "named_in_file": named_version(file),
            "rollouts": max(env.rollouts, past.rollouts, 1),
        }
    )
    ref = _serving(env, context.observed, past)
    if ref is not None and ref.version not in past.versions:
        lacking = past.lacking.get(ref.version, "nothing is left of it")
        return stop_releases(
            env,
            f"The branch says that {ref} runs in {env.name}, but it cannot be restored: {lacking}.",
            context,
        )
    env = _take_over(env, ref, past, context.out)
    version = past.versions.get(ref.version) if ref else None
    env = resolve(env, version, UNKNOWN, ended(env.pipeline, env.name, ref), context.out)
    gone = [f"v{number}: {why}" for number, why in sorted(past.lacking.items())]
    incident = branch_incidents.adopted(env.pipeline, env.name, ref, env.quarantine, gone)
    name = f"adopted/{past.commit}"
    return notify(env, version, "stuck", name, incident, context.out, status="info")


def _take_over(
    env: EnvironmentState, ref: Ref | None, past: PastReleases, out: RolloutDecisionBuilder
) -> EnvironmentState:
    for version in past.versions.values():
        out.facts += facts_of(version)
    former = (
        one
        for one in dict.fromkeys(past.named)
        if one != ref and one.version in past.versions and not env.quarantined(one.digest)
    )
    serving = past.versions.get(ref.version) if ref else None
    update = {
        "stable": ref,
        "points": serving is not None and is_batch(serving.spec),
        "former": tuple(former)[:REMEMBERED],
        "unknown": None,
        "unknown_server": False,
    }
    return env.model_copy(update=update)


def _serving(
    env: EnvironmentState, observed: ObservedEnvironment, past: PastReleases
) -> Ref | None:
    """What runs by the branch: the version of a person's last commit, if it served there before."""
    branch = observed.branch
    asked = named_version(branch.file) if branch is not None and not branch.ours else None
    known = asked is not None and asked in past.named and asked.version in past.versions
    if known and asked is not None and not env.quarantined(asked.digest):
        return asked
    return named_version(past.file)


def stop_releases(
    env: EnvironmentState, what: str, context: EnvironmentContext
) -> EnvironmentState:
    """Leave what runs alone, release nothing, and ask a person what to do."""
    why = f"{what} The controller's state does not know it: was state.db lost?"
    env = env.model_copy(update={"unknown": why, "unknown_server": True})
    incident = branch_incidents.unknown(env.pipeline, env.name, why)
    return notify(env, None, "stuck", UNKNOWN, incident, context.out)


def _report_unknown_servers(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    """Ask about servers that run although neither the state nor the branch says so."""
    alive = sorted(server.name for server in context.observed.deployed.servers if server.alive)
    if env.unknown is not None or context.observed.branch is not None or not alive:
        return env
    runs = ", ".join(alive)
    return stop_releases(
        env, f"{runs} runs in {env.name}, but the environments branch does not say so.", context
    )


def resume_releases(env: EnvironmentState, out: RolloutDecisionBuilder) -> EnvironmentState:
    """A person allows the next release to replace what the state does not know."""
    if env.unknown is None:
        return env
    env = env.model_copy(update={"unknown": None, "rollouts": max(env.rollouts, 1)})
    return resolve(env, None, UNKNOWN, ended(env.pipeline, env.name, None), out)
