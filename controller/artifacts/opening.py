"""Opens the artifact store of a home folder as configured."""

from pathlib import Path

from controller.artifacts.remote import RemoteArtifacts
from controller.artifacts.store import Artifacts
from controller.buckets.stores import Stores
from controller.config.settings import Settings

SAVED_BY = 3600.0
"""Seconds until the state names what was stored, or found to be stored, at most."""


def open_artifacts(settings: Settings, home: Path, owner: str | None = None) -> Artifacts:
    """The artifact store of a home folder. An object store is not contacted before it is needed.

    `owner` is the identity of the installation; without it an object store is only read.
    """
    shared = settings.controllers == "several" and owner is not None
    return Artifacts(home / "artifacts", open_remote(settings, owner), shared=shared)


def open_remote(settings: Settings, owner: str | None) -> RemoteArtifacts | None:
    """The object store of `artifacts`, if set. Raises `NeedsHuman` for an invalid address."""
    if settings.artifacts is None:
        return None
    keep = settings.keep.total_seconds()
    renew_after = max(keep - SAVED_BY, keep / 2)
    return RemoteArtifacts(settings.artifacts, Stores(settings.stores), owner, renew_after)
