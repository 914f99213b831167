"""Finds quotes in delimited text that are not closed.

Arrow reads a value to the end of the file, or to the next quote, without a word: rows would be
missing. Text after a closing quote is accepted within a line, as many writers produce it.
"""

import csv
import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from specs.csv_files import CsvFiles
from validators.data.reading.formats.contents import Unreadable

_AT_END: Final = "unexpected end of data"
"""Python's message for a file that ends within quotes."""
_BLOCK: Final = 1 << 20
"""Bytes that are looked at together."""


def require_closed_quotes(text: Callable[[], Any], written: CsvFiles, delimiter: str) -> None:
    """Raises `Unreadable` with the line of the first quote that is not closed; `text` opens the
    file as UTF-8."""
    if written.quote is None:
        return
    is_simple = written.escape is None
    if is_simple and _alternate(text, written.quote.encode(), delimiter.encode()):
        return
    csv.field_size_limit(2**31 - 1)
    rows = partial(
        csv.reader, delimiter=delimiter, quotechar=written.quote, escapechar=written.escape
    )
    with _lines(text) as lines:
        if not _raises(rows(lines, strict=True)):
            return
    with _lines(text) as lines:
        line = _first_open(lines, rows)
    if line is not None:
        place = "" if written.comment else f" in line {line + written.skip_rows}"
        raise Unreadable(f"has a quote{place} that is not closed")


def _lines(text: Callable[[], Any]) -> io.TextIOWrapper:
    return io.TextIOWrapper(text(), encoding="utf-8-sig", newline="")


def _raises(rows: Iterable[object]) -> bool:
    try:
        deque(rows, maxlen=0)
    except csv.Error:
        return True
    return False


def _alternate(text: Callable[[], Any], quote: bytes, delimiter: bytes) -> bool:
    """Whether every quote is at the start or the end of a value, by turns: then all is well. Takes
    a tenth of the time of a reader; False for quotes within values."""
    import numpy as np

    edges = np.zeros(256, bool)
    edges[[*delimiter, *b"\r\n"]] = True
    is_inside = False
    with text() as stream:
        before, block = b"\n", stream.read(_BLOCK).removeprefix(b"\xef\xbb\xbf")
        while block:
            after = stream.read(_BLOCK)
            letters = np.frombuffer(before + block + (after[:1] or b"\n"), np.uint8)
            places = np.flatnonzero(letters[1:-1] == quote[0]) + 1
            opens, closes = edges[letters[places - 1]], edges[letters[places + 1]]
            due = (np.arange(len(places)) % 2 == 0) ^ is_inside
            if (opens == closes).any() or (opens != due).any():
                return False
            is_inside ^= bool(len(places) % 2)
            before, block = block[-1:], after
    return not is_inside


def _first_open(lines: Iterable[str], rows: Callable[..., Any]) -> int | None:
    """The line of the first row of several lines, or at the end, that is not as CSV should be."""
    row: list[str] = []
    last: list[str] = []
    reader = rows(_noted(lines, row))
    for _ in reader:
        if len(row) > 1 and _is_torn(row, rows):
            return int(reader.line_num) - len(row) + 1
        last[:] = row
        row.clear()
    return int(reader.line_num) - len(last) + 1 if _is_torn(last, rows) else None


def _noted(lines: Iterable[str], row: list[str]) -> Iterator[str]:
    """The lines; those of the present row are in `row`."""
    for line in lines:
        row.append(line)
        yield line


def _is_torn(row: Sequence[str], rows: Callable[..., Any]) -> bool:
    """Whether a strict reader, which takes nothing after a closing quote, refuses the row: for its
    end, or as another row follows the closing quote."""
    try:
        list(rows(iter(row), strict=True))
    except csv.Error as error:
        return len(row) > 1 or _AT_END in str(error)
    return False
