"""Read Parquet, row group by row group."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from validators.data.reading.formats.contents import ColumnValues, ObjectContents, pick


def parquet_pieces(
    path: Path, wanted: frozenset[str] | None, int96: Literal["ns", "us"]
) -> Iterator[ObjectContents]:
    """The wanted columns (None: all) of each row group. `int96` is the unit for 96-bit times."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, coerce_int96_timestamp_unit=int96) as file:
        names = file.schema_arrow.names
        picked, doubled = pick(names, wanted)
        header = tuple(dict.fromkeys(names))
        groups = range(file.num_row_groups)
        for table in (
            (file.read_row_group(group, columns=picked) for group in groups)
            if groups
            else [file.read(columns=picked)]
        ):
            columns = {name: ColumnValues(table[name]) for name in picked}
            yield ObjectContents(header, table.num_rows, columns, doubled)
