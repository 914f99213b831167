"""Clocks that are set: what is put off, what the judge is told of, and where a life begins."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from controller.machine.core import Envelope, Key
from controller.observers.environment import by_clock
from controller.reconcile.outbox import Outbox, RuntimePolicy, outbox_entry
from controller.reconcile.workqueue import Backoff
from controller.store.protocol import OutboxEntry, Postponed, Put, Transaction
from controller.store.sqlite import SqliteStore
from controller.wiring.service import DAY, last_moment
from deployers.clock import Steady
from deployers.protocol import Traffic
from specs.failures import TryAgain
from specs.traffic import Arm, Exchange
from tests.controller.reconcile.toys import Work

HOUR = 3600.0
WORKER = Key("worker", "w")


class Wall:
    """A clock that can be set; time passes at will."""

    def __init__(self) -> None:
        self.ahead, self.passed = 0.0, 0.0

    def steady(self) -> Steady:
        return Steady(wall=lambda: 1e9 + self.passed + self.ahead, passed=lambda: self.passed)


def outbox(store: SqliteStore, wall: Wall, done: list[str]) -> Outbox:
    """One whose action fails once, and then is done."""

    async def work(_owner: Key, action: Work) -> Sequence[Envelope]:
        done.append(action.how)
        if len(done) == 1:
            raise TryAgain("out of reach")
        return ()

    policy = RuntimePolicy(
        clock=wall.steady(), backoff=Backoff(first=8.0, most=300.0), jitter=lambda: 1.0
    )
    return Outbox(store, {Work: work}, lambda _: None, Counter(), policy)


async def with_an_action(folder: Path) -> SqliteStore:
    store = await SqliteStore.open(folder / "state.db")
    action = outbox_entry(WORKER, Work(how="x"))
    put = Put(key=WORKER, revision=0, text="{}", live=True)
    await store.commit(Transaction(put=put, enqueue=(action,)), 1e9)
    return store


@pytest.mark.parametrize("step", [3 * HOUR, -2 * HOUR, 0.0])
async def test_a_step_of_the_clock_neither_puts_off_nor_hastens_what_is_tried_again(
    tmp_path: Path, step: float
) -> None:
    store, wall, done = await with_an_action(tmp_path), Wall(), list[str]()
    box = outbox(store, wall, done)
    assert await box.apply(await store.outbox()) == 8.0
    wall.ahead += step
    wall.passed += 4
    wait = await box.apply(await store.outbox())
    assert wait == pytest.approx(4.0, abs=0.21)
    assert len(done) == 1
    wall.passed += 5
    assert await box.apply(await store.outbox()) is None
    assert len(done) == 2
    await store.close()


@pytest.mark.parametrize(
    ("ahead", "waits"),
    [
        pytest.param(3 * HOUR, 8.0, id="put off by a clock that was three hours fast"),
        pytest.param(5.0, 5.0, id="by one that was right"),
        pytest.param(-2 * HOUR, 0.0, id="by one that was slow"),
    ],
)
async def test_what_another_life_put_off_waits_no_longer_than_its_failures_ask_for(
    tmp_path: Path, ahead: float, waits: float
) -> None:
    store, wall, done = await with_an_action(tmp_path), Wall(), ["before"]
    (entry,) = await store.outbox()
    put_off = Postponed(id=entry.id, not_before=1e9 + ahead, error="out of reach")
    await store.commit(Transaction(postpone=(put_off,)), 1e9)
    box = outbox(store, wall, done)

    async def entries() -> Sequence[OutboxEntry]:
        return await store.outbox()

    if waits:
        assert await box.apply(await entries()) == waits
        wall.passed += waits - 1
        assert await box.apply(await entries()) == pytest.approx(1.0), "it is not put off anew"
        wall.passed += 2
    assert await box.apply(await entries()) is None
    assert len(done) == 2
    await store.close()


@pytest.mark.parametrize(
    ("router", "moved"), [(0.0, 0.0), (0.5, 0.0), (2 * HOUR, -2 * HOUR), (-3 * HOUR, 3 * HOUR)]
)
def test_the_judge_reads_the_routers_moments_by_its_own_clock(router: float, moved: float) -> None:
    """`router`: how far the router's clock is ahead of the controller's."""
    now = 1e9
    at = now + router - 7.0  # seven seconds ago
    record = Exchange(1, at, Arm.CANARY, 0.5, 200, 0.01)
    page = by_clock(Traffic(epoch="e", exchanges=(record,), next=2, now=now + router), now)
    assert page.exchanges[0].at == pytest.approx(at + moved)
    assert now - page.exchanges[0].at == pytest.approx(7.0, abs=1.0)


def test_records_of_a_router_that_tells_no_time_are_left_as_they_are() -> None:
    record = Exchange(1, 5.0, Arm.CANARY, 0.5, 200, 0.01)
    traffic = Traffic(epoch="e", exchanges=(record,), next=2)
    assert by_clock(traffic, 1e9) == traffic


@pytest.mark.parametrize(("ahead", "believed"), [(2 * HOUR, True), (-HOUR, True), (2 * DAY, False)])
async def test_a_life_begins_no_earlier_than_the_last_one_ended_unless_that_was_wrong(
    tmp_path: Path, ahead: float, believed: bool
) -> None:
    store = await SqliteStore.open(tmp_path / "state.db")
    assert await last_moment(store) == 0.0
    at = time.time() + ahead
    put = Put(key=WORKER, revision=0, text="{}", live=True)
    await store.commit(Transaction(put=put), at)
    assert await last_moment(store) == (at if believed else 0.0)
    await store.close()
