"""Lists what is in an object store into a manifest on the disk, in bounded memory.

A listing reads every key, as no store tells cheaply whether something changed below a prefix. What
the last one found says where to cut the keys into parts that are listed at the same time.
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

from controller.buckets.local import MAGIC, is_excluded
from controller.buckets.manifest import ManifestWriter, Sorter, StoredManifest
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
"""Parts that are listed at the same time, at most."""
MIN_PART = 20_000
"""Keys that a part should have at least: twenty requests."""
CHECKED = 100
"""Of a dataset that changed, so many of the newest objects are asked for by their keys, to see that
they can be had; what is odd of others is told when they are read."""
_CHUNK = 1000
_BEFORE_SLASH = ".\U0010ffff"
"""Comes before every key that begins with a slash, and after every one that begins before it."""


class RemotePlace(NamedTuple):
    """Where a dataset is: a bucket, a folder of keys in it, and which keys below are meant."""

    root: str
    """`s3://lake`"""
    folder: str
    """Without a slash at its end; empty: the whole bucket."""
    glob: str

    @property
    def uri(self) -> str:
        """Of the folder."""
        return f"{self.root}/{self.folder}" if self.folder else self.root

    def key(self, below: str) -> str:
        """The key in the bucket of an object of the dataset."""
        return f"{self.folder}/{below}" if self.folder else below


class ListingResult(NamedTuple):
    """What a listing found."""

    manifest: StoredManifest
    recent: tuple[tuple[datetime, str], ...]
    """When the newest objects of the dataset were written, as the store says, and their keys;
    the newest first."""

    @property
    def newest(self) -> tuple[datetime, str] | None:
        """The newest object; None without one."""
        return self.recent[0] if self.recent else None


def remote_place_of(uri: str) -> RemotePlace:
    """Read `s3://lake/flights/**/*.parquet`. A folder without a glob is all that is below it.
    Raises NeedsHuman for what is no address in an object store."""
    address = address_of(uri)
    parts = address.path.rstrip("/").split("/")
    fixed = next((i for i, part in enumerate(parts) if set(part) & set(MAGIC)), len(parts))
    return RemotePlace(address.root, "/".join(parts[:fixed]), "/".join(parts[fixed:]) or "**")


def version_of(meta: "ObjectMeta") -> str:
    """What pins an object: its version if the listing tells it, else its etag, which is opaque (of
    a multi-part upload it is no digest of the content), else when it was written."""
    if meta["version"]:
        return f"version:{meta['version']}"
    if tag := meta["e_tag"]:
        # Azure's listing leaves out the quotes that belong to it (RFC 9110, 8.8.3).
        return f"etag:{tag}" if '"' in tag else f'etag:"{tag}"'
    return f"modified:{meta['last_modified'].isoformat()}"


def listed(
    place: RemotePlace,
    marker: str | None,
    stores: Stores,
    folder: Path,
    last: StoredManifest | None,
) -> ListingResult:
    """The objects that are there, as a manifest below `folder`. `last` is what was there before.

    Objects of no bytes are left out: they are what tools put for folders, and hold no data.
    Raises NeedsHuman for a key that cannot be read, what `Stores.failing` raises, and OSError.
    Blocking.
    """
    # Only below a folder is what obstore says of a key in the order of the keys: it drops a slash
    # at the begin. And Azure cannot begin in the middle.
    can_cut = place.folder and not place.root.startswith("az://")
    cuts = last.cuts(PARTS, MIN_PART) if last and can_cut else []
    if not place.folder:
        _refuse_leading_slash(place, marker, stores)
    try:
        found = _in_parts(place, marker, stores, folder, cuts)
    except _UnorderedError:  # some stores keep no order; then only the whole is sure to be all
        found = _in_parts(place, marker, stores, folder, [])
    if last is None or last.digest != found.manifest.digest:
        _refuse_trailing_slash(place, [key for _, key in found.recent], stores)
    return found


def is_any_readable(place: RemotePlace, stores: Stores) -> bool:
    """Whether there is an object below the folder; one of them is asked for, to see that it may be
    read. Raises what `Stores.failing` raises. Blocking."""
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
    """The store does not list keys in their order."""


def _in_parts(
    place: RemotePlace, marker: str | None, stores: Stores, folder: Path, cuts: Sequence[str]
) -> ListingResult:
    store = stores.store(place.uri)
    recent: list[tuple[datetime, str]] = []

    def work(after: str | None, until: str | None) -> None:
        for chunk in _chunks(store, place, after, until, stores):
            meant = _belonging(chunk, place, marker)
            sorter.add((key, meta["size"], version_of(meta)) for key, meta in meant)
            written = ((meta["last_modified"], key) for key, meta in meant)
            recent.extend(nlargest(CHECKED, written))
            if len(recent) > _CHUNK:
                recent[:] = nlargest(CHECKED, recent)

    ends = list(pairwise([None, *(place.key(cut) for cut in cuts), None]))
    with closing(Sorter(folder)) as sorter:
        _all_at_once([partial(work, after, until) for after, until in ends])
        writer = ManifestWriter(folder)
        try:
            for row in sorter.rows():
                writer.add(row)
            return ListingResult(writer.done(), tuple(nlargest(CHECKED, recent)))
        except ValueError as error:
            raise NeedsHuman(
                f"{place.uri} has keys that cannot be told apart: {error}; rename "
                "those that begin or end with a slash or are no Unicode"
            ) from None


def _all_at_once(works: Sequence[Callable[[], None]]) -> None:
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
    """The objects with `after` < key <= `until`; None is no bound."""
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
                continue  # of a marker of a folder obstore drops the slash, and so its order
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
    """Raises NeedsHuman for an object of the dataset at the bucket's root whose key begins with a
    slash. obstore says such a key without it (0.12), and so can never read it: what cannot be
    found by the key that is said is one. It costs two requests where all keys are meant."""
    store = stores.store(place.uri)
    missed = ""
    for _ in range(2):  # one that was deleted meanwhile is not listed again
        found = _first_unreadable(store, place, marker, stores)
        if found is None:
            return
        if found == missed:
            at_end = ends_with_slash(store, found, place, stores)
            raise NeedsHuman(odd_key(place.root, f"{found}/" if at_end else f"/{found}"))
        missed = found


def _refuse_trailing_slash(place: RemotePlace, keys: Sequence[str], stores: Stores) -> None:
    """Raises NeedsHuman for one of these objects whose key ends with a slash, which obstore's
    listing does not say (0.12). Where objects may be listed and not read, nothing is said."""
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
    """Whether what is listed as `key` has a slash at its end, which obstore does not say (0.12):
    then it comes later in the listing than `key` would."""
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
    """The dataset's first key from the slash onwards, if it is listed and not found: those with a
    slash come before all others."""
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
    meant = []
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
            meant.append((key, meta))
    return meant
