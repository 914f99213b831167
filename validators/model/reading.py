"""Reading the columns of predictions by the rules of the data gate: text stays text, and only an
empty field is null."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from validators.data.reading.files import ColumnValues, ObjectContents, read_file
from validators.data.reading.formats import arrow
from validators.data.reading.formats.kinds import FileFormat
from validators.data.reading.texts import read_as, type_of

if TYPE_CHECKING:
    import pyarrow as pa

_NULLS: Final = ("",)
_MISSING: Final = ("NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null")
"""Text that means a missing value if all other values of its column are numbers."""


def read(path: Path, start: bytes, wanted: frozenset[str]) -> ObjectContents:
    """The wanted columns that a file has; `start` is how it begins. Raises `Unreadable`."""
    return read_file(path, _form_of(start), wanted, _NULLS)


def _form_of(start: bytes) -> FileFormat:
    """The format, from the content: artifacts have no suffix."""
    if start.startswith(b"PAR1"):
        return FileFormat("parquet")
    if start.startswith(b"ORC"):
        return FileFormat("orc")
    if start.startswith((arrow.FILE, arrow.FEATHER_1, arrow.STREAM)):
        return FileFormat("arrow")
    begins = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    return FileFormat("json" if begins.startswith((b"{", b"[")) else "csv")


def key_of(column: ColumnValues) -> "pa.ChunkedArray":
    """Text as whole numbers or dates if all values are, as other formats have types for these;
    otherwise unchanged: 1.10 is not 1.1, and 02134 keeps its zero."""
    import pyarrow as pa

    if column.source == "typed":
        return column.values
    kind = type_of(column.values, only_times=column.source == "quoted")
    if pa.types.is_int64(kind) or pa.types.is_date(kind):
        return read_as(column.values, kind)
    return column.values


def values_of(column: ColumnValues) -> "pa.ChunkedArray":
    """A label or prediction: text as numbers or booleans if all values are; otherwise unchanged."""
    import pyarrow as pa

    if column.source != "text":
        return column.values
    values = _without_missing(column.values)
    kind = type_of(values, only_times=False)
    is_number = pa.types.is_floating(kind) or pa.types.is_integer(kind)
    if is_number or pa.types.is_decimal(kind) or pa.types.is_boolean(kind):
        return read_as(values, kind)
    return values


def numbers_of(column: ColumnValues) -> "pa.ChunkedArray":
    """A score: text as floats if all values are, including NaN and infinity."""
    import pyarrow as pa

    if column.source != "text":
        return column.values
    values = _without_missing(column.values)
    numbers = read_as(values, pa.float64())
    return values if numbers is None else numbers


def _without_missing(values: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """With null for words that mean it, if only these keep the column from being numbers."""
    import pyarrow as pa
    import pyarrow.compute as pc

    words = pc.is_in(values, value_set=pa.array(_MISSING))
    if not pc.any(words).as_py():
        return values
    rest = type_of(values.filter(pc.invert(words)), only_times=False)
    if pa.types.is_string(rest) or pa.types.is_null(rest):
        return values
    return pc.if_else(words, pa.scalar(None, pa.string()), values)
