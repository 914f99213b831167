"""Opens the artifacts of a home as the settings say."""

import os
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from controller.artifacts.elsewhere import Elsewhere
from controller.artifacts.store import Artifacts
from controller.buckets.stores import Stores
from controller.config.settings import Settings

IDENTITY = "artifacts-owner"
"""The file in a home by which its artifacts elsewhere are known as its own."""


def open_artifacts(settings: Settings, home: Path) -> Artifacts:
    """The artifacts of a home; nothing is asked of an object store before it is needed."""
    return Artifacts(home / "artifacts", open_elsewhere(settings, home))


def open_elsewhere(settings: Settings, home: Path) -> Elsewhere | None:
    """Where `artifacts` says they are kept, too. Raises NeedsHuman for what is no address."""
    if settings.artifacts is None:
        return None
    return Elsewhere(settings.artifacts, Stores(settings.stores), lambda: _identity(home))


def _identity(home: Path) -> str:
    """Made once, at random, and kept in the home; whoever is first names it."""
    path = home / IDENTITY
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        scratch = home / f".{IDENTITY}-{token_hex(4)}"
        scratch.write_text(token_hex(8))
        with suppress(FileExistsError):
            os.link(scratch, path)
        scratch.unlink()
    return path.read_text()
