"""PURE. After a switch of all traffic at once (`strategy: blue-green`): watch, and go back.

The former server stays up without traffic until its time is over. A version that fails more often
than it did, as `validators.canary.switch` judges, is left for it and quarantined.
"""

from controller.machine import incidents
from controller.machine.environments.alerts import tell
from controller.machine.environments.background import background
from controller.machine.environments.ending import quarantine
from controller.machine.environments.environment import (
    EnvironmentContext,
    EnvironmentState,
    ObservedEnvironment,
    server_name,
)
from controller.machine.environments.rollout import Cursor, Rollout, Warm
from controller.machine.environments.starting import begin_rollout, left
from controller.machine.environments.warm import is_switch
from controller.machine.pipelines.version import ModelVersion
from specs.figures import percent
from validators.canary import switch


def note_before(
    env: EnvironmentState, rollout: Rollout, version: ModelVersion, observed: ObservedEnvironment
) -> Rollout:
    """The rollout with what stable did until now, before the traffic goes to its version."""
    traffic, release = observed.traffic, version.spec.release
    noted = rollout.before is not None or traffic is None
    if noted or release is None or traffic is None or not is_switch(env, rollout, version):
        return rollout
    before = switch.before(release.production.blue_green, traffic.exchanges)
    cursor = Cursor(epoch=traffic.epoch, after=traffic.next)
    return rollout.model_copy(update={"before": before, "cursor": cursor})


def look(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    """Take in what came since the switch; go back if that is worse, or end the former server."""
    warm = env.warm
    if warm is None:
        return env
    if not _is_of_use(env, warm) or context.now >= warm.until:
        return env.model_copy(update={"warm": None})
    version = context.observed.versions.get(env.stable.version) if env.stable else None
    traffic = context.observed.traffic
    switched = env.stable and context.observed.deployed.stable == server_name(env.place, env.stable)
    if version is None or version.spec.release is None or not switched or traffic is None:
        return env
    watched = warm.watched
    if watched is None:  # nothing before this moment can be told apart from the former's
        watched = switch.begin(version.spec.release.production.blue_green, warm.before, context.now)
    else:
        watched = switch.update(watched, traffic.exchanges)
    cursor = Cursor(epoch=traffic.epoch, after=traffic.next)
    warm = warm.model_copy(update={"watched": watched, "cursor": cursor})
    env = env.model_copy(update={"warm": warm})
    return _back(env, warm, watched, context) if watched.worse else env


def _is_of_use(env: EnvironmentState, warm: Warm) -> bool:
    """Whether anybody may go back to it, and nothing else takes its place."""
    taken = env.rollout is not None and env.rollout.deployed is not None
    left_behind = not env.has_server or env.stable == warm.version
    return not taken and not left_behind and env.quarantined(warm.version.digest) is None


def _back(
    env: EnvironmentState, warm: Warm, watched: switch.SwitchWatch, context: EnvironmentContext
) -> EnvironmentState:
    """Bring the former version back, as a person's rollback does, and wake who is to know."""
    bad = env.stable
    assert bad is not None
    why = switch.headline(watched, f"v{warm.version.version}")
    stopped = left(env, bad, why, "headgate", context.now)
    version = context.observed.versions.get(bad.version)
    share = percent(watched.failed / watched.requests)
    about = background(env, stopped, context.observed, context.now, "rolled back").model_copy(
        update={"hurt": f"{watched.failed:,} of {watched.requests:,} requests failed ({share})"}
    )
    env = begin_rollout(env, warm.version, "revert", why, "headgate", context)
    env = quarantine(
        env.model_copy(update={"stopped": stopped, "warm": None}), bad, why, context.now
    )
    report = switch.report(watched, warm.rollout, f"v{warm.version.version}")
    incident = incidents.rolled_back(
        env.pipeline, env.name, bad, warm.version, why, [report], about
    )
    return tell(env, version, "rollback", stopped.id, incident, context.out)
