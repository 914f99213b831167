"""Candidates under live traffic."""

from tests.scenarios.world import World


async def test_a_server_that_fails_under_load_is_rolled_back_and_stable_keeps_answering(
    world: World,
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        async with world.traffic() as statuses:
            world.push("Be faster", serve__py=("FAULTY = 0", "FAULTY = 3"))

            async def rolled_back() -> bool:
                env = await world.environment("production")
                return bool(env and env.quarantine and env.rollout is None)

            await world.until(rolled_back, "the rollback")
            before = len(statuses)

            async def goes_on() -> bool:
                return len(statuses) > before + 20

            await world.until(goes_on, "traffic after the rollback")
        env = await world.serves(1)
    assert [q.version for q in env.quarantine] == [2]
    assert 500 in statuses
    assert set(statuses[before + 5 :]) == {200}
    assert world.releases()[0] == "mean: roll back v2 in production"
    file = world.file()
    assert file is not None
    assert file.model is not None
    assert file.model.version == 1
    assert [q.version for q in file.quarantine] == [2]
    assert any(str(line["signal"]).startswith("errors") for line in file.evidence)


async def test_without_traffic_nothing_is_promoted_and_the_canary_says_what_it_waits_for(
    world: World,
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        world.push("Shift", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))

        async def judged() -> bool:
            env = await world.environment("production")
            judgement = env.rollout.judgement if env and env.rollout else None
            return judgement is not None and judgement.baked

        await world.until(judged, "a judgement past the minimum bake")
    env = await world.environment("production")
    assert env is not None
    assert env.stable is not None
    assert env.stable.version == 1
    assert env.rollout is not None
    assert env.rollout.judgement is not None
    assert env.rollout.judgement.decision == "wait"
