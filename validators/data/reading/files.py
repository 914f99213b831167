"""Read one object of a dataset version, whole or in pieces: its columns' names, and some values.

Arrow's messages about broken files are not passed on, as they quote the data.
"""

import csv as plain_csv
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

from specs.csv_files import USUAL, CsvFiles
from validators.data.reading.formats.arrow import arrow_pieces
from validators.data.reading.formats.contents import (
    ColumnValues,
    ObjectContents,
    Source,
    Unreadable,
    joined,
)
from validators.data.reading.formats.delimited import delimited_pieces
from validators.data.reading.formats.json_lines import json_pieces
from validators.data.reading.formats.json_rows import read_json
from validators.data.reading.formats.kinds import NAMED, FileFormat, Kind, form_of
from validators.data.reading.formats.orc import orc_pieces
from validators.data.reading.formats.parquet import parquet_pieces
from validators.data.reading.objects import ObjectFile
from validators.verdict import Verdict

__all__ = [
    "ColumnValues", "ObjectContents", "Source", "Stamp", "Unreadable", "pieces", "read",
    "read_file", "stamp_of",
]  # fmt: skip

_CUT_OFF: Final = re.compile(
    r"(?i)magic bytes not found|postscript|file size too small|not an arrow file|truncated"
    r"|expected to (be able to )?read|smaller than"
)


def read(
    one: ObjectFile,
    wanted: frozenset[str] | None,
    nulls: Collection[str],
    int96: Literal["ns", "us"] = "ns",
    written: CsvFiles | None = None,
) -> ObjectContents:
    """Read the wanted columns (None: all) of an object. Raises `Unreadable`.

    `int96` is the unit for 96-bit times: with nanoseconds, years after 2262 silently overflow.
    `written` is how files of delimited text are written, if not the usual way.
    """
    return read_file(Path(one.path), _form(one), wanted, nulls, int96, written)


def read_file(
    path: Path,
    form: FileFormat,
    wanted: frozenset[str] | None,
    nulls: Collection[str],
    int96: Literal["ns", "us"] = "ns",
    written: CsvFiles | None = None,
) -> ObjectContents:
    """Read the wanted columns (None: all) of a file in this format. Raises `Unreadable`."""
    with explained(form.kind, "UTF-8" if written is None else written.encoding):
        _require_content(path)
        if form.kind == "json":
            return read_json(path, form, wanted)
        return joined(_pieces(path, form, wanted, nulls, int96, written))


def pieces(
    one: ObjectFile,
    wanted: frozenset[str] | None,
    nulls: Collection[str],
    written: CsvFiles | None = None,
    stored: Mapping[str, Any] | None = None,
) -> Iterator[ObjectContents]:
    """Read an object piece by piece, of which there is at least one: groups of rows, as the file
    has them, or blocks of it. Raises `Unreadable`, and `NotInParts` if that is impossible.

    `stored` is what an earlier reading found (see `ObjectContents`); without it, types of columns
    may differ between pieces.
    """
    path, form = Path(one.path), _form(one)
    with explained(form.kind, "UTF-8" if written is None else written.encoding):
        _require_content(path)
        if form.kind == "json":
            yield from json_pieces(path, form, wanted, stored)
        else:
            yield from _pieces(path, form, wanted, nulls, "ns", written)


def _form(one: ObjectFile) -> FileFormat:
    form = form_of(one.key)
    if isinstance(form, str):
        raise Unreadable(form, Verdict.ERROR)
    return form


def _require_content(path: Path) -> None:
    if path.stat().st_size == 0:
        raise Unreadable("is an empty file")


def _pieces(
    path: Path,
    form: FileFormat,
    wanted: frozenset[str] | None,
    nulls: Collection[str],
    int96: Literal["ns", "us"],
    written: CsvFiles | None,
) -> Iterator[ObjectContents]:
    match form.kind:
        case "parquet":
            return parquet_pieces(path, wanted, int96)
        case "orc":
            return orc_pieces(path, wanted)
        case "arrow":
            return arrow_pieces(path, wanted)
    return delimited_pieces(path, form, wanted, nulls, written or USUAL)


@contextmanager
def explained(kind: Kind, encoding: str = "UTF-8") -> Iterator[None]:
    """What goes wrong while a file of this format is read, as `Unreadable`."""
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError:
        raise Unreadable("was not fetched to this machine", Verdict.ERROR) from None
    except PermissionError:
        raise Unreadable("cannot be read by this user", Verdict.ERROR) from None
    except UnicodeDecodeError:
        raise Unreadable(f"is not readable as {NAMED[kind]} (it is not {encoding})") from None
    except (pa.ArrowException, OSError, ValueError, RecursionError, plain_csv.Error) as error:
        raise Unreadable(f"is not readable as {NAMED[kind]}{_where(error)}") from None


def _where(error: Exception) -> str:
    """The parts of Arrow's message that describe the file without quoting its data, and notes."""
    message = str(error)
    counts = re.search(r"Expected (\d+) columns, got (\d+)", message)
    changed = re.search(r"Column\(/(.+?)\) changed from (\w+) to (\w+)", message)
    twice = re.search(r"Column\(/(.+?)\) was specified twice", message)
    row = re.search(r"[Rr]ow (#?)(\d+)", message)
    packing = re.search(r"(zlib|ZSTD) (?:inflate|decompress) failed", message)
    parts = [
        f"row {int(row[2]) + (not row[1]):,}" if row else "",  # JSON's are counted from 0
        f"{_fields(int(counts[2]))} instead of {counts[1]}" if counts else "",
        f"`{changed[1]}` changes from {changed[2]} to {changed[3]}" if changed else "",
        f"`{twice[1]}` occurs twice" if twice else "",
        "it is not UTF-8" if re.search("(?i)utf-?8", message) else "",
        "its compressed data is damaged" if packing else "",
        "it is cut off, or of another format" if _CUT_OFF.search(message) else "",
    ]
    found = ", ".join(part for part in parts if part)
    advice = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
    return (f" ({found})" if found else "") + advice


def _fields(count: int) -> str:
    return f"{count:,} field{'s' * (count != 1)}"


Stamp = tuple[int, int]
"""What tells a file from one that takes its place with other content."""


def stamp_of(path: Path) -> Stamp | None:
    """The stamp of a file; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
