"""Read Arrow's own formats: IPC files (also called Feather 2), IPC streams and Feather 1.

Their suffixes are used for each other, so the first bytes tell which it is. A stream may end
anywhere between two batches, and Arrow would read what is there: here it has to end with its mark,
and with nothing after it.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from validators.data.reading.formats.contents import ColumnValues, ObjectContents, Unreadable, pick

FILE: Final = b"ARROW1"
"""How a file begins."""
FEATHER_1: Final = b"FEA1"
"""How a file in the format before Arrow's own begins."""
STREAM: Final = b"\xff\xff\xff\xff"
"""How a stream begins, and each message in it."""
_END: Final = STREAM + bytes(4)
"""How a stream ends that begins like this."""


def arrow_pieces(path: Path, wanted: frozenset[str] | None) -> Iterator[ObjectContents]:
    """The wanted columns (None: all), batch by batch."""
    with path.open("rb") as file:
        start = file.read(len(FILE))
    if start.startswith(FEATHER_1):
        yield _feather_1(path, wanted)
    else:
        yield from _ipc(path, wanted, is_file=start == FILE)


def _ipc(path: Path, wanted: frozenset[str] | None, *, is_file: bool) -> Iterator[ObjectContents]:
    import pyarrow as pa

    opened = pa.ipc.open_file if is_file else pa.ipc.open_stream
    with pa.OSFile(str(path)) as file, opened(file) as reader:
        names = reader.schema.names
    picked, doubled = pick(names, wanted)
    header = tuple(dict.fromkeys(names))
    # At least one column is read, to count the rows.
    chosen = [names.index(name) for name in picked] or list(range(len(names)))[:1]
    options = pa.ipc.IpcReadOptions(included_fields=chosen)
    with pa.OSFile(str(path)) as file, opened(file, options=options) as reader:
        empty = reader.schema.empty_table()
        yield ObjectContents(header, 0, {n: ColumnValues(empty[n]) for n in picked}, doubled)
        batches = map(reader.get_batch, range(reader.num_record_batches)) if is_file else reader
        for batch in batches:
            table = pa.Table.from_batches([batch])
            table.validate(full=True)  # nothing else guards against offsets out of a buffer
            columns = {name: ColumnValues(table[name]) for name in picked}
            yield ObjectContents(header, table.num_rows, columns, doubled)
        if not is_file:
            _require_end(file)


def _require_end(file: Any) -> None:
    """Raises `Unreadable` unless the stream, just read, ends where its file does."""
    end = file.tell()
    if end != file.size():
        raise Unreadable(
            "goes on after the end of its Arrow stream, and only the first stream would be read: "
            "write each to a file of its own"
        )
    file.seek(0)
    begins = file.read(len(STREAM)) == STREAM  # before version 0.15, it did not
    file.seek(max(end - len(_END), 0))
    if begins and file.read() != _END:
        raise Unreadable(
            "lacks the mark at the end of an Arrow stream, so it may be cut off: write it again, "
            "and close its writer"
        )


def _feather_1(path: Path, wanted: frozenset[str] | None) -> ObjectContents:
    from pyarrow import feather

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Arrow will not read this format forever
        table = feather.read_table(str(path), memory_map=False)
    table.validate(full=True)
    names = table.column_names
    picked, doubled = pick(names, wanted)
    columns = {name: ColumnValues(table[name]) for name in picked}
    return ObjectContents(tuple(dict.fromkeys(names)), table.num_rows, columns, doubled)
