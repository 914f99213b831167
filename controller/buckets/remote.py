"""Datasets in object stores: listed by their keys, and pinned by downloading what was listed."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from controller.blobs.last_use import discard_all, move_into_place, use
from controller.blobs.objects import Objects, explained
from controller.buckets import manifest as manifests
from controller.buckets.listing import (
    RemotePlace,
    ends_with_slash,
    listed,
    remote_place_of,
    version_of,
)
from controller.buckets.pinned_folders import is_pinned, make_pin
from controller.buckets.places import explain_unmarked
from controller.buckets.protocol import Contents, Listing, ObjectChanged
from controller.buckets.stores import Stores, odd_key
from specs.digests import ManifestEntry, digest
from specs.failures import NeedsHuman, TryAgain

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult

DOWNLOADS = 8
"""How many objects of a version are downloaded in parallel."""
_CHUNK = 2**20


class RemoteBucket:
    """A `Bucket` over object stores. Manifests are kept in `folder`, copies in `cache`.

    Downloads are cached by address and object version, so that pinning another dataset version
    downloads only the objects that differ, and an interrupted download continues.
    """

    def __init__(
        self, folder: Path, cache: Path, stores: Stores, clock: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._cache = cache
        self._stores = stores
        self._clock = clock
        self._objects = Objects(cache / "objects")
        self._locks: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()

    async def list(
        self,
        uri: str,
        *,
        repository: Path | None = None,  # noqa: ARG002 - an address is whole
        marker: str | None = None,
    ) -> Listing:
        """See `Bucket`. Empty objects are left out, too. The manifest is on disk."""
        return await asyncio.to_thread(self._list, uri, marker, self._clock())

    async def pin(
        self,
        uri: str,
        manifest: Contents,
        *,
        repository: Path | None = None,  # noqa: ARG002 - an address is whole
    ) -> Path:
        """See `Bucket`. Each object is requested on the condition that it is as listed."""
        place = remote_place_of(uri)
        where = digest([place.root, place.folder]).partition(":")[2]
        target = self._cache / "remote" / where[:16] / manifest.digest.rpartition(":")[2]
        async with self._locks.setdefault(target, asyncio.Lock()):
            if not await asyncio.to_thread(is_pinned, target, manifest):
                await self._download(place, manifest)
                await asyncio.to_thread(self._make, place, manifest, target)
        return target

    def address(
        self,
        uri: str,
        key: str,
        *,
        repository: Path | None = None,  # noqa: ARG002 - an address is whole
    ) -> str:
        """See `Bucket`."""
        place = remote_place_of(uri)
        return f"{place.root}/{place.key(key)}"

    def sweep(self, keep: Collection[str], before: float) -> int:
        """See `Bucket`."""
        gone = sum(discard_all(where, before, keep) for where in _folders(self._cache / "remote"))
        for notes in _folders(self._cache / "downloads"):
            discard_all(notes, before)
        discard_all(self._folder / "latest", before)
        self._objects.sweep((), before)  # pinned folders have links or copies of their own
        return gone

    def _list(self, uri: str, marker: str | None, at: float) -> Listing:
        place = remote_place_of(uri)
        # First the marker, so that everything written before it is in the listing.
        marked = None if marker is None else self._written(place, marker)
        with explained(self._folder):
            newest = self._folder / "latest" / hashlib.sha256(uri.encode()).hexdigest()
            last = manifests.read(self._folder, newest.read_text()) if use(newest) else None
            found = listed(place, marker, self._stores, self._folder, last)
            if last is None or last.digest != found.manifest.digest:
                _write(newest, found.manifest.digest)
        when, key = found.newest or (None, "")
        is_marked = marked is not None and not _is_later(when, marked)
        return Listing(
            manifest=found.manifest,
            unsettled=(),
            marked=None if marker is None else is_marked,
            unmarked=explain_unmarked(marker, key if marked is not None else None, is_marked),
            at=at,
        )

    def _written(self, place: RemotePlace, marker: str) -> datetime | None:
        """When the marker was written; None if there is none."""
        import obstore

        key = place.key(marker)
        try:
            with self._stores.failing(place.root, key):
                # GET, as a refused HEAD has no body that says why.
                return obstore.get(self._stores.store(place.uri), key).meta["last_modified"]
        except ObjectChanged:
            return None

    async def _download(self, place: RemotePlace, manifest: Contents) -> None:
        waiting = iter(manifest)

        async def work() -> None:
            while (entry := next(waiting, None)) is not None:
                await asyncio.to_thread(self._fetch, place, entry)

        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(DOWNLOADS, len(manifest))):
                    tasks.create_task(work())
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    def _fetch(self, place: RemotePlace, entry: ManifestEntry) -> str:
        """Download the object to the cache unless it is there; the digest of its content."""
        if entry.version.startswith("sha256:"):  # it was written by this controller; see `tables`
            if self._objects.is_intact(entry.version, touch=True):
                return entry.version
            raise ObjectChanged(f"{entry.key} of {place.uri} is not cached any more: list again")
        note = self._note(place, entry)
        if use(note):
            known = note.read_text()
            if self._objects.is_intact(known, touch=True):
                return known
        with explained(self._cache):
            stored = self._objects.put_chunks(self._content(place, entry))
            if stored.size != entry.size:
                raise TryAgain(
                    f"the download of {place.root}/{place.key(entry.key)} broke off; it is tried "
                    "again"
                )
            _write(note, stored.digest)
        return stored.digest

    def _content(self, place: RemotePlace, entry: ManifestEntry) -> Iterator[bytes]:
        """The object's bytes. Raises `ObjectChanged` if it is not as listed."""
        import obstore

        key = place.key(entry.key)
        store = self._stores.store(place.uri)
        try:
            with self._stores.failing(place.root, key):
                got = obstore.get(store, key, options=_condition(entry.version))
        except ObjectChanged:
            if ends_with_slash(store, key, place, self._stores):
                raise NeedsHuman(odd_key(place.root, f"{key}/")) from None
            raise
        # A store that ignores conditions still says which version it returns.
        if not _has_version(got, entry.version):
            raise ObjectChanged(f"{place.root}/{key} was changed after it was listed: list again")
        stream = iter(got.stream(min_chunk_size=_CHUNK))
        while True:
            with self._stores.failing(place.root, key):
                chunk = next(stream, None)
            if chunk is None:
                return
            yield bytes(chunk)

    def _make(self, place: RemotePlace, manifest: Contents, target: Path) -> None:
        def link(entry: ManifestEntry, inside: Path) -> None:
            self._objects.link(self._fetch(place, entry), inside)

        with explained(self._cache):
            make_pin(target, manifest, link)

    def _note(self, place: RemotePlace, entry: ManifestEntry) -> Path:
        """The file that records the digest of the object's content once it is downloaded."""
        name = digest([place.root, place.key(entry.key), entry.version]).partition(":")[2]
        return self._cache / "downloads" / name[:2] / name[2:]


def _condition(version: str) -> "GetOptions":
    kind, _, value = version.partition(":")
    options: Any = {"version": {"version": value}, "etag": {"if_match": value}}
    return options.get(kind, {})  # type: ignore[no-any-return] # one of the two above, or none


def _has_version(got: "GetResult", version: str) -> bool:
    # The answer to a request for a version need not repeat it.
    return version.startswith("version:") or version_of({**got.meta, "version": None}) == version


def _is_later(newest: datetime | None, marked: datetime) -> bool:
    """Whether an object is newer than the marker, to the second, as in HTTP headers."""
    return newest is not None and newest.replace(microsecond=0) > marked.replace(microsecond=0)


def _folders(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.parent.parent / f"{token_hex(8)}.new"
    scratch.write_text(text)
    move_into_place(scratch, path)
