"""Read JSON lines, or an array of objects, at once."""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from validators.data.reading.formats.contents import ColumnValues, ObjectContents, Unreadable, pick
from validators.data.reading.formats.kinds import FileFormat
from validators.data.reading.formats.streams import in_blocks, opened

_EXACT: Final = 2.0**53
"""Up to this, a double can represent every whole number."""


def read_json(path: Path, form: FileFormat, wanted: frozenset[str] | None) -> ObjectContents:
    """Read the wanted columns (None: all). Dates and times are read as text, and whole numbers
    that a double cannot hold as decimals."""
    from pyarrow import types

    lines = _lines_of_array(path, form)
    if lines == b"":
        return ObjectContents((), 0, {}, leaves_out=True)
    table = _rows(path, form, lines, {})
    picked, _ = pick(table.column_names, wanted)
    found = {name: table[name] for name in picked}
    as_texts = {
        name: kind for name, of in found.items() if (kind := without_times(of.type)) != of.type
    }
    if as_texts:
        again = _rows(path, form, lines, as_texts)
        found |= {name: again[name] for name in as_texts}
    for name in picked:
        if types.is_floating(found[name].type) and is_beyond(found[name]):
            found[name] = _exact(path, form, lines, name, found[name])
    columns = {
        name: ColumnValues(values, "quoted" if types.is_string(values.type) else "typed")
        for name, values in found.items()
    }
    return ObjectContents(tuple(table.column_names), table.num_rows, columns, leaves_out=True)


def _rows(path: Path, form: FileFormat, lines: bytes | None, only: Mapping[str, Any]) -> Any:
    """The table of `lines`, or of the file if None; with `only`, just these columns as these
    types."""
    import pyarrow as pa
    from pyarrow import json as arrow

    parsing = (
        arrow.ParseOptions(
            explicit_schema=pa.schema(list(only.items())), unexpected_field_behavior="ignore"
        )
        if only
        else None
    )

    def at_once(block: int) -> Any:
        # With threads, columns that rows leave out come in the order in which these are done.
        options = arrow.ReadOptions(block_size=block, use_threads=False)
        with opened(path, form) if lines is None else pa.BufferReader(lines) as stream:
            return arrow.read_json(stream, read_options=options, parse_options=parsing)

    return in_blocks(at_once)


def is_array(path: Path, form: FileFormat) -> bool:
    """Whether the file is an array, and not lines."""
    with opened(path, form) as stream:
        start = stream.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    return bool(start.startswith(b"["))


def _lines_of_array(path: Path, form: FileFormat) -> bytes | None:
    """The elements of a JSON array, one per line; None if the file is not an array."""
    if not is_array(path, form):
        return None
    with opened(path, form) as stream:
        text = stream.read().decode("utf-8-sig")
    decode, blank = json.JSONDecoder().raw_decode, re.compile(r"[ \t\r\n]*")

    def skip(at: int) -> int:
        found = blank.match(text, at)
        return found.end() if found else at

    rows: list[str] = []
    at = skip(text.index("[") + 1)
    while text[at : at + 1] != "]" or rows:
        element, end = decode(text, at)
        if not isinstance(element, dict):
            raise Unreadable(f"is a JSON array whose element {len(rows) + 1} is not an object")
        # Strings in JSON never contain a raw line break.
        rows.append(text[at:end].replace("\r", " ").replace("\n", " "))
        at = skip(end)
        if text[at : at + 1] == "]":
            break
        if text[at : at + 1] != ",":
            raise Unreadable(f"is a JSON array that breaks off after element {len(rows)}")
        at = skip(at + 1)
    if skip(at + 1) != len(text):
        raise Unreadable("has more text after its JSON array")
    return "\n".join(rows).encode()


def without_times(kind: Any) -> Any:
    """The type with texts where Arrow saw times, at any depth."""
    import pyarrow as pa
    from pyarrow import types

    if types.is_timestamp(kind):
        return pa.string()
    if types.is_list(kind):
        return pa.list_(kind.value_field.with_type(without_times(kind.value_type)))
    if types.is_struct(kind):
        return pa.struct([field.with_type(without_times(field.type)) for field in kind])
    return kind


def _exact(path: Path, form: FileFormat, lines: bytes | None, name: str, doubles: Any) -> Any:
    """The column as decimals, with the digits that doubles lose, if decimals can hold them all."""
    import pyarrow as pa

    whole, widest = pa.decimal128(38, 0), pa.decimal256(76, 38)
    for kind in (whole, widest):
        try:
            read = _rows(path, form, lines, {name: kind})[name]
        except pa.ArrowInvalid:
            continue
        if kind == whole:
            return read
        return _narrowed(read) if _lost(doubles, read) else doubles
    return doubles


def _narrowed(column: Any) -> Any:
    """The decimals with no more places than they need."""
    import pyarrow as pa

    for scale in range(39):
        try:
            return column.cast(pa.decimal128(38, scale))
        except pa.ArrowInvalid:
            continue
    return column


def _lost(doubles: Any, exact: Any) -> bool:
    """Whether a number beyond 2^53 differs from the decimal that its double prints as."""
    import pyarrow.compute as pc

    beyond = pc.fill_null(pc.greater_equal(pc.abs(doubles), _EXACT), False)
    pairs = zip(doubles.filter(beyond).to_pylist(), exact.filter(beyond).to_pylist(), strict=True)
    return any(said != Decimal(repr(double)) for double, said in pairs)


def is_beyond(column: Any) -> bool:
    """Whether a number of the column is beyond what doubles hold exactly."""
    import pyarrow.compute as pc
    from pyarrow import types

    if not (types.is_floating(column.type) or types.is_integer(column.type)):
        return False
    ends = pc.min_max(column)
    return max(-(ends["min"].as_py() or 0), ends["max"].as_py() or 0) >= _EXACT
