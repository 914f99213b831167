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
from controller.store import postgres_prepared as prepared
from controller.store import rows, statements
from controller.store.addresses import PostgresAddress
from controller.store.database import DatabaseStore
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
from controller.store.shards import shard_of
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
        self._history = ""
        self._ear: Ear | None = None
        self._missed = Changes.NONE
        self._gone: Failure | None = None
        self._gone_until = 0.0
        self._began: float | None = None
        self._asked = 0
        self._watching: asyncio.TimerHandle | None = None

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
        if self._watching is not None:
            self._watching.cancel()

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
        self._asked += 1
        if self._watching is None:
            self._watch()
        try:
            return await super()._run(call, *arguments)
        finally:
            self._asked -= 1

    def _watch(self) -> None:
        """Give up a server that says nothing, for as long as it is asked anything."""
        longest = self._patience * UNANSWERED
        began = self._began
        left = longest if began is None else began + longest - time.monotonic()
        if left <= 0:
            self._cut()
            left = longest
        # Not a timer for each call, of which there are thousands a second.
        again = asyncio.get_running_loop().call_later
        self._watching = again(left, self._watch) if self._asked else None

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
            prepared.prepare(connection)
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
        return prepared.look(self._server, key)

    def _written(self, change: Transaction, now: float) -> Sequence[rows.Row]:
        tokens = self._tokens(change)
        told = self._name if self._concerns_others(change, tokens) else None
        values = prepared.arguments(change, now, tokens, told)
        try:
            return self._tried(values)
        except psycopg.DatabaseError as error:
            if error.sqlstate == prepared.CONFLICT:
                raise Conflict(error.diag.message_primary) from None
            if error.sqlstate == prepared.LOST:
                raise LostLease(error.diag.message_primary) from None
            raise

    def _tokens(self, change: Transaction) -> Mapping[int, int]:
        if self.fence is None:
            return {}
        return self.fence((*change.owners, *((change.put.key,) if change.put else ())))

    def _concerns_others(self, change: Transaction, tokens: Mapping[int, int]) -> bool:
        """Whether another controller has to hear of what is sent.

        There is none beside one that is alone. Who takes a lease looks at all that is there, and
        cannot take one that this commit relies on before it was made.
        """
        if self._hold is Hold.ALONE:
            return False
        return any(shard_of(each.to) not in tokens for each in change.send)

    def _tried(self, values: Sequence[prepared.Argument]) -> Sequence[rows.Row]:
        """Commit, again if it met others in a way that passes."""
        for _ in range(TRIES - 1):
            with suppress(*RETRIED):
                return prepared.commit(self._server, values)
        return prepared.commit(self._server, values)

    def _rename(self, old: str, new: str) -> None:
        self._began = None  # it may take as long as there is much to rewrite
        super()._rename(old, new)

    def _touch(self) -> None:
        with self._writing(forced=True) as session:
            session.rows("SELECT pg_current_xact_id()")  # of no meaning; its commit is a write
