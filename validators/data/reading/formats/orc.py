"""Read ORC, some rows at a time.

Arrow reads its times in nanoseconds only, which end in 1677 and 2262, and fails beyond. A
`timestamp` of ORC has no zone: Arrow gives what a clock in the writer's zone showed, and needs the
rules of that zone for it.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from validators.data.reading.formats.contents import ColumnValues, ObjectContents, Unreadable, pick
from validators.verdict import Verdict

ROWS: Final = 1 << 16
"""Rows that are read at once, at most."""


def orc_pieces(path: Path, wanted: frozenset[str] | None) -> Iterator[ObjectContents]:
    """The wanted columns (None: all), some rows at a time."""
    import pyarrow as pa
    from pyarrow import orc

    try:
        # Opened by its path, Arrow would map it into memory: cut off then, it ends the process.
        with pa.OSFile(str(path)) as source:
            file = orc.ORCFile(source)
            picked, doubled = pick(file.schema.names, wanted)
            header = tuple(dict.fromkeys(file.schema.names))
            if not picked:
                yield ObjectContents(header, file.nrows, {}, doubled)
                return
            if not file.nstripes:
                yield _piece(file.read(), header, picked, doubled)
                return
            # Arrow takes the name `a.b` for the field `b` of `a`, so that it is not read by name.
            by_name = not doubled and not any("." in name for name in picked)
            for batch in _batches(path, picked) if by_name else _stripes(file):
                yield _piece(pa.Table.from_batches([batch]), header, picked, doubled)
    except pa.ArrowException as error:
        raise _explained(str(error)) or error from None


def _batches(path: Path, picked: list[str]) -> Iterator[Any]:
    """The rows in batches: of rows that compress well, there may be millions in a stripe."""
    from pyarrow import dataset, fs

    fragment = dataset.OrcFileFormat().make_fragment(str(path), fs.LocalFileSystem(use_mmap=False))
    yield from fragment.to_batches(
        columns=picked, batch_size=ROWS, use_threads=False, batch_readahead=1, fragment_readahead=0
    )


def _stripes(file: Any) -> Iterator[Any]:
    return map(file.read_stripe, range(file.nstripes))


def _piece(
    table: Any, header: tuple[str, ...], picked: Sequence[str], doubled: tuple[str, ...]
) -> ObjectContents:
    columns = {name: ColumnValues(table[name]) for name in picked}
    return ObjectContents(header, table.num_rows, columns, doubled)


def _explained(message: str) -> Unreadable | None:
    """The errors that do not come from a broken file."""
    if "nanosecond" in message:
        return Unreadable(
            "has times before 1677 or after 2262, which Arrow cannot read from ORC; write the "
            "column as a date, or the file as Parquet"
        )
    if zone := re.search(r"[Tt]ime zone file (?:\S*zoneinfo/)?(\S+)", message):
        return Unreadable(
            f"needs the rules of the time zone {zone[1]}, which this machine does not have: "
            "install `tzdata` beside the controller",
            Verdict.ERROR,
        )
    return None
