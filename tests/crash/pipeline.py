"""The real controller: a commit is trained, comes to staging, and then to production."""

import asyncio
import json
import os
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import alembic.command  # noqa: F401 - lives are forked from a server that has imported this
import httpcore  # noqa: F401 - likewise
import sqlalchemy.dialects.sqlite  # noqa: F401 - likewise

from controller.git.environments import BRANCH
from controller.machine.core import Key, parsed
from controller.machine.environments.environment import EnvironmentState
from controller.reconcile.outbox import Boundary, RuntimePolicy
from controller.wiring.service import serve
from tests.crash.harness import Story
from tests.crash.states import NAMED, hold_state, open_world
from tests.logs import LOG, log_to
from tests.scenarios.world import World
from tests.servers.postgresql import SECRETS

LOOK, QUIET = 0.02, 0.6
"""Seconds: between looks, and for which nothing may be left to do."""

WITNESS = """
with (given.out.parent / "trained").open("a") as log:  # HOME/attempts/ID/outputs: all it may write
    log.write("once more\\n")
"""

_TIMES = re.compile(r"\b1[0-9]{9}\.[0-9]+|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9:]+)?")
_ADDRESS = re.compile(r"127\.0\.0\.1:[0-9]+")
_COMMIT = re.compile(r"\b[0-9a-f]{40}\b|\bcommit [0-9a-f]{12}\b")
_BY_CHANCE = ("peak_memory", "seconds", "moves", "built", "environments")
"""Measurements; of two commits of a branch, whether both or only the newer was seen; and what was
built for a step, which is nothing where a life that was killed had built it already."""


def prepare(folder: Path) -> None:
    """A remote with one commit, and a store; paths are relative, so it can be copied."""

    async def make() -> None:
        world = await World.make(folder)
        if (folder / NAMED).exists():
            await world.keep_state_in((folder / NAMED).read_text(), SECRETS)
        spec = world.work / "ml-pipeline.yaml"
        spec.write_text(spec.read_text().replace(f"file://{world.bucket}", "data"))
        (world.work / "data").mkdir()
        (world.work / "data" / "a.csv").write_text("value\n1\n2\n3\n")
        with (world.work / "train.py").open("a") as train:
            train.write(WITNESS)
        world.push("Add the pipeline")
        await world.store.close()

    asyncio.run(make())


async def live(folder: Path, boundary: Boundary) -> None:
    """A controller that runs until production serves the commit's model and the outbox is empty."""
    await live_until(folder, boundary, version=1)


async def _at_once(_: World) -> bool:
    return True


async def live_until(
    folder: Path,
    boundary: Boundary,
    version: int,
    also: Callable[[World], Awaitable[bool]] = _at_once,
) -> None:
    """A controller that runs until production serves that version, the outbox is empty, and `also`
    is true."""
    with log_to(folder / LOG):
        await (await hold_state(folder, "home/state.db")).close()
        world = await open_world(folder)
        controller = asyncio.create_task(
            serve(world.settings, folder, world.secrets, RuntimePolicy(boundary=boundary))
        )
        complete = 0
        while complete < QUIET / LOOK:
            there = await _complete(world, version) and await also(world)
            complete = complete + 1 if there else 0
            await asyncio.sleep(LOOK)
            if controller.done():
                controller.result()
        controller.cancel()
        await asyncio.gather(controller, return_exceptions=True)
        await world.store.close()


async def _complete(world: World, version: int) -> bool:
    store = world.store
    for name in ("staging", "production"):
        record = await store.get(Key("environment", f"mean/{name}"))
        env = parsed(EnvironmentState, record.body) if record else None
        if env is None or env.rollout or env.write or not env.stable:
            return False
        if env.stable.version != version:
            return False
    # Its own last commit comes back to the controller with the next look at the remote.
    tip = (world.remote / "refs" / "heads" / BRANCH).read_text().strip()
    seen = await store.get(Key("repository", "team"))
    if seen is None or seen.body["environments"] != tip:
        return False
    return not await store.outbox() and not await store.inbox()


def end(folder: Path) -> object:
    """What is stored, written, trained, released and running; nothing may be left to do."""

    async def read() -> dict[str, Any]:
        world = await open_world(folder)
        store = world.store
        try:
            return {
                "objects": {
                    str(record.key): _normal(record.body)
                    for kind in ("repository", "pipeline", "run", "environment", "model", "cache")
                    for record in await store.list(kind)
                },
                "left": (await store.outbox(), await store.inbox()),
                "trained": trained(folder),
                "releases": {name: world.releases(name) for name in ("staging", "production")},
                "processes": running(folder),
            }
        finally:
            await world.tear_down()

    return asyncio.run(read())


def trained(folder: Path) -> dict[str, int]:
    """How often the step ran, by attempt."""
    found = (folder / "home" / "attempts").glob("*/outputs/trained")
    return {path.parents[1].name: len(path.read_text().splitlines()) for path in found}


def _normal(body: dict[str, Any]) -> Any:
    """A stored body without times, ports, measurements, and the ids of commits that hold times."""

    def normal(value: Any) -> Any:
        if isinstance(value, float):
            return "a time" if value > 1e9 else value
        if isinstance(value, dict):
            return {key: normal(each) for key, each in value.items() if key not in _BY_CHANCE}
        if isinstance(value, list):
            return [normal(each) for each in value]
        return value

    text = json.dumps(normal(body), sort_keys=True)
    for pattern, word in ((_TIMES, "a time"), (_ADDRESS, "an address"), (_COMMIT, "a commit")):
        text = pattern.sub(word, text)
    return json.loads(text)


def running(folder: Path) -> Counter[str]:
    """What runs below the folder, by the program's name: a script, or the command itself."""
    found: Counter[str] = Counter()
    for process in Path("/proc").iterdir():
        if process.name == str(os.getpid()):
            continue
        try:
            words = (process / "cmdline").read_bytes().decode().split("\0")
            cwd = (process / "cwd").readlink()
        except (OSError, UnicodeDecodeError):
            continue
        if cwd.is_relative_to(folder) or any(str(folder) in word for word in words):
            found[next((Path(w).name for w in words[1:] if w.endswith(".py")), words[0])] += 1
    return found


STORY = Story(prepare=prepare, live=live, end=end)
