"""A state is carried from one database to another whole and unchanged, or not at all."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from controller.machine.core import Fact, Key
from controller.store import transfer
from controller.store.addresses import Address
from controller.store.backup import back_up, restore
from controller.store.copying import copy, snapshot
from controller.store.opening import open_reader, open_store
from controller.store.protocol import Postponed, Put, SetAside, Transaction
from controller.store.sqlite import SqliteStore
from controller.store.sqlite_transfer import SqliteTransfer
from controller.store.transfer import TABLES, digested
from specs.failures import NeedsHuman, TryAgain
from tests.contracts.store import RUN, entry, put, say
from tests.controller.store.test_migrations import written_by
from tests.servers.postgresql import Postgresql

Make = Callable[[str], Address]
ODD = {"näme": ["\x00 \U0001f600 \\ \t\n", 0.1, 1e22, -0.0, 2**60], "": None}


async def fill(address: Address) -> None:
    """A state with something of everything, of which some is gone again."""
    store = await open_store(address)
    odd = Put(
        key=Key("Run", "ä/1"), revision=0, text=json.dumps(ODD, ensure_ascii=False), live=True
    )
    sent = tuple(say(f"m{n}") for n in range(4))
    owed = tuple(entry(f"a{n}") for n in range(3))
    await store.commit(Transaction(put=put(7), enqueue=owed, send=sent), now=1234567890.123456)
    late = Postponed(id="a0", not_before=0.1 + 0.2, error="tab\there, \\N and a \\. word")
    inbox = [each.number for each in await store.inbox()]
    change = Transaction(
        put=odd,
        facts=tuple(Fact(key=Key("cache", f"k{n}"), body={"n": n}) for n in range(2500)),
        postpone=(late,),
        acknowledge=("a2",),
        consume=(inbox[0],),
        set_aside=(SetAside(number=inbox[1], reason="why"),),
    )
    await store.commit(change, now=2.5)
    await store.close()


def content(address: Address) -> list[Sequence[object]]:
    """All rows, and the last numbers."""
    with snapshot(address) as source:
        rows = [[tuple(row) for row in source.stream(table.all_rows)] for table in TABLES]
        return [*rows, [source.last_number("outbox"), source.last_number("messages")]]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes the address of an empty state, by a name."""
    if request.param == "sqlite":
        return lambda name: tmp_path / f"{name}.db"
    server: Postgresql = request.getfixturevalue("postgresql_server")
    return lambda _: server.state()


@pytest.mark.postgresql
def test_to_postgresql_and_back_is_the_same_state(
    postgresql_server: Postgresql, tmp_path: Path
) -> None:
    here, there, back = tmp_path / "here.db", postgresql_server.state(), tmp_path / "back.db"
    asyncio.run(fill(here))
    out, home = copy(here, there), copy(there, back)
    assert out == home
    assert out.counts == {"objects": 2502, "outbox": 2, "messages": 4}
    assert content(here) == content(there) == content(back)
    assert content(here)[-1] == [3, 4], "a number that was given may not be given again"
    reader = open_reader(there)
    record = asyncio.run(reader.get(Key("Run", "ä/1")))
    assert record is not None
    assert record.body == ODD
    asyncio.run(reader.close())


def test_a_copy_goes_on_counting_where_the_other_was(make: Make) -> None:
    first, second = make("first"), make("second")
    asyncio.run(fill(first))
    copy(first, second)

    async def go_on() -> tuple[int, int]:
        store = await open_store(second)
        await store.commit(
            Transaction(enqueue=(entry("new"),), send=(say("new"), say("m0"))), now=3
        )
        owed, inbox = await store.outbox(), await store.inbox()
        await store.close()
        assert [each.id for each in inbox] == ["m2", "m3", "new"], "what was consumed came again"
        return owed[-1].number, inbox[-1].number

    assert asyncio.run(go_on()) == (4, 5)


def test_a_state_that_is_not_empty_is_not_written_over(make: Make) -> None:
    first, second = make("first"), make("second")
    asyncio.run(fill(first))
    copy(first, second)
    before = content(second)
    with pytest.raises(NeedsHuman, match="is not empty"):
        copy(first, second)
    assert content(second) == before


def test_a_copy_that_arrives_otherwise_than_it_was_sent_is_not_kept(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make("first"), make("second")
    asyncio.run(fill(first))
    whole = transfer.digested

    def found(*asked: object) -> transfer.Transferred:
        return whole(*asked)._replace(digest="sha256:otherwise")  # type: ignore[arg-type]

    monkeypatch.setattr(transfer, "digested", found)
    with pytest.raises(NeedsHuman, match="differs from what was written"):
        copy(first, second)
    monkeypatch.undo()
    assert content(second)[:-1] == [[], [], []]


@pytest.mark.postgresql
async def test_what_a_controller_has_is_neither_copied_nor_written_over(
    postgresql_server: Postgresql, tmp_path: Path
) -> None:
    taken = postgresql_server.state()
    controller = await open_store(taken, sole=True)
    await fill(tmp_path / "other.db")
    for source, target in ((taken, tmp_path / "new.db"), (tmp_path / "other.db", taken)):
        with pytest.raises(TryAgain, match="another controller holds it"):
            copy(source, target)
    await controller.close()


async def test_a_backup_is_one_moment_of_a_controller_that_goes_on(
    make: Make, tmp_path: Path
) -> None:
    address = make("state")
    controller = await open_store(address, sole=True)

    async def work() -> None:
        for n in range(200):
            fact = Fact(key=Key("model", f"v{n}"), body={})
            await controller.commit(Transaction(put=put(n, n), facts=(fact,)), now=n)

    working = asyncio.create_task(work())
    counts = []
    for n in range(3):
        file = tmp_path / f"backup-{n}"
        await asyncio.to_thread(back_up, address, file)
        copied = tmp_path / f"restored-{n}.db"
        await asyncio.to_thread(restore, file, copied, replace=False)
        store = await SqliteStore.open(copied)
        record = await store.get(RUN)
        models = len(await store.list("model"))
        assert (record.revision if record else 0) == models, "half of a transaction"
        counts.append(models)
        await store.close()
    await working
    await controller.close()
    assert counts == sorted(counts)


def test_a_backup_of_either_database_is_the_same_and_goes_into_the_other(
    make: Make, tmp_path: Path
) -> None:
    first, second = make("first"), make("second")
    asyncio.run(fill(first))
    saved = back_up(first, tmp_path / "a")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".a")] == []
    assert restore(tmp_path / "a", second, replace=False) == saved
    plain = tmp_path / "plain.db"
    assert restore(tmp_path / "a", plain, replace=False) == saved
    assert content(first) == content(second) == content(plain)


def test_a_restore_replaces_only_what_it_is_asked_to(make: Make, tmp_path: Path) -> None:
    state = make("state")
    asyncio.run(fill(state))
    before = content(state)
    back_up(state, tmp_path / "backup")
    asyncio.run(change(state))
    with pytest.raises(NeedsHuman, match="is not empty"):
        restore(tmp_path / "backup", state, replace=False)
    assert content(state) != before
    restore(tmp_path / "backup", state, replace=True)
    assert content(state) == before


async def change(address: Address) -> None:
    store = await open_store(address)
    await store.commit(Transaction(facts=(Fact(key=Key("model", "v9"), body={}),)), now=9)
    await store.close()


def test_a_backup_that_was_changed_is_refused(tmp_path: Path) -> None:
    asyncio.run(fill(tmp_path / "state.db"))
    back_up(tmp_path / "state.db", tmp_path / "backup")
    with closing(sqlite3.connect(tmp_path / "backup")) as raw, raw:
        raw.execute("UPDATE objects SET updated = 3 WHERE name = 'k7'")
    with pytest.raises(NeedsHuman, match="was changed or is damaged"):
        restore(tmp_path / "backup", tmp_path / "new.db", replace=False)
    assert not (tmp_path / "new.db").exists()


def test_what_is_no_backup_is_refused_and_none_is_written_over(tmp_path: Path) -> None:
    asyncio.run(fill(tmp_path / "state.db"))
    (tmp_path / "text").write_text("no backup\n" * 1000)
    for name in ("text", "state.db"):
        with pytest.raises(NeedsHuman, match="is no backup"):
            restore(tmp_path / name, tmp_path / "new.db", replace=False)
        with pytest.raises(NeedsHuman, match="exists already"):
            back_up(tmp_path / "state.db", tmp_path / name)
    with pytest.raises(NeedsHuman, match="there is no file"):
        restore(tmp_path / "none", tmp_path / "new.db", replace=False)
    back_up(tmp_path / "state.db", tmp_path / "backup")
    whole = (tmp_path / "backup").read_bytes()
    (tmp_path / "half").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(NeedsHuman, match="damaged"):
        restore(tmp_path / "half", tmp_path / "new.db", replace=False)


def test_a_backup_of_an_older_version_is_brought_to_this_one(make: Make, tmp_path: Path) -> None:
    """As a version would have written it whose schema was the second."""
    old = tmp_path / "old.db"
    written_by("0002", old)
    with closing(sqlite3.connect(old)) as raw:
        carried = digested(SqliteTransfer(raw), TABLES)
        about = {
            "format": 1,
            "schema": "0002",
            "tables": [table._asdict() for table in TABLES],
            **carried._asdict(),
        }
        raw.execute("CREATE TABLE backup (said TEXT NOT NULL)")
        raw.execute("INSERT INTO backup VALUES (?)", (json.dumps(about),))
        raw.commit()
    backup = Path(shutil.copy(old, tmp_path / "backup"))
    state = make("state")
    restore(backup, state, replace=False)
    store = open_reader(state)
    listed = asyncio.run(store.list("run", "flights-"))
    assert [each.key.name for each in listed] == ["flights-12", "flights-11"]
    asyncio.run(store.close())
