"""Datasets in local directories: listed by content, pinned as they were listed.

An object's version is the digest of its content. It is remembered with the file's identity (inode,
size, and both times in nanoseconds), and a whole listing with those of all files, so that an
unchanged folder is listed by one `stat` a file, and none is opened.
"""

import asyncio
import json
import os
import stat
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from functools import partial
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from controller.blobs.last_use import discard_all
from controller.blobs.objects import Objects, explained
from controller.buckets import manifest as manifests
from controller.buckets.folder_scan import Scan, scan
from controller.buckets.known_files import KnownFiles, KnownListing
from controller.buckets.local_listing import LocalLister, find_objects
from controller.buckets.manifest import StoredManifest
from controller.buckets.pinned_folders import checked_key, is_pinned, make_pin
from controller.buckets.places import DatasetPlace, explain_unmarked, place_of
from controller.buckets.protocol import Contents, Listing, ObjectChanged
from controller.buckets.roots import Roots
from specs.digests import ManifestEntry
from specs.failures import NeedsHuman


class _Found(NamedTuple):
    """What a listing found."""

    manifest: StoredManifest
    unsettled: tuple[str, ...]
    newest: int
    """When the newest object was written, in nanoseconds since the epoch; 0 if there is none."""
    last: str
    """That object's key."""


class LocalBucket:
    """A `Bucket` over local directories. Keeps digests and copies in the folder `cache`.

    Listing and pinning may raise `NeedsHuman`: a missing or unreadable directory, a full disk.
    """

    def __init__(
        self,
        cache: Path,
        *,
        roots: Roots = Roots(),  # noqa: B008 - a constant value
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cache = cache
        self._roots = roots
        self._clock = clock
        self._objects = Objects(cache / "objects")
        self._database = cache / "versions.db"
        self._manifests = cache / "manifests"
        self._listings: dict[str, KnownListing] = {}

    async def list(
        self, uri: str, *, repository: Path | None = None, marker: str | None = None
    ) -> Listing:
        """See `Bucket`. Raises NeedsHuman for a symbolic link that leads out of the directory."""
        return await asyncio.to_thread(self._list, self._place(uri, repository), marker)

    async def pin(self, uri: str, manifest: Contents, *, repository: Path | None = None) -> Path:
        """See `Bucket`."""
        return await asyncio.to_thread(self._pin, self._place(uri, repository), manifest)

    def address(self, uri: str, key: str, *, repository: Path | None = None) -> str:
        """See `Bucket`."""
        return (self._place(uri, repository).folder / key).as_uri()

    def folder(self, uri: str, repository: Path | None = None) -> Path | None:
        """The folder that a dataset's objects are below; None for one in the repository."""
        place = self._place(uri, repository)
        return None if place.committed else place.folder

    def _place(self, uri: str, repository: Path | None) -> DatasetPlace:
        """Where the dataset is. Raises `OutsideRoots` if it may not be read."""
        place = place_of(uri, repository)
        if not place.committed:
            self._roots.check(uri, place.folder)
        return place

    def sweep(self, keep: Collection[str], before: float) -> int:
        """See `Bucket`."""
        gone = discard_all(self._cache / "pins", before, keep)
        self._objects.sweep((), before)  # pinned folders have links or copies of their own
        return gone

    def _list(self, place: DatasetPlace, marker: str | None) -> Listing:
        self._cache.mkdir(parents=True, exist_ok=True)
        with explained(place.folder):
            # First the marker, so that everything written before it is in the listing.
            marked = _written(place.folder / marker) if marker is not None else None
            _require_folder(place.folder)
            scanned = scan(place.folder)
            private = self._may_be_private(place)
            # An object that was no private file may be one now, so those are checked each time.
            found = None if private else self._recalled(place, marker, scanned.stamp)
            if found is None:
                found = self._found(place, marker, marked, scanned, private=private)
        is_marked = marked is not None and found.newest <= marked
        return Listing(
            manifest=found.manifest,
            unsettled=found.unsettled,
            marked=None if marker is None else is_marked,
            unmarked=explain_unmarked(
                marker, found.last if marked is not None else None, is_marked
            ),
        )

    def _recalled(self, place: DatasetPlace, marker: str | None, stamp: bytes) -> _Found | None:
        """What was listed before, if nothing in the folder was changed since."""
        asked = _asked(place, marker)
        known = self._listings.get(asked)
        if known is None or known.stamp != stamp:
            with closing(KnownFiles(self._database)) as files:
                known = files.listing(asked)
        if known is None or known.stamp != stamp:
            return None
        manifest = manifests.read(self._manifests, known.manifest)
        if manifest is None:
            return None
        self._listings[asked] = known
        return _Found(manifest, (), known.newest, known.last)

    def _found(
        self,
        place: DatasetPlace,
        marker: str | None,
        marked: int | None,
        scanned: Scan,
        *,
        private: bool,
    ) -> _Found:
        """List what was scanned, and remember that if the next listing can find nothing else."""
        objects = find_objects(place, scanned, marker)
        if private:
            self._guard(place, (key for folder in objects.folders for key in folder.object_keys()))
        is_marked = marked is not None and objects.newest <= marked
        with closing(KnownFiles(self._database)) as known:
            lister = LocalLister(
                known,
                self._clock(),
                partial(self._handle, place),
                always_careful=private,
                complete=is_marked or place.committed,
            )
            manifest = lister.manifest(scanned, objects, self._manifests)
            unsettled = tuple(sorted(lister.unsettled))
            if lister.is_final and not unsettled and not private:
                listing = KnownListing(scanned.stamp, manifest.digest, objects.newest, objects.last)
                known.remember(_asked(place, marker), listing)
                self._listings[_asked(place, marker)] = listing
        return _Found(manifest, unsettled, objects.newest, objects.last)

    def _pin(self, place: DatasetPlace, manifest: Contents) -> Path:
        self._guard(place, (entry.key for entry in manifest))
        target = self._cache / "pins" / manifest.digest.rpartition(":")[2]
        if not is_pinned(target, manifest):

            def link(entry: ManifestEntry, inside: Path) -> None:
                self._copy(place, entry)
                self._objects.link(entry.version, inside)

            with explained(self._cache):
                make_pin(target, manifest, link)
        return target

    def _copy(self, place: DatasetPlace, entry: ManifestEntry) -> None:
        """Copy the object to the cache, unless it is there, and check that it is as listed."""
        if self._objects.is_intact(entry.version, touch=True):
            return
        path = place.folder / checked_key(entry.key)
        try:
            with self._open(place, entry.key) as file:
                stored = self._objects.put_open(file)
        except FileNotFoundError:
            raise ObjectChanged(f"{path} was deleted after it was listed: list again") from None
        if stored.digest != entry.version:
            raise ObjectChanged(f"{path} was changed after it was listed: list again")

    def _may_be_private(self, place: DatasetPlace) -> bool:
        """Whether the controller's own files may be among the objects."""
        return not place.committed and self._roots.may_contain_private(place.folder.resolve())

    def _guard(self, place: DatasetPlace, keys: Iterable[str]) -> None:
        """Raises `OutsideRoots` for an object that is one of the controller's own files, even if it
        was not when it was listed or copied."""
        if self._may_be_private(place):
            for key in keys:
                path = f"{place.folder}/{key}"
                self._roots.check_file(path, os.path.realpath(path))

    def _handle(self, place: DatasetPlace, key: str) -> int:
        with self._open(place, key) as file:
            return os.dup(file.fileno())

    def _open(self, place: DatasetPlace, key: str) -> FileIO:
        root = place.folder.resolve()
        return self._roots.open(place.folder / key, root, checked=not place.committed)


def _asked(place: DatasetPlace, marker: str | None) -> str:
    """Identifies what is listed."""
    return json.dumps([str(place.folder), place.glob, marker, place.committed])


def _require_folder(folder: Path) -> None:
    if folder.is_file():
        raise NeedsHuman(
            f"{folder} is a file, but a dataset is a folder or a glob: write its folder, or "
            f"`*{folder.suffix}` in that, as the dataset's `uri`"
        )
    if not folder.is_dir():
        raise NeedsHuman(f"{folder} is not a directory: create it, or correct the dataset's `uri`")


def _written(marker: Path) -> int | None:
    """When the marker was written, in nanoseconds since the epoch; None if there is none."""
    try:
        about = marker.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return about.st_mtime_ns if stat.S_ISREG(about.st_mode) else None
