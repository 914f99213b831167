"""Both ends of a transfer, for a database of PostgreSQL."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from uuid import uuid4

import psycopg

from controller.store import postgres_connection as server
from controller.store.addresses import PostgresAddress
from controller.store.migrations import HEAD, NewerSchema
from controller.store.postgres_connection import Connection
from controller.store.postgres_faults import explained, newer
from controller.store.rows import Row
from controller.store.transfer import BATCH, StoredTable


class PostgresTransfer:
    """Both ends, for a connection in a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._numbers = count()

    def stream(self, query: str) -> Iterator[Row]:
        """The rows that a query finds, a few at a time."""
        with self._connection.cursor(f"stream{next(self._numbers)}") as cursor:
            cursor.itersize = BATCH
            cursor.execute(query.encode())
            yield from cursor

    def last_number(self, table: str) -> int:
        """The last number that was given to a row of a table."""
        found = self._connection.execute(
            f"SELECT last_value, is_called FROM {table}_number_seq"  # noqa: S608 - our own names
        ).fetchone()
        assert found is not None
        return int(found[0]) if found[1] else 0

    def clear(self, table: str) -> None:
        """Delete all rows."""
        self._connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names

    def insert(self, table: StoredTable, rows: Iterable[Row]) -> None:
        """Insert rows."""
        into = f"COPY {table.name} ({', '.join(table.columns)}) FROM STDIN"
        with self._connection.cursor() as cursor, cursor.copy(into.encode()) as copying:
            for row in rows:
                copying.write_row(row)

    def number_from(self, table: str, last: int) -> None:
        """The next row gets a number after that."""
        self._connection.execute(
            "SELECT setval(%s, %s, %s)", (f"{table}_number_seq", max(last, 1), last > 0)
        )


@contextmanager
def reading(address: PostgresAddress, *, sole: bool) -> Iterator[PostgresTransfer]:
    """A snapshot of a database of this version's schema; if `sole`, of one that no controller has
    meanwhile. Raises `Failure`."""
    with _connected(address, sole=sole) as connection:
        server.hold_to_schema(connection, address)
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield PostgresTransfer(connection)


@contextmanager
def writing(address: PostgresAddress) -> Iterator[PostgresTransfer]:
    """A transaction over a database that no controller has meanwhile; it gets its tables if it has
    none. Raises `Failure`."""
    with _connected(address, sole=True) as connection:
        server.upgrade(address, "headgate-transfer")
        with server.transaction(connection):
            yield PostgresTransfer(connection)


@contextmanager
def _connected(address: PostgresAddress, *, sole: bool) -> Iterator[Connection]:
    try:
        name = f"headgate-transfer {uuid4().hex[:12]}"
        connection = server.connect(address, 0, name)
        try:
            if sole:
                server.hold(connection, address, name)
            yield connection
        finally:
            connection.close()
    except NewerSchema as error:
        raise newer(str(error), HEAD, address) from error
    except psycopg.Error as error:
        raise explained(error, address) from error
