"""Files of text, decompressed and decoded."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from validators.data.reading.formats.kinds import FileFormat

BLOCKS: Final = (1 << 20, 1 << 26, 1 << 30)
"""Bytes that Arrow reads at once; every row must fit in a block."""
_UTF_8: Final = ("utf-8", "utf8")


def opened(path: Path, form: FileFormat, encoding: str = "utf-8") -> Any:
    """The content of the file as a stream of UTF-8. Decoding fails while it is read."""
    import pyarrow as pa

    stream = pa.input_stream(str(path), compression=form.packed)
    if encoding.lower() in _UTF_8:
        return stream
    return pa.transcoding_input_stream(stream, encoding, "utf-8")


def in_blocks(read_with: Callable[[int], Any]) -> Any:
    """The result with the smallest block size that holds every row."""
    (result,) = by_block(lambda block: iter([read_with(block)]))
    return result


def by_block(read_with: Callable[[int], Iterator[Any]]) -> Iterator[Any]:
    """The tables of each block, whose size grows at the first row that it does not hold."""
    import pyarrow as pa

    rows = 0
    for block in BLOCKS:
        seen = 0
        try:
            for table in read_with(block):
                new = table.slice(max(rows - seen, 0))
                seen += table.num_rows
                if new.num_rows or not seen:
                    yield new
                    rows = max(rows, seen)
        except pa.ArrowInvalid as error:
            if "straddl" not in str(error) or block == BLOCKS[-1]:
                raise
        else:
            return


def whole_lines(stream: Any, size: int) -> Iterator[bytes]:
    """The content in blocks of whole lines, of about this size, or of one line that is longer."""
    rest: list[bytes] = []
    while block := stream.read(size):
        end = block.rfind(b"\n") + 1
        if end:
            yield b"".join((*rest, block[:end]))
            rest = []
        rest.append(block[end:])
    if any(rest):
        yield b"".join(rest)
