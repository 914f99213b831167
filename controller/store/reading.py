"""The state in a SQLite file, for a command that only looks at it.

A command runs for a moment and asks two or three questions; SQLAlchemy, with which the controller
keeps the state, takes longer to import than they take to answer. So they are asked of sqlite3.
"""

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
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
_NAMED = "SELECT * FROM objects WHERE kind = ? AND name IN (SELECT value FROM json_each(?))"
_ALL = """
SELECT * FROM objects WHERE kind = ?1 AND substr(name, 1, length(?2)) = ?2
ORDER BY updated DESC, name DESC LIMIT ?3"""
_LIVE = """
SELECT * FROM objects WHERE kind = ?1 AND substr(name, 1, length(?2)) = ?2 AND live = 1
ORDER BY updated DESC, name DESC LIMIT ?3"""
_OUTBOX = """
SELECT * FROM outbox WHERE ?1 IS NULL OR (owner_kind = ?1 AND owner_name = ?2) ORDER BY number"""
_INBOX = """
SELECT * FROM messages WHERE consumed IS NULL AND set_aside IS NULL
AND (?1 IS NULL OR (to_kind = ?1 AND to_name = ?2)) ORDER BY number"""

_ASIDE = "SELECT * FROM messages WHERE set_aside IS NOT NULL ORDER BY number"


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

    async def get_all(self, kind: str, names: Collection[str]) -> Mapping[str, Record]:
        """The objects and facts of a kind that have one of these names, by name."""
        found = self._ask(_NAMED, kind, json.dumps([*names]))
        return {row.name: rows.record(row) for row in found}

    async def list(
        self, kind: str, prefix: str = "", limit: int | None = None, *, live: bool = False
    ) -> Sequence[Record]:
        """Objects and facts of a kind, latest change first."""
        most = -1 if limit is None else limit
        found = self._ask(_LIVE if live else _ALL, kind, prefix, most)
        return [rows.record(row) for row in found]

    async def outbox(self, owner: Key | None = None) -> Sequence[OutboxEntry]:
        """The outbox, oldest first; of one object, or of all."""
        found = self._ask(_OUTBOX, *_named(owner))
        return [rows.outbox_entry(row) for row in found]

    async def inbox(self, to: Key | None = None) -> Sequence[Delivered]:
        """Messages that nobody consumed yet, oldest first; of one object, or of all."""
        found = self._ask(_INBOX, *_named(to))
        return [rows.delivered(row) for row in found]

    async def set_aside(self) -> Sequence[Delivered]:
        """The messages that were set aside, oldest first."""
        return [rows.delivered(row) for row in self._ask(_ASIDE)]

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


def _named(key: Key | None) -> tuple[str | None, ...]:
    return (None, None) if key is None else (key.kind, key.name)


def _row(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> SimpleNamespace:
    return SimpleNamespace(
        **{column[0]: value for column, value in zip(cursor.description, values, strict=True)}
    )
