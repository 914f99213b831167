"""Where the state is: a file of SQLite, or a database of PostgreSQL."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from controller.config.secrets import Secrets
from controller.config.settings import Settings, is_store
from controller.config.settings_file import load_secrets
from specs.failures import NeedsHuman

_WHOLE = re.compile(r"\$\{\w+\}")
DRIVER = "pip install 'headgate[postgresql]'"


class PostgresAddress(NamedTuple):
    """A database of PostgreSQL, as libpq is told of it."""

    parameters: dict[str, str]
    """The connection's parameters by libpq's names, with the password."""

    def __str__(self) -> str:
        """For people, without user and password."""
        known = self.parameters
        at = ",".join(
            f"{host}:{port}" if port else host
            for host, port in zip(
                known.get("host", "localhost").split(","), _ports(known), strict=True
            )
        )
        return f"PostgreSQL {at}/{known.get('dbname', known.get('user', ''))}"

    def __repr__(self) -> str:
        return str(self)


Address = Path | PostgresAddress


def address_of(settings: Settings, base: Path, secrets: Secrets | None = None) -> Address:
    """Where the settings have the state; `base` is their folder.

    Raises `NeedsHuman` for an unknown secret, or an address that is none.
    """
    if settings.store is None:
        return settings.path(base) / "state.db"
    secrets = secrets or load_secrets(settings, base, os.environ)
    return parse_address(settings.store, secrets)


def parse_address(text: str, secrets: Secrets) -> Address:
    """An address of PostgreSQL, or else the path of a file. Raises `NeedsHuman`.

    A `${NAME}` in a part of an address stands for the text itself, whatever characters it has: it
    is not percent-encoded. One that is the whole stands for an address.
    """
    whole = _WHOLE.fullmatch(text) is not None
    if not whole and "://" not in text:
        return Path(text).absolute()
    try:
        is_store(text)
        if whole:
            text = secrets.expand(text)
            if not text.startswith(("postgresql://", "postgres://")):
                raise ValueError("expected an address that begins with postgresql://")  # noqa: TRY301
        parts = _parts(text)
    except ValueError as error:
        raise NeedsHuman(f"the address of the store cannot be used: {error}") from None
    if whole:
        return PostgresAddress(parts)
    return PostgresAddress({name: secrets.expand(value) for name, value in parts.items()})


def _parts(text: str) -> dict[str, str]:
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict
    except ModuleNotFoundError:
        raise NeedsHuman(
            f"the state is in PostgreSQL, whose driver is not installed beside Headgate: {DRIVER}"
        ) from None
    try:
        return {name: str(value) for name, value in conninfo_to_dict(text).items()}
    except ProgrammingError as error:  # it quotes the part that is wrong, never a password
        raise ValueError(" ".join(str(error).split())) from None


def _ports(known: dict[str, str]) -> list[str]:
    hosts = known.get("host", "localhost").split(",")
    ports = known.get("port", "").split(",")
    return ports if len(ports) == len(hosts) else ports[:1] * len(hosts)
