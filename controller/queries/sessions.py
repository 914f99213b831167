"""Opens a database by its address."""

from collections.abc import Iterator
from contextlib import contextmanager

from controller.queries.database import parse_address, read_transaction
from controller.queries.duckdb_file import DUCKDB, duckdb_session
from controller.queries.session import Session
from controller.queries.sql_session import SqlSession


@contextmanager
def open_session(address: str, within: float | None = None) -> Iterator[Session]:
    """A session in which each statement may take at most `within` seconds.

    Raises `NeedsHuman`, and `TryAgain` for an unreachable database; neither names the address.
    """
    url = parse_address(address)
    if url.get_backend_name() == DUCKDB:
        with duckdb_session(url.database or "", within) as session:
            yield session
    else:
        with read_transaction(address, within) as connection:
            yield SqlSession(connection)
