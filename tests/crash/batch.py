"""The real controller: a release in batches, whose command runs in staging and in production."""

import asyncio
from pathlib import Path
from typing import Any

from controller.reconcile.outbox import Boundary
from tests.crash import pipeline
from tests.crash.harness import Story
from tests.crash.states import open_world
from tests.scenarios.test_batch import BATCH, release
from tests.scenarios.world import World

WITNESS = """
with (given.out.parent / "trained").open("a") as log:  # all that it may write
    log.write("once more\\n")
"""


def prepare(folder: Path) -> None:
    """The remote of the other story, whose release is a batch."""
    pipeline.prepare(folder)

    async def change() -> None:
        world = await open_world(folder)
        release(world, BATCH)
        with (world.work / "score.py").open("a") as score:
            score.write(WITNESS)
        world.push("Release in batches")
        await world.store.close()

    asyncio.run(change())


async def live(folder: Path, boundary: Boundary) -> None:
    """A controller that runs until production's batch has ended and the outbox is empty."""

    async def ended(world: World) -> bool:
        env = await world.environment("production")
        return env is not None and env.job is not None and not env.job.open

    await pipeline.live_until(folder, boundary, version=1, also=ended)


def end(folder: Path) -> object:
    """What ran, how often, and with what end; what is left to do."""

    async def read() -> dict[str, Any]:
        world = await open_world(folder)
        try:
            jobs = {}
            for name in ("staging", "production"):
                env = await world.environment(name)
                assert env is not None
                assert env.job is not None
                jobs[name] = env.job.id, env.job.failed, env.job.outputs, env.jobs
            return {
                "jobs": jobs,
                "left": (await world.store.outbox(), await world.store.inbox()),
                "ran": pipeline.trained(folder),
                "releases": {name: world.releases(name) for name in jobs},
                "processes": pipeline.running(folder),
            }
        finally:
            await world.tear_down()

    return asyncio.run(read())


STORY = Story(prepare=prepare, live=live, end=end)
