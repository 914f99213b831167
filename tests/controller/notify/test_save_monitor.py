"""Who is notified of a store that cannot be written, when, and how often."""

import resource
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from controller.machine.actions import Notify
from controller.machine.core import Envelope, Key
from controller.notify.save_monitor import CALM, EVERY, GRACE, SaveMonitor
from controller.reconcile.outbox import Outbox, RuntimePolicy, outbox_entry
from controller.store.protocol import Put, Transaction
from controller.store.sqlite import SqliteStore
from specs.failures import NeedsHuman, TryAgain
from specs.notifications import Notification
from tests.controller.reconcile.toys import Done, Work


class People:
    """Who is told; at first they may be out of reach."""

    def __init__(self, out_of_reach: int = 0) -> None:
        self.heard: list[tuple[str | None, str]] = []
        self._out = out_of_reach

    async def tell(self, _owner: Key, notify: Notify) -> None:
        if self._out:
            self._out -= 1
            raise TryAgain("nobody answers")
        self.heard.append((notify.to, notify.status))


@contextmanager
def full(path: Path) -> Iterator[None]:
    """The disk is full for every write to the file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def watched(saving: SaveMonitor, times: list[float]) -> None:
    for now in times:
        await saving.look(now)
        await saving.deliver()


EVERYONE = (
    Notification(to="json://a", on=("stuck",)),
    Notification(to="json://b", on=("rollback",)),
    Notification(to="json://c", on=("stuck", "rollback")),
)


async def test_a_full_disk_is_told_once_to_each_and_so_is_its_end(tmp_path: Path) -> None:
    store, people = await SqliteStore.open(tmp_path / "state.db"), People()
    saving = SaveMonitor(store, people.tell, EVERYONE)
    with full(tmp_path / "state.db-wal"):
        await watched(saving, [EVERY, EVERY + 1, 2 * EVERY, 3 * EVERY])
        assert people.heard == [("json://a", "firing"), ("json://c", "firing")]
        assert "state.db" in saving.problem
    await watched(saving, [4 * EVERY])
    assert len(people.heard) == 2, "it may fail again at once"
    await watched(saving, [3 * EVERY + CALM, 5 * EVERY + CALM, 6 * EVERY + CALM])
    assert sorted(people.heard[2:]) == [("json://a", "resolved"), ("json://c", "resolved")]
    assert saving.problem == ""
    await store.close()


async def test_who_is_out_of_reach_is_told_later_and_nobody_twice(tmp_path: Path) -> None:
    store, people = await SqliteStore.open(tmp_path / "state.db"), People(out_of_reach=1)
    saving = SaveMonitor(store, people.tell, EVERYONE)
    with full(tmp_path / "state.db-wal"):
        await watched(saving, [EVERY])
        assert people.heard == [("json://c", "firing")]
        await watched(saving, [2 * EVERY, 3 * EVERY])
    assert people.heard == [("json://c", "firing"), ("json://a", "firing")]
    await store.close()


async def test_without_an_address_the_log_is_told(tmp_path: Path) -> None:
    store, people = await SqliteStore.open(tmp_path / "state.db"), People()
    with full(tmp_path / "state.db-wal"):
        await watched(SaveMonitor(store, people.tell, ()), [EVERY, 2 * EVERY])
    assert people.heard == [(None, "firing")]
    await store.close()


@pytest.mark.parametrize(("lasts", "told"), [(GRACE - 1, False), (GRACE + 2, True)])
async def test_a_lock_that_another_process_holds_is_told_if_it_lasts(
    tmp_path: Path, lasts: float, told: bool
) -> None:
    path = tmp_path / "state.db"
    store, people = await SqliteStore.open(path, patience=0.01), People()
    saving = SaveMonitor(store, people.tell, EVERYONE)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await watched(saving, [EVERY, EVERY + lasts])
    assert bool(people.heard) is told
    await store.close()


async def test_what_was_done_and_could_not_be_settled_is_not_done_again(tmp_path: Path) -> None:
    store, done = await SqliteStore.open(tmp_path / "state.db"), list[str]()
    worker = Key("worker", "w")

    async def work(_owner: Key, action: Work) -> Sequence[Envelope]:
        done.append(action.how)
        return (Envelope(to=worker, id="came", message=Done(how=action.how)),)

    box = Outbox(store, {Work: work}, lambda _: None, Counter(), RuntimePolicy())
    put = Put(key=worker, revision=0, text="{}", live=True)
    await store.commit(
        Transaction(put=put, enqueue=(outbox_entry(worker, Work(how="tell them")),)), 0.0
    )
    with full(tmp_path / "state.db-wal"):
        for _ in range(3):
            with pytest.raises(NeedsHuman):
                await box.apply(await store.outbox())
    assert await box.apply(await store.outbox()) is None
    assert done == ["tell them"]
    assert await store.outbox() == []
    assert [each.type for each in await store.inbox()] == ["done"]
    await store.close()
