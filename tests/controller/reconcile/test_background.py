"""Actions in the background: nobody waits for them, and none of them is lost."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, Literal

import pytest

from controller.machine.core import Action, Envelope, Key
from controller.reconcile.loop import Loop
from controller.reconcile.outbox import Applier, Outbox, RuntimePolicy, outbox_entry
from controller.store.protocol import OutboxEntry, Store, Transaction
from controller.store.sqlite import SqliteStore
from specs.failures import TryAgain
from tests.controller.notify.receivers import webhook
from tests.controller.reconcile import toys
from tests.controller.reconcile.test_loop import (
    RECONCILERS,
    SOON,
    WORKER,
    Effects,
    idle,
    log_of,
)
from tests.controller.reconcile.test_stalls import COUNTER, Gate, loop_of, said
from tests.controller.reconcile.toys import DoMurmur, DoWork, MurmurInstead, running, tell, until


@pytest.fixture
def effects() -> Effects:
    """The world."""
    return Effects()


def loop_with(store: Store, effects: Effects, workers: int = 8) -> Loop:
    appliers = effects.appliers()
    return Loop(store, RECONCILERS, appliers, policy=SOON, workers=workers, listen=0.01)


async def test_neither_their_owner_nor_others_wait_for_them(store: Store, effects: Effects) -> None:
    await tell(store, WORKER, DoMurmur(how="slow"))
    async with running(loop_with(store, effects, workers=1)) as loop:
        await until(lambda: effects.tries["slow"])
        other = Key("worker", "v")
        for owner in (WORKER, other):
            await tell(store, owner, DoWork(how="plain"))
            loop.wake(owner)
        await until(lambda: _has_log(store, "done: plain"))
        await until(lambda: log_of(store, other))
        assert not await _has_log(store, "done: slow")
        effects.gate.set()
        await until(lambda: _has_log(store, "done: plain", "done: slow"))


async def _has_log(store: Store, *lines: str) -> bool:
    return await log_of(store) == lines


async def test_within_a_lane_they_are_applied_in_order_and_one_at_a_time(
    store: Store, effects: Effects
) -> None:
    await tell(store, WORKER, DoMurmur(how="slow"))
    loop = loop_with(store, effects)
    async with running(loop):
        await until(lambda: effects.tries["slow"])
        for how in ("second", "third"):
            await tell(store, WORKER, DoMurmur(how=how))
        loop.wake(WORKER)
        await until(lambda: _has_pending(store, 3))
        assert not effects.tries["second"]
        effects.gate.set()
        await until(lambda: idle(store, loop))
    assert await log_of(store) == ("done: slow", "done: second", "done: third")
    assert set(effects.tries.values()) == {1}


async def _has_pending(store: Store, number: int) -> bool:
    return len(await store.outbox()) == number


async def test_one_that_fails_is_tried_again_and_says_why_meanwhile(
    store: Store, effects: Effects
) -> None:
    loop = loop_with(store, effects)
    for how in ("busy twice", "bug once", "forbidden", "needless"):
        await tell(store, WORKER, DoMurmur(how=how))
    async with running(loop):
        await until(lambda: idle(store, loop))
    assert (effects.tries["busy twice"], effects.tries["bug once"]) == (3, 2)
    assert set(await log_of(store)) == {
        "done: busy twice",
        "done: bug once",
        "action_failed: the token may not write: give it the right to",
    }
    assert (loop.counts["postponed"], loop.counts["failed"]) == (3, 1)


async def test_a_newer_wish_is_not_stuck_behind_one_that_keeps_failing(
    store: Store, effects: Effects
) -> None:
    loop = loop_with(store, effects)
    await tell(store, WORKER, DoMurmur(how="busy forever"))
    async with running(loop):
        await until(lambda: effects.tries["busy forever"] > 1)
        await tell(store, WORKER, MurmurInstead(how="newer"))
        loop.wake(WORKER)
        await until(lambda: idle(store, loop))
    assert await log_of(store) == ("done: newer",)


async def test_what_was_withdrawn_while_it_waited_behind_another_is_not_applied(
    store: Store, effects: Effects
) -> None:
    await tell(store, WORKER, DoMurmur(how="slow"))
    await tell(store, WORKER, DoMurmur(how="second"))
    loop = loop_with(store, effects)
    async with running(loop):
        await until(lambda: effects.tries["slow"])
        await tell(store, WORKER, MurmurInstead(how="newer"))
        loop.wake(WORKER)
        await until(lambda: _has_pending(store, 1))
        effects.gate.set()
        await until(lambda: idle(store, loop))
    assert await log_of(store) == ("done: slow", "done: newer")
    assert not effects.tries["second"]


class Whisper(Action):
    """Work in the background, beside the other."""

    type: Literal["whisper"] = "whisper"
    background: ClassVar[bool] = True
    lane: ClassVar[str] = "whisper"


async def test_what_is_withdrawn_before_its_lane_begins_beside_another_is_not_applied(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was in the outbox when that was read, and its owner took it out at once."""
    entries = [outbox_entry(WORKER, action) for action in (toys.Murmur(how="it"), Whisper())]
    await store.commit(Transaction(enqueue=tuple(entries)), now=1)
    read = store.outbox
    applied: list[str] = []

    async def overtaken(owner: Key | None = None) -> Sequence[OutboxEntry]:
        there = await read(owner)
        await store.commit(Transaction(acknowledge=(entries[1].id,)), now=2)
        return there

    async def apply(_: Key, action: Action) -> Sequence[Envelope]:
        applied.append(action.plain()["type"])
        return ()

    appliers: dict[type[Action], Applier] = {toys.Murmur: apply, Whisper: apply}
    outbox = Outbox(store, appliers, lambda _: None, Counter(), RuntimePolicy())
    monkeypatch.setattr(store, "outbox", overtaken)
    await outbox.apply(await read(WORKER))
    background = asyncio.create_task(outbox.run())
    try:
        await until(lambda: _is_empty(read))
    finally:
        background.cancel()
        await asyncio.gather(background, return_exceptions=True)
    assert applied == ["murmur"]


async def _is_empty(read: Callable[[], Awaitable[Sequence[OutboxEntry]]]) -> bool:
    return not await read()


async def test_what_was_withdrawn_while_it_failed_does_not_hold_up_the_same_action(
    store: Store, effects: Effects
) -> None:
    failing, fails = asyncio.Event(), asyncio.Event()

    async def murmur(owner: Key, action: toys.Murmur) -> Sequence[Envelope]:
        if not failing.is_set():
            failing.set()
            await fails.wait()
            raise TryAgain("the forge is down", after=3600.0)
        return await effects.work(owner, action)

    loop = Loop(store, RECONCILERS, {toys.Murmur: murmur}, policy=SOON, listen=0.01)
    await tell(store, WORKER, DoMurmur(how="plain"))
    async with running(loop):
        await failing.wait()
        (old,) = await store.outbox()
        await tell(store, WORKER, MurmurInstead(how="plain"))
        loop.wake(WORKER)
        await until(lambda: _is_newer(store, old))
        fails.set()
        await until(lambda: idle(store, loop))
    assert await log_of(store) == ("done: plain",)
    assert loop.counts["postponed"] == 0


async def _is_newer(store: Store, old: OutboxEntry) -> bool:
    (entry,) = await store.outbox()
    return entry.number != old.number and entry.id == old.id


async def test_a_loop_that_stops_keeps_what_has_not_been_done_for_the_next(
    store: Store, effects: Effects
) -> None:
    await tell(store, WORKER, DoMurmur(how="slow"))
    async with running(loop_with(store, effects)):
        await until(lambda: effects.tries["slow"])
    (left,) = await store.outbox()
    assert (left.action["how"], left.attempts) == ("slow", 0)
    effects.gate.set()
    loop = loop_with(store, effects)
    async with running(loop):
        await until(lambda: idle(store, loop))
    assert await log_of(store) == ("done: slow",)
    assert effects.tries["slow"] == 2


async def test_whoever_is_on_call_hears_of_one_that_needs_a_person_and_of_its_end(
    store: Store,
) -> None:
    gate = Gate()

    async def murmur(_: Key, __: toys.Murmur) -> Sequence[Envelope]:
        if gate.shut:
            raise TryAgain("the forge refuses the token: renew it", human=True)
        return ()

    reconciler = toys.toy(toys.Worker, toys.worker)
    with webhook() as here:
        await tell(store, COUNTER, DoMurmur(how="plain"))
        async with running(loop_of(store, gate, here, reconciler=reconciler, murmur=murmur)):
            await until(lambda: said(here))
            gate.shut = False
            await until(lambda: len(here.bodies) > 1)
    assert [status for status, _ in said(here)] == ["firing", "resolved"]


async def test_the_same_action_does_not_wait_for_what_a_withdrawn_one_waited_for(
    store: Store,
) -> None:
    gate, takes_long = Gate(), asyncio.Event()

    async def murmur(_: Key, __: toys.Murmur) -> Sequence[Envelope]:
        if gate.shut:
            raise TryAgain("the forge refuses the token: renew it", human=True)
        await takes_long.wait()
        return ()

    reconciler = toys.toy(toys.Worker, toys.worker)
    with webhook() as here:
        await tell(store, COUNTER, DoMurmur(how="plain"))
        loop = loop_of(store, gate, here, reconciler=reconciler, murmur=murmur)
        async with running(loop):
            await until(lambda: said(here))
            gate.shut = False
            await tell(store, COUNTER, MurmurInstead(how="plain"))
            loop.wake(COUNTER)
            await until(lambda: len(here.bodies) > 1)
            takes_long.set()
    assert [status for status, _ in said(here)] == ["firing", "resolved"]


class Counting(SqliteStore):
    """Counts the commits that acknowledge actions."""

    acknowledging: int = 0

    async def commit(self, change: Transaction, now: float) -> tuple[OutboxEntry, ...]:
        self.acknowledging += bool(change.acknowledge)
        return await super().commit(change, now)


async def test_what_is_done_at_the_same_time_is_acknowledged_with_few_commits(
    store: SqliteStore, effects: Effects
) -> None:
    counting = await Counting.open(store.path)
    assert isinstance(counting, Counting)
    owners = [Key("worker", f"w{n}") for n in range(100)]
    for owner in owners:
        await tell(counting, owner, DoMurmur(how="slow"))
    loop = loop_with(counting, effects)
    async with running(loop):
        await until(lambda: effects.tries["slow"] == len(owners))
        await asyncio.sleep(0)
        effects.gate.set()
        await until(lambda: idle(counting, loop))
    assert loop.counts["acknowledged"] == len(owners)
    assert counting.acknowledging < 10
    await counting.close()
