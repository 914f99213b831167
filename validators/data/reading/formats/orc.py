"""Read ORC, stripe by stripe.

Arrow reads its times in nanoseconds only, which end in 1677 and 2262, and fails beyond. A
`timestamp` of ORC has no zone: Arrow gives what a clock in the writer's zone showed, and needs the
rules of that zone for it.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from validators.data.reading.formats.contents import ColumnValues, ObjectContents, Unreadable, pick
from validators.verdict import Verdict


def orc_pieces(path: Path, wanted: frozenset[str] | None) -> Iterator[ObjectContents]:
    """The wanted columns (None: all), stripe by stripe."""
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
            # Arrow takes the name `a.b` for the field `b` of `a`, so that it is not read by name.
            chosen = None if any("." in name for name in picked) else picked
            if not file.nstripes:
                yield _piece(file.read(chosen), header, picked, doubled)
            for stripe in range(file.nstripes):
                table = pa.Table.from_batches([file.read_stripe(stripe, chosen)])
                yield _piece(table, header, picked, doubled)
    except pa.ArrowException as error:
        raise _explained(str(error)) or error from None


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
