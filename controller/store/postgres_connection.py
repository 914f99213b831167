"""Connections to PostgreSQL: how they are made, what they hold, and what a session can do."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import psycopg

from controller.store.addresses import PostgresAddress
from controller.store.migrations import HEAD, LOCKS, NewerSchema, migrate_database
from controller.store.postgres_faults import held, older
from controller.store.rows import Row
from specs.failures import NeedsHuman

Connection = psycopg.Connection[Row]

CONNECT_TIMEOUT = 5
"""Seconds that connecting may take."""
_SILENT = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""After how long a server that vanished without a word counts as gone."""
CONTROLLER = 1
"""The second number of the advisory lock of a controller."""
FACTS = 0x47415445
"""The same for the facts, which are locked by the hash of their keys: the letters of GATE."""


@cache
def spelled(query: str) -> str:
    """A query with psycopg's parameters."""
    return query.replace("?", "%s")


class PostgresSession:
    """A `StoreSession` of a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, query: str, *values: Any) -> Sequence[Row]:
        """All that a query finds."""
        return self._connection.execute(spelled(query), values).fetchall()

    def run(self, query: str, *values: Any) -> int:
        """Run a statement; how many rows it changed."""
        return self._connection.execute(spelled(query), values).rowcount

    def each(self, query: str, parameters: Iterable[Sequence[Any]]) -> None:
        """Run a statement with each of these rows of parameters."""
        with self._connection.cursor() as cursor:
            cursor.executemany(spelled(query), parameters)


def connect(
    address: PostgresAddress, patience: float, name: str, *, autocommit: bool = True
) -> Connection:
    """Connect. A statement may take `patience` seconds; `name` is what the server shows."""
    given = {
        "connect_timeout": CONNECT_TIMEOUT,
        "target_session_attrs": "read-write",  # of several hosts, that which is no standby
        **_SILENT,
        "application_name": name,
        **address.parameters,
        "client_encoding": "utf8",
    }
    connection: Connection = psycopg.connect(**given, autocommit=True)  # type: ignore[arg-type]  # libpq's own names
    try:
        milliseconds = round(patience * 1000)
        # Together in one round trip. A server notices by itself, too, that a client is gone.
        connection.execute(
            f"SET statement_timeout = {milliseconds}; SET lock_timeout = {milliseconds}; "
            f"SET idle_in_transaction_session_timeout = {milliseconds}; "
            "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; "
            "SET tcp_keepalives_count = 3"
        )
        connection.autocommit = autocommit
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: Connection, begin: str = "BEGIN") -> Iterator[PostgresSession]:
    """A transaction of a connection that is in none."""
    connection.execute(begin)
    try:
        yield PostgresSession(connection)
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise


def roll_back(connection: Connection) -> None:
    """End a transaction, if the connection is there to hear of it."""
    if not connection.closed:
        connection.execute("ROLLBACK")


def schema_of(connection: Connection) -> str | None:
    """The revision of the schema; None for a database that has none."""
    if connection.execute("SELECT to_regclass('alembic_version')").fetchall() == [(None,)]:
        return None
    found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(found[0]) if found else None


def hold_to_schema(connection: Connection, address: PostgresAddress) -> None:
    """Raise what is wrong with a schema that is not that of this version."""
    found = schema_of(connection)
    if found is None or found < HEAD:  # numbers of four digits
        raise older(address)
    if found > HEAD:
        raise NewerSchema(found)


def upgrade(address: PostgresAddress, name: str) -> None:
    """Bring the schema to this version, one process at a time. A migration takes the time that it
    takes. Raises `NewerSchema`, and `NeedsHuman` for a database that is no home for text."""
    with connect(address, 0, name, autocommit=False) as connection:
        ((encoding,),) = connection.execute("SHOW server_encoding").fetchall()
        if encoding != "UTF8":
            raise NeedsHuman(
                f"State in {address}: the database is encoded in {encoding}, which cannot hold "
                "every text. Create one with `ENCODING 'UTF8'`."
            )
        migrate_database(connection)


def hold(connection: Connection, address: PostgresAddress, name: str) -> None:
    """Be the one controller of the database for as long as the connection lasts.

    What is written is written over this connection, so another controller can begin only when this
    one can write no more. Raises `TryAgain` if there is another.
    """
    ask = "SELECT pg_try_advisory_lock(%s, %s)"
    if connection.execute(ask, (LOCKS, CONTROLLER)).fetchall() == [(True,)]:
        return
    # Perhaps the server has not noticed yet that our own former connection is gone.
    connection.execute(
        "SELECT pg_terminate_backend(pid, 2000) FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE locktype = 'advisory' AND classid::bigint = %s AND objid = %s AND granted "
        "AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND application_name = %s",
        (LOCKS, CONTROLLER, name),
    ).fetchall()
    if connection.execute(ask, (LOCKS, CONTROLLER)).fetchall() != [(True,)]:
        raise held(address)


def history_of(connection: Connection) -> str:
    """What is another one after a fail-over, or in another database: then the last commits may be
    lost. After a mere restart it is the same."""
    found = connection.execute(
        "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8), system_identifier, "
        "(SELECT oid FROM pg_database WHERE datname = current_database()) FROM pg_control_system()"
    ).fetchone()
    return str(found)
