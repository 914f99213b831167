"""Read JSON lines in blocks.

Arrow infers the types of each block. Those of the file are what it infers of all together: whole
numbers become doubles beside such, fields of objects are joined, and anything else is an error.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

from validators.data.reading.formats.contents import (
    ColumnValues,
    NotInParts,
    ObjectContents,
    pick,
)
from validators.data.reading.formats.json_rows import is_array, is_beyond, without_times
from validators.data.reading.formats.kinds import FileFormat
from validators.data.reading.formats.streams import opened, whole_lines

BLOCK: Final = 4 << 20
"""Bytes that are read at once."""
_ROW: Final = re.compile(r"(?i)(?<=in row )\d+")


def json_pieces(
    path: Path,
    form: FileFormat,
    wanted: frozenset[str] | None,
    stored: Mapping[str, Any] | None,
) -> Iterator[ObjectContents]:
    """The wanted columns (None: all) of each block, with the types that are `stored`, or else with
    those that the block has alone: the last piece then has those of all. Raises `NotInParts`, and
    `ArrowInvalid` with the row of the file."""
    import pyarrow as pa

    if is_array(path, form):
        raise NotInParts
    rows, types = 0, _Types()
    with opened(path, form) as stream:
        for content in whole_lines(stream, BLOCK):
            if not content.strip(b" \t\r\n\xef\xbb\xbf"):
                continue
            try:
                if stored is not None:
                    piece = _with_types(content, wanted, stored)
                else:
                    piece = _alone(content, wanted, types)
            except pa.ArrowInvalid as error:
                raise pa.ArrowInvalid(_further(str(error), rows)) from None
            rows += piece.rows
            yield piece
    if not rows:
        raise NotInParts


def _further(message: str, rows: int) -> str:
    """Arrow's message with the row of the file, which is the block's after so many rows."""
    return _ROW.sub(lambda found: str(rows + int(found[0])), message)


def _alone(content: bytes, wanted: frozenset[str] | None, types: "_Types") -> ObjectContents:
    table = _parsed(content, types.texts, "infer")
    types.add(table)
    picked, _ = pick(table.column_names, wanted)
    found = {name: table[name] for name in picked}
    texts = {
        name: kind for name, of in found.items() if (kind := without_times(of.type)) != of.type
    }
    if texts:
        again = _parsed(content, texts, "ignore")
        found |= {name: again[name] for name in texts}
    piece = _contents(tuple(types.known), table.num_rows, found)
    return replace(piece, stored=dict(types.known))


def _with_types(
    content: bytes, wanted: frozenset[str] | None, stored: Mapping[str, Any]
) -> ObjectContents:
    import pyarrow as pa

    kinds = {name: kind for name, kind in stored.items() if wanted is None or name in wanted}
    null = {name for name, kind in kinds.items() if pa.types.is_null(kind)}
    read = {name: kind for name, kind in kinds.items() if name not in null}
    table = _parsed(content, read, "ignore")
    nulls = pa.chunked_array([pa.nulls(table.num_rows)])
    found = {name: nulls if name in null else table[name] for name in kinds}
    return replace(_contents(tuple(stored), table.num_rows, found), stored=stored)


def _contents(header: tuple[str, ...], rows: int, found: Mapping[str, Any]) -> ObjectContents:
    from pyarrow import types

    columns = {
        name: ColumnValues(values, "quoted" if types.is_string(values.type) else "typed")
        for name, values in found.items()
    }
    return ObjectContents(header, rows, columns, leaves_out=True)


def _parsed(content: bytes, known: Mapping[str, Any], others: Literal["infer", "ignore"]) -> Any:
    """The rows of a block; columns with known types come first."""
    import pyarrow as pa
    from pyarrow import json as arrow

    parsing = arrow.ParseOptions(
        explicit_schema=pa.schema(list(known.items())), unexpected_field_behavior=others
    )
    at_once = arrow.ReadOptions(block_size=len(content) + 1, use_threads=False)
    return arrow.read_json(pa.BufferReader(content), read_options=at_once, parse_options=parsing)


# -- the types of all blocks together --------------------------------------------------------------


class _ChangedError(Exception):
    """A value is of another kind: where in the column, what it was, and what it is."""


class _Types:
    """The types of the columns in the blocks so far."""

    def __init__(self) -> None:
        self.known: dict[str, Any] = {}
        self._beyond: set[str] = set()

    @property
    def texts(self) -> Mapping[str, Any]:
        """The columns of texts: told so, Arrow sees no times in them, which it would have to read
        again."""
        from pyarrow import types

        return {name: kind for name, kind in self.known.items() if types.is_string(kind)}

    def add(self, table: Any) -> None:
        """Take in the next block. Raises `ArrowInvalid` in Arrow's words if a column has values of
        another kind there, and `NotInParts` for doubles that may lose digits."""
        import pyarrow as pa
        from pyarrow import types

        for name in table.column_names:
            kind = without_times(table[name].type)
            try:
                kind = _together(self.known.get(name, pa.null()), kind)
            except _ChangedError as error:
                place, was, now = error.args
                first = _first_valid(table[name])
                raise pa.ArrowInvalid(
                    f"Column(/{name}{place}) changed from {was} to {now} in row {first}"
                ) from None
            self.known[name] = kind
            if is_beyond(table[name]):
                self._beyond.add(name)
            if types.is_floating(kind) and name in self._beyond:
                raise NotInParts


def _first_valid(column: Any) -> int:
    import pyarrow as pa
    import pyarrow.compute as pc

    return int(pc.index(column.is_valid(), pa.scalar(True)).as_py())


def _together(one: Any, other: Any) -> Any:
    """The type of values of both types. Raises `_ChangedError`."""
    import pyarrow as pa
    from pyarrow import types

    if types.is_null(one) or one == other:
        return other
    if types.is_null(other):
        return one
    if _named(one) != _named(other):
        raise _ChangedError("", _named(one), _named(other))
    if types.is_list(one):
        return pa.list_(_inside(one.value_type, other.value_type, "/[]"))
    if types.is_struct(one):
        both = {field.name: field.type for field in one}
        for field in other:
            known = both.get(field.name, pa.null())
            both[field.name] = _inside(known, field.type, f"/{field.name}")
        return pa.struct(list(both.items()))
    return pa.float64()


def _inside(one: Any, other: Any, place: str) -> Any:
    try:
        return _together(one, other)
    except _ChangedError as error:
        raise _ChangedError(place + error.args[0], *error.args[1:]) from None


def _named(kind: Any) -> str:
    """What Arrow calls values of this type."""
    from pyarrow import types

    if types.is_boolean(kind):
        return "boolean"
    if types.is_list(kind):
        return "array"
    if types.is_struct(kind):
        return "object"
    return "string" if types.is_string(kind) else "number"
