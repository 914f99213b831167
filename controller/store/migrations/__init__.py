"""Brings a database to the schema of this version, whatever older version wrote it."""

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg
    from alembic.config import Config
    from sqlalchemy import Connection

HEAD = "0005"
"""The newest revision in `versions/`."""
LOCKS = 0x48454144
"""The first number of PostgreSQL's advisory locks of Headgate: the letters of HEAD."""
MIGRATION = 2
"""The second number of that which a migration holds."""
_ONE_AT_A_TIME = f"SELECT pg_advisory_xact_lock({LOCKS}, {MIGRATION})"


class NewerSchema(Exception):  # noqa: N818 - the name says what is in the way
    """A newer version of Headgate wrote the database; `str()` is its schema's revision."""


def version(database: sqlite3.Connection) -> str | None:
    """The revision of the schema of a SQLite file; None for an empty one."""
    known = database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'alembic_version'")
    if known.fetchone() is None:
        return None
    found = database.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(found[0]) if found else None


def migrate_database(database: "sqlite3.Connection | psycopg.Connection[Any]") -> None:
    """Upgrade in one transaction, of one process at a time. Raises `NewerSchema`, and the errors of
    the driver."""
    # Only a database that is not up to date pays for the imports: half a second.
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import StaticPool

    of_sqlite = isinstance(database, sqlite3.Connection)
    url = "sqlite://" if of_sqlite else "postgresql+psycopg://"
    engine = create_engine(url, creator=lambda: database, poolclass=StaticPool)
    try:
        with engine.connect() as connection:
            # SQLAlchemy rolls back what began before it connected, so the transaction begins here.
            connection.exec_driver_sql("BEGIN IMMEDIATE" if of_sqlite else _ONE_AT_A_TIME)
            migrate(connection)
            connection.commit()
    except DBAPIError as error:
        raise (error.orig or error) from error


def migrate(connection: "Connection", to: str = HEAD) -> None:
    """Upgrade within the transaction that `connection` is in. Raises `NewerSchema`."""
    from alembic import command
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    found = MigrationContext.configure(connection).get_current_revision()
    if found == to:
        return
    settings = config(connection)
    known = {script.revision for script in ScriptDirectory.from_config(settings).walk_revisions()}
    if found is not None and found not in known:
        raise NewerSchema(found)
    command.upgrade(settings, to)


def config(connection: "Connection") -> "Config":
    """Alembic's settings, without a file."""
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    settings.attributes["connection"] = connection
    return settings
