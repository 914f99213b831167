"""People who steer: on the environments branch, and with verbs."""

from controller.machine.core import Key
from controller.machine.messages import Abort, Promote, Retry, Rollback
from tests.scenarios.world import World

PRODUCTION = Key("environment", "mean/production")


async def second_version(world: World) -> None:
    """v2 is in production, v1 was before it."""
    await world.serves(1)
    async with world.traffic():
        world.push("Shift", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))
        await world.serves(2)


async def test_a_git_revert_of_a_promotion_brings_the_former_version_back(world: World) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await second_version(world)
        async with world.traffic() as statuses:
            world.revert_environment()
            await world.serves(1)
    assert set(statuses) == {200}
    assert world.releases()[0].startswith("Revert")


async def test_a_wish_for_an_unknown_version_is_refused_and_the_file_says_why(
    world: World,
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        world.edit_environment("production", lambda text: text.replace("version: 1", "version: 9"))

        async def refused() -> bool:
            return world.releases()[0] == "mean: refuse a change of production"

        await world.until(refused, "the refusal")
        file = world.file()
    assert file is not None
    assert file.model is not None
    assert file.model.version == 1
    assert file.changed is not None
    assert "version 9" in file.changed.reason


async def test_a_rollback_by_hand_is_a_commit_and_the_left_version_is_quarantined(
    world: World,
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await second_version(world)
        await world.say(PRODUCTION, Rollback(by="ada", reason="it smells"))
        env = await world.serves(1)
    assert [q.version for q in env.quarantine] == [2]
    assert world.releases()[0] == "mean: roll back to v1 in production"


async def test_an_aborted_rollout_stays_aborted_until_it_is_retried(world: World) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        world.push("Shift", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))

        async def canary() -> bool:
            env = await world.environment("production")
            return bool(env and env.rollout and env.rollout.step >= 0)

        await world.until(canary, "the canary")
        await world.say(PRODUCTION, Abort(by="ada"))
        await world.serves(1)
        await world.say(PRODUCTION, Retry(by="ada"))
        await world.until(canary, "the canary again")
        await world.say(PRODUCTION, Promote(by="ada"))
        env = await world.serves(2)
    assert env.quarantine == ()


async def test_a_file_that_cannot_be_read_is_restored_and_says_why(world: World) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        world.edit_environment("production", lambda text: text.replace("model:", "modle:"))

        async def refused() -> bool:
            return world.releases()[0] == "mean: refuse a change of production"

        await world.until(refused, "the refusal")
        file = world.file()
    assert file is not None
    assert file.model is not None
    assert file.model.version == 1
