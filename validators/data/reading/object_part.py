"""The rows of one object, which are read when they are needed, piece by piece."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Final

from validators.data.metrics.batch import RowBatch
from validators.data.reading.agreement import as_known
from validators.data.reading.dataset import ROWS
from validators.data.reading.files import Stamp, pieces, read, stamp_of
from validators.data.reading.formats.contents import (
    ColumnValues,
    NotInParts,
    ObjectContents,
    Unreadable,
    joined,
)
from validators.data.reading.looks import ObjectLooks
from validators.data.reading.objects import DatasetReading, ObjectFile
from validators.data.reading.partitions import partitions_of
from validators.verdict import Verdict

HELD: Final = 128 << 20
"""Bytes of contents that are held, so that they are not read a second time."""
_FEW: Final = 1 << 16
"""Rows of several pieces that are looked at together: fewer are not worth it alone."""
_MOST: Final = 16
"""Pieces that are looked at together: rows may be long."""


@dataclass
class HeldContents:
    """The pieces of objects that were read to look at them, as long as there is room for them."""

    _room: int = HELD
    _found: dict[str, Sequence[ObjectContents]] = field(default_factory=dict)

    def noted(self, key: str, every: Iterable[ObjectContents]) -> Iterator[ObjectContents]:
        """The pieces of an object, which are held if there is room for all, in place of others."""
        self._room += sum(map(_size, self._found.pop(key, ())))
        size = 0
        kept: list[ObjectContents] = []
        for piece in every:
            size += _size(piece)
            if size <= self._room:
                kept.append(piece)
            else:
                kept.clear()
            yield piece
        if size <= self._room:
            self._room -= size
            self._found[key] = kept

    def get(self, key: str, columns: frozenset[str] | None) -> Sequence[ObjectContents] | None:
        """The pieces of an object, if held with all these columns (None: all)."""
        found = self._found.get(key)
        if found is None:
            return None
        header = {name for one in found for name in one.header}
        needed = header if columns is None else columns & header
        return found if all(needed & {*one.header} <= {*one.columns} for one in found) else None

    def whole(self, key: str, columns: frozenset[str] | None) -> ObjectContents | None:
        """The same as one, if all pieces have the same columns of the same types."""
        found = self.get(key, columns)
        if found is None:
            return None
        forms = [(one.header, [each.values.type for each in one.columns.values()]) for one in found]
        return joined(found) if all(form == forms[0] for form in forms) else None


def _size(piece: ObjectContents) -> int:
    return sum(int(column.values.nbytes) for column in piece.columns.values())


@dataclass(frozen=True, eq=False)
class ObjectPart:
    """The rows of an object whose columns have known types."""

    object: ObjectFile
    look: ObjectLooks
    types: Mapping[str, Any]
    """The dataset's type of each wanted column."""
    reading: DatasetReading
    held: HeldContents
    stamp: Stamp | None
    """That of the file when it was looked at; None if that was for an earlier version."""
    _lock: Lock = field(default_factory=Lock)

    @property
    def key(self) -> str:
        return self.object.key

    @property
    def digest(self) -> str | None:
        return self.object.digest

    @property
    def is_read_through(self) -> bool:
        return self.look.rows > _FEW

    @property
    def groups(self) -> int:
        return 1

    def footer(self, group: int) -> None:
        """It has none that could be believed."""

    def read(self, group: int, columns: Sequence[str]) -> Iterator[RowBatch]:  # noqa: ARG002
        import pyarrow as pa

        gathered: list[Any] = []
        rows = total = 0
        for piece in self._checked(frozenset(columns)):
            gathered.append(self._table(piece, columns))
            rows += piece.rows
            if rows >= _FEW or len(gathered) == _MOST:
                yield from _batches(pa.concat_tables(gathered), rows)
                gathered, total, rows = [], total + rows, 0
        if rows or not total:
            yield from _batches(pa.concat_tables(gathered), rows)

    def _checked(self, columns: frozenset[str]) -> Iterator[ObjectContents]:
        """The pieces. Raises `Unreadable` if the object is not the one that was looked at."""
        path = Path(self.object.path)
        stamp = self.stamp or stamp_of(path)
        rows = 0
        try:
            for piece in self._pieces(columns):
                rows += piece.rows
                if rows > self.look.rows:
                    break
                yield piece
        except NotInParts:
            raise _changed() from None
        except Unreadable:
            if stamp_of(path) not in (None, stamp):
                raise _changed() from None
            raise
        if rows != self.look.rows or stamp_of(path) != stamp:
            raise _changed()

    def _pieces(self, columns: frozenset[str]) -> Iterable[ObjectContents]:
        found = self.held.get(self.key, columns)
        if found is not None:
            return found
        nulls, written, stored = self.reading.nulls, self.reading.csv, self.look.stored
        if stored is not None:
            return pieces(self.object, columns, nulls, written, stored)
        with self._lock:  # threads that need other columns of it wait, so as not to read it at once
            return [read(self.object, columns, nulls, written=written)]

    def _table(self, piece: ObjectContents, columns: Sequence[str]) -> Any:
        import pyarrow as pa

        if not columns:
            return pa.table({})
        folders = partitions_of(self.key, self.reading.nulls)
        return pa.table({name: self._values(piece, name, folders) for name in columns})

    def _values(self, piece: ObjectContents, name: str, folders: Mapping[str, str | None]) -> Any:
        import pyarrow as pa

        kind = self.types[name]
        of_folder = name in folders and name not in piece.columns
        if pa.types.is_null(kind) or (name not in piece.columns and not of_folder):
            return pa.chunked_array([pa.nulls(piece.rows, kind)])
        column = piece.columns[name] if not of_folder else text_column(folders[name])
        values = as_known(column, self.reading.types.get(name), kind)
        if values is None:
            raise _changed()
        return pa.chunked_array([pa.repeat(values[0], piece.rows)]) if of_folder else values


def text_column(*values: str | None) -> ColumnValues:
    """A column of these texts, of unknown type."""
    import pyarrow as pa

    return ColumnValues(pa.chunked_array([pa.array(values, pa.string())]), "text")


def _batches(table: Any, rows: int) -> Iterator[RowBatch]:
    for at in range(0, max(rows, 1), ROWS):
        yield RowBatch.of(table.slice(at, ROWS), min(rows - at, ROWS))


def _changed() -> Unreadable:
    return Unreadable("changed while it was read", Verdict.ERROR)
