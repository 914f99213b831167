"""PURE. A state that knows nothing of an environment goes on from what its branch says.

The branch is the truth: its quarantine is taken over before anything is released, and nothing is
released as long as it names what cannot be had again.
"""

from controller.machine import branch_incidents
from controller.machine.environments.alerts import over, tell
from controller.machine.environments.environment import (
    REMEMBERED,
    Branch,
    EnvironmentContext,
    EnvironmentState,
    ObservedEnvironment,
    PastReleases,
    RolloutDecisionBuilder,
    named,
    quarantined,
)
from controller.machine.environments.job import is_batch
from controller.machine.incidents import ended
from controller.machine.pipelines.ended_run import facts_of
from controller.machine.pipelines.version import Ref

UNKNOWN = "unknown-state"
_OUTDATED = (
    "stable",
    "brought",
    "rollout",
    "warm",
    "job",
    "stopped",
    "acted_on",
    "write",
    "waiting",
    "unready_since",
)
"""What a state from before says of what has become of the environment since."""


def is_new(env: EnvironmentState) -> bool:
    """Whether the state knows nothing of the environment, or not what runs there."""
    nothing = env.stable is None and env.rollout is None
    return nothing and (env.unknown is not None or (env.acted_on is None and not env.rollouts))


def is_behind(env: EnvironmentState, branch: Branch | None) -> bool:
    """Whether the state is older than the branch, as of a backup: it never made that rollout."""
    return branch is not None and branch.ours and branch.rollout > env.rollouts


def adopt(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    """Take over quarantine, pin, numbers, what serves and what may be gone back to."""
    past = context.observed.past
    if past is not None and is_behind(env, context.observed.branch):
        env = env.model_copy(update=dict.fromkeys(_OUTDATED) | {"former": ()})
    elif not is_new(env):
        return env
    if past is None:
        return _ask_about_strangers(env, context)
    file = past.file
    listed = tuple(q for q in quarantined(file) if not env.quarantined(q.digest))
    env = env.model_copy(
        update={
            "quarantine": (*env.quarantine, *listed),
            "listed": tuple(q.digest for q in file.quarantine),
            "pinned": past.commit if file.pinned else env.pinned,
            "acted_on": env.acted_on or past.commit,
            "says": named(file),
            "rollouts": max(env.rollouts, past.rollouts, 1),
        }
    )
    ref = _serving(env, context.observed, past)
    if ref is not None and ref.version not in past.versions:
        lacking = past.lacking.get(ref.version, "nothing of it is left")
        return ask(
            env,
            f"{ref} runs in {env.name}, as the branch says, and cannot be had again: {lacking}.",
            context,
        )
    env = _take_over(env, ref, past, context.out)
    version = past.versions.get(ref.version) if ref else None
    env = over(env, version, UNKNOWN, ended(env.pipeline, env.name, ref), context.out)
    gone = [f"v{number}: {why}" for number, why in sorted(past.lacking.items())]
    incident = branch_incidents.adopted(env.pipeline, env.name, ref, env.quarantine, gone)
    name = f"adopted/{past.commit}"
    return tell(env, version, "stuck", name, incident, context.out, status="info")


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
        "stranger": False,
    }
    return env.model_copy(update=update)


def _serving(
    env: EnvironmentState, observed: ObservedEnvironment, past: PastReleases
) -> Ref | None:
    """What the branch says that runs: a person's last word, if it was for what has served there."""
    branch = observed.branch
    wished = named(branch.file) if branch is not None and not branch.ours else None
    obeyed = wished is not None and wished in past.named and wished.version in past.versions
    if obeyed and wished is not None and not env.quarantined(wished.digest):
        return wished
    return named(past.file)


def ask(env: EnvironmentState, what: str, context: EnvironmentContext) -> EnvironmentState:
    """Leave alone what runs, release nothing, and ask a person."""
    why = f"{what} This controller's state does not know it: was state.db lost?"
    env = env.model_copy(update={"unknown": why, "stranger": True})
    incident = branch_incidents.unknown(env.pipeline, env.name, why)
    return tell(env, None, "stuck", UNKNOWN, incident, context.out)


def _ask_about_strangers(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    """Servers run, and neither the state nor the branch says why."""
    alive = sorted(server.name for server in context.observed.deployed.servers if server.alive)
    if env.unknown is not None or context.observed.branch is not None or not alive:
        return env
    runs = ", ".join(alive)
    return ask(
        env, f"{runs} runs in {env.name}, and the environments branch says nothing.", context
    )


def go_on(env: EnvironmentState, out: RolloutDecisionBuilder) -> EnvironmentState:
    """A person lets the next release take the place of what nobody knows."""
    if env.unknown is None:
        return env
    env = env.model_copy(update={"unknown": None, "rollouts": max(env.rollouts, 1)})
    return over(env, None, UNKNOWN, ended(env.pipeline, env.name, None), out)
