"""PURE. What a switch of all traffic leaves: a server that is kept warm, for a quick way back."""

from controller.machine.environments.environment import EnvironmentState
from controller.machine.environments.rollout import Rollout, Warm, strategy_of
from controller.machine.pipelines.version import ModelVersion
from validators.canary import switch


def warm_after(
    env: EnvironmentState, rollout: Rollout, version: ModelVersion, now: float
) -> Warm | None:
    """What is kept of stable now that a rollout settles; None where nothing is."""
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
    """Whether it takes all traffic at once and leaves stable's server up."""
    of_release = rollout.kind == "release" and env.name == "production" and env.has_server
    return of_release and strategy_of(version.spec) == "blue-green"
