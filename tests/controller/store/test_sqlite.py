"""The SQLite store: the contract of every store, and what is its own."""

import asyncio
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from controller.machine.core import Fact
from controller.store.faults import explained
from controller.store.protocol import Put, SetAside, Store, Transaction
from controller.store.sqlite import SqliteStore
from specs.failures import NeedsHuman, TryAgain
from tests.contracts.store import RUN, StoreContract, entry, ids_received, put, say


class TestSqliteKeepsTheContract(StoreContract):
    pass


WRITER = """
import asyncio, os, sys
from pathlib import Path
from controller.store.protocol import SetAside, Transaction
from controller.store.sqlite import SqliteStore
from tests.contracts.store import entry, put, say

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]))
    for n in range(10):
        change = Transaction(put=put(n, n), enqueue=(entry(f"a{n}"),), send=(say(f"m{n}"),))
        await store.commit(change, n)
    os.write(1, b"committed")
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


@pytest.fixture
def killed_writer(path: Path) -> None:
    """A process that committed ten times and was killed in the same breath."""
    writer = subprocess.run([sys.executable, "-c", WRITER, str(path)], capture_output=True)
    assert (writer.returncode, writer.stdout) == (-signal.SIGKILL, b"committed"), writer.stderr


@pytest.mark.usefixtures("killed_writer")
async def test_what_was_committed_survives_a_kill(path: Path) -> None:
    store = await SqliteStore.open(path)
    record = await store.get(RUN)
    assert record is not None
    assert record.revision == 10
    assert len(await store.outbox()) == len(await store.inbox()) == 10
    await store.close()


async def test_pruning_forgets_old_consumed_messages_and_nothing_else(
    store: SqliteStore,
) -> None:
    await store.commit(Transaction(send=(say("old"), say("young"), say("unread"))), now=1)
    old, young, _ = [each.number for each in await store.inbox()]
    await store.commit(Transaction(consume=(old,)), now=10)
    await store.commit(Transaction(consume=(young,)), now=20)
    assert await store.prune_messages(consumed=15, set_aside=99) == 1
    again = Transaction(send=(say("old"), say("young"), say("unread")))
    await store.commit(again, now=30)
    assert await ids_received(store) == ["unread", "old"]


async def test_pruning_forgets_messages_that_were_set_aside_long_ago(store: SqliteStore) -> None:
    await store.commit(Transaction(send=(say("old"), say("young"))), now=1)
    for message, now in zip(await store.inbox(), (10, 20), strict=True):
        aside = SetAside(number=message.number, reason="why")
        await store.commit(Transaction(set_aside=(aside,)), now)
    assert await store.prune_messages(consumed=99, set_aside=15) == 1
    assert [each.id for each in await store.set_aside()] == ["young"]
    await store.commit(Transaction(send=(say("old"), say("young"))), now=30)
    assert await ids_received(store) == ["old"]


async def test_what_is_worked_on_is_not_read_again(store: SqliteStore) -> None:
    await store.commit(Transaction(put=put(1), send=(say("a"), say("b"))), now=1)
    loaded = await store.load(RUN)
    change = Transaction(put=put(2, 1), enqueue=(entry("do"),), consume=(loaded.inbox[0].number,))
    await store.commit(change, now=2)
    calls = store.calls
    again = await store.load(RUN)
    assert again.record is not None
    assert (again.record.revision, again.record.body, again.record.updated) == (2, {"n": 2}, 2)
    assert [each.id for each in again.inbox] == ["b"]
    assert [each.id for each in again.outbox] == ["do"]
    assert store.calls == calls


async def test_listing_the_live_reads_no_others(store: SqliteStore) -> None:
    with closing(sqlite3.connect(store.path)) as raw:
        plan = raw.execute(
            "EXPLAIN QUERY PLAN SELECT * FROM objects WHERE objects.kind = ? AND objects.live = 1 "
            "ORDER BY objects.updated DESC",
            ("run",),
        ).fetchall()
    assert "objects_live" in plan[0][3], plan


async def test_numbers_that_are_no_json_are_refused_and_nothing_is_saved(
    store: SqliteStore,
) -> None:
    endless = Fact(key=RUN, body={"n": float("inf")})
    with pytest.raises(ValueError, match="JSON"):
        await store.commit(Transaction(facts=(endless,)), now=1)
    await store.commit(Transaction(put=put(1)), now=2)
    record = await store.get(RUN)
    assert record is not None
    assert record.revision == 1


# What users meet.


async def test_a_file_that_another_process_is_writing_is_to_be_tried_again(path: Path) -> None:
    store = await SqliteStore.open(path, patience=0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        with pytest.raises(TryAgain, match="another process is writing"):
            await store.commit(Transaction(put=put(1)), now=1)
        assert await store.get(RUN) is None  # reading goes on meanwhile
        raw.execute("ROLLBACK")
    await store.commit(Transaction(put=put(1)), now=2)
    await store.close()


def test_a_file_that_is_no_database_names_itself_and_the_mend(path: Path) -> None:
    path.write_text("kind: MLPipeline, not a database at all\n" * 100)
    with pytest.raises(NeedsHuman) as failure:
        asyncio.run(SqliteStore.open(path))
    text = str(failure.value)
    assert str(path) in text
    assert "move the file aside" in text
    assert "headgate doctor" in text
    assert "MLPipeline" in path.read_text(), "it was written to"


async def fill(path: Path) -> None:
    """Write a file of many pages."""
    store = await SqliteStore.open(path)
    for n in range(50):
        await store.commit(
            Transaction(
                put=Put(key=RUN, revision=n, text=json.dumps({"n": "x" * 9000}), live=True)
            ),
            n,
        )
    await store.close()


def test_a_damaged_file_names_itself_and_the_mend(path: Path) -> None:
    asyncio.run(fill(path))
    content = path.read_bytes()
    path.write_bytes(content[:2048] + b"\xa5" * (len(content) - 2048))
    with pytest.raises(NeedsHuman, match=r"state\.db.*damaged"):
        asyncio.run(SqliteStore.open(path))


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NeedsHuman, match=r"nowhere.*the folder exists"):
        await SqliteStore.open(tmp_path / "nowhere" / "state.db")


async def test_a_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    await (await SqliteStore.open(path)).close()
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(NeedsHuman, match=r"newer Headgate wrote it \(its schema is 9999"):
        await SqliteStore.open(path)
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)


def test_a_full_disk_asks_for_space(path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA max_page_count = 4")
        raw.execute("CREATE TABLE t (x)")
        with pytest.raises(sqlite3.Error) as full:
            raw.execute("INSERT INTO t VALUES (randomblob(100000))")
    failure = explained(full.value, path)
    assert isinstance(failure, NeedsHuman)
    assert "Free some space" in str(failure)


def test_a_file_that_may_not_be_written_asks_for_the_right_to(path: Path) -> None:
    sqlite3.connect(path).close()
    with (
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as raw,
        pytest.raises(sqlite3.Error) as refused,
    ):
        raw.execute("CREATE TABLE t (x)")
    failure = explained(refused.value, path)
    assert isinstance(failure, NeedsHuman)
    assert "right to write" in str(failure)


async def test_a_copy_made_while_it_runs_is_whole(store: SqliteStore, tmp_path: Path) -> None:
    await store.commit(Transaction(put=put(1), enqueue=(entry("a"),)), now=1)
    copy = tmp_path / "copy.db"
    for end in ("", "-wal"):
        shutil.copy(f"{store.path}{end}", f"{copy}{end}")
    restored: Store = await SqliteStore.open(copy)
    assert await restored.get(RUN) is not None
    assert isinstance(restored, SqliteStore)
    await restored.close()
