"""Read ORC.

Arrow reads its times in nanoseconds only, which end in 1677 and 2262, and fails beyond. A
`timestamp` of ORC has no zone: Arrow gives what a clock in the writer's zone showed, and needs the
rules of that zone for it.
"""

import re
from pathlib import Path
from typing import Any

from validators.data.reading.formats.contents import ColumnValues, ObjectContents, Unreadable, pick
from validators.verdict import Verdict


def read_orc(path: Path, wanted: frozenset[str] | None) -> ObjectContents:
    """Read the wanted columns (None: all)."""
    import pyarrow as pa
    from pyarrow import orc

    try:
        file = orc.ORCFile(str(path))
        names = file.schema.names
        picked, doubled = pick(names, wanted)
        table = _columns(file, picked) if picked else None
    except pa.ArrowException as error:
        raise _explained(str(error)) or error from None
    columns = {name: ColumnValues(table[name]) for name in picked} if table is not None else {}
    return ObjectContents(tuple(dict.fromkeys(names)), file.nrows, columns, doubled)


def _columns(file: Any, picked: list[str]) -> Any:
    """Arrow takes the name `a.b` for the field `b` of `a`, so that it is not read by name."""
    return file.read(None if any("." in name for name in picked) else picked)


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
