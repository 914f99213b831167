"""Objects of a dataset version, written for tests of how they are read."""

import gzip
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import orc

from validators.data.reading.objects import DatasetReading, ObjectFile
from validators.data.reading.tables import LoadedDataset, load


def read(
    folder: Path,
    files: Mapping[str, Any],
    wanted: frozenset[str] | None = None,
    **reading: Any,
) -> LoadedDataset:
    """What the gate reads of these files, by key: bytes, texts, tables, or the columns of tables,
    which are written in the format of the key, Parquet by default."""
    objects = []
    for number, (key, content) in enumerate(files.items()):
        path = folder / str(number)  # as in a content-addressed cache: only the key tells the kind
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_bytes(packed(content.encode(), key))
        else:
            table = content if isinstance(content, pa.Table) else pa.table(dict(content))
            path.write_bytes(written(table, key))
        objects.append(ObjectFile(key=key, path=str(path)))
    return load(objects, wanted, reading=DatasetReading(**reading))


def packed(content: bytes, key: str) -> bytes:
    """The content, compressed as the key says."""
    if key.endswith(".gz"):
        return gzip.compress(content)
    if key.lower().endswith(".zst"):
        return bytes(pa.compress(content, codec="zstd", asbytes=True))
    return content


def written(table: pa.Table, key: str) -> bytes:
    """The table in the format of the key."""
    sink = io.BytesIO()
    if key.endswith(".orc"):
        orc.write_table(table, sink, compression="zstd")
    elif key.endswith(".arrows"):
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
    elif key.endswith((".arrow", ".ipc", ".feather")):
        options = pa.ipc.IpcWriteOptions(compression="lz4", unify_dictionaries=True)
        with pa.ipc.new_file(sink, table.schema, options=options) as file:
            file.write_table(table)
    else:
        pq.write_table(table, sink)
    return sink.getvalue()


def column(loaded: LoadedDataset, name: str = "x") -> tuple[str, list[object]]:
    """The type and the values of a column without problems."""
    assert loaded.checks == ()
    return str(loaded.table[name].type), loaded.table[name].to_pylist()
