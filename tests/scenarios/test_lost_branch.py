"""The environments branch is deleted or force-pushed, while a controller runs."""

from controller.git.environments import BRANCH
from controller.machine.environments.environment import EnvironmentState
from tests.scenarios.world import World, git_or_none


async def told(world: World, words: str, name: str = "production") -> EnvironmentState:
    """Wait until an environment knows what became of its branch, and the branch says it."""

    async def look() -> EnvironmentState | None:
        env = await world.environment(name)
        known = env is not None and env.write is None and words in (env.lost_history or "")
        return env if known else None

    return await world.until(look, f"{words!r} to be told")


async def test_a_branch_that_is_deleted_is_written_anew_and_a_promotion_goes_through(
    world: World,
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        world.delete_environments()
        said = [
            (await told(world, " was ", name)).lost_history for name in ("staging", "production")
        ]
        assert all("The environments branch was deleted" in (one or "") for one in said)
        assert not any("Lost there" in (one or "") for one in said)
        assert world.releases() == ["mean: restore what production runs"]
        file = world.file()
        assert file is not None
        assert file.changed is not None
        assert "was deleted" in file.changed.reason
        async with world.traffic() as statuses:
            world.push("Shift", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))
            await world.serves(2)
    assert set(statuses) == {200}
    assert world.releases()[0] == "mean: promote v2 in production"


async def test_a_force_push_that_drops_a_persons_revert_is_reported_and_the_revert_stands(
    world: World,
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        async with world.traffic():
            world.push("Shift", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))
            await world.serves(2)
        world.revert_environment()
        await world.serves(1)
        was = world.push_environments_over(1)
        now = (git_or_none(world.remote, "rev-parse", BRANCH) or "").strip()
        env = await told(world, "force-pushed the environments branch")
    assert env.lost_history is not None
    assert f"it was at {was[:12]}" in env.lost_history
    assert f"is now at {now[:12]}" in env.lost_history
    assert "Revert" in env.lost_history
    assert "Ada" in env.lost_history
    assert env.stable is not None
    assert env.stable.version == 1
    file = world.file()
    assert file is not None
    assert file.model is not None
    assert file.model.version == 1
