"""What the columns of an object look like that is read alone: their types, where those come from,
and what stands in the way of others.

Texts get their types from all pieces of all objects of a dataset together. A few of the texts of
each piece stand for it there (see `witnesses`), so that nothing is read again for the sake of other
pieces, or of new objects.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from specs.model import ColumnType
from validators.data.reading.agreement import Disagreement, agreed
from validators.data.reading.formats.contents import ColumnValues, ObjectContents, Source
from validators.data.reading.inferred import NullWords, null_words
from validators.data.reading.notation import plain
from validators.data.reading.objects import DatasetReading
from validators.data.reading.witnesses import witnesses_of
from validators.data.values.common_types import exactly, is_text


class ColumnLook(NamedTuple):
    """A column of one object, or of a piece of it."""

    kind: Any
    """Its Arrow type; null if it has no values, and None if these have no type together."""
    source: Source = "typed"
    texts: tuple[str, ...] | None = None
    """Texts that stand for all values beside those of others; None where none can."""
    words: NullWords = NullWords((), 0)
    """If it is text that has its type from its values: words that may mean null."""

    @property
    def is_null(self) -> bool:
        """Whether there are no values that could have a type."""
        import pyarrow as pa

        return self.kind is not None and bool(pa.types.is_null(self.kind))

    @property
    def values(self) -> ColumnValues:
        """The texts that stand for all."""
        import pyarrow as pa

        every = (*(self.texts or ()), *self.words.words)
        return ColumnValues(pa.chunked_array([pa.array(every, pa.string())]), self.source)


@dataclass(frozen=True)
class ObjectLooks:
    """An object, or a piece of it."""

    rows: int
    header: tuple[str, ...]
    doubled: tuple[str, ...]
    leaves_out: bool
    apart: tuple[str, ...] = ()
    """Columns whose values are not those of the folder's name."""
    columns: Mapping[str, ColumnLook] = field(default_factory=dict)
    """Those that were read."""
    stored: Mapping[str, Any] | None = None
    """How to read it in pieces (see `ObjectContents`); None if it has to be read at once."""

    def knows(self, wanted: frozenset[str] | None) -> bool:
        """Whether all of the wanted columns (None: all) were looked at."""
        needed = self.header if wanted is None else wanted & {*self.header}
        return all(name in self.columns for name in needed)


def looks_of(part: ObjectContents, reading: DatasetReading) -> ObjectLooks:
    """What the columns of an object look like, or of a piece of it."""
    return ObjectLooks(
        rows=part.rows,
        header=part.header,
        doubled=part.doubled,
        leaves_out=part.leaves_out,
        columns={
            name: look_of(column, reading.types.get(name)) for name, column in part.columns.items()
        },
        stored=part.stored,
    )


def look_of(column: ColumnValues, wished: ColumnType | None) -> ColumnLook:
    """What a column looks like that is to be read as the type in the spec, if there is one."""
    import pyarrow as pa

    values = column.values
    is_untyped = column.source != "typed" or pa.types.is_null(values.type)
    if is_untyped and values.null_count == len(values):
        return ColumnLook(pa.null(), column.source, texts=())
    found = agreed({"": column}, wished)
    if isinstance(found, Disagreement) or (column.written is not None and wished is None):
        return ColumnLook(None, column.source)
    typed = found[""]
    if wished is None and column.source == "text" and is_text(typed.type):
        rest, words = null_words(column.values)
        if words.words:
            others = agreed({"": replace(column, values=rest)}, None)
            assert not isinstance(others, Disagreement), "a single column of texts has a type"
            return ColumnLook(typed.type, "text", witnesses_of(rest, others[""]), words)
    read = _texts(column, wished)
    texts = None if read is None else witnesses_of(read, typed)
    return ColumnLook(typed.type, column.source, texts)


def _texts(column: ColumnValues, wished: ColumnType | None) -> Any:
    """The strings that the type of a column follows from; None if it does not."""
    import pyarrow as pa

    if wished is None:
        return None if column.source == "typed" else column.values
    if wished not in ("decimal", "timestamp"):
        return None  # these say all about the type
    values = plain(column, wished)
    return exactly(values, pa.string()) if is_text(values.type) else None


def looks_together(pieces: Sequence[ObjectLooks], types: Mapping[str, ColumnType]) -> ObjectLooks:
    """An object of which the pieces look like this."""
    columns: dict[str, list[ColumnLook]] = {}
    for one in pieces:
        for name, look in one.columns.items():
            columns.setdefault(name, []).append(look)
    return replace(
        pieces[-1],
        rows=sum(one.rows for one in pieces),
        header=tuple(dict.fromkeys(name for one in pieces for name in one.header)),
        columns={name: _together(looks, types.get(name)) for name, looks in columns.items()},
    )


def _together(looks: Sequence[ColumnLook], wished: ColumnType | None) -> ColumnLook:
    valued = [one for one in looks if not one.is_null]
    if not valued:
        return looks[-1]
    kind = kind_together(valued, wished)
    words = words_together(valued)
    texts = None
    if kind is not None and all(one.texts is not None for one in valued):
        every = dict.fromkeys(text for one in valued for text in one.texts or ())
        rest = ColumnLook(kind, valued[0].source, tuple(every)).values
        typed = agreed({"": rest}, wished)
        texts = None if isinstance(typed, Disagreement) else witnesses_of(rest.values, typed[""])
    return ColumnLook(kind, valued[0].source, texts, words)


def kind_together(looks: Sequence[ColumnLook], wished: ColumnType | None) -> Any:
    """The type that all values of a column have, `pyarrow.null()` if there are none; None if that
    cannot be told without all values, or there is none."""
    import pyarrow as pa

    valued = [one for one in looks if not one.is_null]
    kinds = {one.kind for one in valued}
    if not valued:
        nothing = agreed({"": ColumnValues(pa.chunked_array([pa.nulls(1)]))}, wished)
        return None if isinstance(nothing, Disagreement) else nothing[""].type
    if None in kinds:
        return None
    if len(kinds) == 1:
        return kinds.pop()
    if any(one.texts is None for one in valued):
        return None
    found = agreed({str(at): one.values for at, one in enumerate(valued)}, wished)
    return None if isinstance(found, Disagreement) else next(iter(found.values())).type


def words_together(looks: Iterable[ColumnLook]) -> NullWords:
    """The words of several pieces or objects that may mean null."""
    every = [one.words for one in looks]
    words = dict.fromkeys(word for one in every for word in one.words)
    return NullWords(tuple(words), sum(one.times for one in every))


# -- kept for the next judgement -------------------------------------------------------------------


def name_of(reading: DatasetReading) -> str:
    """The name under which looks are kept: they depend on how objects are read."""
    said = reading.model_dump_json()
    return "looks " + hashlib.blake2b(said.encode(), digest_size=12).hexdigest()


def dumped(looks: ObjectLooks) -> dict[str, Any]:
    """The looks in JSON's types."""
    stored = looks.stored
    return {
        "rows": looks.rows,
        "header": looks.header,
        "doubled": looks.doubled,
        "leaves_out": looks.leaves_out,
        "apart": looks.apart,
        "stored": None if stored is None else {name: _dumped(of) for name, of in stored.items()},
        "columns": {
            name: [_dumped(look.kind), look.source, look.texts, look.words]
            for name, look in looks.columns.items()
        },
    }


def loaded(kept: Mapping[str, Any]) -> ObjectLooks:
    """The looks that were dumped. Raises `ValueError`, `KeyError` or `TypeError` for others."""
    stored = kept["stored"]
    return ObjectLooks(
        rows=int(kept["rows"]),
        header=tuple(kept["header"]),
        doubled=tuple(kept["doubled"]),
        leaves_out=bool(kept["leaves_out"]),
        apart=tuple(kept["apart"]),
        columns={
            name: ColumnLook(
                _kind(kind),
                source,
                None if texts is None else tuple(texts),
                NullWords(tuple(words), int(times)),
            )
            for name, (kind, source, texts, (words, times)) in kept["columns"].items()
        },
        stored=None if stored is None else {name: _kind(text) for name, text in stored.items()},
    )


def _dumped(kind: Any) -> str | None:
    import pyarrow as pa

    if kind is None:
        return None
    return base64.b64encode(pa.schema([("", kind)]).serialize().to_pybytes()).decode()


def _kind(text: str | None) -> Any:
    import pyarrow as pa

    if text is None:
        return None
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text))).field(0).type
