"""Opens databases for reading, and explains their errors without revealing the address.

Versions and rows are read in one read-only transaction. On PostgreSQL and SQLite, that sees a
snapshot of the database.
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from specs.failures import Failure, NeedsHuman, TryAgain
from specs.figures import duration

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

CONNECT_TIMEOUT = 10
"""Seconds that connecting may take."""
SNAPSHOTS: Final = ("postgresql", "sqlite")
"""Databases whose transactions see one snapshot."""
_FILES: Final = {"sqlite": ("", "-wal", "-shm"), "duckdb": ("", ".wal")}
"""Databases that are files, and the endings of all their files."""
_ONLY_A_PERSON: Final = re.compile(
    r"authentication failed|no password supplied|does not exist|no pg_hba\.conf|permission denied"
    r"|syntax error|unknown (database|column|table)|access denied",
    re.IGNORECASE,
)
_OF_A_VALUE: Final = "22"
"""The class of PostgreSQL's error codes whose messages quote a value of a row."""
_DRIVERS: Final = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
}
"""The drivers for addresses that name none."""


def parse_address(address: str) -> "URL":
    """Parse an address and choose its driver. Raises `NeedsHuman`."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise NeedsHuman(
            "the secret is not the address of a database; set it to one such as "
            "postgresql://user:password@host/name or sqlite:////folder/file.db"
        ) from None
    url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
    backend = url.get_backend_name()
    if backend not in _FILES:
        return url
    file = Path(url.database or "")
    if not file.is_absolute():
        raise NeedsHuman(f"the path of a file must be absolute, as in {backend}:////folder/file.db")
    return url.set(database=str(file.resolve()))


def files_of(address: str) -> tuple[Path, ...]:
    """The files of this machine that are needed to read the database: its file or its socket."""
    url = parse_address(address)
    ends = _FILES.get(url.get_backend_name())
    if ends is not None:
        name = url.database or ""
        return tuple(p for p in (Path(name + end) for end in ends) if p.exists())
    host = url.query.get("host", "")
    return (Path(host),) if isinstance(host, str) and host.startswith("/") else ()


def engine_of(url: "URL") -> "Engine":
    """An engine without a connection pool. Raises `NeedsHuman` if there is no driver for it."""
    from sqlalchemy import create_engine
    from sqlalchemy.exc import NoSuchModuleError
    from sqlalchemy.pool import NullPool

    backend = url.get_backend_name()
    try:
        if backend == "sqlite":
            file = f"file:{quote(url.database or '')}?mode=ro"
            return create_engine("sqlite://", creator=lambda: _sqlite(file), poolclass=NullPool)
        more = {"connect_timeout": CONNECT_TIMEOUT} if backend == "postgresql" else {}
        return create_engine(url, connect_args=more, poolclass=NullPool)
    except (NoSuchModuleError, ModuleNotFoundError):
        extra = ": pip install 'headgate[postgresql]'" * (backend == "postgresql")
        raise NeedsHuman(
            f"the driver for {url.drivername} is not installed beside Headgate{extra}"
        ) from None


@contextmanager
def read_transaction(address: str, within: float | None = None) -> Iterator["Connection"]:
    """A read-only transaction in which each statement may take at most `within` seconds.

    Raises `NeedsHuman`, and `TryAgain` for an unreachable database; neither names the address.
    """
    from sqlalchemy.exc import SQLAlchemyError

    url = parse_address(address)
    try:
        with engine_of(url).connect() as connection, _limits(connection, within):
            yield connection
    except Failure:
        raise
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise _explained(error, url, within) from None


@contextmanager
def _limits(connection: "Connection", within: float | None) -> Iterator[None]:
    """Begin the transaction, and keep statements from writing and from exceeding the time."""
    backend = connection.dialect.name
    if backend == "postgresql":
        connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        settings = ["SET LOCAL TIME ZONE 'UTC'"]
        settings += [f"SET LOCAL statement_timeout = {round(within * 1000)}"] if within else []
        for each in settings:
            connection.exec_driver_sql(each)
    timer = None
    if backend == "sqlite":
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        connection.exec_driver_sql("BEGIN")
        raw.set_authorizer(_only_here)
        if within:
            timer = Timer(within, raw.interrupt)
            timer.daemon = True
            timer.start()
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()


def _sqlite(file: str) -> sqlite3.Connection:
    return sqlite3.connect(
        file, uri=True, isolation_level=None, check_same_thread=False, timeout=CONNECT_TIMEOUT
    )


def _only_here(action: int, *_about: object) -> int:
    """Forbids ATTACH, by which a statement could read other files."""
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK


def _explained(error: Exception, url: "URL", within: float | None) -> Failure:
    """The failure for a driver's error, without the address."""
    cause: Any = getattr(error, "orig", None) or error
    text = " ".join(str(cause).split()) or type(cause).__name__
    for hidden in (url.password, quote(url.password or "", safe="")):
        text = text.replace(hidden, "***") if hidden else text
    state = str(getattr(cause, "sqlstate", None) or "")
    if state.startswith(_OF_A_VALUE):
        return NeedsHuman(
            "the database reports an error: a value does not fit an operation of the statement "
            f"({type(cause).__name__}; the value is omitted here, as it is data)"
        )
    timed_out = state == "57014" or text == "interrupted"
    if timed_out and within:
        return TryAgain(f"the database did not answer within {duration(within)}")
    text = text[:500]
    passing = type(error).__name__ in ("OperationalError", "InterfaceError", "TimeoutError")
    if url.get_backend_name() == "sqlite":
        passing = "locked" in text or "busy" in text
    if passing and _ONLY_A_PERSON.search(text) is None:
        return TryAgain(f"the database is unreachable: {text}")
    return NeedsHuman(f"the database reports an error: {text}")
