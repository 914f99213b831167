"""Open a dataset version: as a stream where files say the types of their columns, else whole."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specs.snapshot import TableSnapshot
from validators.data.metrics.kept import KeptMetrics
from validators.data.reading.agreement import Disagreement, agreed
from validators.data.reading.by_object import ByObject
from validators.data.reading.dataset import OpenedDataset, TableInMemory
from validators.data.reading.differences import missing_columns, note_of_order
from validators.data.reading.files import Stamp, Unreadable
from validators.data.reading.formats.contents import ColumnValues, pick
from validators.data.reading.formats.kinds import form_of
from validators.data.reading.inferred import note_of_types
from validators.data.reading.object_part import HeldContents
from validators.data.reading.objects import DatasetReading, ObjectFile
from validators.data.reading.partitions import partitions_of
from validators.data.reading.snapshots import names_of, snapshot_of, type_of
from validators.data.reading.stream import ParquetPart, opened
from validators.data.reading.tables import (
    columns_twice,
    load,
    object_check,
    unknown_types,
)
from validators.data.values.common_types import known_type
from validators.data.values.frame import settled_kind
from validators.report import Check

_WISHED = {"string": "string", "int64": "int64", "double": "double", "bool": "bool",
           "date": "date32[day]"}  # fmt: skip
"""Types of the spec that say all about the Arrow type."""


def open_dataset(
    objects: Sequence[ObjectFile],
    wanted: frozenset[str] | None,
    everywhere: frozenset[str] | None,
    reading: DatasetReading,
    kept: KeptMetrics | None = None,
) -> OpenedDataset:
    """The dataset of these objects, with the wanted columns (None: all).

    Every object must have those, and the columns in `everywhere`, which are not read. `kept` has
    what is known from earlier judgements.
    """
    held = HeldContents()
    snapshot = snapshot_of(objects)
    files = [one for one in objects if snapshot is None or one.key in snapshot.files]
    if files and all(_is_parquet(one) for one in files):
        streamed = _Streamed(files, snapshot, wanted, everywhere, reading).dataset()
        if streamed is not None:
            return streamed
    if files and snapshot is None:
        one_by_one = ByObject(files, wanted, everywhere, reading, kept or KeptMetrics(), held)
        if (opened_alone := one_by_one.dataset()) is not None:
            return opened_alone
    loaded = load(objects, wanted, everywhere, reading, held)
    table = loaded.table
    return OpenedDataset(
        parts=() if table is None else tuple(_parts(table, loaded.rows)),
        rows=0 if table is None else table.num_rows,
        columns=loaded.columns,
        types={} if table is None else {one.name: one.type for one in table.schema},
        clashing=loaded.clashing,
        checks=loaded.checks,
        notes=loaded.notes,
        objects=loaded.objects,
        is_readable=table is not None,
    )


def _parts(table: Any, rows: Mapping[str, int]) -> Iterator[TableInMemory]:
    """The rows of each object, which are known by their order."""
    at = 0
    for key, several in rows.items():
        yield TableInMemory(table.slice(at, several), key)
        at += several


def _is_parquet(one: ObjectFile) -> bool:
    form = form_of(one.key)
    return not isinstance(form, str) and form.kind == "parquet"


@dataclass(frozen=True)
class _File:
    """A file that was opened, and not read."""

    object: ObjectFile
    stamp: Stamp | None
    metadata: Any
    header: tuple[str, ...]
    """All its columns, and those that are names of folders, each once."""
    stored: Mapping[str, Any]
    """The types of its columns that occur once."""
    doubled: tuple[str, ...]
    folders: Mapping[str, str | None]
    """The values of columns that are names of folders only."""


class _NotKnownError(Exception):
    """The type of a column depends on its values."""


@dataclass(frozen=True)
class _Streamed:
    """Parquet files, from which nothing is read but their footers."""

    objects: Sequence[ObjectFile]
    snapshot: TableSnapshot | None
    wanted: frozenset[str] | None
    everywhere: frozenset[str] | None
    reading: DatasetReading

    def dataset(self) -> OpenedDataset | None:
        """The dataset; None if types of columns depend on their values."""
        try:
            files, broken = self._files()
            if broken:
                return OpenedDataset(checks=tuple(broken), is_readable=False)
            names = self._names(files)
            types, constants = self._types(files, names)
        except _NotKnownError:
            return None
        return OpenedDataset(
            parts=tuple(self._part(one, types, constants) for one in files),
            rows=sum(one.metadata.num_rows for one in files),
            columns=names,
            types=types,
            checks=tuple(self._checks(files, names)),
            notes=tuple(self._notes(files, types, constants)),
            objects=len(files),
        )

    def _notes(
        self, files: Sequence[_File], types: Mapping[str, Any], inferred: Mapping[str, Any]
    ) -> list[str]:
        undeclared = {name: types[name] for name in inferred if name not in self.reading.types}
        order = [] if self.snapshot else note_of_order(_headers(files))
        return [*order, *note_of_types(undeclared)]

    def _files(self) -> tuple[list[_File], list[Check]]:
        files, broken = [], []
        for one in self.objects:
            try:
                files.append(self._file(one))
            except Unreadable as error:
                broken.append(
                    object_check("readable", f"`{one.key}` {error.why}", one.key, error.verdict)
                )
        return files, broken

    def _file(self, one: ObjectFile) -> _File:
        stamp, metadata, schema = opened(Path(one.path), self._int96)
        picked, doubled = pick(schema.names, self.wanted)
        stored = {name: schema.field(name).type for name in schema.names if name not in doubled}
        folders = {} if self.snapshot else partitions_of(one.key, self.reading.nulls)
        if any(name in folders for name in picked):
            raise _NotKnownError  # values of the file are compared with the folder's name
        folders = {name: text for name, text in folders.items() if name not in schema.names}
        header = tuple(dict.fromkeys((*schema.names, *folders)))
        return _File(one, stamp, metadata, header, stored, doubled, folders)

    @property
    def _int96(self) -> str:
        return "us" if self.snapshot else "ns"  # tables store no finer unit

    def _names(self, files: Sequence[_File]) -> tuple[str, ...]:
        if self.snapshot:
            return names_of(self.snapshot)
        return tuple(dict.fromkeys(name for one in files for name in one.header))

    def _types(
        self, files: Sequence[_File], names: Sequence[str]
    ) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """The type of each wanted column, and the values of folders by column and object."""
        types: dict[str, Any] = {}
        constants: dict[str, dict[str, Any]] = {}
        for name in names:
            if self.wanted is not None and name not in self.wanted:
                continue
            kinds = [one.stored[name] for one in files if name in one.stored]
            inside = {one.object.key: one.folders[name] for one in files if name in one.folders}
            if self.snapshot:
                types[name] = _known(_type_in(self.snapshot, name))
            elif inside:
                if kinds:
                    raise _NotKnownError
                constants[name] = self._of_folders(name, inside)
                types[name] = next(iter(constants[name].values())).type
            else:
                types[name] = self._wished(name, _known(known_type(kinds)))
        return types, constants

    def _of_folders(self, name: str, texts: Mapping[str, str | None]) -> dict[str, Any]:
        """The value of the column in each object, as Arrow scalars of one type."""
        import pyarrow as pa

        columns = {
            key: ColumnValues(pa.chunked_array([pa.array([text], pa.string())]), "text")
            for key, text in texts.items()
        }
        values = agreed(columns, self.reading.types.get(name))
        if isinstance(values, Disagreement):
            raise _NotKnownError
        return {key: column[0] for key, column in values.items()}

    def _wished(self, name: str, kind: Any) -> Any:
        """The type, if it is what the spec says. Raises `_NotKnownError` if values must be read
        as another."""
        wished = self.reading.types.get(name)
        if wished is not None and _WISHED.get(wished) != str(settled_kind(kind)):
            raise _NotKnownError
        return kind

    def _part(
        self, one: _File, types: Mapping[str, Any], constants: Mapping[str, Mapping[str, Any]]
    ) -> ParquetPart:
        key = one.object.key
        inside = {name: values[key] for name, values in constants.items() if key in values}
        return ParquetPart(
            key=key,
            path=Path(one.object.path),
            metadata=one.metadata,
            stamp=one.stamp,
            stored=one.stored,
            types=types,
            digest=one.object.digest,
            constants=inside,
            snapshot=self.snapshot,
            int96=self._int96,
        )

    def _checks(self, files: Sequence[_File], names: Sequence[str]) -> list[Check]:
        unknown = unknown_types(self.reading.types, names)
        if self.snapshot:
            return unknown
        doubled: dict[str, list[str]] = defaultdict(list)
        for one in files:
            for name in one.doubled:
                doubled[name].append(one.object.key)
        headers = _headers(files)
        required = None
        if self.wanted is not None and self.everywhere is not None:
            required = self.wanted | self.everywhere
        return [*columns_twice(doubled), *missing_columns(headers, required), *unknown]


def _headers(files: Sequence[_File]) -> dict[str, tuple[str, ...]]:
    return {one.object.key: one.header for one in files if one.header}


def _type_in(snapshot: TableSnapshot, name: str) -> Any:
    return next(type_of(field["type"]) for field in snapshot.fields if field["name"] == name)


def _known(kind: Any) -> Any:
    if kind is None:
        raise _NotKnownError
    return kind
