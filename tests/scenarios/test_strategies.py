"""Other ways into production than a canary, on real servers."""

from tests.scenarios.world import World

CANARY = """    canary:
      steps: [20%, 50%]
      minimum_bake: 1s
      signals: {errors: {not_worse_by: 10%}}
      deadline: 1m
"""


def choose(world: World, production: str) -> None:
    """Have the spec bring releases into production so."""
    spec = world.work / "ml-pipeline.yaml"
    text = spec.read_text()
    assert CANARY in text
    spec.write_text(text.replace(CANARY, production))


async def test_a_direct_release_takes_all_traffic_and_no_caller_notices(world: World) -> None:
    choose(world, "    strategy: direct\n")
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        async with world.traffic() as statuses:
            world.push("Shift", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))
            await world.serves(2)
            before = len(statuses)

            async def goes_on() -> bool:
                return len(statuses) > before + 20

            await world.until(goes_on, "traffic after the switch")
    assert set(statuses) == {200}


async def test_a_blue_green_release_that_fails_goes_back_to_the_server_that_was_kept(
    world: World,
) -> None:
    choose(world, "    strategy: blue-green\n")
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        async with world.traffic() as statuses:

            async def known() -> bool:
                return len(statuses) > 100

            await world.until(known, "traffic of the first version")
            world.push("Be faster", serve__py=("FAULTY = 0", "FAULTY = 3"))

            async def rolled_back() -> bool:
                env = await world.environment("production")
                quarantined = env is not None and [q.version for q in env.quarantine] == [2]
                return bool(quarantined and env and env.rollout is None)

            await world.until(rolled_back, "the way back")
            back = len(statuses)

            async def goes_on() -> bool:
                return len(statuses) > back + 30

            await world.until(goes_on, "traffic after the way back")
        env = await world.serves(1)
    assert env.warm is None
    assert 500 in statuses
    assert set(statuses[back + 10 :]) == {200}
    assert world.releases()[0] == "mean: roll back to v1 in production"
    file = world.file()
    assert file is not None
    assert file.changed is not None
    assert "requests failed" in file.changed.reason
