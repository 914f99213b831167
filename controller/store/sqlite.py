"""Durable state in one SQLite file, shared by the processes of one machine.

What a commit survives: the write-ahead log holds it before `commit` returns, so `kill -9` loses
nothing. Against a power cut, a commit that saves an intent or a message is forced to the disk
(synchronous FULL) before `commit` returns, because its effects come next and would outlive it. A
commit that only acknowledges or postpones is not (NORMAL): if a power cut takes it, an action that
is safe to apply twice is applied twice. What is lost is lost from the end, so the file is always a
state that once was.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

from controller.machine.core import Key
from controller.store import rows, statements
from controller.store.database import DatabaseStore, is_outcome
from controller.store.faults import explained, newer, older
from controller.store.migrations import HEAD, NewerSchema, migrate_database, version
from controller.store.protocol import Changes, Conflict, Transaction

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds that a commit waits for another process's commit before it is `TryAgain`."""


class SqliteSession:
    """A `StoreSession` of a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, query: str, *values: Any) -> Sequence[rows.Row]:
        """All that a query finds."""
        return self._connection.execute(query, values).fetchall()

    def run(self, query: str, *values: Any) -> int:
        """Run a statement; how many rows it changed."""
        return self._connection.execute(query, values).rowcount

    def each(self, query: str, parameters: Iterable[Sequence[Any]]) -> None:
        """Run a statement with each of these rows of parameters."""
        self._connection.executemany(query, parameters)


class SqliteStore(DatabaseStore):
    """A `Store` over one file: `await SqliteStore.open(path)`. On a local disk: SQLite's locks
    do not hold on network file systems."""

    dialect = statements.SQLITE

    def __init__(self, path: Path, patience: float = PATIENCE, *, upgrade: bool = True) -> None:
        super().__init__()
        self.path = path
        self._upgrade = upgrade
        self._patience = patience
        self._synchronous = ""
        self._seen: int | None = None
        self._connection: sqlite3.Connection

    @classmethod
    async def open(cls, path: Path, patience: float = PATIENCE, *, upgrade: bool = True) -> Self:
        """Connect, and bring the schema to this version. The folder must exist.

        Without `upgrade`, for a process beside a controller that may be of an older version, a file
        of another schema is a failure: `TryAgain` or `NeedsHuman`.
        """
        return await cls(path, patience, upgrade=upgrade)._opened()

    async def changed(self) -> Changes:
        """Whether another process has committed since the last call; cheap enough to poll."""
        return Changes.MESSAGES if await self._run(self._changed) else Changes.NONE

    async def hear(self, within: float) -> Changes:
        """The same after `within` seconds: a file tells nobody that it was changed."""
        await asyncio.sleep(within)
        return await self.changed()

    # Below, everything runs in the store's own thread.

    def _explaining(self, call: Callable[..., T], arguments: Sequence[Any]) -> T:
        try:
            return call(*arguments)
        except sqlite3.Error as error:
            raise explained(error, self.path) from error
        except NewerSchema as error:
            raise newer(str(error), HEAD, self.path) from error

    def _connect(self) -> None:
        with suppress(OSError):  # SQLite says what is wrong with the file
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            for end in ("", "-wal", "-shm"):  # those that it makes have the mode of the first
                Path(f"{self.path}{end}").chmod(0o600)
        # No transactions but those that `_writing` begins.
        database = sqlite3.connect(self.path, timeout=self._patience, isolation_level=None)
        self._connection = database
        try:
            database.execute("PRAGMA journal_mode = WAL")
            if version(database) != HEAD:
                if not self._upgrade:
                    _hold_to_schema(version(database), self.path)
                migrate_database(database)
            self._changed()
        except BaseException:
            database.close()
            raise

    def _disconnect(self) -> None:
        self._connection.close()

    @contextmanager
    def _writing(self, *, forced: bool) -> Iterator[SqliteSession]:
        """One transaction, forced to the disk or left to the write-ahead log."""
        synchronous = "FULL" if forced else "NORMAL"
        if synchronous != self._synchronous:
            self._connection.execute(f"PRAGMA synchronous = {synchronous}")
            self._synchronous = synchronous
        # The write lock comes first: taken later, it could be refused without any waiting.
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield SqliteSession(self._connection)
            self._connection.commit()
        except BaseException:
            self._connection.rollback()
            raise

    def _changed(self) -> bool:
        before = self._seen
        (self._seen,) = self._connection.execute("PRAGMA data_version").fetchone()
        if self._seen != before:
            self._remembered.forget()
        return self._seen != before

    def _rows(self, query: str, *values: Any) -> Sequence[rows.Row]:
        return self._connection.execute(query, values).fetchall()

    def _look(self, key: Key) -> Sequence[Sequence[rows.Row]]:
        ask = self._connection.execute
        ask("BEGIN")  # so that all are of one moment
        try:
            every = (statements.GET, statements.INBOX_OF, statements.OUTBOX_OF)
            return [ask(query, key).fetchall() for query in every]
        finally:
            self._connection.rollback()

    def _written(self, change: Transaction, now: float) -> Sequence[rows.Row]:
        with self._writing(forced=not is_outcome(change)) as session:
            for key in change.absent:
                if session.rows(statements.IS_THERE, *key):
                    raise Conflict(f"{key} is there")
            if change.put is not None:
                statement, values = statements.put(change.put, now)
                if session.run(statement, *values) != 1:
                    raise Conflict(
                        f"{change.put.key} is no longer at revision {change.put.revision}"
                    )
            for statement, parameters in statements.of(change, now):
                session.each(statement, parameters)
            if change.put is None:
                return ()
            return session.rows(statements.OUTBOX_OF, *change.put.key)

    def _touch(self) -> None:
        with self._writing(forced=False) as session:
            session.run("PRAGMA user_version = 0")  # of no meaning; it is a write


def _hold_to_schema(found: str | None, path: Path) -> None:
    if found is None or found < HEAD:
        raise older(path)
    if found > HEAD:
        raise NewerSchema(found)
