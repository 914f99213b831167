"""Datasets that are tables: folders whose log says which of their files count.

A table is listed as its current snapshot: the files that are live, and the log of them alone, so
that whoever reads the pinned folder sees the very rows, with a reader of tables or without. What
was deleted, rewritten or not committed is not in it.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from controller.blobs.objects import Objects
from controller.buckets import delta, iceberg
from controller.buckets.local import MAGIC, place_of
from controller.buckets.protocol import Bucket, Contents, Listing
from controller.buckets.signs import NAMED, SIGNS, Format
from controller.buckets.stores import CredentialsRefused, is_remote
from specs.digests import Manifest, ManifestEntry
from specs.failures import NeedsHuman
from specs.globs import matches
from specs.snapshot import DELTA_KEY, ICEBERG_KEY, SNAPSHOT_KEYS, TableSnapshot

MOST_LOG: Final = 2**30
"""Bytes of a log that are read at most."""


class LakeTable(NamedTuple):
    """A table, and which of its files are meant."""

    format: Format
    uri: str
    """Of its folder."""
    glob: str


class TableAddress(NamedTuple):
    """Where a version of a table can be read."""

    format: Format
    uri: str
    version: int
    """Of a Delta table its version, of an Iceberg table the id of its snapshot."""

    def pinned_in(self, folder: Path) -> "TableAddress | None":
        """The same where it was pinned, which is a table of one version, or none."""
        if self.format != "delta":
            return None
        return TableAddress(self.format, folder.as_uri(), 0)


class ListedTable(NamedTuple):
    """A dataset as it was listed."""

    listing: Listing
    table: TableAddress | None
    """None: it is no table."""


class Tables:
    """Finds and lists tables in any bucket. What a log says is remembered by its content."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._plain: set[str] = set()
        self._read: dict[tuple[str, str], list[delta.Version]] = {}

    async def at(self, bucket: Bucket, uri: str, repository: Path | None) -> LakeTable | None:
        """The table that a dataset is, or is a part of; None: its objects are files.

        Raises NeedsHuman for one that is within a table, and what `Bucket.list` raises.
        """
        folder, glob = _apart(uri)
        for format_ in SIGNS:
            try:
                if await _has(bucket, folder, format_, repository):
                    return LakeTable(format_, folder, glob)
            except CredentialsRefused:
                await bucket.list(uri)  # which says it of the dataset, and not of what it may hold
                raise
        if folder not in self._plain:
            for above in _above(folder):
                for format_ in SIGNS:
                    if await _may_have(bucket, above, format_, repository):
                        raise NeedsHuman(
                            f"{uri} is within the {NAMED[format_]} table {above}, whose log says "
                            f"which files count: name the table, or a part of it by a glob, such "
                            f"as {above}/{_below(folder, above)}*/**"
                        )
            self._plain.add(folder)
        return None

    async def listed(
        self, bucket: Bucket, table: LakeTable, *, repository: Path | None, marker: str | None
    ) -> ListedTable:
        """What is in the table now. Raises what `Bucket.list` raises, and NeedsHuman for a table
        that its files alone do not tell rightly."""
        found = await self._once(bucket, table, repository, marker)
        if isinstance(found, str):  # a commit came, or went, while it was listed
            found = await self._once(bucket, table, repository, marker)
        if isinstance(found, str):
            raise NeedsHuman(found)
        return found

    async def _once(
        self, bucket: Bucket, table: LakeTable, repository: Path | None, marker: str | None
    ) -> ListedTable | str:
        """The table; or what it lacks."""
        raw = await bucket.list(table.uri, repository=repository, marker=marker)
        entries = await asyncio.to_thread(lambda: {one.key: one for one in raw.manifest})

        async def pin(keys: list[str]) -> Path:
            log = Manifest(tuple(entries[key] for key in keys if key in entries))
            if log.size > MOST_LOG:
                raise NeedsHuman(
                    f"the log of the table {table.uri} has more than {MOST_LOG >> 20} MiB: write a "
                    "checkpoint of it"
                )
            return await bucket.pin(table.uri, log, repository=repository)

        versions = await self._versions(table, entries, pin)
        lacking = ""
        for version in versions:
            manifest = await asyncio.to_thread(self._manifest, table, version.snapshot, entries)
            if isinstance(manifest, Manifest):
                address = TableAddress(table.format, table.uri, version.number)
                # Nothing of a commit is still being written: what it names is there, in its size.
                listing = raw._replace(manifest=manifest, unsettled=(), whole=True)
                return ListedTable(listing, address)
            lacking = (
                f"the {NAMED[table.format]} table {table.uri} names a file in its version "
                f"{version.number} that {manifest}: it is being copied, or is damaged"
            )
        return lacking

    async def _versions(
        self, table: LakeTable, entries: Mapping[str, ManifestEntry], pin: iceberg.Pin
    ) -> list[delta.Version]:
        is_delta = table.format == "delta"
        keys = delta.needed(entries) if is_delta else iceberg.needed(entries)
        log = Manifest(tuple(entries[key] for key in keys)).digest
        known = self._read.get((table.uri, log))
        if known is None:
            if is_delta:
                known = await asyncio.to_thread(delta.versions, await pin(keys), table.uri)
            else:
                known = await iceberg.versions(keys, pin, table.uri)
            self._read = {at: one for at, one in self._read.items() if at[0] != table.uri}
            self._read[table.uri, log] = known
        return known

    def _manifest(
        self, table: LakeTable, snapshot: TableSnapshot, entries: Mapping[str, ManifestEntry]
    ) -> Manifest | str:
        """The snapshot's files, and the log of them; or what is wrong with one."""
        meant = {
            key: file for key, file in snapshot.files.items() if matches(table.glob, key)
        }  # those of a part of the table
        for key, file in meant.items():
            if key not in entries:
                return f"is not there ({key})"
            if entries[key].size != file.size:
                return f"has another size than it says ({key})"
        content = replace(snapshot, files=meant).written()
        key = DELTA_KEY if table.format == "delta" else ICEBERG_KEY
        log = ManifestEntry(key, len(content), self._objects.put_bytes(content).digest)
        return Manifest((log, *(entries[key] for key in meant)))


def own(manifest: Contents) -> Manifest:
    """The objects of a version that are the dataset's own: without the log that was made here."""
    return Manifest(tuple(entry for entry in manifest if entry.key not in SNAPSHOT_KEYS))


def _apart(uri: str) -> tuple[str, str]:
    """A dataset's folder and its glob; a folder without one is all that is below it."""
    parts = uri.rstrip("/").split("/")
    fixed = next((i for i, part in enumerate(parts) if set(part) & set(MAGIC)), len(parts))
    return "/".join(parts[:fixed]), "/".join(parts[fixed:]) or "**"


def _above(folder: str) -> list[str]:
    """The folders above one, as far up as a table may be, the nearest first."""
    scheme, mark, path = folder.rpartition("://")
    parts = path.split("/")
    above = ("/".join(parts[:n]) for n in range(len(parts) - 1, 0, -1))
    return [f"{scheme}{mark}{each}" for each in above if each]


def _below(folder: str, above: str) -> str:
    return folder.removeprefix(above).lstrip("/")


async def _may_have(bucket: Bucket, folder: str, format_: Format, repository: Path | None) -> bool:
    """The same of a folder above the dataset's, which it may not be allowed to look into: then
    nobody can say, and what is below is taken for files."""
    try:
        return await _has(bucket, folder, format_, repository)
    except CredentialsRefused:
        return False


async def _has(bucket: Bucket, folder: str, format_: Format, repository: Path | None) -> bool:
    """Whether a folder has what makes it a table of this format."""
    if not is_remote(folder):
        with suppress(NeedsHuman):
            place = place_of(folder, repository).folder
            return any(place.glob(SIGNS[format_]))
        return False
    found = await bucket.list(f"{folder}/{SIGNS[format_]}")
    return len(found.manifest) > 0
