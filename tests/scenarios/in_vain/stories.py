"""Stories that wait in vain on purpose: `test_vain_waits.py` runs them, and reads what they say."""

from tests.scenarios.world import World


async def test_a_step_whose_command_fails(world: World) -> None:
    world.push(
        "Add the pipeline", train__py=("values = [", "raise SystemExit('no such column')\n[")
    )
    async with world.controller():
        await world.ended(1)
        world.patience = 0.1
        await world.serves(1)


async def test_a_branch_that_is_protected(world: World) -> None:
    world.push("Add the pipeline")
    hook = world.remote / "hooks" / "update"
    hook.write_text('#!/bin/sh\necho "$1 is protected" >&2\nexit 1\n')
    hook.chmod(0o755)
    async with world.controller():

        async def refused() -> bool:
            staging = await world.environment("staging")
            return staging is not None and bool(staging.alerts)

        await world.until(refused, "the environments branch to be refused")
        world.patience = 0.1
        await world.serves(1)
