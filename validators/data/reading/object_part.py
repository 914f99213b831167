"""The rows of one object that is read whole, when they are needed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final

from validators.data.metrics.batch import RowBatch
from validators.data.reading.agreement import Disagreement, agreed
from validators.data.reading.dataset import ROWS
from validators.data.reading.files import read
from validators.data.reading.formats.contents import ObjectContents, Unreadable
from validators.data.reading.looks import with_folders
from validators.data.reading.objects import DatasetReading, ObjectFile
from validators.data.values.common_types import exactly
from validators.verdict import Verdict

HELD: Final = 512 << 20
"""Bytes of contents that are held, so that they are not read a second time."""


@dataclass
class HeldContents:
    """Contents of objects that were read to look at them, as long as there is room for them."""

    _room: int = HELD
    _found: dict[str, ObjectContents] = field(default_factory=dict)

    def put(self, key: str, part: ObjectContents) -> None:
        """Hold the contents of an object, if there is room."""
        size = sum(column.values.nbytes for column in part.columns.values())
        if size <= self._room:
            self._room -= size
            self._found[key] = part

    def get(self, key: str, columns: frozenset[str] | None) -> ObjectContents | None:
        """The contents of an object, if held with all these columns (None: all)."""
        found = self._found.get(key)
        if found is None:
            return None
        needed = {*found.header} if columns is None else columns & {*found.header}
        return found if needed <= {*found.columns} else None


@dataclass(frozen=True, eq=False)
class ObjectPart:
    """The rows of an object whose columns have known types."""

    object: ObjectFile
    rows: int
    types: Mapping[str, Any]
    """The dataset's type of each wanted column."""
    reading: DatasetReading
    held: HeldContents
    _lock: Lock = field(default_factory=Lock)

    @property
    def key(self) -> str:
        return self.object.key

    @property
    def digest(self) -> str | None:
        return self.object.digest

    @property
    def groups(self) -> int:
        return 1

    def footer(self, group: int) -> None:
        """It has none that could be believed."""

    def read(self, group: int, columns: Sequence[str]) -> Iterator[RowBatch]:  # noqa: ARG002
        table = self._table(columns)
        for at in range(0, max(self.rows, 1), ROWS):
            piece = table.slice(at, ROWS)
            yield RowBatch.of(piece, piece.num_rows if columns else min(self.rows - at, ROWS))

    def _table(self, columns: Sequence[str]) -> Any:
        import pyarrow as pa

        with self._lock:  # threads that need other columns of it wait, so as not to read it at once
            part = self._contents(frozenset(columns))
        part = with_folders(part, self.object, self.reading, frozenset(columns))
        return pa.table({name: self._values(part, name) for name in columns})

    def _contents(self, columns: frozenset[str]) -> ObjectContents:
        found = self.held.get(self.key, columns)
        if found is None:
            found = read(self.object, columns, self.reading.nulls, written=self.reading.csv)
        if found.rows != self.rows:
            raise Unreadable("changed while it was read", Verdict.ERROR)
        return found

    def _values(self, part: ObjectContents, name: str) -> Any:
        import pyarrow as pa

        kind = self.types[name]
        if name not in part.columns:
            return pa.chunked_array([pa.nulls(part.rows, kind)])
        alone = agreed({"": part.columns[name]}, self.reading.types.get(name))
        values = None if isinstance(alone, Disagreement) else exactly(alone[""], kind)
        if values is None:
            raise Unreadable("changed while it was read", Verdict.ERROR)
        return values
