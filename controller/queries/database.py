"""Opens a database to read, and says in words what is wrong with it. Its address is told to nobody.

Versions and rows are read in one transaction that writes nothing. On PostgreSQL and SQLite it sees
the database as of one moment.
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

CONNECTING = 10
"""Seconds that a database may take to let somebody in."""
SNAPSHOTS: Final = ("postgresql", "sqlite")
"""Where all of a transaction sees the same moment."""
_ONLY_A_PERSON: Final = re.compile(
    r"authentication failed|no password supplied|does not exist|no pg_hba\.conf|permission denied"
    r"|syntax error|unknown (database|column|table)|access denied",
    re.IGNORECASE,
)
_OF_A_VALUE: Final = "22"
"""The class of PostgreSQL's errors that quote a value of a row."""
_DRIVERS: Final = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
}
"""What an address without a driver means here."""


def parsed(address: str) -> "URL":
    """The address, with the driver that is used. Raises NeedsHuman."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise NeedsHuman(
            "its secret holds no address of a database, such as "
            "postgresql://user:password@host/name or sqlite:////folder/file.db"
        ) from None
    url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
    if url.get_backend_name() != "sqlite":
        return url
    file = Path(url.database or "")
    if not file.is_absolute():
        raise NeedsHuman("the path of an SQLite file has to be absolute: sqlite:////folder/file.db")
    return url.set(database=str(file.resolve()))


def files_of(address: str) -> tuple[Path, ...]:
    """What of this machine has to be seen to read the database there: its file, or its socket."""
    url = parsed(address)
    if url.get_backend_name() == "sqlite":
        name = url.database or ""
        return tuple(p for p in (Path(name + end) for end in ("", "-wal", "-shm")) if p.exists())
    host = url.query.get("host", "")
    return (Path(host),) if isinstance(host, str) and host.startswith("/") else ()


def engine_of(url: "URL") -> "Engine":
    """An engine that keeps no connection. Raises NeedsHuman without a driver for it."""
    from sqlalchemy import create_engine
    from sqlalchemy.exc import NoSuchModuleError
    from sqlalchemy.pool import NullPool

    backend = url.get_backend_name()
    try:
        if backend == "sqlite":
            file = f"file:{quote(url.database or '')}?mode=ro"
            return create_engine("sqlite://", creator=lambda: _sqlite(file), poolclass=NullPool)
        more = {"connect_timeout": CONNECTING} if backend == "postgresql" else {}
        return create_engine(url, connect_args=more, poolclass=NullPool)
    except (NoSuchModuleError, ModuleNotFoundError):
        extra = "; pip install 'headgate[postgresql]' beside Headgate" * (backend == "postgresql")
        raise NeedsHuman(
            f"the driver for {url.drivername} is not installed where Headgate is{extra}"
        ) from None


@contextmanager
def reading(address: str, within: float | None = None) -> Iterator["Connection"]:
    """One transaction that only reads; each statement takes at most `within` seconds.

    Raises NeedsHuman, and TryAgain for a database that is away; none names the address.
    """
    from sqlalchemy.exc import SQLAlchemyError

    url = parsed(address)
    try:
        with engine_of(url).connect() as connection, _limits(connection, within):
            yield connection
    except Failure:
        raise
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise _explained(error, url, within) from None


@contextmanager
def _limits(connection: "Connection", within: float | None) -> Iterator[None]:
    """Within it the transaction has begun, and no statement writes or lasts longer."""
    backend = connection.dialect.name
    if backend == "postgresql":
        connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        said = ["SET LOCAL TIME ZONE 'UTC'"]
        said += [f"SET LOCAL statement_timeout = {round(within * 1000)}"] if within else []
        for each in said:
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
        file, uri=True, isolation_level=None, check_same_thread=False, timeout=CONNECTING
    )


def _only_here(action: int, *_about: object) -> int:
    """Other files than the database's are nobody's to read by it."""
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK


def _explained(error: Exception, url: "URL", within: float | None) -> Failure:
    """What a driver said, without the address."""
    cause: Any = getattr(error, "orig", None) or error
    text = " ".join(str(cause).split()) or type(cause).__name__
    for hidden in (url.password, quote(url.password or "", safe="")):
        text = text.replace(hidden, "***") if hidden else text
    state = str(getattr(cause, "sqlstate", None) or "")
    if state.startswith(_OF_A_VALUE):
        return NeedsHuman(
            f"the database refuses it: a value does not fit what the statement does with it "
            f"({type(cause).__name__}); which one is left out here, as it is data"
        )
    late = state == "57014" or text == "interrupted"
    if late and within:
        return TryAgain(f"the database did not answer within {duration(within)}")
    text = text[:500]
    away = type(error).__name__ in ("OperationalError", "InterfaceError", "TimeoutError")
    if url.get_backend_name() == "sqlite":
        away = "locked" in text or "busy" in text
    if away and _ONLY_A_PERSON.search(text) is None:
        return TryAgain(f"the database is away: {text}")
    return NeedsHuman(f"the database refuses it: {text}")
