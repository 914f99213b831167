"""Lists an object store into a manifest on disk, in bounded memory.

A listing reads every key, as stores offer no cheap way to ask whether something changed below a
prefix. The previous listing is used to split the keys into parts that are listed in parallel.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from datetime import datetime
from functools import partial
from heapq import nlargest
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from controller.buckets.manifest import ManifestWriter, Sorter, StoredManifest
from controller.buckets.places import MAGIC, is_excluded
from controller.buckets.protocol import ObjectChanged
from controller.buckets.stores import Stores, address_of, odd_key
from controller.buckets.table_formats import table_below
from specs.failures import Failure, NeedsHuman
from specs.globs import matches

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import AzureStore, GCSStore, S3Store

    Store = S3Store | GCSStore | AzureStore

PARTS = 8
"""How many parts are listed in parallel, at most."""
MIN_PART = 20_000
"""Keys that a part should have at least: twenty requests."""
CHECKED = 100
"""How many of the newest objects are requested by key when a dataset changed, to find keys that
cannot be read. For other objects that shows when they are read."""
_CHUNK = 1000
_BEFORE_SLASH = ".\U0010ffff"
"""Sorts just before all keys that begin with a slash."""


class RemotePlace(NamedTuple):
    """Where a dataset is: a bucket, a folder in it, and a glob for the keys below that."""

    root: str
    """Such as `s3://lake`."""
    folder: str
    """Without a trailing slash; empty for the whole bucket."""
    glob: str

    @property
    def uri(self) -> str:
        """The folder's URI."""
        return f"{self.root}/{self.folder}" if self.folder else self.root

    def key(self, below: str) -> str:
        """The key in the bucket of an object of the dataset."""
        return f"{self.folder}/{below}" if self.folder else below


class ListingResult(NamedTuple):
    """The objects of a dataset."""

    manifest: StoredManifest
    recent: tuple[tuple[datetime, str], ...]
    """When the newest objects were written, according to the store, and their keys; newest
    first."""

    @property
    def newest(self) -> tuple[datetime, str] | None:
        """The newest object; None if there are none."""
        return self.recent[0] if self.recent else None


def remote_place_of(uri: str) -> RemotePlace:
    """Parse an address such as `s3://lake/flights/**/*.parquet`. A folder without a glob means
    everything below it. Raises `NeedsHuman` if it is not an address in an object store."""
    address = address_of(uri)
    parts = address.path.rstrip("/").split("/")
    fixed = next((i for i, part in enumerate(parts) if set(part) & set(MAGIC)), len(parts))
    return RemotePlace(address.root, "/".join(parts[:fixed]), "/".join(parts[fixed:]) or "**")


def version_of(meta: "ObjectMeta") -> str:
    """What pins an object: its version if the listing has it, else its etag, else the time it was
    written. An etag is opaque: for a multi-part upload it is not a digest of the content."""
    if meta["version"]:
        return f"version:{meta['version']}"
    if tag := meta["e_tag"]:
        # Azure's listing omits the quotes that are part of an etag (RFC 9110, 8.8.3).
        return f"etag:{tag}" if '"' in tag else f'etag:"{tag}"'
    return f"modified:{meta['last_modified'].isoformat()}"


def listed(
    place: RemotePlace,
    marker: str | None,
    stores: Stores,
    folder: Path,
    last: StoredManifest | None,
) -> ListingResult:
    """The objects that are there, as a manifest below `folder`. `last` is the previous listing.

    Empty objects are left out: tools create them to represent folders, and they hold no data.
    Raises `NeedsHuman` for a key that cannot be read, what `Stores.failing` raises, and `OSError`.
    Blocking.
    """
    # At the root of a bucket, keys may be out of order: obstore drops a leading slash. And Azure
    # cannot start a listing at a given key.
    can_cut = place.folder and not place.root.startswith("az://")
    cuts = last.cuts(PARTS, MIN_PART) if last and can_cut else []
    if not place.folder:
        _refuse_leading_slash(place, marker, stores)
    try:
        found = _in_parts(place, marker, stores, folder, cuts)
    except _UnorderedError:  # some stores list in no order, so parts could miss objects
        found = _in_parts(place, marker, stores, folder, [])
    if last is None or last.digest != found.manifest.digest:
        _refuse_trailing_slash(place, [key for _, key in found.recent], stores)
    return found


def is_any_readable(place: RemotePlace, stores: Stores) -> bool:
    """Whether there is an object below the folder. Requests one, to check that it may be read.
    Raises what `Stores.failing` raises. Blocking."""
    import obstore

    store = stores.store(place.uri)
    with stores.failing(place.uri):
        first = next(obstore.list(store, place.folder or None, chunk_size=1), None)
    if not first:
        return False
    key = first[0]["path"]
    with stores.failing(place.root, key):
        obstore.head(store, key)
    return True


class _UnorderedError(Exception):
    """The store does not list keys in order."""


def _in_parts(
    place: RemotePlace, marker: str | None, stores: Stores, folder: Path, cuts: Sequence[str]
) -> ListingResult:
    store = stores.store(place.uri)
    recent: list[tuple[datetime, str]] = []

    def work(after: str | None, until: str | None) -> None:
        for chunk in _chunks(store, place, after, until, stores):
            objects = _belonging(chunk, place, marker)
            sorter.add((key, meta["size"], version_of(meta)) for key, meta in objects)
            written = ((meta["last_modified"], key) for key, meta in objects)
            recent.extend(nlargest(CHECKED, written))
            if len(recent) > _CHUNK:
                recent[:] = nlargest(CHECKED, recent)

    ends = list(pairwise([None, *(place.key(cut) for cut in cuts), None]))
    with closing(Sorter(folder)) as sorter:
        _in_parallel([partial(work, after, until) for after, until in ends])
        writer = ManifestWriter(folder)
        try:
            for row in sorter.rows():
                writer.add(row)
            return ListingResult(writer.done(), tuple(nlargest(CHECKED, recent)))
        except ValueError as error:
            raise NeedsHuman(
                f"{place.uri} has keys that cannot be distinguished: {error}; rename those that "
                "begin or end with a slash or are not valid Unicode"
            ) from None


def _in_parallel(works: Sequence[Callable[[], None]]) -> None:
    if len(works) == 1:
        works[0]()
        return
    with ThreadPoolExecutor(len(works), "headgate-list") as threads:
        parts = [threads.submit(work) for work in works]
        wait(parts)
    for part in parts:
        part.result()


def _chunks(
    store: "Store", place: RemotePlace, after: str | None, until: str | None, stores: Stores
) -> Iterator[Iterable["ObjectMeta"]]:
    """The objects with `after` < key <= `until`; None means no bound."""
    import obstore

    last = ""
    with stores.failing(place.uri):
        stream = obstore.list(store, place.folder or None, offset=after, chunk_size=_CHUNK)
    while True:
        with stores.failing(place.uri):
            chunk = next(stream, None)
        if chunk is None:
            return
        if after is None and until is None:
            yield chunk
            continue
        within: list[ObjectMeta] = []
        for meta in chunk:
            path = meta["path"]
            if not meta["size"]:
                continue  # a folder's marker: obstore drops its trailing slash, so it is unordered
            if path < last:
                raise _UnorderedError
            last = path
            if until is not None and path > until:
                yield within
                return
            if after is None or path > after:
                within.append(meta)
        yield within


def _refuse_leading_slash(place: RemotePlace, marker: str | None, stores: Stores) -> None:
    """Raises `NeedsHuman` if a dataset at the bucket's root has a key that begins with a slash.

    obstore (0.12) drops that slash and so can never read the object: it is recognised by being
    listed and not found. This costs two requests for a dataset without a glob.
    """
    store = stores.store(place.uri)
    missed = ""
    for _ in range(2):  # an object that was deleted in between is not listed again
        found = _first_unreadable(store, place, marker, stores)
        if found is None:
            return
        if found == missed:
            at_end = ends_with_slash(store, found, place, stores)
            raise NeedsHuman(odd_key(place.root, f"{found}/" if at_end else f"/{found}"))
        missed = found


def _refuse_trailing_slash(place: RemotePlace, keys: Sequence[str], stores: Stores) -> None:
    """Raises `NeedsHuman` if one of these keys really ends with a slash, which obstore's listing
    drops (0.12). Does nothing if objects may be listed but not read."""
    import obstore

    store = stores.store(place.uri)

    def is_there(key: str) -> bool:
        try:
            with stores.failing(place.root, key):
                obstore.head(store, key)
        except ObjectChanged:
            return False
        except Failure:
            return True
        return True

    full = [place.key(key) for key in keys]
    with ThreadPoolExecutor(PARTS, "headgate-look") as threads:
        there = list(threads.map(is_there, full))
    for key, known in zip(full, there, strict=True):
        if not known and ends_with_slash(store, key, place, stores):
            raise NeedsHuman(odd_key(place.root, f"{key}/"))


def ends_with_slash(store: "Store", key: str, place: RemotePlace, stores: Stores) -> bool:
    """Whether what is listed as `key` really ends with a slash, which obstore drops (0.12): then it
    comes later in the listing than `key` would."""
    import obstore

    with stores.failing(place.uri):
        stream = obstore.list(store, place.folder or None, offset=key, chunk_size=_CHUNK)
    while True:
        with stores.failing(place.uri):
            chunk = next(stream, ())
        for meta in chunk:
            if meta["path"] == key and meta["size"]:
                return True
            if meta["path"] > f"{key}/":
                return False
        if not chunk:
            return False


def _first_unreadable(
    store: "Store", place: RemotePlace, marker: str | None, stores: Stores
) -> str | None:
    """The dataset's first key in the order from "/" on, if it is listed but not found: keys that
    begin with a slash come first there."""
    import obstore

    with stores.failing(place.uri):
        stream = obstore.list(store, offset=_BEFORE_SLASH, chunk_size=_CHUNK)
    while True:
        with stores.failing(place.uri):
            chunk = next(stream, ())
        for meta in chunk:
            if not _belonging([meta], place, marker):
                continue
            try:
                with stores.failing(place.root, meta["path"]):
                    obstore.head(store, meta["path"])
            except ObjectChanged:
                return meta["path"]
            return None
        if not chunk:
            return None


def _belonging(
    chunk: Iterable["ObjectMeta"], place: RemotePlace, marker: str | None
) -> list[tuple[str, "ObjectMeta"]]:
    """The objects of the dataset, each with its key below the folder."""
    skip = len(place.folder) + 1 if place.folder else 0
    every = place.glob == "**"
    objects = []
    for meta in chunk:
        key = meta["path"][skip:]
        if why := table_below(key, place.uri):
            raise NeedsHuman(why)
        if (
            meta["size"]
            and (every or matches(place.glob, key))
            and not is_excluded(key, marker)
            and not (key[0] == "." or "/." in key)
        ):
            objects.append((key, meta))
    return objects
