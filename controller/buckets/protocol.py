"""The contract of every bucket: list what is there, and pin exactly what was listed."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from specs.digests import ManifestEntry
from specs.failures import TryAgain


class ObjectChanged(TryAgain):
    """An object is not any more what was listed. List again."""


class Contents(Protocol):
    """The objects of one dataset version, in the order of their keys: in memory or on the disk."""

    @property
    def digest(self) -> str:
        """The dataset version; see `specs.digests.Manifest`."""
        ...

    @property
    def size(self) -> int:
        """Bytes of all objects together."""
        ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[ManifestEntry]: ...


class Listing(NamedTuple):
    """A dataset as it was found."""

    manifest: Contents
    unsettled: tuple[str, ...]
    """Objects that are being written; the manifest is without them."""
    marked: bool | None
    """Whether the marker is there, and no object is newer; None: no marker was asked for."""
    unmarked: str = ""
    """Why it does not count: `its marker _SUCCESS is older than b.csv`."""
    at: float | None = None
    """When it was begun, in seconds since the epoch; None: just now."""
    whole: bool = False
    """Whether it is a commit of a table: no part of it is missing, and none is to come."""


class Bucket(Protocol):
    """Where datasets are. All may raise NeedsHuman, and TryAgain where there is a network."""

    async def list(
        self, uri: str, *, repository: Path | None = None, marker: str | None = None
    ) -> Listing:
        """What is there now. Hidden and temporary files, `_SUCCESS` and the marker are left out.
        `repository` is where relative paths are looked up."""
        ...

    async def pin(self, uri: str, manifest: Contents, *, repository: Path | None = None) -> Path:
        """A read-only folder with exactly the objects of `manifest`, by their keys.

        Made once per manifest and checked at each call. What was pinned before stays available
        when the bucket moves on. Raises `ObjectChanged`, with the object's name, if one that is not
        yet copied is gone or has another content.
        """
        ...

    def address(self, uri: str, key: str, *, repository: Path | None = None) -> str:
        """Where an object of the dataset at `uri` is."""
        ...

    def sweep(self, keep: Collection[str], before: float) -> int:
        """Delete the copies that nobody used since `before`, but for the dataset versions (hex
        digests) in `keep`; how many versions went. Blocking."""
        ...
