"""Opens the artifact store of a home folder as configured."""

import os
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from controller.artifacts.remote import RemoteArtifacts
from controller.artifacts.store import Artifacts
from controller.buckets.stores import Stores
from controller.config.settings import Settings

IDENTITY = "artifacts-owner"
"""The file with the random identity that marks remote artifacts as the home folder's own."""


def open_artifacts(settings: Settings, home: Path) -> Artifacts:
    """The artifact store of a home folder. An object store is not contacted before it is needed."""
    return Artifacts(home / "artifacts", open_remote(settings, home))


def open_remote(settings: Settings, home: Path) -> RemoteArtifacts | None:
    """The object store of `artifacts`, if set. Raises `NeedsHuman` for an invalid address."""
    if settings.artifacts is None:
        return None
    return RemoteArtifacts(settings.artifacts, Stores(settings.stores), lambda: identity_of(home))


def identity_of(home: Path) -> str:
    """The random identity of the home folder, created by the first caller."""
    path = home / IDENTITY
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        scratch = home / f".{IDENTITY}-{token_hex(4)}"
        scratch.write_text(token_hex(8))
        with suppress(FileExistsError):
            os.link(scratch, path)
        scratch.unlink()
    return path.read_text()
