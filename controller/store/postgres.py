"""Durable state in a database of PostgreSQL.

What a commit survives: an intent or a message is on the server's disk, and with synchronous
replication on a standby's, before `commit` returns, because its effects come next and would outlive
it. A commit that only acknowledges or postpones is not waited for (`synchronous_commit = off`): if
a crash of the server takes it, an action that is safe to apply twice is applied twice.

A connection that breaks is made again by the next call; until there is one, calls raise `TryAgain`.
If it broke in the middle of a commit, that may have been saved or not: the object is read again.
After a fail-over to a server that may not have the last commits, every call raises `TryAgain` until
the store is opened again, so that nothing is decided by what was only remembered.
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Self, TypeVar
from uuid import uuid4

import psycopg

from controller.machine.core import Key
from controller.store import postgres_connection as server
from controller.store import rows, statements
from controller.store.addresses import PostgresAddress
from controller.store.database import DatabaseStore, is_outcome
from controller.store.migrations import HEAD, NewerSchema
from controller.store.postgres_connection import Connection, PostgresSession, spelled
from controller.store.postgres_ear import Ear
from controller.store.postgres_faults import (
    CACHED_PLAN,
    READ_ONLY,
    RETRIED,
    explained,
    lost,
    newer,
)
from controller.store.protocol import Changes, Conflict, Hold, LostLease, Transaction
from specs.failures import Failure, TryAgain

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds that a statement may take."""
UNANSWERED = 3.0
"""How many times as long until a server that says nothing at all is given up."""
PAUSE = 1.0
"""Seconds after a failure to connect in which nobody else tries."""
TRIES = 3
"""How often a transaction is tried that met others."""

_LOCK_FACTS = "SELECT pg_advisory_xact_lock(?, hashtext(key)) FROM unnest(?::text[]) AS key"
_LEASES = """
SELECT shard FROM leases JOIN unnest(?::int[], ?::bigint[]) AS mine (shard, token)
USING (shard, token) ORDER BY shard"""
_HOLD_LEASES = f"SELECT 1 / (count(*) / ?) FROM ({_LEASES} FOR KEY SHARE OF leases) AS found"  # noqa: S608
_LOOK = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_NOTIFY = "SELECT pg_notify('headgate', ?)"
Statement = tuple[str, Sequence[Any]]
"""With its parameters."""


class PostgresStore(DatabaseStore):
    """A `Store` over one database: `await PostgresStore.open(address)`.

    It needs a connection of its own, not one that a pooler changes with each transaction: with a
    `hold`, it has a lock of the session, by which it is the only controller, or one of several.
    """

    dialect = statements.POSTGRESQL
    fence: Callable[[Iterable[Key]], Mapping[int, int]] | None = None
    """The tokens of leases that a commit for these objects relies on, by shard, as `Leases` has it:
    if one is not current, nothing is saved."""

    def __init__(
        self,
        address: PostgresAddress,
        patience: float = PATIENCE,
        *,
        upgrade: bool = True,
        hold: Hold | None = None,
    ) -> None:
        super().__init__()
        self.address = address
        self._upgrade = upgrade
        self._hold = hold
        self._patience = patience
        self._name = f"headgate {uuid4().hex[:12]}"
        self._connection: Connection | None = None
        self._quoting: psycopg.ClientCursor[rows.Row]
        self._history = ""
        self._ear: Ear | None = None
        self._missed = Changes.NONE
        self._gone: Failure | None = None
        self._gone_until = 0.0
        self._began: float | None = None

    @classmethod
    async def open(
        cls,
        address: PostgresAddress,
        patience: float = PATIENCE,
        *,
        upgrade: bool = True,
        hold: Hold | None = None,
    ) -> Self:
        """Connect, and bring the schema to this version.

        Without `upgrade`, for a process beside a controller that may be of an older version, a
        database of another schema is a failure: `TryAgain` or `NeedsHuman`. With a `hold`, so is
        one that another controller has that does not share it, or does not if this one would.
        """
        return await cls(address, patience, upgrade=upgrade, hold=hold)._opened()

    async def close(self) -> None:
        """Finish what was begun and let go of the database."""
        if self._ear is not None:
            self._ear.close()
        await super().close()

    async def changed(self) -> Changes:
        """What other processes may have changed since the last call. From the first call on it
        listens, so that this costs nothing."""
        return await self.hear(0.0)

    async def hear(self, within: float) -> Changes:
        """The same as soon as there is something, or after `within` seconds."""
        if self._ear is None or self._ear.is_deaf:
            missed = Changes.NONE if self._ear is None else Changes.ANYTHING
            try:
                self._ear = Ear(await self._run(self._listening), self._name)
            except TryAgain:
                if self._missed is Changes.LOST:
                    return self._missed
                raise
            self._missed = max(self._missed, missed)
        heard = await self._ear.hear(0.0 if self._missed else within)
        if self._missed is Changes.LOST or self._ear.is_deaf:
            return Changes.NONE if self._ear.is_deaf else self._missed
        found, self._missed = max(self._missed, heard), Changes.NONE
        if found:
            await self.forget()
        return found

    async def _run(self, call: Callable[..., T], *arguments: Any) -> T:
        loop, longest = asyncio.get_running_loop(), self._patience * UNANSWERED
        watching: asyncio.TimerHandle

        def look() -> None:
            nonlocal watching
            now = time.monotonic()
            left = longest if (began := self._began) is None else began + longest - now
            if left <= 0:
                self._cut()
                left = longest
            watching = loop.call_later(left, look)

        watching = loop.call_later(longest, look)
        try:
            return await super()._run(call, *arguments)
        finally:
            watching.cancel()

    def _cut(self) -> None:
        """Break a connection whose server does not answer, so that the thread is free again."""
        connection = self._connection
        if connection is not None and not connection.closed:
            with suppress(OSError, psycopg.Error):
                twin = socket.socket(fileno=os.dup(connection.fileno()))
                with twin:
                    twin.shutdown(socket.SHUT_RDWR)

    # Below, everything runs in the store's own thread.

    def _explaining(self, call: Callable[..., T], arguments: Sequence[Any]) -> T:
        self._began = time.monotonic()
        try:
            if call != self._connect and self._connection is None:
                self._connect_again()
            return call(*arguments)
        except psycopg.Error as error:
            # Of a server that became a standby the connection lives on; the next finds the primary.
            if error.sqlstate in (CACHED_PLAN, READ_ONLY):
                self._disconnect()
            raise explained(error, self.address) from error
        except NewerSchema as error:
            raise newer(str(error), HEAD, self.address) from error
        finally:
            self._began = None
            if self._connection is not None and self._connection.closed:
                self._disconnect()

    def _connect(self) -> None:
        if self._upgrade:
            server.upgrade(self.address, self._name)
        self._join()

    def _connect_again(self) -> None:
        if self._gone is not None and time.monotonic() < self._gone_until:
            raise self._gone
        try:
            self._join()
        except (psycopg.Error, Failure) as error:
            failure = explained(error, self.address) if isinstance(error, psycopg.Error) else error
            self._gone, self._gone_until = failure, time.monotonic() + PAUSE
            raise
        self._gone = None
        self._missed = max(self._missed, Changes.ANYTHING)

    def _join(self) -> None:
        connection = server.connect(self.address, self._patience, self._name)
        self._connection = connection
        try:
            server.hold_to_schema(connection, self.address)
            if self._hold is not None:
                server.hold(connection, self.address, self._name, self._hold)
            history = server.history_of(connection)
        except BaseException:
            self._disconnect()
            raise
        if self._history and history != self._history:
            self._disconnect()
            self._missed = Changes.LOST
            raise lost(self.address)
        self._history = history
        self._quoting = psycopg.ClientCursor(connection)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._remembered.forget()

    def _listening(self) -> Connection:
        connection = server.connect(self.address, self._patience, self._name)
        connection.execute("LISTEN headgate")
        return connection

    @property
    def _server(self) -> Connection:
        assert self._connection is not None, "it is connected before each call"
        return self._connection

    @contextmanager
    def _writing(self, *, forced: bool) -> Iterator[PostgresSession]:
        with server.transaction(self._server) as session:
            if not forced:
                session.run("SET LOCAL synchronous_commit = off")
            yield session

    def _rows(self, query: str, *values: Any) -> Sequence[rows.Row]:
        return self._server.execute(spelled(query), values).fetchall()

    def _names(self, names: Any) -> Any:
        return [*names]

    def _look(self, key: Key) -> Sequence[Sequence[rows.Row]]:
        every = (statements.GET, statements.INBOX_OF, statements.OUTBOX_OF)
        return self._at_once([(_LOOK, ()), *((query, key) for query in every), ("COMMIT", ())])[1:4]

    def _written(self, change: Transaction, now: float) -> Sequence[rows.Row]:
        every = [*self._holding(change, now)]
        for statement, parameters in statements.of(change, now):
            every += [(statement, values) for values in parameters]
        if change.send:
            every.append((_NOTIFY, (self._name,)))
        if change.put is not None:
            every.append((statements.OUTBOX_OF, change.put.key))
        every.append(("COMMIT", ()))
        try:
            found = self._tried(every)
        except psycopg.errors.DivisionByZero:
            self._hold_leases(change)
            for key in change.absent:
                if self._rows(statements.IS_THERE, *key):
                    raise Conflict(f"{key} is there") from None
            put = change.put
            what = f"{put.key} is no longer at revision {put.revision}" if put else "others wrote"
            raise Conflict(what) from None
        return found[-2] if change.put is not None else ()

    def _holding(self, change: Transaction, now: float) -> Iterator[Statement]:
        """Begin, lock what the transaction relies on, and divide by zero if it is otherwise, which
        keeps what follows from being done.

        Facts are locked by their keys, also those that are not there, so that no two transactions
        find the same one absent. A lease is locked against another holder, not against a renewal.
        """
        yield "BEGIN", ()
        tokens = self._tokens(change)
        if tokens:
            held = [*tokens], [*tokens.values()]
            yield _HOLD_LEASES, (len(tokens), *held)
        if is_outcome(change):
            yield "SET LOCAL synchronous_commit = off", ()
        facts = sorted({*change.absent, *(fact.key for fact in change.facts)})
        if facts:
            yield _LOCK_FACTS, (server.FACTS, [f"{kind}/{name}" for kind, name in facts])
        for key in change.absent:
            yield f"SELECT 1 / (1 - count(*)) FROM ({statements.IS_THERE}) AS found", key  # noqa: S608
        if change.put is not None:
            statement, values = statements.put(change.put, now)
            yield f"WITH done AS ({statement} RETURNING 1) SELECT 1 / count(*) FROM done", values  # noqa: S608

    def _tokens(self, change: Transaction) -> Mapping[int, int]:
        if self.fence is None:
            return {}
        return self.fence((*change.owners, *((change.put.key,) if change.put else ())))

    def _hold_leases(self, change: Transaction) -> None:
        """Raise `LostLease` if one is not current."""
        tokens = self._tokens(change)
        current = self._rows(_LEASES, [*tokens], [*tokens.values()])
        if len(current) != len(tokens):
            raise LostLease("another controller has the lease by now")

    def _tried(self, every: Sequence[Statement]) -> list[Sequence[rows.Row]]:
        """A transaction, again if it met others in a way that passes."""
        for _ in range(TRIES - 1):
            with suppress(*RETRIED):
                return self._at_once(every)
        return self._at_once(every)

    def _at_once(self, every: Sequence[Statement]) -> list[Sequence[rows.Row]]:
        """Run statements that begin and end a transaction in one round trip; what each finds.

        They travel as one text, with the parameters quoted by libpq: a dozen prepared statements
        would cost this process twice as much.
        """
        cursor = self._quoting
        try:
            text = ";".join(cursor.mogrify(spelled(query), values) for query, values in every)
            cursor.execute(text.encode())
        except BaseException:
            server.roll_back(self._server)
            raise
        found: list[Sequence[rows.Row]] = []
        while True:
            found.append(cursor.fetchall() if cursor.description else ())
            if not cursor.nextset():
                return found

    def _rename(self, old: str, new: str) -> None:
        self._began = None  # it may take as long as there is much to rewrite
        super()._rename(old, new)

    def _touch(self) -> None:
        with self._writing(forced=True) as session:
            session.rows("SELECT pg_current_xact_id()")  # of no meaning; its commit is a write
