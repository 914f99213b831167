"""Dataset versions that were listed: what each digest stands for, and where its objects are."""

import asyncio
import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from controller.blobs.objects import Objects
from controller.blobs.shelf import discard_all, lay, use
from controller.buckets import manifest as manifests
from controller.buckets.changes import differ
from controller.buckets.listing import remote_place_of
from controller.buckets.local import LocalBucket
from controller.buckets.manifest import StoredManifest
from controller.buckets.protocol import Bucket, Listing, ObjectChanged
from controller.buckets.remote import RemoteBucket
from controller.buckets.roots import Roots
from controller.buckets.stores import CredentialsRefused, Stores, is_remote
from controller.buckets.tables import ListedTable, TableAddress, Tables, own
from controller.machine.pipelines.objects import ObjectChanges
from controller.machine.runs.graph import Graph, addresses_of
from specs.digests import ManifestEntry
from specs.digests import digest as digest_of
from specs.failures import NeedsHuman, TryAgain

DATASETS = "datasets"
"""The catalog's folder in the controller's home."""
KEPT_FOR = 10.0
"""A listing of an object store stands for so many times as long as it took."""
AT_LEAST = 1.0
"""Seconds for which it stands at least."""


class _Kept(NamedTuple):
    listing: Listing
    until: float
    """By `time.monotonic`."""


class Addresses(NamedTuple):
    """Where the objects of a dataset version are, to be read there."""

    folder: Path | None
    """Of this machine; None for an object store."""
    objects: Iterator[tuple[ManifestEntry, str]]
    """Each with its URI."""
    table: TableAddress | None = None
    """Where the same can be read as a table, if it is one."""


class _Known(NamedTuple):
    """What is remembered of a version that was listed."""

    repository: Path | None
    manifest: StoredManifest
    table: TableAddress | None


class Catalog:
    """Remembers the manifest of each dataset version, so that a digest is enough to read it.

    A listing of an object store stands for a while, at most `longest` seconds, unless `hint` says
    that something changed.
    """

    def __init__(
        self,
        home: Path,
        stores: Stores | None = None,
        *,
        roots: Roots = Roots(),  # noqa: B008 - a constant value
        longest: float = 60.0,
        clock: Callable[[], float] = time.time,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._folder = home / "manifests"
        self._local = LocalBucket(home, roots=roots, clock=wall)
        self._stores = stores or Stores()
        # What a table's log names is whole, however new it is.
        self._local_tables = LocalBucket(home, roots=roots, clock=lambda: 0.0)
        self._remote = RemoteBucket(self._folder, home, self._stores, clock)
        self._tables = Tables(Objects(home / "objects"))
        self._longest = longest
        self._kept: dict[tuple[str, str | None], _Kept] = {}
        self._turns: dict[tuple[str, str | None], asyncio.Lock] = {}
        self._hints = 0

    async def list(
        self, uri: str, *, repository: Path | None = None, marker: str | None = None
    ) -> Listing:
        """What is there now, or was a moment ago (`Listing.at`); its manifest is remembered.
        Raises what `Bucket.list` raises."""
        if not is_remote(uri):
            found = await self._list(uri, repository, marker)
            await asyncio.to_thread(self._remember, uri, repository, found)
            return found.listing
        asked = uri, marker
        async with self._turns.setdefault(asked, asyncio.Lock()):
            kept = self._kept.get(asked)
            if kept is not None and time.monotonic() < kept.until:
                return kept.listing
            begun, hints = time.monotonic(), self._hints
            found = await self._list(uri, None, marker)
            await asyncio.to_thread(self._remember, uri, None, found)
            listing = found.listing
            took = time.monotonic() - begun
            stands = min(max(KEPT_FOR * took, AT_LEAST), self._longest)
            if hints == self._hints:  # else it may have missed what was hinted at
                self._kept[asked] = _Kept(listing, time.monotonic() + stands)
            return listing

    async def _list(self, uri: str, repository: Path | None, marker: str | None) -> ListedTable:
        bucket = self._bucket(uri)
        table = await self._tables.at(bucket, uri, repository)
        if table is None:
            return ListedTable(await bucket.list(uri, repository=repository, marker=marker), None)
        whole = self._remote if is_remote(uri) else self._local_tables
        return await self._tables.listed(whole, table, repository=repository, marker=marker)

    def hint(self, uri: str) -> None:
        """Something changed at `uri`, an object or a folder in an object store: the next listing
        that it may concern is made anew."""
        self._hints += 1
        where = f"{uri.rstrip('/')}/"  # as it is: an object's key may be no path
        for asked in list(self._kept):
            known = remote_place_of(asked[0])
            place = f"{known.uri}/"
            if where.startswith(place) or place.startswith(where):
                del self._kept[asked]

    async def pinned(self, uri: str, digest: str) -> tuple[Path, StoredManifest]:
        """The folder that holds exactly the objects of a version, and their manifest.

        `uri` is the dataset's: another dataset may have held the same objects.

        Raises `NeedsHuman` for a version that was never listed here, and `ObjectChanged` if an
        object, named in the message, was changed before it could be copied. Refused credentials
        are `TryAgain`: whoever reads goes on with others.
        """
        known = await asyncio.to_thread(self._recall, uri, digest)
        at = known.table.uri if known.table else uri
        with self._reading(uri):
            folder = await self._bucket(uri).pin(at, known.manifest, repository=known.repository)
            return folder, known.manifest

    async def expect(self, uri: str, digest: str) -> None:
        """See to it that every object of a version is still there as it was listed, by listing
        anew; objects that came since do not matter. In bounded memory.

        Raises what `pinned` raises.
        """
        repository, manifest, table = await asyncio.to_thread(self._recall, uri, digest)
        bucket = self._bucket(uri)
        at = table.uri if table else uri
        expected = own(manifest) if table else manifest
        with self._reading(uri):
            listing = await bucket.list(at, repository=repository)
            gone = await asyncio.to_thread(_first_missing, expected, listing.manifest)
            if gone is not None:
                address = bucket.address(at, gone.key, repository=repository)
                raise ObjectChanged(f"{address} was replaced or deleted while it was to be read")

    @contextmanager
    def _reading(self, uri: str) -> Iterator[None]:
        try:
            yield
        except CredentialsRefused as failure:
            raise TryAgain(str(failure), human=True) from None
        except ObjectChanged:
            if is_remote(uri):
                # Or the run anew would begin with what is known to be gone.
                self.hint(remote_place_of(uri).uri)
            raise

    async def addresses(self, uri: str, digest: str) -> Addresses:
        """Where each object of a version is. Raises `NeedsHuman` for a version that was never
        listed here; of one in the repository, what `pinned` raises."""
        repository, manifest, table = await asyncio.to_thread(self._recall, uri, digest)
        at = table.uri if table else uri
        objects = own(manifest) if table else manifest
        if is_remote(uri):
            remote = ((e, self._remote.address(at, e.key)) for e in objects)
            return Addresses(None, remote, table)
        folder = self._local.folder(at, repository)
        if folder is None:  # what lies beside it in the checkout is not for whoever reads it
            folder, _ = await self.pinned(uri, digest)
            table = table.pinned_in(folder) if table else None
        elif table:
            table = table._replace(uri=folder.as_uri())
        return Addresses(folder, ((e, (folder / e.key).as_uri()) for e in objects), table)

    async def manifest(self, uri: str, digest: str) -> Iterable[ManifestEntry]:
        """The objects of a version. Raises `NeedsHuman` for one that was never listed here."""
        _, manifest, table = await asyncio.to_thread(self._recall, uri, digest)
        return own(manifest) if table else manifest

    async def differ(self, uri: str, was: str, now: str) -> ObjectChanges | None:
        """How the objects of two versions differ; None where one of them is forgotten. Data in a
        repository, which anybody may propose, is not opened for its rows."""
        try:
            before = await self.manifest(uri, was)
            repository, after, table = await asyncio.to_thread(self._recall, uri, now)
        except NeedsHuman:
            return None
        current = own(after) if table else after
        at = table.uri if table else uri
        folder = None if is_remote(uri) else self._local.folder(at, repository)
        return await asyncio.to_thread(differ, at, before, current, folder, self._stores)

    async def sweep(self, keep: Collection[str], before: float) -> int:
        """See `Bucket.sweep`; of what was neither listed nor read since, the manifest too."""
        return await asyncio.to_thread(self._sweep, keep, before)

    def _sweep(self, keep: Collection[str], before: float) -> int:
        discard_all(self._folder / "listed", before)
        manifests.sweep(self._folder, before)
        return self._local.sweep(keep, before) + self._remote.sweep(keep, before)

    def _bucket(self, uri: str) -> Bucket:
        return self._remote if is_remote(uri) else self._local

    def _recall(self, uri: str, digest: str) -> _Known:
        path = self._path(uri, digest)
        manifest = manifests.read(self._folder, digest) if use(path) else None
        if manifest is None:
            raise NeedsHuman(f"the dataset version {digest[:19]} is not known here; trigger a run")
        about = json.loads(path.read_text())
        repository, table = about["repository"], about.get("table")
        return _Known(
            Path(repository) if repository else None,
            manifest,
            TableAddress(**table) if table else None,
        )

    def _path(self, uri: str, digest: str) -> Path:
        return self._folder / "listed" / digest_of([uri, digest]).partition(":")[2]

    def _remember(self, uri: str, repository: Path | None, found: ListedTable) -> None:
        listing, table = found
        path = self._path(uri, listing.manifest.digest)
        known = manifests.read(self._folder, listing.manifest.digest) is not None
        if known and repository is None and table is None and use(path):
            return  # else it is written anew: the older checkout may be swept, or the version too
        manifests.write(self._folder, listing.manifest)
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self._folder / f"{token_hex(8)}.new"
        about: dict[str, object] = {"uri": uri, "repository": str(repository or "")}
        if table is not None:
            about["table"] = table._asdict()
        scratch.write_text(json.dumps(about))
        lay(scratch, path)


async def changes(
    catalog: Catalog, graph: Graph, was: Mapping[str, str], now: Mapping[str, str]
) -> dict[str, ObjectChanges]:
    """What became of the objects of datasets that a graph reads, between the versions of two runs,
    by dataset; of those that are the same, or not known any more, nothing."""
    found: dict[str, ObjectChanges] = {}
    for name, uri in addresses_of(graph).items():
        if name in was and name in now and was[name] != now[name]:
            moved = await catalog.differ(uri, was[name], now[name])
            found |= {name: moved} if moved else {}
    return found


def _first_missing(
    expected: Iterable[ManifestEntry], found: Iterable[ManifestEntry]
) -> ManifestEntry | None:
    """The first entry that was not found as it is expected; both are in the order of their keys."""
    there = iter(found)
    for entry in expected:
        match = next((one for one in there if one.key >= entry.key), None)
        if match != entry:
            return entry
    return None
