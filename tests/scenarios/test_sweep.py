"""What is deleted from the home folder after a month, and what the world still needs of it."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from controller.machine.core import Key
from controller.machine.messages import Rollback, RunRequested
from controller.store.identity import ensure_identity
from controller.wiring.controller import Controller
from specs.failures import NeedsHuman
from tests.scenarios.world import World

MONTH = 31 * 86_400.0
PIPELINE = Key("pipeline", "mean")
PRODUCTION = Key("environment", "mean/production")


async def controller_of(world: World) -> Controller:
    """Its parts, while none runs."""
    identity = await ensure_identity(world.store, world.root / "home", time.time())
    return Controller(world.settings, world.root, world.secrets, world.store, identity=identity)


async def swept(world: World) -> Mapping[str, int]:
    """Sweep as if it were a month from now: whatever lies there was used long ago then."""
    app = await controller_of(world)
    try:
        keep = world.settings.keep.total_seconds()
        return await app.sweeper.sweep(keep, time.time() + MONTH)
    finally:
        await app.close()


def names(folder: Path) -> Iterator[str]:
    return (path.name for path in folder.iterdir() if not path.name.startswith("."))


async def test_after_a_sweep_production_serves_and_can_still_be_rolled_back(world: World) -> None:
    world.push("Add the pipeline")
    home = world.root / "home"
    async with world.controller():
        await world.serves(1)
        async with world.traffic():
            world.drop("b.csv", [4, 5, 6])
            await world.serves(2)
    # A result that no version came of: of a run that nobody released.
    app = await controller_of(world)
    unused = await app.artifacts.put_bytes(b"a model that was never released")
    await app.close()

    gone = await swept(world)

    assert gone["attempts"] == 2
    assert not [name for name in names(home / "attempts") if name.startswith("mean-")]
    assert gone["artifact_bytes"] == unused.size
    assert not await app.artifacts.has(unused.digest)
    assert gone["datasets"] == 1, "the newest version of the data stays"
    assert gone["environments"] == gone["servers"] == 0
    assert len(list(names(home / "models"))) == 4, "model and server of v1 and of v2"
    async with world.controller():
        async with world.traffic() as statuses:
            await world.say(PRODUCTION, Rollback(by="ada", reason="it smells"))
            await world.serves(1)
        assert set(statuses) == {200}
        # What the sweep took is made again: the former data is back, and its step is run anew.
        (world.bucket / "b.csv").unlink()
        run = await world.ended(3)
    assert run.outcome == "passed"


async def test_a_sweep_in_the_middle_of_a_run_takes_nothing_that_it_needs(world: World) -> None:
    world.push("Add the pipeline")
    world.push("Take longer", ml_pipeline__yaml=("wait: 0.0", "wait: 2.0"))
    async with world.controller():

        async def trains() -> bool:
            return (world.root / "home" / "attempts" / "mean-1.train.1" / "started").is_symlink()

        await world.until(trains, "the training to start")
        gone = await swept(world)
        await world.serves(1)
    assert not any(gone.values())


async def test_nothing_is_swept_while_production_runs_what_the_state_does_not_know(
    world: World,
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
    await world.lose_the_state()
    with pytest.raises(NeedsHuman, match=r"-v1-[0-9a-f]{12}, which the state does not know"):
        await swept(world)
    assert len(list(names(world.root / "home" / "models"))) == 2
    async with world.controller():
        await world.serves(1)
    await swept(world)
    assert len(list(names(world.root / "home" / "models"))) == 2, "it was adopted, and is needed"


async def test_runs_that_nothing_names_are_forgotten_and_the_next_is_numbered_on(
    world: World,
) -> None:
    async def done() -> bool:
        return not (await world.store.inbox() or await world.store.outbox())

    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        async with world.traffic():
            world.drop("b.csv", [4, 5, 6])
            await world.serves(2)
        for number in (3, 4):
            await world.say(PIPELINE, asked())
            await world.ended(number)
        await world.until(done, "all messages to be consumed and all actions applied")

    gone = await swept(world)

    assert gone["stored_runs"] == gone["stored_graphs"] == 1
    left = ["mean-1", "mean-2", "mean-4"]  # of v1, of v2, and the last
    for kind in ("run", "graph"):
        assert sorted(record.key.name for record in await world.store.list(kind)) == left
    assert gone["stored_results"]
    assert await world.store.list("cache") == []
    assert len(await world.store.list("model")) == 2, "the release history stays"
    async with world.controller():
        await world.say(PIPELINE, asked())
        run = await world.ended(5)
        assert run.outcome == "passed"
        async with world.traffic():
            await world.say(PRODUCTION, Rollback(by="ada", reason="it smells"))
            await world.serves(1)


def asked() -> RunRequested:
    """A run, although nothing has changed."""
    return RunRequested(kind="manual", why="to be sure", by="ada", branch="main", force=True)
