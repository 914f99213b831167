"""From a commit to production."""

from tests.scenarios.world import World


async def test_a_first_commit_goes_all_the_way_to_production(world: World) -> None:
    commit = world.push("Add the pipeline")
    async with world.controller():
        run = await world.ended(1)
        assert run.outcome == "passed"
        assert run.commit == commit
        await world.serves(1)
    file = world.file()
    assert file is not None
    assert file.model is not None
    assert file.model.version == 1
    assert world.releases() == ["mean: promote v1 in production"]
