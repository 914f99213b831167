"""Durable state in one SQLite file, shared by the processes of one machine.

What a commit survives: the write-ahead log holds it before `commit` returns, so `kill -9` loses
nothing. Against a power cut, a commit that saves an intent or a message is forced to the disk
(synchronous FULL) before `commit` returns, because its effects come next and would outlive it. A
commit that only acknowledges or postpones is not (NORMAL): if a power cut takes it, an action that
is safe to apply twice is applied twice. What is lost is lost from the end, so the file is always a
state that once was.
"""

import asyncio
import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

from controller.machine.core import Key
from controller.store import pruning, rows, statements
from controller.store.faults import explained, newer, older
from controller.store.migrations import HEAD, NewerSchema, migrate_database, version
from controller.store.protocol import (
    Conflict,
    Delivered,
    OutboxEntry,
    Put,
    Record,
    StoredObject,
    Transaction,
)
from controller.store.pruning import Pruned
from controller.store.remembered import Remembered
from controller.store.repository_renaming import rename
from specs.failures import Failure

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds that a commit waits for another process's commit before it is `TryAgain`."""


class SqliteStore:
    """A `Store` over one file: `await SqliteStore.open(path)`. On a local disk: SQLite's locks
    do not hold on network file systems.

    One thread of its own makes every call, in the order in which they were made.
    """

    def __init__(self, path: Path, patience: float = PATIENCE, *, upgrade: bool = True) -> None:
        self.path = path
        self._upgrade = upgrade
        self._patience = patience
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._synchronous = ""
        self._seen: int | None = None
        self._remembered = Remembered()
        self._connection: sqlite3.Connection
        self.calls = 0
        """How often its thread was asked, for those who measure."""
        self.unsaved: Failure | None = None
        """Why the latest commit was not saved; None if it was."""

    @classmethod
    async def open(cls, path: Path, patience: float = PATIENCE, *, upgrade: bool = True) -> Self:
        """Connect, and bring the schema to this version. The folder must exist.

        Without `upgrade`, for a process beside a controller that may be of an older version, a file
        of another schema is a failure: `TryAgain` or `NeedsHuman`.
        """
        store = cls(path, patience, upgrade=upgrade)
        try:
            await store._run(store._connect)
        except BaseException:
            store._thread.shutdown()
            raise
        return store

    async def close(self) -> None:
        """Finish what was begun and let go of the file."""
        try:
            await self._run(self._connection.close)
        finally:
            self._thread.shutdown()

    async def get(self, key: Key) -> Record | None:
        """The object, or None."""
        found = await self._select(statements.GET, *key)
        return rows.record(found[0]) if found else None

    async def get_all(self, kind: str, names: Collection[str]) -> Mapping[str, Record]:
        """The objects and facts of a kind that have one of these names, by name."""
        found = await self._select(statements.NAMED, kind, json.dumps([*names]))
        records = (rows.record(row) for row in found)
        return {record.key.name: record for record in records}

    async def load(self, key: Key) -> StoredObject:
        """The object, its inbox and its outbox. What is remembered is not read again; a commit of
        another process since then counts once `changed` has seen it."""
        known = self._remembered.get(key)
        return await self._run(self._look, key) if known is None else known

    async def list(
        self, kind: str, series: str = "", limit: int | None = None, *, live: bool = False
    ) -> Sequence[Record]:
        """Objects and facts of a kind, latest change first."""
        query = statements.LATEST[bool(series), live]
        found = await self._select(query, kind, series, -1 if limit is None else limit)
        return [rows.record(row) for row in found]

    async def commit(self, change: Transaction, now: float) -> tuple[OutboxEntry, ...]:
        """Save all of `change` or nothing; see `Store`."""
        return await self._save(self._commit, change, now)

    async def touch(self) -> None:
        """Write what is written already: whether anything can be saved. Raises as `commit`."""
        await self._save(self._touch)

    async def outbox(self, owner: Key | None = None) -> Sequence[OutboxEntry]:
        """The outbox, oldest first; of one object, or of all."""
        query = statements.OUTBOX_OF if owner else statements.OUTBOX
        found = await self._select(query, *(owner or ()))
        return [rows.outbox_entry(row) for row in found]

    async def inbox(self, to: Key | None = None) -> Sequence[Delivered]:
        """Messages that nobody consumed yet, oldest first; of one object, or of all."""
        found = await self._select(statements.INBOX_OF if to else statements.INBOX, *(to or ()))
        return [rows.delivered(row) for row in found]

    async def addressees(self) -> Sequence[Key]:
        """Whose inbox is not empty, the one with the oldest message first."""
        return [Key(*row) for row in await self._select(statements.ADDRESSEES)]

    async def set_aside(self) -> Sequence[Delivered]:
        """The messages that were set aside, oldest first."""
        return [rows.delivered(row) for row in await self._select(statements.ASIDE)]

    async def changed(self) -> bool:
        """True if another process has committed since the last call; cheap enough to poll."""
        return await self._run(self._changed)

    async def latest(self) -> float:
        """When an object was saved last, in seconds since the epoch; 0 if none ever was."""
        return await self._run(self._latest)

    async def prune(self, kind: str, before: float, spared: Collection[str] = ()) -> int:
        """Delete facts and resting objects of a kind that changed last before that time, and whose
        names are not `spared`; how many. The last run of each pipeline and the graphs of runs stay.
        """
        return await self._each_batch(
            lambda database, last: pruning.prune(database, kind, before, spared, last)
        )

    async def prune_messages(self, consumed: float, set_aside: float) -> int:
        """Forget messages consumed or set aside before these times; how many they were.

        With a message goes the memory that its id was delivered: keep them for as long as a
        sender may repeat itself.
        """
        return await self._each_batch(
            lambda database, _: pruning.prune_messages(database, consumed, set_aside)
        )

    async def rename_repository(self, old: str, new: str) -> None:
        """Call a repository otherwise in all that is stored. For a controller before its loop."""
        await self._save(self._rename, old, new)

    async def _each_batch(self, prune: Callable[[sqlite3.Connection, Pruned], Pruned]) -> int:
        """Repeat until it is done; what others ask of the store meanwhile comes in between."""
        deleted, batch = 0, Pruned()
        while not batch.done:
            batch = await self._run(self._prune, prune, batch)
            deleted += batch.deleted
        return deleted

    async def _select(self, query: str, *values: Any) -> Sequence[rows.Row]:
        return await self._run(lambda: self._connection.execute(query, values).fetchall())

    async def _save(self, call: Callable[..., T], *arguments: Any) -> T:
        try:
            saved = await self._run(call, *arguments)
        except Failure as failure:
            self.unsaved = failure
            raise
        self.unsaved = None
        return saved

    async def _run(self, call: Callable[..., T], *arguments: Any) -> T:
        self.calls += 1
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, self._explaining, call, arguments
        )

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
                with self._writing(forced=True):
                    migrate_database(database)
            self._changed()
        except BaseException:
            database.close()
            raise

    @contextmanager
    def _writing(self, *, forced: bool) -> Iterator[sqlite3.Connection]:
        """One transaction, forced to the disk or left to the write-ahead log."""
        synchronous = "FULL" if forced else "NORMAL"
        if synchronous != self._synchronous:
            self._connection.execute(f"PRAGMA synchronous = {synchronous}")
            self._synchronous = synchronous
        # The write lock comes first: taken later, it could be refused without any waiting.
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
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

    def _latest(self) -> float:
        ask, newest, kind = self._connection.execute, 0.0, ""
        # Kind by kind, each at the end of its part of an index.
        while (kind := ask(statements.NEXT_KIND, (kind,)).fetchone()[0]) is not None:
            (found,) = ask(statements.NEWEST, (kind,)).fetchone()
            newest = max(newest, found)
        return newest

    def _look(self, key: Key) -> StoredObject:
        ask = self._connection.execute
        ask("BEGIN")  # so that all are of one moment
        try:
            record = ask(statements.GET, key).fetchone()
            messages = ask(statements.INBOX_OF, key).fetchall()
            outbox = ask(statements.OUTBOX_OF, key).fetchall()
        finally:
            self._connection.rollback()
        found = StoredObject(
            record=rows.record(record) if record else None,
            inbox=tuple(map(rows.delivered, messages)),
            outbox=tuple(map(rows.outbox_entry, outbox)),
        )
        self._remembered.loaded(key, found)
        return found

    def _commit(self, change: Transaction, now: float) -> tuple[OutboxEntry, ...]:
        try:
            outbox = self._written(change, now)
        except BaseException:
            self._remembered.forget()  # of the object that was put, somebody else knew more
            raise
        self._remembered.committed(change, outbox, now)
        return outbox

    def _written(self, change: Transaction, now: float) -> tuple[OutboxEntry, ...]:
        outcome_only = change.put is None and bool(change.acknowledge or change.postpone)
        with self._writing(forced=not outcome_only) as connection:
            for key in change.absent:
                if connection.execute(statements.IS_THERE, key).fetchone():
                    raise Conflict(f"{key} is there")
            if change.put is not None:
                _put(connection, change.put, now)
            # Acknowledged before enqueued: what is withdrawn and wanted again is enqueued anew.
            for statement, parameters in (
                (statements.ACKNOWLEDGE, [(id_,) for id_ in change.acknowledge]),
                (statements.POSTPONE, [rows.postponed(each) for each in change.postpone]),
                (statements.FACT, [rows.fact_row(fact, now) for fact in change.facts]),
                (statements.ENQUEUE, [rows.outbox_row(entry) for entry in change.enqueue]),
                (statements.SEND, [rows.message_row(each, now) for each in change.send]),
                (statements.CONSUME, [(number, now) for number in change.consume]),
                (statements.SET_ASIDE, [rows.set_aside(one, now) for one in change.set_aside]),
            ):
                if parameters:
                    connection.executemany(statement, parameters)
            if change.put is None:
                return ()
            found = connection.execute(statements.OUTBOX_OF, change.put.key).fetchall()
        return rows.outbox_after(found, change.enqueue)

    def _touch(self) -> None:
        with self._writing(forced=False) as connection:
            connection.execute("PRAGMA user_version = 0")  # of no meaning; it is a write

    def _rename(self, old: str, new: str) -> None:
        with self._writing(forced=True) as connection:
            rename(connection, old, new)
        self._remembered.forget()

    def _prune(self, prune: Callable[[sqlite3.Connection, Pruned], Pruned], last: Pruned) -> Pruned:
        with self._writing(forced=False) as connection:
            return prune(connection, last)


def _hold_to_schema(found: str | None, path: Path) -> None:
    if found is None or found < HEAD:
        raise older(path)
    if found > HEAD:
        raise NewerSchema(found)


def _put(connection: sqlite3.Connection, put: Put, now: float) -> None:
    if put.revision == 0:
        done = connection.execute(statements.CREATE, rows.created(put, now))
    else:
        done = connection.execute(statements.REPLACE, rows.replaced(put, now))
    if done.rowcount != 1:
        raise Conflict(f"{put.key} is no longer at revision {put.revision}")
