"""Brings a database to the schema of this version, whatever older version wrote it."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

HEAD = "0003"
"""The newest revision in `versions/`."""


class NewerSchema(Exception):  # noqa: N818 - the name says what is in the way
    """A newer version of Headgate wrote the database; `str()` is its schema's revision."""


def version(connection: "Connection") -> str | None:
    """The revision of the database's schema; None for an empty one."""
    from sqlalchemy import inspect, text

    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def migrate(connection: "Connection", to: str = HEAD) -> None:
    """Upgrade within the transaction that `connection` is in. Raises `NewerSchema`."""
    found = version(connection)
    if found == to:
        return
    # Only a database that is not up to date pays for the import: half a second.
    from alembic import command
    from alembic.script import ScriptDirectory

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
