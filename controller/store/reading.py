"""The state in a SQLite file, for a command that only looks at it.

A command runs for a moment and asks two or three questions; SQLAlchemy, with which the controller
keeps the state, takes longer to import than they take to answer. So they are asked of sqlite3.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self
from urllib.parse import quote

from controller.machine.core import Key
from controller.store import rows
from controller.store.faults import explained, newer, older
from controller.store.migrations import HEAD
from controller.store.protocol import Delivered, OutboxEntry, Record

PATIENCE = 5.0
"""Seconds that it waits for a commit of another process."""


_GET = "SELECT * FROM objects WHERE kind = ? AND name = ?"
_LATEST = "SELECT * FROM objects WHERE kind = ?1"
_OF_SERIES = " AND series = ?2"
_LIVE = " AND live = 1"
_ORDER = " ORDER BY updated DESC, name DESC LIMIT ?3"
_OUTBOX = "SELECT * FROM outbox"
_INBOX = "SELECT * FROM messages WHERE consumed IS NULL AND set_aside IS NULL"
_ASIDE = "SELECT * FROM messages WHERE consumed IS NULL AND set_aside IS NOT NULL"
_BY_NUMBER = " ORDER BY number"


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
        found = self._ask(_GET, key.kind, key.name)
        return rows.record(found[0]) if found else None

    async def list(
        self, kind: str, series: str = "", limit: int | None = None, *, live: bool = False
    ) -> Sequence[Record]:
        """Objects and facts of a kind, latest change first."""
        query = _LATEST + _OF_SERIES * bool(series) + _LIVE * live + _ORDER
        found = self._ask(query, kind, series, -1 if limit is None else limit)
        return [rows.record(row) for row in found]

    async def outbox(self, owner: Key | None = None) -> Sequence[OutboxEntry]:
        """The outbox, oldest first; of one object, or of all."""
        of = " WHERE owner_kind = ? AND owner_name = ?" if owner else ""
        found = self._ask(_OUTBOX + of + _BY_NUMBER, *(owner or ()))
        return [rows.outbox_entry(row) for row in found]

    async def inbox(self, to: Key | None = None) -> Sequence[Delivered]:
        """Messages that nobody consumed yet, oldest first; of one object, or of all."""
        of = " AND to_kind = ? AND to_name = ?" if to else ""
        found = self._ask(_INBOX + of + _BY_NUMBER, *(to or ()))
        return [rows.delivered(row) for row in found]

    async def set_aside(self) -> Sequence[Delivered]:
        """The messages that were set aside, oldest first."""
        return [rows.delivered(row) for row in self._ask(_ASIDE + _BY_NUMBER)]

    async def changed(self) -> bool:
        """True if another process has committed since the last call."""
        (version,) = self._ask("PRAGMA data_version")
        before, self._seen = self._seen, version.data_version
        return self._seen != before

    def _begin(self) -> None:
        self._connection.row_factory = _row
        self._ask("PRAGMA query_only = 1")
        known = self._ask("SELECT 1 FROM sqlite_schema WHERE name = 'alembic_version'")
        (found,) = self._ask("SELECT version_num FROM alembic_version") if known else (None,)
        version = found.version_num if found is not None else ""
        if version > HEAD:  # numbers of four digits
            raise newer(version, HEAD, self._path)
        if version < HEAD:
            raise older(self._path)

    def _ask(self, query: str, *values: Any) -> Sequence[Any]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise explained(error, self._path) from error


def _row(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> SimpleNamespace:
    return SimpleNamespace(
        **{column[0]: value for column, value in zip(cursor.description, values, strict=True)}
    )
