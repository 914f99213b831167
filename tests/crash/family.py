"""A story of toys: a parent begins children, and each goes through stages with real effects."""

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from controller.machine.core import Envelope, Key
from controller.reconcile.loop import Loop
from controller.reconcile.outbox import Boundary, RuntimePolicy
from controller.reconcile.workqueue import Backoff
from specs.failures import TryAgain
from tests.controller.reconcile import toys
from tests.controller.reconcile.toys import (
    Add,
    Begin,
    Effect,
    EffectDone,
    running,
    tell,
    toy,
    until,
)
from tests.crash.harness import Story
from tests.crash.states import hold_state, open_state

CHILDREN = 2
PARENT = Key("parent", "p")
COUNTER = Key("counter", "c")


def prepare(folder: Path) -> None:
    """A store with the messages that set everything going."""

    async def send() -> None:
        store = await open_state(folder)
        await tell(store, PARENT, Begin(children=CHILDREN))
        for n in range(3):
            await tell(store, COUNTER, Add(n=10**n), f"m{n}")
        await store.close()

    (folder / "effects").mkdir()
    asyncio.run(send())


async def live(folder: Path, boundary: Boundary) -> None:
    """A controller that runs until the family is complete and nothing is left to do."""
    store = await hold_state(folder)

    async def effect(owner: Key, action: Effect) -> Sequence[Envelope]:
        with (folder / "applied.log").open("a") as log:
            log.write(f"{action.name}\n")
        try:
            # Idempotent as starting a process by its attempt's id is: made once, found after that.
            os.close(os.open(folder / "effects" / action.name, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            pass
        else:
            if action.name.endswith("1-dressed"):
                raise TryAgain("made, but it is not known yet")
        done = EffectDone(stage=action.name.rpartition("-")[2])
        return [Envelope(to=owner, id=f"done-{action.name}", message=done)]

    async def complete() -> bool:
        family = await store.get(Key("family", PARENT.name))
        return bool(family) and not await store.outbox() and not await store.inbox()

    loop = Loop(
        store,
        {
            "parent": toy(toys.Parent, toys.parent),
            "child": toy(toys.Child, toys.child),
            "counter": toy(toys.Count, toys.counter),
        },
        {Effect: effect},
        policy=RuntimePolicy(boundary=boundary, backoff=Backoff(first=0.001, most=0.002)),
        workers=2,
    )
    async with running(loop):
        await until(complete)
    await store.close()


def end(folder: Path) -> object:
    """Every object but its times, every effect, and what is left to do: nothing."""

    async def read() -> object:
        store = await open_state(folder)
        objects = {
            str(record.key): record.body
            for kind in ("parent", "child", "counter", "family")
            for record in await store.list(kind)
        }
        # In which order the children came home is chance.
        objects["parent/p"]["done"].sort()
        left = await store.outbox(), await store.inbox()
        await store.close()
        return objects, left

    return asyncio.run(read()), sorted(effect.name for effect in (folder / "effects").iterdir())


def applied(folder: Path) -> Counter[str]:
    """How often each effect was asked for."""
    return Counter((folder / "applied.log").read_text().split())


STORY = Story(prepare=prepare, live=live, end=end)
