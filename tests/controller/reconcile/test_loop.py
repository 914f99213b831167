"""The loop, with small machines over real SQLite files."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from controller.machine.core import Action, Decision, Envelope, Key, Message, Value
from controller.reconcile.loop import Loop
from controller.reconcile.outbox import Applier, Outbox, RuntimePolicy, outbox_entry
from controller.reconcile.reconciler import Reconciler
from controller.reconcile.workqueue import Backoff
from controller.store.protocol import Put, Store, Transaction
from controller.store.sqlite import SqliteStore
from specs.failures import Ignore, NeedsHuman, TryAgain
from tests.controller.reconcile import toys
from tests.controller.reconcile.toys import (
    Add,
    Count,
    DoWork,
    Work,
    Worker,
    running,
    tell,
    toy,
    until,
)

COUNTER = Key("counter", "a")
WORKER = Key("worker", "w")
FULL = Path("/dev/full")
"""Takes writes as a full disk does."""
SOON = RuntimePolicy(backoff=Backoff(first=0.002, most=0.02))

RECONCILERS: dict[str, Reconciler[Any, Any]] = {
    "counter": toy(Count, toys.counter),
    "parent": toy(toys.Parent, toys.parent),
    "child": toy(toys.Child, toys.child),
    "worker": toy(Worker, toys.worker),
}


class Effects:
    """Does what work says, and remembers."""

    def __init__(self) -> None:
        self.tries: Counter[str] = Counter()
        self.names: list[str] = []
        self.gate = asyncio.Event()

    async def work(self, owner: Key, action: Work | toys.Murmur) -> Sequence[Envelope]:
        """Fail in the way that is asked for, or be done."""
        self.tries[action.how] += 1
        match action.how:
            case "busy twice" if self.tries[action.how] <= 2:
                raise TryAgain("the target is busy")
            case "busy forever":
                raise TryAgain("the target is busy")
            case "forbidden":
                raise NeedsHuman("the token may not write: give it the right to")
            case "needless":
                raise Ignore("it is so already")
            case "bug once" if self.tries[action.how] == 1:
                raise KeyError("a bug of ours")
            case "write" if self.tries[action.how] == 1:
                FULL.write_text("something")  # noqa: ASYNC240 - it fails at once
            case "slow":
                await self.gate.wait()
        return [Envelope(to=owner, id="done", message=toys.Done(how=action.how))]

    async def effect(self, owner: Key, action: toys.Effect) -> Sequence[Envelope]:
        """Leave a trace."""
        self.names.append(action.name)
        stage = action.name.rpartition("-")[2]
        done = toys.EffectDone(stage=stage)
        return [Envelope(to=owner, id=f"done-{action.name}", message=done)]

    def appliers(self) -> Mapping[type[Action], Applier]:
        """As the loop wants them."""
        return {
            Work: self.work,
            toys.Ring: self.work,
            toys.Murmur: self.work,
            toys.Effect: self.effect,
        }


@pytest.fixture
def effects() -> Effects:
    """The world."""
    return Effects()


@pytest.fixture
def loop(store: SqliteStore, effects: Effects) -> Loop:
    """A loop that is quick to try again."""
    return Loop(store, RECONCILERS, effects.appliers(), policy=SOON, listen=0.01)


async def log_of(store: Store, key: Key = WORKER) -> tuple[str, ...]:
    """What the worker wrote down."""
    record = await store.get(key)
    return tuple(record.body["log"]) if record else ()


async def count_of(store: Store, key: Key = COUNTER) -> int:
    """What the counter says."""
    record = await store.get(key)
    return record.body["n"] if record else 0


async def idle(store: Store, loop: Loop) -> bool:
    """The outbox and every inbox are empty, and that did not change while it was read."""
    before = loop.counts["saves"], loop.counts["acknowledged"]
    rest = not await store.outbox() and not await store.inbox()
    return rest and before == (loop.counts["saves"], loop.counts["acknowledged"])


# What reconciling does.


async def test_a_machine_consumes_each_message_once(store: Store, loop: Loop) -> None:
    for n in range(10):
        await tell(store, COUNTER, Add(n=n), f"m{n}")
    async with running(loop):
        await until(lambda: idle(store, loop))
    assert await count_of(store) == 45


async def test_reconciling_that_changes_nothing_writes_nothing(store: Store, loop: Loop) -> None:
    await tell(store, COUNTER, Add(n=1))
    async with running(loop):
        await until(lambda: idle(store, loop))
        before, saves = await store.get(COUNTER), loop.counts["saves"]
        before_that = loop.counts["reconciled"]
        loop.wake(COUNTER)
        await until(lambda: loop.counts["reconciled"] > before_that)
    assert await store.get(COUNTER) == before
    assert loop.counts["saves"] == saves


async def test_a_parent_begins_children_and_hears_of_their_end(
    store: Store, loop: Loop, effects: Effects
) -> None:
    await tell(store, Key("parent", "p"), toys.Begin(children=5))
    async with running(loop):
        await until(lambda: store.get(Key("family", "p")))
    family = await store.get(Key("family", "p"))
    assert family is not None
    assert family.body == {"done": [f"p-{n}" for n in range(5)]}
    assert sorted(effects.names) == sorted(f"p-{n}-{s}" for n in range(5) for s in toys.STAGES)
    assert await idle(store, loop)


async def test_a_machine_that_asks_to_be_looked_at_again_is(store: Store) -> None:
    def clock(_: Key, state: Count | None, __: Sequence[Message], now: float) -> Decision[Count]:
        n = state.n + 1 if state else 1
        return Decision(state=Count(n=n), requeue_after=0.001 if n < 20 else None)

    loop = Loop(store, {"counter": toy(Count, clock)}, {})
    async with running(loop):
        loop.wake(COUNTER)
        await until(lambda: loop.counts["reconciled"] == 20)
    record = await store.get(COUNTER)
    assert record is not None
    assert (record.body, record.live) == ({"n": 20}, False)


async def test_a_key_is_reconciled_by_one_at_a_time_and_many_keys_by_many(store: Store) -> None:
    now: Counter[Key] = Counter()
    most: Counter[str] = Counter()
    all_at_work = asyncio.Event()

    loop: Loop

    async def slowly(key: Key) -> None:
        now[key] += 1
        most["of a key"] = max(most["of a key"], now[key])
        most["in all"] = max(most["in all"], now.total())
        if most["in all"] == 3:
            all_at_work.set()
        await all_at_work.wait()
        for _ in range(5):
            await asyncio.sleep(0)
            loop.wake(key)
        now[key] -= 1

    loop = Loop(store, {"counter": toy(Count, toys.counter, slowly)}, {}, workers=3)
    async with running(loop):
        for name in "abcdef":
            loop.wake(Key("counter", name))
        await until(lambda: loop.counts["reconciled"] > 60)
    assert most == {"of a key": 1, "in all": 3}


async def test_a_state_keeps_infinity_and_tuples(store: Store) -> None:
    class Odd(Value):
        seen: tuple[tuple[int, float], ...] = ()

    def odd(_: Key, state: Odd | None, inbox: Sequence[Message], __: float) -> Decision[Odd]:
        seen = state.seen if state else ()
        new = [(m.n, float("inf")) for m in inbox if isinstance(m, Add)]
        return Decision(state=Odd(seen=(*seen, *new)))

    loop = Loop(store, {"odd": toy(Odd, odd)}, {}, policy=SOON, listen=0.01)
    async with running(loop):
        for n in (1, 2):
            await tell(store, Key("odd", "o"), Add(n=n))
            loop.wake(Key("odd", "o"))
            await until(lambda: idle(store, loop))
    record = await store.get(Key("odd", "o"))
    assert record is not None
    state = Odd.model_validate(record.body)
    assert state.seen == ((1, float("inf")), (2, float("inf")))
    assert loop.counts["internal_errors"] == 0


async def test_the_intent_is_saved_before_it_is_applied_and_the_outcome_after(
    store: Store, effects: Effects
) -> None:
    steps: list[str] = []
    policy = SOON._replace(boundary=lambda step, _: steps.append(step))
    await tell(store, WORKER, DoWork(how="anything"))
    async with running(Loop(store, RECONCILERS, effects.appliers(), policy=policy)):
        await until(lambda: log_of(store))
    order = ("save", "apply", "acknowledge", "save")
    assert steps == [f"{when} {what}" for what in order for when in ("before", "after")]


# When actions fail.


async def test_an_action_that_may_succeed_later_is_tried_until_it_does(
    store: Store, loop: Loop, effects: Effects
) -> None:
    await tell(store, WORKER, DoWork(how="busy twice"))
    async with running(loop):
        await until(lambda: log_of(store))
    assert await log_of(store) == ("done: busy twice",)
    assert effects.tries["busy twice"] == 3
    assert loop.counts["postponed"] == 2


async def test_the_outbox_says_why_an_action_waits(store: Store, loop: Loop) -> None:
    await tell(store, WORKER, DoWork(how="busy forever"))
    async with running(loop):
        await until(lambda: loop.counts["postponed"] >= 3)
    (entry,) = await store.outbox(WORKER)
    assert entry.attempts >= 3
    assert entry.error == "the target is busy"
    assert entry.not_before > 0


async def test_within_a_lane_the_first_comes_first_and_other_lanes_go_on(
    store: Store, loop: Loop, effects: Effects
) -> None:
    await tell(store, WORKER, DoWork(how="busy forever"))
    await tell(store, WORKER, DoWork(how="after that"))
    await tell(store, WORKER, toys.DoRing(how="bell"))
    async with running(loop):
        await until(lambda: loop.counts["postponed"] >= 2)
        await until(lambda: log_of(store))
    assert await log_of(store) == ("done: bell",)
    assert effects.tries["after that"] == 0


async def test_a_slow_lane_holds_up_no_other(store: Store, loop: Loop, effects: Effects) -> None:
    await tell(store, WORKER, DoWork(how="slow"))
    await tell(store, WORKER, toys.DoRing(how="bell"))
    async with running(loop):
        await until(lambda: effects.tries["bell"])
        effects.gate.set()
        await until(lambda: idle(store, loop))
    assert sorted(await log_of(store)) == ["done: bell", "done: slow"]


async def test_an_action_that_needs_a_human_comes_back_to_its_machine(
    store: Store, loop: Loop, effects: Effects
) -> None:
    await tell(store, WORKER, DoWork(how="forbidden"))
    async with running(loop):
        await until(lambda: log_of(store))
    expected = "action_failed: the token may not write: give it the right to"
    assert await log_of(store) == (expected,)
    assert effects.tries["forbidden"] == 1
    assert await idle(store, loop)


async def test_a_machine_hears_of_every_failure_of_an_action_that_it_asks_for_again(
    store: Store, loop: Loop, effects: Effects
) -> None:
    async with running(loop):
        for id_ in ("once", "and again"):
            await tell(store, WORKER, DoWork(how="forbidden"), id_)
            loop.wake(WORKER)
            await until(lambda: idle(store, loop))
    assert len(await log_of(store)) == effects.tries["forbidden"] == 2


async def test_an_action_that_is_not_needed_is_acknowledged_without_a_word(
    store: Store, loop: Loop, effects: Effects
) -> None:
    await tell(store, WORKER, DoWork(how="needless"))
    async with running(loop):
        await until(lambda: effects.tries["needless"])
        await until(lambda: idle(store, loop))
    assert await log_of(store) == ()


async def test_an_internal_error_of_an_applier_is_counted_and_tried_again(
    store: Store, loop: Loop
) -> None:
    await tell(store, WORKER, DoWork(how="bug once"))
    async with running(loop):
        await until(lambda: log_of(store))
    assert await log_of(store) == ("done: bug once",)
    assert loop.counts["internal_errors"] == 1


async def test_a_disk_without_room_is_no_internal_error_and_is_waited_for_with_the_fix(
    store: Store, loop: Loop
) -> None:
    await tell(store, WORKER, DoWork(how="write"))
    with capture_logs() as logs:
        async with running(loop):
            await until(lambda: log_of(store))
    assert await log_of(store) == ("done: write",)
    assert (loop.counts["internal_errors"], loop.counts["postponed"]) == (0, 1)
    (said,) = (one["reason"] for one in logs if one["event"] == "an action is tried again")
    assert said == (
        "The action work cannot write: No space left on device. Free some space, in Headgate's "
        "home first; then it goes on by itself."
    )


async def test_an_action_that_takes_too_long_is_tried_again(store: Store, effects: Effects) -> None:
    await tell(store, WORKER, DoWork(how="slow"))
    loop = Loop(store, RECONCILERS, effects.appliers(), policy=SOON._replace(patience=0.01))
    async with running(loop):
        await until(lambda: loop.counts["postponed"])
        (entry,) = await store.outbox()
        assert entry.error == "The action work took longer than 0.01 s."
        effects.gate.set()
        await until(lambda: log_of(store))


async def test_a_newer_wish_is_not_stuck_behind_one_that_keeps_failing(
    store: Store, loop: Loop, effects: Effects
) -> None:
    await tell(store, WORKER, DoWork(how="busy forever"))
    async with running(loop):
        await until(lambda: loop.counts["postponed"])
        await tell(store, WORKER, toys.DoInstead(how="something else"))
        loop.wake(WORKER)
        await until(lambda: log_of(store))
        await until(lambda: idle(store, loop))
    assert await log_of(store) == ("done: something else",)


async def test_an_action_that_nobody_knows_stays_in_the_outbox_and_says_so(
    store: Store, effects: Effects
) -> None:
    await tell(store, WORKER, DoWork(how="anything"))
    ignorant = Loop(store, RECONCILERS, {toys.Effect: effects.effect}, policy=SOON)
    async with running(ignorant):
        await until(lambda: ignorant.counts["postponed"])
    assert "nothing in this version of Headgate applies 'work'" in str(
        (await store.outbox())[0].error
    )
    knowing = Loop(store, RECONCILERS, effects.appliers(), policy=SOON)
    async with running(knowing):
        await until(lambda: log_of(store))


def test_an_action_without_a_name_is_refused_at_once(store: Store) -> None:
    with pytest.raises(TypeError, match=r"Action\.type needs a default"):
        Loop(store, RECONCILERS, {Action: Effects().work})


# When reconciling fails.


async def test_a_bug_in_a_machine_stops_neither_the_loop_nor_the_actions_in_the_outbox(
    store: Store, effects: Effects
) -> None:
    broken = asyncio.Event()

    def worker(
        key: Key, state: Worker | None, inbox: Sequence[Message], now: float
    ) -> Decision[Worker]:
        if broken.is_set():
            raise ZeroDivisionError("a machine with a bug")
        return toys.worker(key, state, inbox, now)

    reconcilers = {**RECONCILERS, "worker": toy(Worker, worker)}
    loop = Loop(store, reconcilers, effects.appliers(), policy=SOON, listen=0.01)
    await tell(store, WORKER, DoWork(how="busy twice"))
    async with running(loop):
        await until(lambda: loop.counts["postponed"])
        broken.set()
        loop.wake(WORKER)
        await until(lambda: loop.counts["internal_errors"] >= 2)
        await until(lambda: effects.tries["busy twice"] == 3)
        await tell(store, COUNTER, Add(n=3))
        loop.wake(COUNTER)
        await until(lambda: count_of(store))
    assert await count_of(store) == 3
    assert [each.type for each in await store.inbox(WORKER)] == ["done"]


@pytest.mark.parametrize("failure", [TryAgain("git is out of reach"), NeedsHuman("no key")])
async def test_what_cannot_be_observed_is_looked_at_again(store: Store, failure: Exception) -> None:
    failures = [failure] * 3

    async def blindly(_: Key) -> None:
        if failures:
            raise failures.pop()

    await tell(store, COUNTER, Add(n=3))
    loop = Loop(store, {"counter": toy(Count, toys.counter, blindly)}, {}, policy=SOON)
    async with running(loop):
        await until(lambda: count_of(store))
    assert loop.counts["internal_errors"] == 0


async def test_a_state_that_cannot_be_read_stands_still_and_others_go_on(
    store: Store, loop: Loop
) -> None:
    broken = Put(key=COUNTER, revision=0, text='{"n": "many", "colour": "blue"}', live=True)
    await store.commit(Transaction(put=broken), now=1)
    await tell(store, COUNTER, Add(n=1))
    async with running(loop):
        await until(lambda: loop.parked)
        await tell(store, WORKER, DoWork(how="anything"))
        loop.wake(WORKER)
        await until(lambda: log_of(store))
        assert loop.parked == {COUNTER: 1}
        mended = Put(key=COUNTER, revision=1, text='{"n": 4}', live=True)
        await store.commit(Transaction(put=mended), now=2)
        loop.wake(COUNTER)
        await until(lambda: idle(store, loop))
    assert await count_of(store) == 5
    assert loop.parked == {}


async def test_who_was_overtaken_decides_again_on_what_is_there_now(
    store: Store, other: Store
) -> None:
    async def overtaken(key: Key) -> None:
        if await other.get(key) is None:
            rival = Put(key=key, revision=0, text='{"n": 100}', live=False)
            await other.commit(Transaction(put=rival), now=1)

    await tell(store, COUNTER, Add(n=1))
    loop = Loop(store, {"counter": toy(Count, toys.counter, overtaken)}, {})
    async with running(loop):
        await until(lambda: idle(store, loop))
    assert await count_of(store) == 101
    assert loop.counts["conflicts"] == 1


# From one process to the next.


async def test_a_message_of_another_process_wakes_its_addressee(
    store: Store, other: Store, loop: Loop
) -> None:
    async with running(loop):
        await tell(other, COUNTER, Add(n=2))
        await until(lambda: count_of(store))
    assert await idle(store, loop)


async def test_a_new_loop_wakes_what_is_alive_has_an_outbox_or_was_told_and_lets_the_rest_sleep(
    store: Store, effects: Effects
) -> None:
    looked: set[str] = set()

    async def look(key: Key) -> None:
        looked.add(key.name)

    def put(name: str, *, live: bool) -> Put:
        return Put(key=Key("counter", name), revision=0, text='{"n": 0}', live=live)

    entry = outbox_entry(Key("counter", "enqueued"), Work(how="anything"))
    await store.commit(Transaction(put=put("enqueued", live=False), enqueue=(entry,)), now=1)
    await store.commit(Transaction(put=put("alive", live=True)), now=1)
    await store.commit(Transaction(put=put("ended", live=False)), now=1)
    await tell(store, Key("counter", "addressed"), Add(n=1))
    reconcilers = {"counter": toy(Count, lambda *_: Decision(state=Count()), look)}
    loop = Loop(store, reconcilers, effects.appliers(), policy=SOON)
    async with running(loop):
        await until(lambda: idle(store, loop))
    assert effects.tries["anything"] == 1
    assert looked == {"alive", "addressed", "enqueued"}


async def test_a_cancelled_loop_finishes_what_has_begun(
    store: Store, loop: Loop, effects: Effects
) -> None:
    await tell(store, WORKER, DoWork(how="slow"))
    task = asyncio.create_task(loop.run())
    await until(lambda: effects.tries["slow"])
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    effects.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await store.outbox() == []
    assert [each.type for each in await store.inbox()] == ["done"]


async def test_a_loop_ends_and_says_why_if_nothing_would_apply_what_is_in_the_background(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: Outbox) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(Outbox, "run", fail)
    with pytest.raises(RuntimeError, match="its part for background actions has ended") as raised:
        async with asyncio.timeout(10):
            await loop.run()
    assert isinstance(raised.value.__cause__, MemoryError)


async def test_a_key_of_a_kind_that_is_not_there_is_no_internal_error(
    store: Store, loop: Loop
) -> None:
    await tell(store, Key("pigeon", "p"), toys.Begin())
    await tell(store, COUNTER, Add(n=1))
    async with running(loop):
        await until(lambda: count_of(store))
    assert [each.to.kind for each in await store.inbox()] == ["pigeon"]
