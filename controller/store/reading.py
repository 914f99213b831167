"""The state in a SQLite file, for a command that only looks at it.

A command runs for a moment and asks two or three questions, so it needs neither a thread nor the
library that migrates.
"""

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from controller.machine.core import Key
from controller.store import rows, statements
from controller.store.faults import explained, newer, older
from controller.store.migrations import HEAD, version
from controller.store.protocol import Delivered, OutboxEntry, Record

PATIENCE = 5.0
"""Seconds that it waits for a commit of another process."""


class SqliteReader:
    """A `StoreReader` of one file: `SqliteReader.open(path)`. It changes nothing, and needs the
    schema of this version. It blocks: for a process that has nothing else to do."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._seen: int | None = None

    @classmethod
    def open(cls, path: Path) -> Self:
        """Connect to a file that is there. Raises what `Store` raises."""
        try:
            connection = sqlite3.connect(
                f"file:{quote(str(path))}?mode=rw", uri=True, timeout=PATIENCE, isolation_level=None
            )
        except sqlite3.Error as error:
            raise explained(error, path) from error
        reader = cls(path, connection)
        try:
            reader._begin()
        except BaseException:
            connection.close()
            raise
        return reader

    async def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    async def get(self, key: Key) -> Record | None:
        """The object, or None."""
        found = self._ask(statements.GET, *key)
        return rows.record(found[0]) if found else None

    async def get_all(self, kind: str, names: Collection[str]) -> Mapping[str, Record]:
        """The objects and facts of a kind that have one of these names, by name."""
        found = self._ask(statements.NAMED, kind, json.dumps([*names]))
        records = (rows.record(row) for row in found)
        return {record.key.name: record for record in records}

    async def list(
        self, kind: str, series: str = "", limit: int | None = None, *, live: bool = False
    ) -> Sequence[Record]:
        """Objects and facts of a kind, latest change first."""
        query = statements.LATEST[bool(series), live]
        found = self._ask(query, kind, series, -1 if limit is None else limit)
        return [rows.record(row) for row in found]

    async def outbox(self, owner: Key | None = None) -> Sequence[OutboxEntry]:
        """The outbox, oldest first; of one object, or of all."""
        found = self._ask(statements.OUTBOX_OF if owner else statements.OUTBOX, *(owner or ()))
        return [rows.outbox_entry(row) for row in found]

    async def inbox(self, to: Key | None = None) -> Sequence[Delivered]:
        """Messages that nobody consumed yet, oldest first; of one object, or of all."""
        found = self._ask(statements.INBOX_OF if to else statements.INBOX, *(to or ()))
        return [rows.delivered(row) for row in found]

    async def addressees(self) -> Sequence[Key]:
        """Whose inbox is not empty, the one with the oldest message first."""
        return [Key(*row) for row in self._ask(statements.ADDRESSEES)]

    async def set_aside(self) -> Sequence[Delivered]:
        """The messages that were set aside, oldest first."""
        return [rows.delivered(row) for row in self._ask(statements.ASIDE)]

    async def changed(self) -> bool:
        """True if another process has committed since the last call."""
        before = self._seen
        ((self._seen,),) = self._ask("PRAGMA data_version")
        return self._seen != before

    def _begin(self) -> None:
        self._ask("PRAGMA query_only = 1")
        with self._explaining():
            found = version(self._connection) or ""
        if found > HEAD:  # numbers of four digits
            raise newer(found, HEAD, self._path)
        if found < HEAD:
            raise older(self._path)

    def _ask(self, query: str, *values: Any) -> Sequence[rows.Row]:
        with self._explaining():
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise explained(error, self._path) from error
