"""Read Parquet."""

from pathlib import Path
from typing import Literal

from validators.data.reading.formats.contents import ColumnValues, ObjectContents, pick


def read_parquet(
    path: Path, wanted: frozenset[str] | None, int96: Literal["ns", "us"]
) -> ObjectContents:
    """Read the wanted columns (None: all). `int96` is the unit for 96-bit times."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, coerce_int96_timestamp_unit=int96) as file:
        names = file.schema_arrow.names
        picked, doubled = pick(names, wanted)
        table = file.read(columns=picked)
    columns = {name: ColumnValues(table[name]) for name in picked}
    return ObjectContents(tuple(dict.fromkeys(names)), table.num_rows, columns, doubled)
