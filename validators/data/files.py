"""Read one object of a dataset version: the names of its columns, and the values of some.

Arrow's messages about broken files are not passed on, as they quote the data.
"""

import csv as plain_csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

from validators.data.kinds import NAMED, FileFormat, Kind, form_of
from validators.data.request import ObjectFile
from validators.verdict import Verdict

Source = Literal["typed", "text", "quoted"]
"""How a file gives the type of a column: `typed`, it does; `text`, it does not; `quoted`, as a
string, which in JSON may be a date or time."""

_BLOCKS: Final = (1 << 20, 1 << 26, 1 << 30)
"""Bytes that Arrow reads at once; every row must fit in a block."""
_EXACT: Final = 2.0**53
"""Up to this, a double can represent every whole number."""


@dataclass(frozen=True)
class ColumnValues:
    """The values of a column in one object."""

    values: Any
    """A `pyarrow.ChunkedArray`, of strings unless `source` is `typed`."""
    source: Source = "typed"


@dataclass(frozen=True)
class ObjectContents:
    """The contents of one object."""

    header: tuple[str, ...]
    """All its columns, each once."""
    rows: int
    columns: Mapping[str, ColumnValues]
    """The requested ones."""
    doubled: tuple[str, ...] = ()
    """Columns that occur more than once and were not requested."""
    leaves_out: bool = False
    """Whether rows may leave out a column, which is then null."""


class Unreadable(Exception):  # noqa: N818 - becomes a check, is never shown
    """Why an object cannot be read, as a predicate: `is an empty file`."""

    def __init__(self, why: str, verdict: Verdict = Verdict.FAIL) -> None:
        super().__init__(why)
        self.why = why
        self.verdict = verdict


def read(
    one: ObjectFile,
    wanted: frozenset[str] | None,
    nulls: Collection[str],
    int96: Literal["ns", "us"] = "ns",
) -> ObjectContents:
    """Read the wanted columns (None: all) of an object. Raises `Unreadable`.

    `int96` is the unit for 96-bit times: with nanoseconds, years after 2262 silently overflow.
    """
    form = form_of(one.key)
    if isinstance(form, str):
        raise Unreadable(form, Verdict.ERROR)
    return read_file(Path(one.path), form, wanted, nulls, int96)


def read_file(
    path: Path,
    form: FileFormat,
    wanted: frozenset[str] | None,
    nulls: Collection[str],
    int96: Literal["ns", "us"] = "ns",
) -> ObjectContents:
    """Read the wanted columns (None: all) of a file in this format. Raises `Unreadable`."""
    with explained(form.kind):
        if path.stat().st_size == 0:
            raise Unreadable("is an empty file")
        if form.kind == "parquet":
            return _parquet(path, wanted, int96)
        if form.kind == "json":
            return _json(path, form, wanted)
        return _delimited(path, form, wanted, nulls)


@contextmanager
def explained(kind: Kind) -> Iterator[None]:
    """What goes wrong while a file of this format is read, as `Unreadable`."""
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError:
        raise Unreadable("was not fetched to this machine", Verdict.ERROR) from None
    except PermissionError:
        raise Unreadable("cannot be read by this user", Verdict.ERROR) from None
    except (pa.ArrowException, OSError, ValueError, RecursionError, plain_csv.Error) as error:
        raise Unreadable(f"is not readable as {NAMED[kind]}{_where(str(error))}") from None


def _where(message: str) -> str:
    """The parts of Arrow's message that describe the file without quoting its data."""
    counts = re.search(r"Expected (\d+) columns, got (\d+)", message)
    changed = re.search(r"Column\(/(.+?)\) changed from (\w+) to (\w+)", message)
    twice = re.search(r"Column\(/(.+?)\) was specified twice", message)
    row = re.search(r"[Rr]ow #?(\d+)", message)
    parts = [
        f"row {row[1]}" if row else "",
        f"{counts[2]} fields instead of {counts[1]}" if counts else "",
        f"`{changed[1]}` changes from {changed[2]} to {changed[3]}" if changed else "",
        f"`{twice[1]}` occurs twice" if twice else "",
        "it is not UTF-8" if re.search("(?i)utf-?8", message) else "",
    ]
    found = ", ".join(part for part in parts if part)
    return f" ({found})" if found else ""


def pick(names: Sequence[str], wanted: frozenset[str] | None) -> tuple[list[str], tuple[str, ...]]:
    """The columns to read, and the repeated columns, which are not read.

    Raises `Unreadable` if one of the latter is wanted, as it is ambiguous.
    """
    doubled = tuple(name for name, count in Counter(names).items() if count > 1)
    meant = [name for name in doubled if wanted is None or name in wanted]
    if meant:
        raise Unreadable(f"has more than one column {', '.join(f'`{name}`' for name in meant)}")
    return [name for name in names if wanted is None or name in wanted], doubled


def _parquet(path: Path, wanted: frozenset[str] | None, int96: str) -> ObjectContents:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, coerce_int96_timestamp_unit=int96) as file:
        names = file.schema_arrow.names
        picked, doubled = pick(names, wanted)
        table = file.read(columns=picked)
    columns = {name: ColumnValues(table[name]) for name in picked}
    return ObjectContents(tuple(dict.fromkeys(names)), table.num_rows, columns, doubled)


# -- CSV and TSV -----------------------------------------------------------------------------------


def _delimited(
    path: Path, form: FileFormat, wanted: frozenset[str] | None, nulls: Collection[str]
) -> ObjectContents:
    """Every value as text: types are inferred later, from all files together."""
    import pyarrow as pa
    from pyarrow import csv

    delimiter = "\t" if form.kind == "tsv" else ","
    names, is_empty = _head(path, form, delimiter)
    picked, doubled = pick(names, wanted)
    header = tuple(dict.fromkeys(names))
    if is_empty:
        none = pa.chunked_array([pa.array([], pa.string())])
        return ObjectContents(
            header, 0, {name: ColumnValues(none, "text") for name in picked}, doubled
        )
    # At least one column is read, to count the rows.
    chosen = picked or [name for name in header if name not in doubled][:1]
    if not chosen:
        raise Unreadable("has no column whose name occurs only once")
    options = csv.ConvertOptions(
        include_columns=chosen,
        column_types=dict.fromkeys(chosen, pa.string()),
        null_values=list(nulls),
        strings_can_be_null=True,
    )
    # Without it, Arrow takes a quoted line break at the end of a block for the end of a row.
    parsing = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)

    def at_once(block: int) -> Any:
        with _open(path, form) as stream:
            return csv.read_csv(
                stream,
                read_options=csv.ReadOptions(block_size=block),
                parse_options=parsing,
                convert_options=options,
            )

    table = _in_blocks(at_once)
    columns = {name: ColumnValues(table[name], "text") for name in picked}
    return ObjectContents(header, table.num_rows, columns, doubled)


def _open(path: Path, form: FileFormat) -> Any:
    import pyarrow as pa

    return pa.input_stream(str(path), compression="gzip" if form.packed else None)


def _head(path: Path, form: FileFormat, delimiter: str) -> tuple[list[str], bool]:
    """The names of the columns, and whether there are no rows."""
    with (
        _open(path, form) as stream,
        io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text,
    ):
        names = next(filter(None, plain_csv.reader(text, delimiter=delimiter)), None)
        if names is None:
            raise Unreadable("is an empty file")
        return names, not any(line.strip("\r\n") for line in text)


def _in_blocks(read_with: Callable[[int], Any]) -> Any:
    """The result with the smallest block size that holds every row."""
    import pyarrow as pa

    for block in _BLOCKS[:-1]:
        try:
            return read_with(block)
        except pa.ArrowInvalid as error:
            if "straddl" not in str(error):
                raise
    return read_with(_BLOCKS[-1])


# -- JSON ------------------------------------------------------------------------------------------


def _json(path: Path, form: FileFormat, wanted: frozenset[str] | None) -> ObjectContents:
    """JSON lines, or an array. Dates and times are read as text, and whole numbers that a double
    cannot hold as decimals."""
    from pyarrow import types

    lines = _lines_of_array(path, form)
    if lines == b"":
        return ObjectContents((), 0, {}, leaves_out=True)
    table = _rows(path, form, lines, {})
    picked, _ = pick(table.column_names, wanted)
    found = {name: table[name] for name in picked}
    as_texts = {
        name: kind for name, of in found.items() if (kind := _without_times(of.type)) != of.type
    }
    if as_texts:
        again = _rows(path, form, lines, as_texts)
        found |= {name: again[name] for name in as_texts}
    for name in picked:
        if types.is_floating(found[name].type) and _is_beyond(found[name]):
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
        options = arrow.ReadOptions(block_size=block)
        with _open(path, form) if lines is None else pa.BufferReader(lines) as stream:
            return arrow.read_json(stream, read_options=options, parse_options=parsing)

    return _in_blocks(at_once)


def _lines_of_array(path: Path, form: FileFormat) -> bytes | None:
    """The elements of a JSON array, one per line; None if the file is not an array."""
    with _open(path, form) as stream:
        start = stream.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
        if not start.startswith(b"["):
            return None
    with _open(path, form) as stream:
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


def _without_times(kind: Any) -> Any:
    """The type with texts where Arrow saw times, at any depth."""
    import pyarrow as pa
    from pyarrow import types

    if types.is_timestamp(kind):
        return pa.string()
    if types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_without_times(kind.value_type)))
    if types.is_struct(kind):
        return pa.struct([field.with_type(_without_times(field.type)) for field in kind])
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


def _is_beyond(column: Any) -> bool:
    import pyarrow.compute as pc

    return (pc.max(pc.abs(column)).as_py() or 0) >= _EXACT
