"""The state in a database of PostgreSQL, for a command that only looks at it."""

from collections.abc import Collection, Sequence
from typing import Any, Self

import psycopg

from controller.store import postgres_connection as server
from controller.store import rows, statements
from controller.store.addresses import PostgresAddress
from controller.store.migrations import HEAD, NewerSchema
from controller.store.postgres_connection import Connection, spelled
from controller.store.postgres_faults import explained, newer
from controller.store.protocol import Changes
from controller.store.reading import SqlReader

PATIENCE = 10.0
"""Seconds that a question may take."""


class PostgresReader(SqlReader):
    """A `StoreReader` of one database: `PostgresReader.open(address)`. It changes nothing, and
    needs the schema of this version. It blocks: for a process that has nothing else to do."""

    dialect = statements.POSTGRESQL

    def __init__(self, address: PostgresAddress, connection: Connection) -> None:
        self._address = address
        self._connection = connection
        self._seen = ""

    @classmethod
    def open(cls, address: PostgresAddress) -> Self:
        """Connect. Raises what `Store` raises."""
        try:
            # A standby that can be read will do.
            anywhere = {"target_session_attrs": "any", **address.parameters}
            connection = server.connect(PostgresAddress(anywhere), PATIENCE, "headgate reader")
        except psycopg.Error as error:
            raise explained(error, address) from error
        reader = cls(address, connection)
        try:
            connection.execute("SET default_transaction_read_only = on")
            server.hold_to_schema(connection, address)
        except BaseException as error:
            connection.close()
            if isinstance(error, NewerSchema):
                raise newer(str(error), HEAD, address) from error
            if isinstance(error, psycopg.Error):
                raise explained(error, address) from error
            raise
        return reader

    async def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    async def changed(self) -> Changes:
        """Whether another process, perhaps of another database, has committed since."""
        before = self._seen
        ((self._seen,),) = await self._select("SELECT pg_current_snapshot()::text")
        return Changes.NONE if self._seen == before else Changes.MESSAGES

    def _names(self, names: Collection[str]) -> Any:
        return [*names]

    async def _select(self, query: str, *values: Any) -> Sequence[rows.Row]:
        try:
            return self._connection.execute(spelled(query), values).fetchall()
        except psycopg.Error as error:
            raise explained(error, self._address) from error
