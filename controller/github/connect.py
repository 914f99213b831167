"""Builds the GitHub client from the settings, and maps repositories to their names there."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from controller.config.github_names import names_of
from controller.config.secrets import Secrets
from controller.config.settings import GitHub, Settings
from controller.github.auth import App, Personal
from controller.github.client import Client
from controller.github.transport import Transport, api_of
from specs.failures import NeedsHuman
from specs.names import VARIABLE_PATTERN


class Connection(NamedTuple):
    """A GitHub server that reports go to."""

    client: Client
    transport: Transport
    auth: App | Personal
    names: Mapping[str, str]
    """The `owner/name` of each repository on it, by its name in the settings."""


def connect(settings: Settings, base: Path, secrets: Secrets) -> Connection | None:
    """The client that the settings describe; None if they name neither an app nor a token.

    Raises NeedsHuman for a missing secret or an unreadable key.
    """
    github = settings.github
    if github.app.id is None and github.token is None:
        return None
    transport = Transport(api_of(github.url))
    auth = _auth(github, base, secrets, transport)
    return Connection(Client(transport, auth), transport, auth, names_of(settings))


def _auth(github: GitHub, base: Path, secrets: Secrets, transport: Transport) -> App | Personal:
    if github.token is not None:
        return Personal(secrets.expand(f"${{{github.token}}}"))
    assert github.app.id is not None, "checked by connect"
    assert github.app.private_key is not None, "checked by the settings"
    return App(github.app.id, _key(github.app.private_key, base, secrets), transport)


def _key(place: str, base: Path, secrets: Secrets) -> str:
    """The text of the private key; `place` is a secret's name or a file."""
    if re.fullmatch(VARIABLE_PATTERN, place):
        return secrets.expand(f"${{{place}}}")
    try:
        return (base / place).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise NeedsHuman(
            f"the private key {base / place} cannot be read ({why}); fix it, or correct "
            "`github.app.private_key` in the settings"
        ) from None
