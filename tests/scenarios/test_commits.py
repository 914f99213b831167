"""What a commit runs, and what it does not."""

from tests.scenarios.world import World


async def test_a_commit_that_touches_only_the_docs_runs_nothing(world: World) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        (world.work / "README.md").write_text("# Mean\n")
        docs = world.push("Say what it is")

        async def told() -> bool:
            return "nothing to run" in world.note(docs)

        await world.until(told, "the terminal status of the docs commit")
    assert await world.run(2) is None


async def test_a_parameter_change_trains_again_and_the_new_version_is_released(
    world: World,
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        async with world.traffic():
            world.push("Shift the mean", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))
            run = await world.ended(2)
            await world.serves(2)
    assert run.outcome == "passed"
    assert run.nodes["train"].phase == "succeeded"


async def test_a_server_change_releases_without_training_again(world: World) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        async with world.traffic():
            world.push("Answer more", serve__py=('{"ok": True}', '{"ok": True, "more": 1}'))
            run = await world.ended(2)
            await world.serves(2)
    assert run.nodes["train"].phase == "cached"
    assert run.nodes["train"].cached_from == "mean-1"


async def test_a_broken_spec_is_reported_with_line_and_fix_and_the_next_commit_runs(
    world: World,
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        broken = world.push("Break it", ml_pipeline__yaml=("params:", "parms:"))

        async def told() -> bool:
            note = world.note(broken)
            return "ml-pipeline.yaml:" in note and "params" in note

        await world.until(told, "the problems of the spec")
        world.push("Fix it", ml_pipeline__yaml=("parms:", "params:"))
        mended = world.push("Retrain", ml_pipeline__yaml=("shift: 0.0", "shift: 0.5"))
        run = await world.ended(2)
    assert run.commit == mended
    assert run.outcome == "passed"
