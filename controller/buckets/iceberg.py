"""The current snapshot of an Iceberg table, from the files below its `metadata` folder.

Metadata, manifest lists and manifests are read by pyiceberg; they name files by their addresses at
the time they were written, which are looked up by what follows the table's own. What a plain reader
of the data files would read wrongly is refused by name: delete files, renamed columns, version 3.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from controller.buckets.delta import Version
from specs.failures import NeedsHuman
from specs.snapshot import LiveFile, TableSnapshot

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import ManifestEntry
    from pyiceberg.schema import Schema
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot as IcebergSnapshot

METADATA: Final = "metadata"
HINT: Final = f"{METADATA}/version-hint.text"
_METADATA_FILE: Final = re.compile(r"metadata/v?(\d+)(-[\w-]+)?(\.gz)?\.metadata\.json(\.gz)?")
_HIGHEST: Final = 2
"""Of the format's versions."""

Pin = Callable[[list[str]], Awaitable[Path]]
"""Gives a folder with these files of the table, by their keys."""


def needed(keys: Iterable[str]) -> list[str]:
    """Of the keys of a table, those that tell what it is now, and what it was."""
    return [key for key in keys if key.startswith(f"{METADATA}/")]


async def versions(keys: Collection[str], pin: Pin, uri: str) -> list[Version]:
    """Snapshots that have the rows of the newest, the oldest first: those that only arrange files
    anew (`replace`) have no others. Without any it is a table of no rows. Raises NeedsHuman."""
    try:
        from pyiceberg.exceptions import ValidationError
    except ImportError:
        raise NeedsHuman(
            f"{uri} is an Iceberg table: install Headgate with its extra, `headgate[tables]`"
        ) from None
    hint = (await pin([HINT]) / HINT).read_text().strip() if HINT in keys else ""
    newest = current(keys, hint, uri)
    try:
        metadata = await asyncio.to_thread(_metadata, await pin([newest]) / newest)
        _refuse(metadata, uri)
        chosen = _with_the_same_rows(metadata)
        return [await _version(metadata, one, pin, uri) for one in chosen] or [_empty(metadata)]
    except (ValidationError, ValueError, KeyError, OSError) as error:
        raise NeedsHuman(
            f"the metadata of the Iceberg table {uri} cannot be read ({type(error).__name__}): it "
            "may be one that is being copied, or of a newer kind than pyiceberg reads"
        ) from None


def current(keys: Iterable[str], hint: str, uri: str) -> str:
    """The key of the metadata that counts. Raises NeedsHuman where only a catalog knows."""
    named = f"{METADATA}/{hint.removesuffix('.metadata.json')}.metadata.json"
    found: dict[int, list[str]] = {}
    for key in keys:
        if hint and not hint.isdecimal() and key == named:
            return key
        if match := _METADATA_FILE.fullmatch(key):
            found.setdefault(int(match[1]), []).append(key)
    if not found:
        raise NeedsHuman(f"{uri} has no metadata of an Iceberg table that is named as such")
    newest = found[max(found)]
    if len(newest) > 1:
        raise NeedsHuman(
            f"the Iceberg table {uri} has {len(newest)} metadata files of number {max(found)}, and "
            "only its catalog knows which counts: delete the one that was not committed "
            f"({', '.join(sorted(newest))}), or name one in {HINT}"
        )
    return newest[0]


def _metadata(path: Path) -> "TableMetadata":
    from pyiceberg.io.pyarrow import PyArrowFileIO
    from pyiceberg.serializers import FromInputFile

    return FromInputFile.table_metadata(PyArrowFileIO().new_input(str(path)))


def _refuse(metadata: "TableMetadata", uri: str) -> None:
    if metadata.format_version > _HIGHEST:
        raise NeedsHuman(
            f"the Iceberg table {uri} is of format version {metadata.format_version}, whose "
            "deletion vectors and default values are not in the data files: rewrite it as version "
            f"{_HIGHEST}, or take the rows by `query:`"
        )


def _with_the_same_rows(metadata: "TableMetadata") -> "list[IcebergSnapshot]":
    newest = metadata.current_snapshot()
    if newest is None:
        return []
    first: IcebergSnapshot | None = newest
    while first is not None and first.summary and first.summary.operation.value == "replace":
        parent = first.parent_snapshot_id
        first = metadata.snapshot_by_id(parent) if parent is not None else None
    return [newest] if first is None or first == newest else [first, newest]


def _empty(metadata: "TableMetadata") -> Version:
    return Version(0, _snapshot(metadata, {}))


def _snapshot(metadata: "TableMetadata", files: Mapping[str, LiveFile]) -> TableSnapshot:
    schema = metadata.schema()
    return TableSnapshot(
        id=str(metadata.table_uuid),
        fields=tuple(
            {"name": field.name, "type": _type(field.field_type), "nullable": not field.required}
            for field in schema.fields
        ),
        partitions=(),
        files=files,
    )


async def _version(
    metadata: "TableMetadata", snapshot: "IcebergSnapshot", pin: Pin, uri: str
) -> Version:
    """One snapshot, by its manifest list and then its manifests."""
    from pyiceberg.manifest import read_manifest_list

    where = _Where(metadata.location, uri)
    listed = where.key(snapshot.manifest_list)
    io = _pinned(await pin([listed]), where)
    manifests = await asyncio.to_thread(
        lambda: list(read_manifest_list(io.new_input(snapshot.manifest_list)))
    )
    folder = await pin([where.key(one.manifest_path) for one in manifests])

    def read() -> TableSnapshot:
        io = _pinned(folder, where)
        entries = [entry for one in manifests for entry in one.fetch_manifest_entry(io)]
        return _snapshot(metadata, dict(_files(metadata, entries, where)))

    return Version(snapshot.snapshot_id, await asyncio.to_thread(read))


def _files(
    metadata: "TableMetadata", entries: "Iterable[ManifestEntry]", where: "_Where"
) -> Iterator[tuple[str, LiveFile]]:
    from pyiceberg.manifest import DataFileContent, FileFormat

    names = _Names(metadata, where.uri)
    for entry in entries:
        file = entry.data_file
        if file.content != DataFileContent.DATA:
            raise NeedsHuman(
                f"the Iceberg table {where.uri} has delete files: its data files still hold rows "
                "that were deleted. Rewrite them: `CALL system.rewrite_data_files(table => '...', "
                "options => map('delete-file-threshold', '1'))`, and set `write.delete.mode`, "
                "`write.update.mode` and `write.merge.mode` to `copy-on-write`"
            )
        if file.file_format != FileFormat.PARQUET:
            raise NeedsHuman(
                f"the Iceberg table {where.uri} has {file.file_format.value} files: what can be "
                "read is Parquet"
            )
        names.check(entry.snapshot_id)
        yield where.key(file.file_path), LiveFile(file.file_size_in_bytes, {})


class _Where:
    """Finds the files that metadata name by their addresses."""

    def __init__(self, location: str, uri: str) -> None:
        self.uri = uri
        self._location = _bare(location).rstrip("/") + "/"

    def key(self, address: str) -> str:
        """The key below the table's folder. Raises NeedsHuman for what is not there."""
        bare = _bare(address)
        key = bare.removeprefix(self._location)
        if key == bare or ".." in key.split("/"):
            raise NeedsHuman(
                f"the Iceberg table {self.uri} has files outside of its folder, as with "
                "`write.data.path`: write them below it, or take the rows by `query:`"
            )
        return key


def _bare(address: str) -> str:
    """An address without its scheme: writers spell one place as s3, s3a, file: and file://."""
    return re.sub(r"^\w+:/*", "/", address)


def _pinned(folder: Path, where: _Where) -> "FileIO":
    """Reads what metadata name from the folder that has it."""
    from pyiceberg.io import InputFile
    from pyiceberg.io.pyarrow import PyArrowFileIO

    class Pinned(PyArrowFileIO):
        def new_input(self, location: str) -> InputFile:  # type: ignore[override]
            return super().new_input(str(folder / where.key(location)))

    return Pinned()


class _Names:
    """Whether files call their columns as the table does now: by when they were written."""

    def __init__(self, metadata: "TableMetadata", uri: str) -> None:
        self._metadata = metadata
        self._uri = uri
        self._now = _ids(metadata.schema())
        self._schemas = {one.schema_id: one for one in metadata.schemas}
        self._checked: set[int | None] = set()

    def check(self, snapshot_id: int | None) -> None:
        """Raises NeedsHuman if a file that came with this snapshot has a column under another
        name, or another column under a name of now."""
        if snapshot_id in self._checked:
            return
        self._checked.add(snapshot_id)
        for schema in self._written_with(snapshot_id):
            then = _ids(schema)
            at = {name: id_ for id_, name in then.items()}
            for id_, name in self._now.items():
                if then.get(id_, name) != name:
                    self._refuse(f"a column `{then[id_]}` that is `{name}` now")
                if at.get(name, id_) != id_:
                    self._refuse(f"a column `{name}` that was dropped, and another has its name")

    def _written_with(self, snapshot_id: int | None) -> "Sequence[Schema]":
        snapshot = self._metadata.snapshot_by_id(snapshot_id) if snapshot_id is not None else None
        if snapshot is None or snapshot.schema_id not in self._schemas:
            return tuple(self._schemas.values())  # it has expired: any of them
        return (self._schemas[snapshot.schema_id],)

    def _refuse(self, what: str) -> None:
        raise NeedsHuman(
            f"the Iceberg table {self._uri} has older files with {what}, so other readers of them "
            "would find another column. Rewrite them: `CALL system.rewrite_data_files(table => "
            "'...', options => map('rewrite-all', 'true'))`"
        )


def _ids(schema: "Schema") -> dict[int, str]:
    return {id_: schema.find_column_name(id_) or "" for id_ in schema.field_ids}


_TYPES: Final = {
    "int": "integer",
    "timestamp": "timestamp_ntz",
    "timestamptz": "timestamp",
}
"""By Iceberg's name Delta's, where they differ."""


def _type(kind: Any) -> Any:
    """A type of a column as the schema of a Delta table has it; nested ones are as the files say,
    as are those that Delta does not know."""
    text = str(kind)
    decimal = re.fullmatch(r"decimal\((\d+), ?(\d+)\)", text)
    return f"decimal({decimal[1]},{decimal[2]})" if decimal else _TYPES.get(text, text)
