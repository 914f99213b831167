"""An environment that is held still, and goes on where it stood."""

from controller.machine.core import Key
from controller.machine.environments.environment import EnvironmentState
from controller.machine.messages import Pause, Resume
from tests.scenarios.world import World
from validators.canary import CanaryDecision

PRODUCTION = Key("environment", "mean/production")


async def paused(world: World) -> EnvironmentState:
    """Wait until production is paused."""

    async def look() -> EnvironmentState | None:
        env = await world.environment("production")
        return env if env and env.paused else None

    return await world.until(look, "the pause")


async def test_a_paused_environment_holds_the_release_and_goes_on_when_it_is_resumed(
    world: World,
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        await world.say(PRODUCTION, Pause(by="ada"))
        await paused(world)
        world.push("Shift", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))
        await world.serves(2, "staging")  # only production is held

        async def judged() -> EnvironmentState | None:
            """The judge has seen enough for the next weight, and it is not given."""
            env = await world.environment("production")
            rollout = env.rollout if env else None
            judgement = rollout.judgement if rollout else None
            return env if judgement and judgement.decision is CanaryDecision.PROMOTE else None

        async with world.traffic():
            env = await world.until(judged, "the judge to let it pass")
    async with world.controller():  # a pause outlives the controller
        env = await paused(world)
        assert env.stable is not None
        assert env.rollout is not None
        assert (env.stable.version, env.rollout.step) == (1, 0)
        async with world.traffic() as statuses:
            await world.say(PRODUCTION, Resume(by="ada"))
            env = await world.serves(2)
    assert env.paused is None
    assert set(statuses) == {200}
