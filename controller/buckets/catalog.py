"""The catalog of dataset versions: which objects each digest stands for, and where they are."""

import asyncio
import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from controller.blobs.last_use import discard_all, move_into_place, use
from controller.blobs.objects import Objects
from controller.buckets import manifest as manifests
from controller.buckets.changes import differ
from controller.buckets.listing import remote_place_of
from controller.buckets.local import LocalBucket
from controller.buckets.manifest import StoredManifest
from controller.buckets.places import is_relative
from controller.buckets.protocol import Bucket, Listing, ObjectChanged
from controller.buckets.remote import RemoteBucket
from controller.buckets.roots import Roots
from controller.buckets.stores import CredentialsRefused, Stores, is_remote
from controller.buckets.tables import ListedTable, TableAddress, Tables, without_snapshot
from controller.machine.pipelines.dataset_changes import ObjectChanges
from controller.machine.runs.graph import Graph, addresses_of
from specs.digests import ManifestEntry
from specs.digests import digest as digest_of
from specs.failures import NeedsHuman, TryAgain

DATASETS = "datasets"
"""The catalog's folder in the controller's home."""
REUSE_FACTOR = 10.0
"""A listing of an object store is reused for so many times as long as it took."""
MIN_REUSE = 1.0
"""Seconds for which it is reused at least."""


RENEWED = 600.0
"""Seconds after which a version that is listed again is noted as used again, at the latest: less
than what is unused is kept for."""


class _CachedListing(NamedTuple):
    listing: Listing
    until: float
    """By `time.monotonic`."""


class _RecentListing(NamedTuple):
    listing: Listing
    begun: float
    """By `time.monotonic`."""


class Addresses(NamedTuple):
    """Where to read the objects of a dataset version."""

    folder: Path | None
    """On this machine; None for an object store."""
    objects: Iterator[tuple[ManifestEntry, str]]
    """Each object with its URI."""
    table: TableAddress | None = None
    """Where to read the version as a table, if it is one."""


class _VersionRecord(NamedTuple):
    """What the catalog remembers about a version."""

    repository: Path | None
    manifest: StoredManifest
    table: TableAddress | None


class Catalog:
    """Remembers the manifest of each dataset version, so that a digest is enough to read it.

    A listing of an object store is reused for a while, at most `longest` seconds, unless `hint`
    reports a change. Listings of the same place on this machine that are asked for while one is in
    progress, or within `moment` seconds of its beginning, share one.
    """

    def __init__(
        self,
        home: Path,
        stores: Stores | None = None,
        *,
        roots: Roots = Roots(),  # noqa: B008 - a constant value
        longest: float = 60.0,
        moment: float = 0.0,
        clock: Callable[[], float] = time.time,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._folder = home / "manifests"
        self._local = LocalBucket(home, roots=roots, clock=wall)
        self._stores = stores or Stores()
        # Files that a table's log names are complete, however new they are.
        self._local_tables = LocalBucket(home, roots=roots, clock=lambda: 0.0)
        self._remote = RemoteBucket(self._folder, home, self._stores, clock)
        self._tables = Tables(Objects(home / "objects"))
        self._longest = longest
        self._moment = moment
        self._recent: dict[tuple[str, str | None], _RecentListing] = {}
        self._cached: dict[tuple[str, str | None], _CachedListing] = {}
        self._locks: dict[tuple[str, str | None], asyncio.Lock] = {}
        self._remembered: dict[str, tuple[str, float]] = {}
        """The version of each dataset that was last noted as used, and when."""
        self._hints = 0

    async def list(
        self, uri: str, *, repository: Path | None = None, marker: str | None = None
    ) -> Listing:
        """List what is there now, or reuse a recent listing (see `Listing.at`). Remembers its
        manifest. Raises what `Bucket.list` raises."""
        if repository is not None and is_relative(uri):
            return await self._listed_now(uri, repository, marker)
        if not is_remote(uri):
            # Not cancelled with one of those who wait for it.
            work = asyncio.create_task(self._shared(uri, marker))
            work.add_done_callback(_retrieved)
            return await asyncio.shield(work)
        asked = uri, marker
        async with self._locks.setdefault(asked, asyncio.Lock()):
            kept = self._cached.get(asked)
            if kept is not None and time.monotonic() < kept.until:
                return kept.listing
            begun, hints = time.monotonic(), self._hints
            listing = await self._listed_now(uri, None, marker)
            took = time.monotonic() - begun
            reusable = min(max(REUSE_FACTOR * took, MIN_REUSE), self._longest)
            if hints == self._hints:  # otherwise it may have missed the change
                self._cached[asked] = _CachedListing(listing, time.monotonic() + reusable)
            return listing

    def forget(self) -> None:
        """Share no listing of this machine that began before now."""
        self._recent.clear()

    async def _shared(self, uri: str, marker: str | None) -> Listing:
        """A listing on this machine that begins now, or began a `moment` ago at most."""
        asked, now = (uri, marker), time.monotonic()
        async with self._locks.setdefault(asked, asyncio.Lock()):
            recent = self._recent.get(asked)
            if recent is None or recent.begun < now - self._moment:
                begun = time.monotonic()
                recent = _RecentListing(await self._listed_now(uri, None, marker), begun)
                self._recent[asked] = recent
            return recent.listing

    async def _listed_now(self, uri: str, repository: Path | None, marker: str | None) -> Listing:
        found = await self._list(uri, repository, marker)
        digest, now = found.listing.manifest.digest, time.monotonic()
        known = self._remembered.get(uri)
        if known is None or known[0] != digest or known[1] < now - RENEWED:
            await asyncio.to_thread(self._remember, uri, repository, found)
            if repository is None:
                self._remembered[uri] = digest, now
        return found.listing

    async def _list(self, uri: str, repository: Path | None, marker: str | None) -> ListedTable:
        bucket = self._bucket(uri)
        table = await self._tables.at(bucket, uri, repository)
        if table is None:
            return ListedTable(await bucket.list(uri, repository=repository, marker=marker), None)
        whole = self._remote if is_remote(uri) else self._local_tables
        return await self._tables.listed(whole, table, repository=repository, marker=marker)

    def hint(self, uri: str) -> None:
        """Discard the listings that may include `uri`, an object or a folder in an object store
        where something changed."""
        self._hints += 1
        where = f"{uri.rstrip('/')}/"  # not normalised: an object's key need not be a path
        for asked in list(self._cached):
            known = remote_place_of(asked[0])
            place = f"{known.uri}/"
            if where.startswith(place) or place.startswith(where):
                del self._cached[asked]

    async def pinned(self, uri: str, digest: str) -> tuple[Path, StoredManifest]:
        """A folder with exactly the objects of a version, and their manifest.

        `uri` is the dataset's, as two datasets may hold equal objects.

        Raises `NeedsHuman` for a version that was never listed here, and `ObjectChanged` if an
        object, named in the message, was changed before it could be copied. Refused credentials
        raise `TryAgain`, so that they do not fail the run that reads the dataset.
        """
        known = await self._known(uri, digest)
        at = known.table.uri if known.table else uri
        with self._reading(uri):
            folder = await self._bucket(uri).pin(at, known.manifest, repository=known.repository)
            return folder, known.manifest

    async def verify_unchanged(self, uri: str, digest: str) -> None:
        """List again and check that every object of a version is still as it was listed. New
        objects are ignored. In bounded memory. Raises what `pinned` raises.
        """
        repository, manifest, table = await self._known(uri, digest)
        bucket = self._bucket(uri)
        at = table.uri if table else uri
        expected = without_snapshot(manifest) if table else manifest
        with self._reading(uri):
            listing = await bucket.list(at, repository=repository)
            gone = await asyncio.to_thread(_first_missing, expected, listing.manifest)
            if gone is not None:
                address = bucket.address(at, gone.key, repository=repository)
                raise ObjectChanged(f"{address} was replaced or deleted before it was read")

    @contextmanager
    def _reading(self, uri: str) -> Iterator[None]:
        try:
            yield
        except CredentialsRefused as failure:
            raise TryAgain(str(failure), human=True) from None
        except ObjectChanged:
            # Otherwise the next run would start with the outdated listing.
            self._recent.clear()
            if is_remote(uri):
                self.hint(remote_place_of(uri).uri)
            raise

    async def addresses(self, uri: str, digest: str) -> Addresses:
        """The address of each object of a version. Raises `NeedsHuman` for a version that was never
        listed here and, for a dataset in the repository, what `pinned` raises."""
        repository, manifest, table = await self._known(uri, digest)
        at = table.uri if table else uri
        objects = without_snapshot(manifest) if table else manifest
        if is_remote(uri):
            remote = ((e, self._remote.address(at, e.key)) for e in objects)
            return Addresses(None, remote, table)
        folder = self._local.folder(at, repository)
        if folder is None:  # pinned, so that nothing else in the checkout can be read
            folder, _ = await self.pinned(uri, digest)
            table = table.pinned_in(folder) if table else None
        elif table:
            table = table._replace(uri=folder.as_uri())
        return Addresses(folder, ((e, (folder / e.key).as_uri()) for e in objects), table)

    async def manifest(self, uri: str, digest: str) -> Iterable[ManifestEntry]:
        """The objects of a version. Raises `NeedsHuman` for one that was never listed here."""
        _, manifest, table = await asyncio.to_thread(self._recall, uri, digest)
        return without_snapshot(manifest) if table else manifest

    async def differ(self, uri: str, was: str, now: str) -> ObjectChanges | None:
        """How the objects of two versions differ; None if one of them is forgotten. Rows are not
        counted for data in a repository, as that is untrusted."""
        try:
            before = await self.manifest(uri, was)
            repository, after, table = await asyncio.to_thread(self._recall, uri, now)
        except NeedsHuman:
            return None
        current = without_snapshot(after) if table else after
        at = table.uri if table else uri
        folder = None if is_remote(uri) else self._local.folder(at, repository)
        return await asyncio.to_thread(differ, at, before, current, folder, self._stores)

    async def sweep(self, keep: Collection[str], before: float) -> int:
        """See `Bucket.sweep`; also deletes manifests of versions not in `keep` that were not listed
        or read since."""
        return await asyncio.to_thread(self._sweep, keep, before)

    def _sweep(self, keep: Collection[str], before: float) -> int:
        self._remembered.clear()
        discard_all(self._folder / "listed", before, self._records_of(keep))
        manifests.sweep(self._folder, keep, before)
        return self._local.sweep(keep, before) + self._remote.sweep(keep, before)

    def _records_of(self, keep: Collection[str]) -> set[str]:
        """The names of the records of these versions."""
        records = self._folder / "listed"
        found = records.iterdir() if records.is_dir() else ()
        return {path.name for path in found if _version_in(path) in keep}

    def _bucket(self, uri: str) -> Bucket:
        return self._remote if is_remote(uri) else self._local

    async def _known(self, uri: str, digest: str) -> _VersionRecord:
        """What is remembered of a version. If that was lost with the home folder, or another
        controller listed it, what is there now may still be that version."""
        try:
            return await asyncio.to_thread(self._recall, uri, digest)
        except NeedsHuman:
            if is_relative(uri):
                raise
        with self._reading(uri):
            await self._listed_now(uri, None, None)
        return await asyncio.to_thread(self._recall, uri, digest)

    def _recall(self, uri: str, digest: str) -> _VersionRecord:
        path = self._path(uri, digest)
        manifest = manifests.read(self._folder, digest) if use(path) else None
        if manifest is None:
            raise NeedsHuman(
                f"the dataset version {digest[:19]} is not known to this controller, and it is not "
                f"what {uri} has now; trigger a run"
            )
        about = json.loads(path.read_text())
        repository, table = about["repository"], about.get("table")
        return _VersionRecord(
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
            return  # otherwise rewrite the record, as the older checkout may have been deleted
        manifests.write(self._folder, listing.manifest)
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self._folder / f"{token_hex(8)}.new"
        about: dict[str, object] = {"uri": uri, "repository": str(repository or "")}
        about["version"] = listing.manifest.digest.rpartition(":")[2]
        if table is not None:
            about["table"] = table._asdict()
        scratch.write_text(json.dumps(about))
        move_into_place(scratch, path)


async def changes(
    catalog: Catalog, graph: Graph, was: Mapping[str, str], now: Mapping[str, str]
) -> dict[str, ObjectChanges]:
    """How the objects of the datasets that a graph reads changed between two runs, by dataset;
    without datasets that did not change or whose versions are forgotten."""
    found: dict[str, ObjectChanges] = {}
    for name, uri in addresses_of(graph).items():
        if name in was and name in now and was[name] != now[name]:
            moved = await catalog.differ(uri, was[name], now[name])
            found |= {name: moved} if moved else {}
    return found


def _version_in(record: Path) -> str | None:
    """The version that a record is about; records of older controllers do not say."""
    version = json.loads(record.read_text()).get("version")
    return version if isinstance(version, str) else None


def _retrieved(listing: "asyncio.Task[Listing]") -> None:
    """Nobody may wait for the result any more."""
    if not listing.cancelled():
        listing.exception()


def _first_missing(
    expected: Iterable[ManifestEntry], found: Iterable[ManifestEntry]
) -> ManifestEntry | None:
    """The first expected entry that was not found unchanged; both are sorted by their keys."""
    there = iter(found)
    for entry in expected:
        match = next((one for one in there if one.key >= entry.key), None)
        if match != entry:
            return entry
    return None
