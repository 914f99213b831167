"""Parquet files that are read group by group: their types are known before a value is read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from specs.snapshot import TableSnapshot
from validators.data.metrics.batch import RowBatch
from validators.data.metrics.footers import RowGroup
from validators.data.reading.dataset import ROWS
from validators.data.reading.files import Stamp, explained, stamp_of
from validators.data.reading.formats.contents import ColumnValues, ObjectContents, Unreadable
from validators.data.reading.snapshots import fitted
from validators.data.values.frame import settled_kind
from validators.verdict import Verdict

_DICTIONARY_BYTES: Final = 4
"""A column chunk of texts with at most this many bytes a value was written by dictionary."""
_UNITS: Final = {"milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns"}


@dataclass(frozen=True, eq=False)
class ParquetPart:
    """The rows of one Parquet file."""

    key: str
    path: Path
    metadata: Any
    """A `pyarrow.parquet.FileMetaData`."""
    stamp: Stamp | None
    """That of the file when its metadata was read (see `stamp_of`)."""
    stored: Mapping[str, Any]
    """The type of each column of the file."""
    types: Mapping[str, Any]
    """The dataset's type of each wanted column."""
    digest: str | None = None
    constants: Mapping[str, Any] = field(default_factory=dict)
    """The values of columns that are folders, as Arrow scalars."""
    snapshot: TableSnapshot | None = None
    """The table that it is a file of."""
    int96: str = "ns"

    @property
    def is_read_through(self) -> bool:
        return False

    @property
    def groups(self) -> int:
        return int(self.metadata.num_row_groups)

    @cached_property
    def _places(self) -> Mapping[str, int]:
        """The wanted columns that are plain, by their place among the leaves of the file."""
        schema = self.metadata.schema
        leaves = [schema.column(at) for at in range(len(schema))]
        return {
            leaf.path: at
            for at, leaf in enumerate(leaves)
            if leaf.max_repetition_level == 0
            and "." not in leaf.path  # which may be a field of a struct
            and leaf.path in self.types
            and leaf.path not in self.constants
            and self.snapshot is None
        }

    @cached_property
    def _kinds(self) -> Mapping[str, Any]:
        return {name: settled_kind(self.stored[name]) for name in self._places}

    @cached_property
    def _units(self) -> Mapping[str, str | None]:
        schema = self.metadata.schema
        return {name: _unit(schema.column(at)) for name, at in self._places.items()}

    def footer(self, group: int) -> RowGroup:
        meta = self.metadata.row_group(group)
        chunks = {name: meta.column(at) for name, at in self._places.items()}
        return RowGroup(meta.num_rows, chunks, self._kinds, self._units)

    def read(self, group: int, columns: Sequence[str]) -> Iterator[RowBatch]:
        names = [one for one in columns if one in self.stored and one not in self.constants]
        try:
            with explained("parquet"):
                for batch in self._batches(group, columns, names):
                    self.check_file()
                    yield batch
        except Unreadable:
            self.check_file()
            raise

    def check_file(self) -> None:
        """Raises `Unreadable` if the file is not the one that was opened: then what was read may be
        rows of one and what its footer said of another."""
        if stamp_of(self.path) != self.stamp:
            raise Unreadable("changed while it was read", Verdict.ERROR)

    def _batches(self, group: int, columns: Sequence[str], names: list[str]) -> Iterator[RowBatch]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = self.metadata.row_group(group).num_rows
        if not names:
            yield self._batch(pa.table({}), rows, columns)
            return
        # Not mapped into memory: a file that is cut off meanwhile would end the process.
        with pq.ParquetFile(
            self.path,
            metadata=self.metadata,
            read_dictionary=[one for one in names if self._is_coded(group, one)],
            coerce_int96_timestamp_unit=self.int96,
        ) as file:
            if rows <= 2 * ROWS:
                table = file.read_row_group(group, columns=names, use_threads=False)
                yield self._batch(table, rows, columns)
                return
            for piece in file.iter_batches(ROWS, [group], names, use_threads=False):
                yield self._batch(pa.table(piece), piece.num_rows, columns)

    def _is_coded(self, group: int, name: str) -> bool:
        """Whether reading the column's dictionary and codes is cheaper than reading its texts."""
        import pyarrow as pa

        kind = self.stored[name]
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            return False
        place = self._places.get(name)
        if place is None:
            return False
        chunk = self.metadata.row_group(group).column(place)
        small = chunk.total_uncompressed_size <= _DICTIONARY_BYTES * chunk.num_values
        return bool(chunk.has_dictionary_page and small)

    def _batch(self, table: Any, rows: int, columns: Sequence[str]) -> RowBatch:
        import pyarrow as pa

        found = {name: table.column(name) for name in table.column_names}
        if self.snapshot is not None:
            given = {name: ColumnValues(values) for name, values in found.items()}
            contents = ObjectContents(tuple(found), rows, given)
            fit = fitted(contents, self.key, self.snapshot, frozenset(columns))
            found = {name: column.values for name, column in fit.columns.items()}
        for name in columns:
            if name in self.constants:
                found[name] = pa.chunked_array([pa.repeat(self.constants[name], rows)])
            elif name not in found:
                found[name] = pa.chunked_array([pa.nulls(rows, self.types[name])])
            elif found[name].type != self.types[name]:
                found[name] = _as(found[name], self.types[name])
        return RowBatch.of(pa.table({name: found[name] for name in columns}), rows)


def _as(values: Any, kind: Any) -> Any:
    """The values in the dataset's type, which holds every value of theirs; codes stay codes."""
    import pyarrow as pa

    if pa.types.is_dictionary(values.type) and values.type.value_type == kind:
        return values
    return values.cast(kind)


def _unit(column: Any) -> str | None:
    """The unit of a column of times as Parquet stores them."""
    import json

    said = json.loads(column.logical_type.to_json())
    return _UNITS.get(said.get("timeUnit", ""))


def opened(path: Path, int96: str) -> tuple[Stamp | None, Any, Any]:
    """Stamp, metadata and Arrow schema of a Parquet file. Raises `Unreadable`."""
    import pyarrow.parquet as pq

    with explained("parquet"):
        stamp = stamp_of(path)
        if path.stat().st_size == 0:
            raise Unreadable("is an empty file")
        with pq.ParquetFile(path, coerce_int96_timestamp_unit=int96) as file:
            return stamp, file.metadata, file.schema_arrow
