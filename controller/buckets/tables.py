"""Datasets that are tables: folders with a log that says which of their files are live.

A table is listed as its current snapshot: the live files, and a log that names only these. So the
pinned folder has exactly the table's rows, read as a table or as plain files, without anything
that was deleted, rewritten or not committed.
"""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple

from controller.blobs.objects import Objects
from controller.buckets import delta, iceberg
from controller.buckets.places import MAGIC, place_of
from controller.buckets.protocol import Bucket, Contents, Listing
from controller.buckets.stores import CredentialsRefused, is_remote
from controller.buckets.table_formats import FORMAT_NAMES, SIGNATURES, Format
from specs.digests import Manifest, ManifestEntry
from specs.failures import NeedsHuman
from specs.globs import matches
from specs.snapshot import DELTA_KEY, ICEBERG_KEY, SNAPSHOT_KEYS, TableSnapshot

MAX_LOG: Final = 2**30
"""The largest log that is read, in bytes."""


class LakeTable(NamedTuple):
    """A dataset that is a table, or a part of one."""

    format: Format
    uri: str
    """The table's folder."""
    glob: str
    """Which of its files belong to the dataset."""


class TableAddress(NamedTuple):
    """Where to read a version of a table."""

    format: Format
    uri: str
    version: int
    """The version of a Delta table, or the id of an Iceberg snapshot."""

    def pinned_in(self, folder: Path) -> "TableAddress | None":
        """The address of its pinned copy, a table with one version; None if that is not a table."""
        if self.format != "delta":
            return None
        return TableAddress(self.format, folder.as_uri(), 0)


class ListedTable(NamedTuple):
    """A dataset as it was listed."""

    listing: Listing
    table: TableAddress | None
    """None: the dataset is not a table."""


class Tables:
    """Finds and lists tables in any bucket. Caches what it read by the content of the log."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._plain: set[str] = set()
        self._read: dict[tuple[str, str], list[delta.Version]] = {}

    async def at(self, bucket: Bucket, uri: str, repository: Path | None) -> LakeTable | None:
        """The table that a dataset is, with or without a glob; None if its objects are plain files.

        Raises `NeedsHuman` for a folder inside a table, and what `Bucket.list` raises.
        """
        folder, glob = _split_glob(uri)
        for format_ in SIGNATURES:
            try:
                if await _has(bucket, folder, format_, repository):
                    return LakeTable(format_, folder, glob)
            except CredentialsRefused:
                await bucket.list(uri)  # this fails, too, with a message that names the dataset
                raise
        if folder not in self._plain:
            for above in _above(folder):
                for format_ in SIGNATURES:
                    if await _may_have(bucket, above, format_, repository):
                        raise NeedsHuman(
                            f"{uri} is inside the {FORMAT_NAMES[format_]} table {above}, whose log "
                            "says which files are live: name the table, or a part of it with a "
                            f"glob, such as {above}/{_below(folder, above)}*/**"
                        )
            self._plain.add(folder)
        return None

    async def listed(
        self, bucket: Bucket, table: LakeTable, *, repository: Path | None, marker: str | None
    ) -> ListedTable:
        """List the table's current snapshot. Raises what `Bucket.list` raises, and `NeedsHuman` for
        a table that cannot be read correctly from its files alone."""
        found = await self._list_once(bucket, table, repository, marker)
        if isinstance(found, str):  # a commit was added or removed while it was listed
            found = await self._list_once(bucket, table, repository, marker)
        if isinstance(found, str):
            raise NeedsHuman(found)
        return found

    async def _list_once(
        self, bucket: Bucket, table: LakeTable, repository: Path | None, marker: str | None
    ) -> ListedTable | str:
        """The table; or a message about what is missing."""
        raw = await bucket.list(table.uri, repository=repository, marker=marker)
        entries = await asyncio.to_thread(lambda: {one.key: one for one in raw.manifest})

        async def pin(keys: list[str]) -> Path:
            log = Manifest(tuple(entries[key] for key in keys if key in entries))
            if log.size > MAX_LOG:
                raise NeedsHuman(
                    f"the log of the table {table.uri} has more than {MAX_LOG >> 20} MiB: create a "
                    "checkpoint"
                )
            return await bucket.pin(table.uri, log, repository=repository)

        versions = await self._versions(table, entries, pin)
        missing = ""
        for version in versions:
            manifest = await asyncio.to_thread(self._manifest, table, version.snapshot, entries)
            if isinstance(manifest, Manifest):
                address = TableAddress(table.format, table.uri, version.number)
                # A commit is complete: the files that it names are there, with the right sizes.
                listing = raw._replace(manifest=manifest, unsettled=(), whole=True)
                return ListedTable(listing, address)
            missing = (
                f"the {FORMAT_NAMES[table.format]} table {table.uri} names a file in its version "
                f"{version.number} that {manifest}: it is incompletely copied or damaged"
            )
        return missing

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
        """The snapshot's files and a log of them; or what is wrong with one of the files."""
        files = {key: file for key, file in snapshot.files.items() if matches(table.glob, key)}
        for key, file in files.items():
            if key not in entries:
                return f"is not there ({key})"
            if entries[key].size != file.size:
                return f"has another size than it says ({key})"
        content = replace(snapshot, files=files).written()
        key = DELTA_KEY if table.format == "delta" else ICEBERG_KEY
        log = ManifestEntry(key, len(content), self._objects.put_bytes(content).digest)
        return Manifest((log, *(entries[key] for key in files)))


def without_snapshot(manifest: Contents) -> Manifest:
    """The objects of a version without the log that Headgate wrote for it."""
    return Manifest(tuple(entry for entry in manifest if entry.key not in SNAPSHOT_KEYS))


def _split_glob(uri: str) -> tuple[str, str]:
    """A dataset's folder and its glob; a folder without a glob means everything below it."""
    parts = uri.rstrip("/").split("/")
    fixed = next((i for i, part in enumerate(parts) if set(part) & set(MAGIC)), len(parts))
    return "/".join(parts[:fixed]), "/".join(parts[fixed:]) or "**"


def _above(folder: str) -> list[str]:
    """The folders above a folder that could be tables, nearest first."""
    scheme, mark, path = folder.rpartition("://")
    parts = path.split("/")
    above = ("/".join(parts[:n]) for n in range(len(parts) - 1, 0, -1))
    return [f"{scheme}{mark}{each}" for each in above if each]


def _below(folder: str, above: str) -> str:
    return folder.removeprefix(above).lstrip("/")


async def _may_have(bucket: Bucket, folder: str, format_: Format, repository: Path | None) -> bool:
    """Like `_has`, for a folder above the dataset's. If that may not be listed, False."""
    try:
        return await _has(bucket, folder, format_, repository)
    except CredentialsRefused:
        return False


async def _has(bucket: Bucket, folder: str, format_: Format, repository: Path | None) -> bool:
    """Whether a folder is a table of this format."""
    if not is_remote(folder):
        with suppress(NeedsHuman):
            return _has_log(place_of(folder, repository).folder, SIGNATURES[format_])
        return False
    found = await bucket.list(f"{folder}/{SIGNATURES[format_]}")
    return len(found.manifest) > 0


def _has_log(folder: Path, signature: str) -> bool:
    """Whether a file below the folder matches. Most folders are asked this each time that they are
    listed, and are no table: it takes one attempt to open the log's folder."""
    log, _, pattern = signature.partition("/")
    try:
        with os.scandir(folder / log) as files:
            return any(fnmatchcase(each.name, pattern) for each in files)
    except OSError:
        return False
