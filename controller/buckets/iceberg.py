"""The current snapshot of an Iceberg table, from the files below its `metadata` folder.

Metadata, manifest lists and manifests are read by pyiceberg. They name files by the addresses they
had when written, so files are found by their path relative to the table's location then. A table
that a plain reader of the data files would misread is refused, with the reason: delete files,
renamed columns, format version 3.
"""

import asyncio
import datetime as dt
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from controller.buckets.delta import Version, log_text
from specs.failures import NeedsHuman
from specs.snapshot import LiveFile, TableSnapshot

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile, ManifestEntry
    from pyiceberg.schema import Schema
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot as IcebergSnapshot
    from pyiceberg.types import NestedField

METADATA: Final = "metadata"
HINT: Final = f"{METADATA}/version-hint.text"
_METADATA_FILE: Final = re.compile(r"metadata/v?(\d+)(-[\w-]+)?(\.gz)?\.metadata\.json(\.gz)?")
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_HIGHEST: Final = 2
"""The highest supported version of the format."""

Pin = Callable[[list[str]], Awaitable[Path]]
"""Returns a folder with these files of the table, by their keys."""


def needed(keys: Iterable[str]) -> list[str]:
    """The keys of the metadata files, from which current and earlier snapshots can be read."""
    return [key for key in keys if key.startswith(f"{METADATA}/")]


async def versions(keys: Collection[str], pin: Pin, uri: str) -> list[Version]:
    """The snapshots with the same rows as the newest, oldest first: those that only rewrite files
    (`replace`) do not change rows. A table without snapshots is empty. Raises `NeedsHuman`."""
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
            f"the metadata of the Iceberg table {uri} cannot be read ({type(error).__name__}): the "
            "table may be incompletely copied, or use features newer than pyiceberg supports"
        ) from None


def current(keys: Iterable[str], hint: str, uri: str) -> str:
    """The key of the current metadata file. Raises `NeedsHuman` if only a catalog knows it."""
    named = f"{METADATA}/{hint.removesuffix('.metadata.json')}.metadata.json"
    found: dict[int, list[str]] = {}
    for key in keys:
        if hint and not hint.isdecimal() and key == named:
            return key
        if match := _METADATA_FILE.fullmatch(key):
            found.setdefault(int(match[1]), []).append(key)
    if not found:
        raise NeedsHuman(
            f"{uri} has no Iceberg metadata file with a usual name (v1.metadata.json or "
            "00001-ID.metadata.json); copy the table with its metadata unrenamed"
        )
    newest = found[max(found)]
    if len(newest) > 1:
        raise NeedsHuman(
            f"the Iceberg table {uri} has {len(newest)} metadata files with number {max(found)}, "
            "and only its catalog knows which is current: delete the uncommitted ones "
            f"({', '.join(sorted(newest))}), or name the current one in {HINT}"
        )
    return newest[0]


def _metadata(path: Path) -> "TableMetadata":
    from pyiceberg.io.pyarrow import PyArrowFileIO
    from pyiceberg.serializers import FromInputFile

    return FromInputFile.table_metadata(PyArrowFileIO().new_input(str(path)))


def _refuse(metadata: "TableMetadata", uri: str) -> None:
    if metadata.format_version > _HIGHEST:
        raise NeedsHuman(
            f"the Iceberg table {uri} has format version {metadata.format_version}, whose deletion "
            "vectors and default values are not in the data files: rewrite it as version "
            f"{_HIGHEST}, or fetch the rows with `query:`"
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
    """Read a snapshot from its manifest list and manifests."""
    from pyiceberg.manifest import read_manifest_list

    where = _Location(metadata.location, uri)
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
    metadata: "TableMetadata", entries: "Iterable[ManifestEntry]", where: "_Location"
) -> Iterator[tuple[str, LiveFile]]:
    from pyiceberg.manifest import DataFileContent, FileFormat

    names = _Names(metadata, where.uri)
    absent = _AbsentColumns(metadata, where.uri)
    for entry in entries:
        file = entry.data_file
        if file.content != DataFileContent.DATA:
            how = "equality" if file.content == DataFileContent.EQUALITY_DELETES else "position"
            raise NeedsHuman(
                f"the Iceberg table {where.uri} has {how} delete files: its data files still hold "
                "rows that were deleted. Rewrite them: `CALL system.rewrite_data_files(table => "
                "'...', options => map('delete-file-threshold', '1'))`, and set "
                "`write.delete.mode`, `write.update.mode` and `write.merge.mode` to "
                "`copy-on-write`; Flink writes equality deletes with `write.upsert.enabled`"
            )
        if file.file_format != FileFormat.PARQUET:
            raise NeedsHuman(
                f"the Iceberg table {where.uri} has {file.file_format.value} files, and only "
                "Parquet is supported: rewrite them as Parquet"
            )
        names.check(entry.snapshot_id)
        yield where.key(file.file_path), LiveFile(file.file_size_in_bytes, absent.of(file))


class _Location:
    """Finds the files that metadata names by their original addresses."""

    def __init__(self, location: str, uri: str) -> None:
        self.uri = uri
        self._location = _bare(location).rstrip("/") + "/"

    def key(self, address: str) -> str:
        """The key below the table's folder. Raises `NeedsHuman` for a file outside it."""
        bare = _bare(address)
        key = bare.removeprefix(self._location)
        if key == bare or ".." in key.split("/"):
            raise NeedsHuman(
                f"the Iceberg table {self.uri} has files outside its folder, as with "
                "`write.data.path`: write them below it, or fetch the rows with `query:`"
            )
        return key


def _bare(address: str) -> str:
    """An address without its scheme, as writers use different ones (s3, s3a, file:, file://)."""
    return re.sub(r"^\w+:/*", "/", address)


def _pinned(folder: Path, where: _Location) -> "FileIO":
    """File access that reads the files that metadata names from a local folder."""
    from pyiceberg.io import InputFile
    from pyiceberg.io.pyarrow import PyArrowFileIO

    class Pinned(PyArrowFileIO):
        def new_input(self, location: str) -> InputFile:  # type: ignore[override]
            return super().new_input(str(folder / where.key(location)))

    return Pinned()


class _Names:
    """Checks that data files have the table's current column names, by the schemas they were
    written with."""

    def __init__(self, metadata: "TableMetadata", uri: str) -> None:
        self._metadata = metadata
        self._uri = uri
        self._now = _ids(metadata.schema())
        self._schemas = {one.schema_id: one for one in metadata.schemas}
        self._checked: set[int | None] = set()

    def check(self, snapshot_id: int | None) -> None:
        """Raises `NeedsHuman` if files added by this snapshot have a column under another name, or
        have another column under one of the current names."""
        if snapshot_id in self._checked:
            return
        self._checked.add(snapshot_id)
        for schema in self._written_with(snapshot_id):
            then = _ids(schema)
            at = {name: id_ for id_, name in then.items()}
            for id_, name in self._now.items():
                if then.get(id_, name) != name:
                    self._refuse(f"a column `{then[id_]}` that was renamed to `{name}`")
                if at.get(name, id_) != id_:
                    self._refuse(f"a dropped column `{name}` whose name another column has now")

    def _written_with(self, snapshot_id: int | None) -> "Sequence[Schema]":
        snapshot = self._metadata.snapshot_by_id(snapshot_id) if snapshot_id is not None else None
        if snapshot is None or snapshot.schema_id not in self._schemas:
            return tuple(self._schemas.values())  # it has expired, so it may be any of them
        return (self._schemas[snapshot.schema_id],)

    def _refuse(self, what: str) -> None:
        raise NeedsHuman(
            f"the Iceberg table {self._uri} has older files with {what}, so plain readers would "
            "misread them. Rewrite them: `CALL system.rewrite_data_files(table => '...', options "
            "=> map('rewrite-all', 'true'))`"
        )


class _AbsentColumns:
    """The values of partition columns that a data file lacks, as in tables migrated from Hive."""

    def __init__(self, metadata: "TableMetadata", uri: str) -> None:
        self._specs = metadata.specs()
        self._fields = {field.field_id: field for field in metadata.schema().fields}
        self._uri = uri

    def of(self, file: "DataFile") -> dict[str, str | None]:
        """By column. Statistics tell which columns a file has; one without any has them all."""
        from pyiceberg.transforms import IdentityTransform

        if not file.value_counts:
            return {}
        found = {}
        for place, part in enumerate(self._specs[file.spec_id].fields):
            column = self._fields.get(part.source_id)
            if column is None or not isinstance(part.transform, IdentityTransform):
                continue
            value = file.partition[place]
            if part.source_id not in file.value_counts and value is not None:
                found[column.name] = log_text(self._plain(column, value))
        return found

    def _plain(self, column: "NestedField", value: Any) -> Any:
        """The value as Python has it; Iceberg counts days and microseconds since 1970."""
        match str(column.field_type):
            case "date":
                return _EPOCH.date() + dt.timedelta(days=value)
            case "timestamp":
                return _EPOCH.replace(tzinfo=None) + dt.timedelta(microseconds=value)
            case "timestamptz":
                return _EPOCH + dt.timedelta(microseconds=value)
            case "time" | "uuid" | "binary" as kind:
                raise NeedsHuman(
                    f"the Iceberg table {self._uri} has data files without its partition column "
                    f"`{column.name}`, which is of type {kind}: rewrite them, as with `CALL "
                    "system.rewrite_data_files(table => '...', options => map('rewrite-all', "
                    "'true'))`"
                )
        return value


def _ids(schema: "Schema") -> dict[int, str]:
    return {id_: schema.find_column_name(id_) or "" for id_ in schema.field_ids}


_TYPES: Final = {
    "int": "integer",
    "timestamp": "timestamp_ntz",
    "timestamptz": "timestamp",
}
"""Delta's names of types by Iceberg's, where they differ."""


def _type(kind: Any) -> Any:
    """A column's type as a Delta schema names it. Nested types, and those unknown to Delta, are
    passed through."""
    text = str(kind)
    decimal = re.fullmatch(r"decimal\((\d+), ?(\d+)\)", text)
    return f"decimal({decimal[1]},{decimal[2]})" if decimal else _TYPES.get(text, text)
