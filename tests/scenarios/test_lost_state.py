"""What earlier attempts left, when the state that knew them is gone."""

import json

from deployers.processes import Processes, State
from tests.scenarios.world import World

TRAIN = "mean-1.train.1"


async def test_a_run_of_a_new_state_takes_nothing_from_an_old_one_of_the_same_number(
    world: World,
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.ended(1)
    await world.lose_the_state()
    commit = world.push("Shift", ml_pipeline__yaml=("shift: 0.0", "shift: 40.0"))
    async with world.controller():
        run = await world.ended(1)
    assert (run.commit, run.outcome) == (commit, "passed")
    outputs = run.nodes["train"].outputs
    assert outputs is not None
    digest = outputs["model"].removeprefix("sha256:")
    model = world.root / "home" / "artifacts" / "files" / digest[:2] / digest[2:]
    assert json.loads(model.read_text())["mean"] == 42.0


async def test_what_runs_for_a_lost_state_is_ended_and_its_number_is_free(world: World) -> None:
    world.push("Wait", ml_pipeline__yaml=("wait: 0.0", "wait: 3600.0"))
    attempts = world.root / "home" / "attempts"
    with Processes(attempts) as processes:

        async def running() -> bool:
            return TRAIN in processes.names() and processes.status(TRAIN).state is State.RUNNING

        async with world.controller():
            await world.until(running, "the step to run")
        await world.lose_the_state()
        world.push("Wait no longer", ml_pipeline__yaml=("wait: 3600.0", "wait: 0.0"))
        async with world.controller():
            assert (await world.ended(1)).outcome == "passed"
