"""Both ends of a transfer, for a file of SQLite."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from controller.store.faults import explained, newer, older
from controller.store.migrations import HEAD, NewerSchema, migrate_database, version
from controller.store.rows import Row
from controller.store.transfer import StoredTable
from specs.failures import NeedsHuman

PATIENCE = 5.0
"""Seconds that it waits for a commit of another process."""


class SqliteTransfer:
    """Both ends, for a file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def stream(self, query: str) -> Iterator[Row]:
        """The rows that a query finds, a few at a time."""
        return iter(self._connection.execute(query))

    def last_number(self, table: str) -> int:
        """The last number that was given to a row of a table."""
        ask = "SELECT seq FROM sqlite_sequence WHERE name = ?"
        found = self._connection.execute(ask, (table,)).fetchone()
        return int(found[0]) if found else 0

    def clear(self, table: str) -> None:
        """Delete all rows."""
        self._connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names

    def insert(self, table: StoredTable, rows: Iterable[Row]) -> None:
        """Insert rows."""
        marks = ", ".join("?" * len(table.columns))
        columns = ", ".join(table.columns)
        self._connection.executemany(
            f"INSERT INTO {table.name} ({columns}) VALUES ({marks})",  # noqa: S608 - our own names
            rows,
        )

    def number_from(self, table: str, last: int) -> None:
        """The next row gets a number after that."""
        self._connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
        self._connection.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (table, last))


@contextmanager
def reading_file(path: Path) -> Iterator[SqliteTransfer]:
    """A snapshot of a file of this version's schema. Raises `Failure`."""
    try:
        address = f"file:{quote(str(path))}?mode=rw"
        with closing(
            sqlite3.connect(address, uri=True, timeout=PATIENCE, isolation_level=None)
        ) as connection:
            connection.execute("PRAGMA query_only = 1")
            connection.execute("BEGIN")
            found = version(connection) or ""
            if found > HEAD:
                raise newer(found, HEAD, path)
            if found < HEAD:
                raise older(path)
            yield SqliteTransfer(connection)
    except sqlite3.Error as error:
        raise explained(error, path) from error


@contextmanager
def writing_file(path: Path) -> Iterator[SqliteTransfer]:
    """A transaction over a file, which is made if there is none. Raises `Failure`."""
    try:
        path.touch(mode=0o600)
    except OSError as error:
        raise NeedsHuman(f"{path} cannot be written: {error.strerror}.") from None
    try:
        with closing(sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)) as connection:
            if version(connection) != HEAD:
                migrate_database(connection)
            connection.execute("BEGIN IMMEDIATE")
            yield SqliteTransfer(connection)
            connection.commit()
    except NewerSchema as error:
        raise newer(str(error), HEAD, path) from error
    except sqlite3.Error as error:
        raise explained(error, path) from error
