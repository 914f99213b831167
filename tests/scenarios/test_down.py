"""`headgate down` and `headgate export`, beside a world that a controller has left."""

import asyncio
import json
import os

from click.testing import CliRunner, Result

from controller.cli import main
from tests.scenarios.test_batch import BATCH, release, scored
from tests.scenarios.world import World


def do(world: World, *arguments: str) -> Result:
    """A command as a person types it, with the world's settings."""
    path = world.root / "headgate.yaml"
    path.write_text(json.dumps(world.settings.model_dump(mode="json", exclude_unset=True)))
    clean = {name: None for name in os.environ if name.startswith("HEADGATE_")}
    return CliRunner(env=clean).invoke(main, ["--settings", str(path), *arguments])


async def typed(world: World, *arguments: str) -> Result:
    return await asyncio.to_thread(do, world, *arguments)


async def test_down_stops_what_up_left_and_the_next_up_brings_it_back_where_it_was(
    world: World,
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        before = await world.address()
    assert (await typed(world, "down", "nobody")).exit_code == 1
    first = await typed(world, "down")
    assert first.exit_code == 0, first.output
    assert "mean/production: stopped mean-production-v1-" in first.output
    assert f"and the router at {before}." in first.output
    assert "The next `headgate up` starts them again." in first.output
    again = await typed(world, "down", "mean")
    assert again.output == "No model server is running here for mean.\n"
    async with world.controller():
        assert await world.address() == before

        async def answers() -> bool:
            env = await world.environment("production")
            return env is not None and env.unready_since is None

        await world.until(answers, "an answer")
        async with world.traffic() as statuses:

            async def served() -> bool:
                return 200 in statuses

            await world.until(served, "the server")


async def test_export_writes_the_model_that_production_points_to_and_what_its_batch_wrote(
    world: World,
) -> None:
    release(world, BATCH)
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        await scored(world, 1)
    to = world.root / "mine"
    model = await typed(world, "export", "mean", "--to", str(to / "model.json"))
    assert model.exit_code == 0, model.output
    assert "v1 of mean/production" in model.output
    assert json.loads((to / "model.json").read_text())["mean"] == 2.0
    (to / "model.json").write_text("mine")  # a copy, which is theirs
    scores = await typed(
        world, "export", "mean", "--output", "scores", "--to", str(to / "s.json"), "--json"
    )
    assert json.loads(scores.output)["version"] == 1
    assert json.loads((to / "s.json").read_text()) == {"mean": 2.0, "rows": 3}
    wrong = await typed(world, "export", "mean", "--output", "score", "--to", str(to / "x"))
    assert "Did you mean" in wrong.output
    status = await typed(world, "status")
    assert "points to v1" in status.output
    assert "succeeded" in status.output
    logs = await typed(world, "logs", "mean/production")
    assert logs.exit_code == 0
