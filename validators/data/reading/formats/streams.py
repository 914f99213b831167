"""Files of text, decompressed and decoded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from validators.data.reading.formats.kinds import FileFormat

_BLOCKS: Final = (1 << 20, 1 << 26, 1 << 30)
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
    import pyarrow as pa

    for block in _BLOCKS[:-1]:
        try:
            return read_with(block)
        except pa.ArrowInvalid as error:
            if "straddl" not in str(error):
                raise
    return read_with(_BLOCKS[-1])
