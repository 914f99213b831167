"""What the columns of an object look like that is read alone: their types, where those come from,
and what stands in the way of others.

Texts get their types from all objects of a dataset together. But if the columns of every object
look alike alone, they look so together: what each type asks of its values, it asks of each value.
So objects that were looked at before need not be read again for the sake of new ones.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from validators.data.reading.agreement import Disagreement, agreed
from validators.data.reading.formats.contents import ColumnValues, ObjectContents
from validators.data.reading.inferred import NullWords, null_words
from validators.data.reading.objects import DatasetReading, ObjectFile
from validators.data.reading.partitions import contradicted, partitions_of, with_partitions
from validators.data.values.common_types import is_text


class ColumnLook(NamedTuple):
    """A column of one object."""

    kind: Any
    """Its Arrow type; None if its values have no type together."""
    is_inferred: bool
    """Whether that comes from its texts."""
    words: NullWords | None = None
    """If it is text only because of words that may mean null: those."""


@dataclass(frozen=True)
class ObjectLooks:
    """An object with its partition columns."""

    rows: int
    header: tuple[str, ...]
    doubled: tuple[str, ...]
    leaves_out: bool
    apart: tuple[str, ...]
    """Columns whose values are not those of the folder's name."""
    columns: Mapping[str, ColumnLook] = field(default_factory=dict)
    """Those that were read."""

    def knows(self, wanted: frozenset[str] | None) -> bool:
        """Whether all of the wanted columns (None: all) were looked at."""
        needed = self.header if wanted is None else wanted & {*self.header}
        return all(name in self.columns for name in needed)


def with_folders(
    part: ObjectContents, one: ObjectFile, reading: DatasetReading, wanted: frozenset[str] | None
) -> ObjectContents:
    """The contents of an object with the columns that are names of folders."""
    return with_partitions(part, partitions_of(one.key, reading.nulls), wanted)


def looks_of(part: ObjectContents, one: ObjectFile, reading: DatasetReading) -> ObjectLooks:
    """What the columns of an object that was read look like; `part` is without folders."""
    whole = with_folders(part, one, reading, None)
    read = {*part.columns, *whole.columns}
    return ObjectLooks(
        rows=part.rows,
        header=whole.header,
        doubled=part.doubled,
        leaves_out=part.leaves_out,
        apart=tuple(contradicted(part, partitions_of(one.key, reading.nulls))),
        columns={
            name: _look(name, whole.columns[name], reading)
            for name in whole.header
            if name in read and name in whole.columns
        },
    )


def _look(name: str, column: ColumnValues, reading: DatasetReading) -> ColumnLook:
    wished = reading.types.get(name)
    found = agreed({"": column}, wished)
    if isinstance(found, Disagreement) or (column.written is not None and wished is None):
        return ColumnLook(None, is_inferred=True)
    kind = found[""].type
    words = None
    if wished is None and column.source == "text" and is_text(kind):
        words = null_words(column)
    return ColumnLook(kind, column.source != "typed", words)


def alike(every: Iterable[ObjectLooks], name: str) -> Any:
    """The one type that a column has in all objects that have values; None if there is none, and
    `pyarrow.null()` if no object has values."""
    import pyarrow as pa

    kinds = [look.columns[name].kind for look in every if name in look.columns]
    if not kinds or any(kind is None for kind in kinds):
        return None
    distinct = {kind for kind in kinds if not pa.types.is_null(kind)}
    return None if len(distinct) > 1 else next(iter(distinct), pa.null())


# -- kept for the next judgement -------------------------------------------------------------------


def name_of(reading: DatasetReading) -> str:
    """The name under which looks are kept: they depend on how objects are read."""
    said = reading.model_dump_json()
    return "looks " + hashlib.blake2b(said.encode(), digest_size=12).hexdigest()


def dumped(looks: ObjectLooks) -> dict[str, Any]:
    """The looks in JSON's types."""
    return {
        "rows": looks.rows,
        "header": looks.header,
        "doubled": looks.doubled,
        "leaves_out": looks.leaves_out,
        "apart": looks.apart,
        "columns": {
            name: [
                None if look.kind is None else _schema_text(look.kind),
                look.is_inferred,
                look.words and [look.words.words, look.words.times, _schema_text(look.words.kind)],
            ]
            for name, look in looks.columns.items()
        },
    }


def loaded(kept: Mapping[str, Any]) -> ObjectLooks:
    """The looks that were dumped. Raises `ValueError`, `KeyError` or `TypeError` for others."""
    return ObjectLooks(
        rows=int(kept["rows"]),
        header=tuple(kept["header"]),
        doubled=tuple(kept["doubled"]),
        leaves_out=bool(kept["leaves_out"]),
        apart=tuple(kept["apart"]),
        columns={
            name: ColumnLook(None if kind is None else _kind(kind), inferred, _words(words))
            for name, (kind, inferred, words) in kept["columns"].items()
        },
    )


def _words(kept: Sequence[Any] | None) -> NullWords | None:
    return None if kept is None else NullWords(tuple(kept[0]), kept[1], _kind(kept[2]))


def _schema_text(kind: Any) -> str:
    import pyarrow as pa

    return base64.b64encode(pa.schema([("", kind)]).serialize().to_pybytes()).decode()


def _kind(text: str) -> Any:
    import pyarrow as pa

    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text))).field(0).type
