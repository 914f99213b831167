"""Whether the loop makes progress, told from when it last did something."""

import asyncio
import time
from collections.abc import Sequence

from controller.machine.core import Decision, InboxMessage, Key, Value
from controller.reconcile.liveness import BUSY, IDLE, stuck
from controller.reconcile.loop import Loop
from controller.reconcile.reconciler import Reconciler
from controller.store.sqlite import SqliteStore
from specs.failures import Ignore
from tests.controller.reconcile import toys
from tests.controller.reconcile.toys import Add, running, tell, until


class Patient(Value):
    """The state of an object that is looked at for long."""


class Hanging:
    """An observer that sees nothing until it is let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.let = asyncio.Event()

    async def observe(
        self, _key: Key, _state: Patient | None, _inbox: Sequence[InboxMessage]
    ) -> None:
        self.asked += 1
        await self.let.wait()
        raise Ignore("it is over")


def loop_with(store: SqliteStore, observer: Hanging) -> Loop:
    def decide(*_: object) -> Decision[Patient]:
        raise AssertionError("nothing is ever observed")

    kinds = {"counter": Reconciler(Patient, observer, decide, (Add,))}
    return Loop(store, kinds, {}, workers=1, listen=0.01)


async def test_an_idle_loop_is_alive_as_long_as_it_looks_for_messages(store: SqliteStore) -> None:
    loop = Loop(store, {}, {}, listen=0.01)
    assert not stuck(loop, time.monotonic() + 1e6)  # it has not begun
    async with running(loop):
        await until(lambda: _is(loop.begun))
        before = loop.ticked
        await until(lambda: _is(loop.ticked > before))
        assert not stuck(loop)
        later = time.monotonic() + IDLE + 1
        assert stuck(loop, later).startswith("the loop has not looked for messages for 61 s")


async def test_workers_that_hang_while_others_wait_are_told_of(store: SqliteStore) -> None:
    observer = Hanging()
    loop = loop_with(store, observer)
    for name in ("a", "b"):
        await tell(store, Key("counter", name), Add(n=1))
    async with running(loop):
        await until(lambda: _is(observer.asked == 1 and loop.depth["ready"] == 1))
        assert loop.depth == {"ready": 1, "in_progress": 1, "delayed": 0}
        assert not stuck(loop)
        loop.ticked = time.monotonic() + BUSY + 5  # it goes on to look for messages
        assert stuck(loop, loop.ticked).endswith("(waiting keys: 1)")
        observer.let.set()


async def test_a_witness_that_fails_stops_nothing(store: SqliteStore) -> None:
    class Broken:
        def turned(self, *_: object) -> None:
            raise KeyError("a bug of ours")

        saved = turned

    loop = Loop(store, {"counter": toys.toy(toys.Count, toys.counter)}, {}, witness=Broken())
    await tell(store, Key("counter", "a"), Add(n=3))
    async with running(loop):
        await until(lambda: _is(loop.counts["internal_errors"] >= 2))
    record = await store.get(Key("counter", "a"))
    assert record is not None
    assert record.body["n"] == 3


async def _is(found: bool) -> bool:
    return found
