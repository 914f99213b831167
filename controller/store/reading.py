"""Reads the state: what every store and every reader asks, and the reader of a SQLite file.

A command runs for a moment and asks two or three questions, so it needs neither a thread nor the
library that migrates.
"""

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from controller.machine.core import Key
from controller.store import rows, statements
from controller.store.faults import explained, newer, older
from controller.store.migrations import HEAD, version
from controller.store.protocol import Changes, Delivered, OutboxEntry, Record

PATIENCE = 5.0
"""Seconds that it waits for a commit of another process."""


class SqlReader(ABC):
    """The questions of a `StoreReader`, over any SQL database."""

    dialect: statements.Dialect

    @abstractmethod
    async def _select(self, query: str, *values: Any) -> Sequence[rows.Row]:
        """All that a query finds."""

    def _names(self, names: Collection[str]) -> Any:
        """Names as the one parameter that `dialect.named` takes."""
        return json.dumps([*names])

    async def get(self, key: Key) -> Record | None:
        """The object, or None."""
        found = await self._select(statements.GET, *key)
        return rows.record(found[0]) if found else None

    async def get_all(self, kind: str, names: Collection[str]) -> Mapping[str, Record]:
        """The objects and facts of a kind that have one of these names, by name."""
        found = await self._select(self.dialect.named, kind, self._names(names))
        records = (rows.record(row) for row in found)
        return {record.key.name: record for record in records}

    async def list(
        self, kind: str, series: str = "", limit: int | None = None, *, live: bool = False
    ) -> Sequence[Record]:
        """Objects and facts of a kind, latest change first."""
        query = self.dialect.latest[bool(series), live]
        values = (kind, series) if series else (kind,)
        found = await self._select(query, *values, statements.ALL if limit is None else limit)
        return [rows.record(row) for row in found]

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

    async def holders(self) -> Mapping[int, str]:
        """Which of several controllers holds each shard; empty where there are not several."""
        return dict(await self._select(self.dialect.holders))


class SqliteReader(SqlReader):
    """A `StoreReader` of one file: `SqliteReader.open(path)`. It changes nothing, and needs the
    schema of this version. It blocks: for a process that has nothing else to do."""

    dialect = statements.SQLITE

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

    async def changed(self) -> Changes:
        """Whether another process has committed since the last call."""
        before = self._seen
        ((self._seen,),) = self._ask("PRAGMA data_version")
        return Changes.NONE if self._seen == before else Changes.MESSAGES

    async def _select(self, query: str, *values: Any) -> Sequence[rows.Row]:
        return self._ask(query, *values)

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
