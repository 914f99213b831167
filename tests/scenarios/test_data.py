"""New data, exactly one run per version."""

from tests.scenarios.world import World


async def test_new_data_trains_again_once_it_is_quiet(world: World) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        first = await world.ended(1)
        await world.serves(1)
        async with world.traffic():
            world.drop("b.csv", [4, 5, 6])
            second = await world.ended(2)
            await world.serves(2)

        async def told() -> bool:
            return "Since `mean-1`: `numbers` `b.csv` added." in world.note(second.commit)

        await world.until(told, "the report to name what came")
    assert second.trigger.kind == "data"
    assert "numbers went from" in second.trigger.why
    assert first.datasets != second.datasets
    assert await world.run(3) is None


async def test_data_that_arrives_while_the_controller_is_down_is_not_lost(world: World) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
    world.drop("b.csv", [4, 5, 6])
    async with world.controller():
        run = await world.ended(2)
    assert run.outcome == "passed"
