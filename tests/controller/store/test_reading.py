"""A command reads what the controller has written, in the same words and without its libraries."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from controller.machine.core import Fact, Key
from controller.store.protocol import SetAside, Transaction
from controller.store.reading import SqliteReader
from controller.store.sqlite import SqliteStore
from specs.failures import NeedsHuman, TryAgain
from tests.contracts.store import OTHER_RUN, RUN, entry, put, say


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path / "a state?#%20.db")
    yield opened
    await opened.close()


@pytest.fixture
async def reader(store: SqliteStore) -> AsyncIterator[SqliteReader]:
    opened = SqliteReader.open(store.path)
    yield opened
    await opened.close()


async def test_it_finds_all_that_the_store_finds(store: SqliteStore, reader: SqliteReader) -> None:
    await store.commit(
        Transaction(
            put=put(1), enqueue=(entry("b"), entry("a")), send=(say("x"), say("y", to=OTHER_RUN))
        ),
        1.0,
    )
    await store.commit(Transaction(put=put(2, key=OTHER_RUN, live=False)), 2.0)
    await store.commit(Transaction(facts=(Fact(key=Key("run", "Flights-3"), body={"n": 3}),)), 2.0)
    for key in (RUN, OTHER_RUN, Key("run", "none")):
        assert await reader.get(key) == await store.get(key)
        assert await reader.outbox(key) == await store.outbox(key)
        assert await reader.inbox(key) == await store.inbox(key)
    assert await reader.outbox() == await store.outbox() != []
    assert await reader.inbox() == await store.inbox() != []
    assert await reader.addressees() == await store.addressees() == [RUN, OTHER_RUN]
    for series in ("", "flights-", "Flights-", "none"):
        for limit in (None, 0, 1, 9):
            for live in (False, True):
                found = await reader.list("run", series, limit, live=live)
                assert found == await store.list("run", series, limit, live=live)


async def test_a_consumed_message_is_in_no_inbox(store: SqliteStore, reader: SqliteReader) -> None:
    await store.commit(Transaction(send=(say("x"),)), 1.0)
    (message,) = await reader.inbox()
    await store.commit(Transaction(consume=(message.number,)), 2.0)
    assert await reader.inbox() == []


async def test_a_message_that_was_set_aside_is_in_no_inbox_and_is_found_with_its_reason(
    store: SqliteStore, reader: SqliteReader
) -> None:
    await store.commit(Transaction(send=(say("x"), say("y"))), 1.0)
    message = (await reader.inbox())[0]
    aside = SetAside(number=message.number, reason="it has no text")
    await store.commit(Transaction(set_aside=(aside,)), 2.0)
    assert [each.id for each in await reader.inbox()] == ["y"]
    assert await reader.set_aside() == await store.set_aside()
    assert [(each.id, each.reason) for each in await reader.set_aside()] == [
        ("x", "it has no text")
    ]


async def test_it_notices_a_commit_of_another_once(
    store: SqliteStore, reader: SqliteReader
) -> None:
    await reader.changed()
    assert not await reader.changed()
    await store.commit(Transaction(put=put(1)), 1.0)
    assert await reader.changed()
    assert not await reader.changed()


async def test_it_writes_nothing(store: SqliteStore, reader: SqliteReader) -> None:
    with pytest.raises(NeedsHuman):
        reader._ask("DELETE FROM objects")
    assert not (store.path.parent / "a state").exists()


@pytest.mark.parametrize(
    ("content", "failure", "said"),
    [
        (b"no database at all" * 100, NeedsHuman, "damaged, or no database"),
        (b"", TryAgain, "`headgate up` brings it to this version"),
    ],
)
def test_what_is_no_state_of_this_version_is_one_clear_failure(
    content: bytes, failure: type[Exception], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(content)
    with pytest.raises(failure, match=said):
        SqliteReader.open(path)
    assert path.read_bytes() == content


async def test_a_state_of_a_newer_version_says_so(store: SqliteStore) -> None:
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(NeedsHuman, match="a newer Headgate wrote it"):
        SqliteReader.open(store.path)


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(NeedsHuman, match="cannot be opened"):
        SqliteReader.open(tmp_path / "state.db")
    assert list(tmp_path.iterdir()) == []
