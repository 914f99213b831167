"""The contract of every bucket: list what is there, and pin exactly what was listed."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from specs.digests import ManifestEntry
from specs.failures import TryAgain


class ObjectChanged(TryAgain):
    """An object was changed or deleted after it was listed. List again."""


class Contents(Protocol):
    """The objects of one dataset version, in the order of their keys; in memory or on disk."""

    @property
    def digest(self) -> str:
        """The dataset version; see `specs.digests.Manifest`."""
        ...

    @property
    def size(self) -> int:
        """The total size of the objects, in bytes."""
        ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[ManifestEntry]: ...


class Listing(NamedTuple):
    """The objects of a dataset at one time."""

    manifest: Contents
    unsettled: tuple[str, ...]
    """Objects that are still being written; not in the manifest."""
    marked: bool | None
    """Whether the marker is there and no object is newer; None: there is no marker to wait for."""
    unmarked: str = ""
    """If not marked, why: `its marker _SUCCESS is older than b.csv`."""
    at: float | None = None
    """When the listing began, in seconds since the epoch; None: just now."""
    whole: bool = False
    """Whether it is a commit of a table, which is complete by itself."""


class Bucket(Protocol):
    """A place with datasets. All methods may raise `NeedsHuman`, and `TryAgain` if there is a
    network in between."""

    async def list(
        self, uri: str, *, repository: Path | None = None, marker: str | None = None
    ) -> Listing:
        """List what is there now, without hidden and temporary files, `_SUCCESS` and the marker.
        `repository` is the folder that relative paths are relative to."""
        ...

    async def pin(self, uri: str, manifest: Contents, *, repository: Path | None = None) -> Path:
        """A read-only folder with exactly the objects of `manifest`, at their keys.

        Created once per manifest and checked at each call. What was pinned stays available when
        the bucket changes. Raises `ObjectChanged`, with the object's name, if an object that is not
        copied yet was changed or deleted.
        """
        ...

    def address(self, uri: str, key: str, *, repository: Path | None = None) -> str:
        """The URI of an object of the dataset at `uri`."""
        ...

    def sweep(self, keep: Collection[str], before: float) -> int:
        """Delete the copies that were not used since `before`, except the dataset versions (hex
        digests) in `keep`; how many versions were deleted. Blocking."""
        ...
