"""Objects of a dataset version, written for tests of how they are read."""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from validators.data.request import DatasetReading, ObjectFile
from validators.data.tables import LoadedDataset, load


def read(
    folder: Path,
    files: Mapping[str, Any],
    wanted: frozenset[str] | None = None,
    **reading: Any,
) -> LoadedDataset:
    """What the gate reads of these files, by key: texts, tables, or the columns of tables, which
    are written as Parquet."""
    objects = []
    for number, (key, content) in enumerate(files.items()):
        path = folder / str(number)  # as in a content-addressed cache: only the key tells the kind
        if isinstance(content, str):
            raw = content.encode()
            path.write_bytes(gzip.compress(raw) if key.endswith(".gz") else raw)
        else:
            table = content if isinstance(content, pa.Table) else pa.table(dict(content))
            pq.write_table(table, path)
        objects.append(ObjectFile(key=key, path=str(path)))
    return load(objects, wanted, reading=DatasetReading(**reading))


def column(loaded: LoadedDataset, name: str = "x") -> tuple[str, list[object]]:
    """The type and the values of a column without problems."""
    assert loaded.checks == ()
    return str(loaded.table[name].type), loaded.table[name].to_pylist()
