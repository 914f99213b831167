"""A canary whose controller cannot look after it: dead, or unable to save what it decides."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from controller.machine.environments.environment import EnvironmentState
from deployers.local import LocalDeployer
from deployers.protocol import Silence
from tests.scenarios.world import World

SLOWLY = ("minimum_bake: 1s", "minimum_bake: 10s")
"""So that the canary is still one when the silence is noticed."""


BAD = "Handler.served > 40 and Handler.served % 2"


async def under_canary(world: World) -> None:
    """Wait until the second version has its share of the traffic."""

    async def look() -> bool:
        env = await world.environment("production")
        return bool(env and env.rollout and env.rollout.judgement and env.rollout.step >= 0)

    await world.until(look, "a canary that is judged")


async def silence(world: World) -> Silence:
    """Wait until the router says that it took the canary's traffic away."""
    deployer = LocalDeployer(world.root / "home" / "serving", redact=str)
    try:

        async def look() -> Silence | None:
            return (await deployer.observe("mean/production")).silence

        return await world.until(look, "the router to take the canary's traffic")
    finally:
        await deployer.close()


async def more(statuses: list[int], world: World) -> set[int]:
    """What the next requests are answered with."""
    before = len(statuses)

    async def look() -> bool:
        return len(statuses) > before + 30

    await world.until(look, "requests")
    return set(statuses[before + 5 :])


@contextmanager
def refusing(world: World) -> Iterator[None]:
    """Another program holds the state, so that nothing can be saved."""
    database = sqlite3.connect(world.root / "home" / "state.db", isolation_level=None)
    try:
        database.execute("BEGIN IMMEDIATE")
        yield
    finally:
        database.close()


async def test_a_canary_that_turns_bad_while_the_controller_is_dead_loses_its_traffic_and_is_judged(
    world: World,
) -> None:
    world.configure(router={"silence": "5s"})
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        async with world.traffic():
            world.push(
                "Fail one in two, after a while",
                serve__py=("FAULTY and Handler.served > 5 and Handler.served % FAULTY", BAD),
                ml_pipeline__yaml=SLOWLY,
            )
            await under_canary(world)
    async with world.traffic() as statuses:
        assert (await silence(world)).limit == 5.0
        assert await more(statuses, world) == {200}
    async with world.controller():

        async def rolled_back() -> EnvironmentState | None:
            env = await world.environment("production")
            return env if env and env.quarantine and env.rollout is None else None

        async with world.traffic():
            env = await world.until(rolled_back, "the rollback")
    assert [q.version for q in env.quarantine] == [2]


async def test_a_controller_that_cannot_save_is_as_silent_as_a_dead_one_and_goes_on_when_it_can(
    world: World,
) -> None:
    world.configure(router={"silence": "5s"})
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        async with world.traffic() as statuses:
            world.push("Shift", ml_pipeline__yaml=SLOWLY, serve__py=("Serves the", "Serves its"))
            await under_canary(world)
            with refusing(world):
                await silence(world)
                assert await more(statuses, world) == {200}

            async def back() -> bool:
                env = await world.environment("production")
                return bool(env and env.stable and env.stable.version == 2 and not env.rollout)

            await world.until(back, "the promotion")
        assert set(statuses) == {200}
