"""The PostgreSQL store: the contract of every store, and what is its own."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import NoReturn

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from controller.machine.core import Fact, Key
from controller.store import postgres_prepared as prepared
from controller.store import pruning, statements
from controller.store.addresses import PostgresAddress
from controller.store.postgres import PostgresStore
from controller.store.postgres_connection import Connection
from controller.store.postgres_reading import PostgresReader
from controller.store.protocol import Changes, Hold, Transaction
from controller.store.tables import metadata
from specs.failures import NeedsHuman, TryAgain
from tests.contracts.store import OTHER_RUN, RUN, StoreContract, entry, ids_received, put, say
from tests.servers.postgresql import PASSWORD, Postgresql

pytestmark = pytest.mark.postgresql


@pytest.fixture
def address(postgresql_server: Postgresql) -> PostgresAddress:
    """An empty database."""
    return postgresql_server.state()


@pytest.fixture
async def store(address: PostgresAddress) -> AsyncIterator[PostgresStore]:
    """A controller's store."""
    opened = await PostgresStore.open(address, hold=Hold.ALONE)
    yield opened
    await opened.close()


@pytest.fixture
async def other(store: PostgresStore) -> AsyncIterator[PostgresStore]:
    """The same database, opened by a command."""
    opened = await PostgresStore.open(store.address, upgrade=False)
    yield opened
    await opened.close()


@contextmanager
def losing_the_answer(store: PostgresStore) -> Iterator[None]:
    """The connection breaks when the server has made a commit, and before it can say so."""

    def broken(connection: Connection, arguments: Sequence[prepared.Argument]) -> NoReturn:
        commit(connection, arguments)
        connection.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    commit = prepared.commit
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(prepared, "commit", broken)
        yield


class TestPostgresKeepsTheContract(StoreContract):
    hears_within = 10.0
    losing_the_answer = staticmethod(losing_the_answer)


WRITER = """
import asyncio, json, os, sys
from controller.store.addresses import PostgresAddress
from controller.store.postgres import PostgresStore
from controller.store.protocol import Hold, Transaction
from tests.contracts.store import entry, put, say

async def main():
    store = await PostgresStore.open(PostgresAddress(json.loads(sys.stdin.read())), hold=Hold.ALONE)
    for n in range(10):
        change = Transaction(put=put(n, n), enqueue=(entry(f"a{n}"),), send=(say(f"m{n}"),))
        await store.commit(change, n)
    os.write(1, b"committed")
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


async def test_what_was_committed_survives_a_kill_and_the_next_controller_takes_over(
    address: PostgresAddress,
) -> None:
    told = json.dumps(address.parameters).encode()
    words = [sys.executable, "-c", WRITER]
    writer = await asyncio.to_thread(subprocess.run, words, input=told, capture_output=True)
    assert (writer.returncode, writer.stdout) == (-signal.SIGKILL, b"committed"), writer.stderr
    async with asyncio.timeout(10):
        while True:
            try:
                store = await PostgresStore.open(address, hold=Hold.ALONE)
                break
            except TryAgain:  # the server notices in a moment that the other one is gone
                await asyncio.sleep(0.05)
    record = await store.get(RUN)
    assert record is not None
    assert record.revision == 10
    assert len(await store.outbox()) == len(await store.inbox()) == 10
    await store.close()


# What users meet.


async def refused(call: Awaitable[object]) -> TryAgain | None:
    """Why a call is to be tried again, if it is."""
    try:
        await call
    except TryAgain as failure:
        return failure
    return None


async def succeeds(make: Callable[[], Awaitable[object]]) -> None:
    """Wait until a call succeeds that may be refused for a while."""
    async with asyncio.timeout(30):
        while await refused(make()):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.05)


async def heard(store: PostgresStore) -> Changes:
    """What the store says once it hears anything at all."""
    async with asyncio.timeout(30):
        while True:
            try:
                if found := await store.hear(1.0):
                    return found
            except TryAgain:
                await asyncio.sleep(0.05)


async def test_what_another_process_sends_wakes_at_once_and_what_is_its_own_does_not(
    store: PostgresStore, other: PostgresStore
) -> None:
    await store.changed()
    calls = store.calls
    waiting = asyncio.create_task(store.hear(60.0))
    await store.commit(Transaction(send=(say("own"),)), now=1)
    await store.commit(Transaction(put=put(1), enqueue=(entry("a"),)), now=1)
    await other.commit(Transaction(put=put(1, key=OTHER_RUN)), now=1)
    assert not await store.changed(), "nobody is told of what is no message"
    await other.commit(Transaction(send=(say("theirs"),)), now=2)
    async with asyncio.timeout(10):
        assert await waiting is Changes.MESSAGES
    assert store.calls - calls == 2, "listening asked the server something"


async def test_a_message_that_was_sent_while_it_was_remembered_is_loaded_once_it_was_heard_of(
    store: PostgresStore, other: PostgresStore
) -> None:
    await store.changed()
    await store.commit(Transaction(put=put(1)), now=1)
    await store.load(RUN)
    await store.commit(Transaction(put=put(2, 1)), now=2)
    await other.commit(Transaction(send=(say("m"),)), now=3)
    assert await heard(store) is Changes.MESSAGES
    assert [each.id for each in (await store.load(RUN)).inbox] == ["m"]


async def test_a_turn_reads_no_table_from_end_to_end_although_they_are_small(
    store: PostgresStore,
) -> None:
    plan = await store._run(store._rows, "EXPLAIN EXECUTE headgate_look ('run', 'a')")
    steps = [line for (line,) in plan]
    assert sum("Index" in step for step in steps) >= 3, steps
    assert not [step for step in steps if "Seq Scan" in step]
    kept = await store._run(store._rows, "SHOW enable_seqscan")
    assert kept == [("off",)], "so that what the function of a commit asks has no other plan"


async def test_a_controller_that_is_alone_wakes_nobody_and_a_command_does(
    store: PostgresStore, other: PostgresStore
) -> None:
    with psycopg.connect(**store.address.parameters, autocommit=True) as listening:  # type: ignore[arg-type]
        listening.execute("LISTEN headgate")
        await store.commit(Transaction(send=(say("m"),)), now=1)
        await other.commit(Transaction(put=put(1)), now=2)
        await other.commit(Transaction(send=(say("n"),)), now=3)
        said = [each.payload for each in listening.notifies(timeout=30, stop_after=1)]
    assert said == [other._name], "they come in the order of the commits"


async def test_one_controller_at_a_time_and_commands_beside_it(
    store: PostgresStore, other: PostgresStore, postgresql_server: Postgresql
) -> None:
    with pytest.raises(TryAgain, match="another controller holds it"):
        await PostgresStore.open(store.address, hold=Hold.ALONE)
    await other.commit(Transaction(send=(say("m"),)), now=1)
    assert await ids_received(store) == ["m"]
    first = await PostgresStore.open(postgresql_server.state(), hold=Hold.ALONE)
    await first.close()
    successor = await PostgresStore.open(first.address, hold=Hold.ALONE)
    await successor.close()


async def test_a_connection_that_the_server_ends_is_made_again_and_holds_on(
    store: PostgresStore, postgresql_server: Postgresql
) -> None:
    await store.commit(Transaction(put=put(1)), now=1)
    await store.changed()
    postgresql_server.execute(
        "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name LIKE 'headgate %'",
    )  # fmt: skip
    await succeeds(lambda: store.commit(Transaction(put=put(2, 1)), now=2))
    assert await heard(store) is Changes.ANYTHING
    with pytest.raises(TryAgain, match="another controller holds it"):
        await PostgresStore.open(store.address, hold=Hold.ALONE)


async def test_a_connection_whose_end_the_server_did_not_notice_does_not_keep_its_own_owner_out(
    store: PostgresStore,
) -> None:
    ghost = store._connection
    assert ghost is not None
    store._connection = None  # as if the network had swallowed it
    await store.commit(Transaction(put=put(1)), now=1)
    with pytest.raises(psycopg.OperationalError):
        ghost.execute("SELECT 1")
    ghost.close()


async def test_numbers_that_are_no_json_are_refused_and_nothing_is_saved(
    store: PostgresStore,
) -> None:
    endless = Fact(key=OTHER_RUN, body={"n": float("inf")})
    with pytest.raises(ValueError, match="JSON"):
        await store.commit(Transaction(put=put(1), facts=(endless,)), now=1)
    assert await store.get(RUN) is None
    await store.commit(Transaction(put=put(1)), now=2)


async def test_an_error_in_the_middle_of_a_commit_undoes_all_of_it(store: PostgresStore) -> None:
    named = entry("a").model_copy(update={"lane": "no \0 lane"})
    with pytest.raises(NeedsHuman, match="NUL"):
        await store.commit(Transaction(put=put(1), enqueue=(named,)), now=1)
    assert await store.get(RUN) is None
    long = say("x" * 10_000)  # too long for the index of what was delivered
    random = long.model_copy(update={"id": "".join(map(chr, range(0x4E00, 0x4E00 + 9000)))})
    with pytest.raises(NeedsHuman, match="index row"):
        await store.commit(Transaction(put=put(1), send=(random,)), now=1)
    assert await store.get(RUN) is None
    await store.commit(Transaction(put=put(1), send=(say("m"),)), now=2)


async def test_a_statement_whose_table_was_altered_is_tried_again_once(
    store: PostgresStore, postgresql_server: Postgresql
) -> None:
    await store.commit(Transaction(put=put(1)), now=1)
    for _ in range(8):  # from the sixth time on it is prepared
        await store.get(RUN)
    database = store.address.parameters["dbname"]
    postgresql_server.execute(database, "ALTER TABLE objects ALTER COLUMN body TYPE varchar")
    assert "its schema has just been changed" in str(await refused(store.get(RUN)))
    assert await store.get(RUN) is not None


async def test_who_waits_too_long_for_another_tries_again(
    store: PostgresStore, postgresql_server: Postgresql
) -> None:
    await store.commit(Transaction(put=put(1)), now=1)
    hasty = await PostgresStore.open(store.address, patience=0.2)
    with store_lock(postgresql_server, store.address):
        failure = await refused(hasty.commit(Transaction(put=put(2, 1)), now=2))
    assert failure is not None
    assert "too long" in str(failure)
    await hasty.commit(Transaction(put=put(2, 1)), now=3)
    await hasty.close()


@contextmanager
def store_lock(postgresql_server: Postgresql, address: PostgresAddress) -> Iterator[None]:
    """Somebody has changed every object, and has not committed."""
    with psycopg.connect(**address.parameters) as somebody:  # type: ignore[arg-type]
        somebody.execute("UPDATE objects SET updated = updated")
        yield
        somebody.rollback()


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"password": "wrong"}, NeedsHuman, "password authentication failed"),
        ({"dbname": "nowhere"}, NeedsHuman, 'database "nowhere" does not exist'),
        ({"port": "1"}, TryAgain, "it is out of reach"),
        ({"sslmode": "perhaps"}, NeedsHuman, "invalid sslmode value"),
        ({"colour": "red"}, NeedsHuman, "invalid connection option"),
    ],
)
async def test_a_database_that_lets_nobody_in_is_one_clear_failure(
    change: dict[str, str], kind: type[Exception], said: str, address: PostgresAddress
) -> None:
    wrong = PostgresAddress({**address.parameters, **change})
    with pytest.raises(kind, match=said) as failure:
        await PostgresStore.open(wrong)
    assert PASSWORD not in str(failure.value)
    with pytest.raises(kind, match=said):
        PostgresReader.open(wrong)


async def test_a_database_of_another_encoding_is_refused(postgresql_server: Postgresql) -> None:
    postgresql_server.execute(
        "postgres", "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1'"
    )
    address = PostgresAddress({**postgresql_server.state().parameters, "dbname": "latin"})
    with pytest.raises(NeedsHuman, match="encoded in LATIN1"):
        await PostgresStore.open(address)


async def test_a_database_of_a_newer_version_is_left_alone(
    store: PostgresStore, postgresql_server: Postgresql
) -> None:
    database = store.address.parameters["dbname"]
    postgresql_server.execute(database, "UPDATE alembic_version SET version_num = '9999'")
    for opening in (
        PostgresStore.open(store.address),
        PostgresStore.open(store.address, upgrade=False),
    ):
        with pytest.raises(NeedsHuman, match=r"newer Headgate.*the schema is 9999"):
            await opening
    with pytest.raises(NeedsHuman, match="newer Headgate"):
        PostgresReader.open(store.address)


async def test_beside_a_controller_nobody_else_makes_the_schema(address: PostgresAddress) -> None:
    with pytest.raises(TryAgain, match="`headgate up` brings it"):
        await PostgresStore.open(address, upgrade=False)
    with pytest.raises(TryAgain, match="`headgate up` brings it"):
        PostgresReader.open(address)


async def test_several_that_begin_at_once_make_the_schema_once(address: PostgresAddress) -> None:
    stores = await asyncio.gather(*(PostgresStore.open(address) for _ in range(3)))
    for each in stores:
        await each.close()


async def test_the_tables_are_those_that_the_code_expects(store: PostgresStore) -> None:
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(**store.address.parameters),  # type: ignore[arg-type]
        poolclass=NullPool,
    )  # fmt: skip
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


async def test_a_reader_finds_all_that_the_store_finds_and_writes_nothing(
    store: PostgresStore,
) -> None:
    sent = (say("x"), say("y", to=OTHER_RUN))
    await store.commit(Transaction(put=put(1), enqueue=(entry("b"),), send=sent), now=1)
    await store.commit(Transaction(put=put(2, key=OTHER_RUN, live=False)), now=2)
    reader = PostgresReader.open(store.address)
    assert await reader.get(RUN) == await store.get(RUN)
    assert await reader.get_all("run", [RUN.name, "?"]) == await store.get_all("run", [RUN.name])
    assert await reader.list("run") == await store.list("run") != []
    assert await reader.outbox(RUN) == await store.outbox() != []
    assert await reader.inbox() == await store.inbox() != []
    await reader.changed()
    assert not await reader.changed()
    await store.commit(Transaction(put=put(2, 1)), now=3)
    assert await reader.changed()
    with pytest.raises(TryAgain, match="read-only"):
        await reader._select("DELETE FROM objects RETURNING 1")
    await reader.close()


async def test_a_server_that_became_a_standby_is_left_for_the_primary(
    store: PostgresStore,
) -> None:
    # What a server does to the sessions that outlive a switch-over.
    await store._run(store._server.execute, "SET default_transaction_read_only = on")
    with pytest.raises(TryAgain, match="a fail-over may be in progress"):
        await store.commit(Transaction(put=put(1)), now=1)
    await store.commit(Transaction(put=put(1)), now=2)
    found = await store.get(RUN)
    assert found is not None
    assert found.updated == 2


async def test_old_rows_go_and_a_repository_gets_another_name(store: PostgresStore) -> None:
    for n in range(1, 4):
        done = put(n, key=Key("run", f"flights-{n}"), live=False)
        await store.commit(Transaction(put=done, send=(say(f"m{n}"),)), now=n)
    await store.commit(Transaction(consume=((await store.inbox())[0].number,)), now=4)
    assert await store.prune("run", before=99) == 2
    assert await store.prune_messages(consumed=5, set_aside=5) == 1
    assert [each.key.name for each in await store.list("run")] == ["flights-3"]
    facts = [
        Fact(key=Key("repository", "old"), body={"name": "old"}),
        Fact(key=Key("pipeline", "p"), body={"repository": "old"}),
        Fact(key=Key("stall", "repository/old"), body={}),
    ]
    to_old = say("m", to=Key("repository", "old"))
    owed = entry("a", owner=Key("repository", "old"))
    await store.commit(Transaction(facts=tuple(facts), send=(to_old,), enqueue=(owed,)), now=5)
    await store.rename_repository("old", "new")
    renamed = await store.get(Key("repository", "new"))
    pipeline = await store.get(Key("pipeline", "p"))
    assert renamed is not None
    assert pipeline is not None
    assert (renamed.body, pipeline.body) == ({"name": "new"}, {"repository": "new"})
    assert await store.get(Key("stall", "repository/new")) is not None
    assert [each.owner.name for each in await store.outbox()] == ["new"]
    assert await ids_received(store, Key("repository", "new")) == ["m"]


QUERIES = {
    **{name: q for name, q in vars(statements).items() if isinstance(q, str) and "?" in q},
    **{f"latest {key}": q for key, q in statements.POSTGRESQL.latest.items()},
    **{name: q for name, q in vars(pruning).items() if isinstance(q, str) and "SELECT number" in q},
    **{f"old {kind}": q for kind, q in pruning.OLD_OF.items()},
    "named": statements.POSTGRESQL.named,
    "inbox": statements.INBOX,
    "addressees": statements.ADDRESSEES,
}


@pytest.mark.parametrize("name", sorted(QUERIES))
async def test_a_query_can_use_an_index(name: str, store: PostgresStore) -> None:
    query = QUERIES[name]
    parameters = (f"${n}" for n in count(1))
    numbered = "".join(next(parameters) if c == "?" else c for c in query)
    with psycopg.connect(**store.address.parameters) as asking:  # type: ignore[arg-type]
        asking.execute("SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan")
        asking.execute(f"PREPARE asked AS {numbered}".encode())
        nulls = ", ".join(["NULL"] * query.count("?"))
        call = f"asked({nulls})" if nulls else "asked"
        plan = asking.execute(f"EXPLAIN EXECUTE {call}".encode()).fetchall()
    assert not [row for row in plan if "Seq Scan" in row[0]], plan
