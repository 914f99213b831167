"""The lines of delimited text that count: without those before the header, and comments."""

import io
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from specs.csv_files import CsvFiles
from validators.data.reading.formats.kinds import FileFormat
from validators.data.reading.formats.streams import opened

Opened = Callable[[], Any]
"""Opens the file anew, from where its header or first row begins."""
_BLOCK: Final = 1 << 20
"""Bytes that are looked at together."""
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_BOM: Final = b"\xef\xbb\xbf"


def texts_that_count(path: Path, form: FileFormat, written: CsvFiles) -> Opened:
    """Opens the file as UTF-8, without the lines that the spec leaves out."""
    if not written.skip_rows and written.comment is None:
        return lambda: opened(path, form, written.encoding)

    def filtered() -> Any:
        stream = opened(path, form, written.encoding)
        content = _after_start(stream, written.skip_rows)
        if written.comment is not None:
            content = _without_comments(_lines(content), written, written.comment)
        return io.BufferedReader(_Kept(stream, content), _BLOCK)

    return filtered


def _after_start(stream: Any, lines: int) -> Iterator[bytes]:
    """The blocks of a stream after so many lines."""
    text, block = b"", b"-"
    ends: list[int] = []
    while len(ends) <= lines and block:  # one more, as \r may go on in the next block
        block = stream.read(_BLOCK)
        text += block
        ends = [end.end() for end in islice(_LINE_END.finditer(text), lines + 1)]
    start = 0 if not lines else ends[lines - 1] if len(ends) >= lines else len(text)
    yield text[start:]
    while block := stream.read(_BLOCK):
        yield block


def _lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The lines with their ends, which may be those of any system."""
    rest = b""
    for block in blocks:
        lines = (rest + block).splitlines(keepends=True)
        rest = b"" if not lines or lines[-1].endswith(b"\n") else lines.pop()
        yield from lines
    yield from rest.splitlines(keepends=True)


def _without_comments(lines: Iterator[bytes], written: CsvFiles, comment: str) -> Iterator[bytes]:
    """Without the lines that begin with the mark, except within a quoted value."""
    mark, quote = comment.encode(), (written.quote or "").encode()
    escape = written.escape and re.escape(written.escape.encode())
    escaped = re.compile(escape + b".") if escape else None
    inside = False
    for at, each in enumerate(lines):
        line = each if at else each.removeprefix(_BOM)
        if line.startswith(mark) and not inside:
            continue
        yield line
        bare = escaped.sub(b"", line) if escaped else line
        inside ^= bool(quote) and bare.count(quote) % 2 == 1


class _Kept(io.RawIOBase):
    """What is kept of a stream, as a stream."""

    def __init__(self, stream: Any, content: Iterator[bytes]) -> None:
        self._stream, self._content, self._rest = stream, content, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            more = next(self._content, None)
            if more is None:
                return 0
            self._rest = more
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size

    def close(self) -> None:
        self._stream.close()
        super().close()
