"""PURE. `strategy: blue-green`: after all traffic was switched at once, watch, and switch back.

The former version's server stays up without traffic for a while. If the new version fails more
often than the former did, as `validators.canary.switch` judges, the former gets the traffic back
and the new one is quarantined.
"""

from controller.machine import incidents
from controller.machine.environments.alerts import background, notify
from controller.machine.environments.ending import is_switch, quarantine
from controller.machine.environments.environment import (
    EnvironmentContext,
    EnvironmentState,
    ObservedEnvironment,
    server_name,
)
from controller.machine.environments.rollout import Cursor, Rollout, Warm
from controller.machine.environments.starting import begin_rollout, stopped_rollout
from controller.machine.pipelines.version import ModelVersion
from specs.figures import percent
from validators.canary import switch


def with_former_counts(
    env: EnvironmentState, rollout: Rollout, version: ModelVersion, observed: ObservedEnvironment
) -> Rollout:
    """The rollout with the record of stable until now, before its version gets the traffic."""
    traffic, release = observed.traffic, version.spec.release
    noted = rollout.before is not None or traffic is None
    if noted or release is None or traffic is None or not is_switch(env, rollout, version):
        return rollout
    before = switch.before(release.production.blue_green, traffic.exchanges, traffic.windows)
    cursor = Cursor(epoch=traffic.epoch, after=traffic.next)
    return rollout.model_copy(update={"before": before, "cursor": cursor})


def watch(env: EnvironmentState, context: EnvironmentContext) -> EnvironmentState:
    """Judge the traffic since the switch: switch back if it is worse; at the end, stop watching."""
    warm = env.warm
    if warm is None:
        return env
    if not _is_useful(env, warm) or context.now >= warm.until:
        return env.model_copy(update={"warm": None})
    version = context.version(env.stable)
    traffic = context.observed.traffic
    switched = env.stable and context.observed.deployed.stable == server_name(env.place, env.stable)
    if version is None or version.spec.release is None or not switched or traffic is None:
        return env
    watched = warm.watched
    if watched is None:  # records before this moment may be of the former version
        watched = switch.begin(version.spec.release.production.blue_green, warm.before, context.now)
    else:
        watched = switch.update(watched, traffic.exchanges, traffic.windows)
    cursor = Cursor(epoch=traffic.epoch, after=traffic.next)
    warm = warm.model_copy(update={"watched": watched, "cursor": cursor})
    env = env.model_copy(update={"warm": warm})
    return _roll_back(env, warm, watched, context) if watched.worse else env


def _is_useful(env: EnvironmentState, warm: Warm) -> bool:
    """Whether the former version may get the traffic back, and no rollout replaces it."""
    taken = env.rollout is not None and env.rollout.deployed is not None
    left_behind = not env.has_server or env.stable == warm.version
    return not taken and not left_behind and env.quarantined(warm.version.digest) is None


def _roll_back(
    env: EnvironmentState, warm: Warm, watched: switch.SwitchWatch, context: EnvironmentContext
) -> EnvironmentState:
    """Bring the former version back, as a person's rollback does, and notify."""
    bad = env.stable
    assert bad is not None
    why = switch.headline(watched, f"v{warm.version.version}")
    stopped = stopped_rollout(env, bad, why, "headgate", context.now)
    version = context.version(bad)
    share = percent(watched.failed / watched.requests)
    about = background(env, stopped, context, "rolled back").model_copy(
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
    return notify(env, version, "rollback", stopped.id, incident, context.out)
