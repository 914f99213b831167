"""The real controller: a second version goes through a canary under live traffic."""

import asyncio
import os
import signal
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from controller.config.secrets import Secrets
from controller.machine.core import Key
from controller.reconcile.outbox import Boundary
from controller.store.sqlite import SqliteStore
from controller.wiring.service import serve
from tests.crash import pipeline
from tests.crash.harness import Story, lived
from tests.scenarios.world import World

PRODUCTION = Key("environment", "mean/production")
KILLS = 16
"""Lives that are killed; how many boundaries a canary has depends on how often it is looked at."""


@dataclass(frozen=True)
class Sometimes:
    """A boundary that kills at the production environment's `at`-th."""

    at: int
    calls: list[int]

    def __call__(self, _: str, key: Key) -> None:
        if key == PRODUCTION:
            self.calls.append(1)
            if len(self.calls) == self.at:
                os.kill(os.getpid(), signal.SIGKILL)


def prepare(folder: Path) -> None:
    """v1 serves in production, and a second commit is pushed."""
    pipeline.prepare(folder)

    async def release() -> None:
        store = await SqliteStore.open(folder / "home" / "state.db")
        world = World(folder, store)
        controller = asyncio.create_task(serve(world.settings, folder, Secrets({})))
        await world.serves(1)
        controller.cancel()
        await asyncio.gather(controller, return_exceptions=True)
        world.push("Shift", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))
        await store.close()

    asyncio.run(release())


async def live(folder: Path, boundary: Boundary) -> None:
    """A controller that runs until production serves the second version and the outbox is empty."""
    await pipeline.live_until(folder, boundary, version=2)


def killed_now_and_then(folder: Path) -> int:
    """Let lives be killed at different boundaries, then one live on; how many it took."""
    for life in count(1):
        # Two at the least: a life that is killed before its first save changes nothing.
        at = 2 + life * 5 % 7
        killer = Sometimes(at if life <= KILLS else 0, [])
        if lived(STORY, folder, killer):
            return life
    raise AssertionError


def address(folder: Path) -> str:
    """Where production answers."""

    async def ask() -> str:
        store = await SqliteStore.open(folder / "home" / "state.db")
        try:
            return await World(folder, store).address()
        finally:
            await store.close()

    return asyncio.run(ask())


def end(folder: Path) -> object:
    """What is released, trained and left to do."""

    async def read() -> object:
        store = await SqliteStore.open(folder / "home" / "state.db")
        world = World(folder, store)
        try:
            env = await world.serves(2)
            assert env.stable is not None
            return {
                "left": (await store.outbox(), await store.inbox()),
                "releases": world.releases(),
                "trained": pipeline.trained(folder),
                "serves": env.stable.version,
                "versions": sorted(r.key.name for r in await store.list("model")),
            }
        finally:
            await world.tear_down()

    return asyncio.run(read())


STORY = Story(prepare=prepare, live=live, end=end)
