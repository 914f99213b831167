#!/usr/bin/env bash
# pyarrow takes an open reader of obstore for a closed file.
#
# obstore's `open_reader` returns a file-like object with read, seek and tell, for libraries that need a
# file. It has no attribute `closed`, and is not an `io.IOBase`. With obstore 0.12.1 and pyarrow 26.0.1:
#   pyarrow.parquet.read_metadata(reader)   ValueError: I/O operation on closed file
#   pyarrow.parquet.ParquetFile(reader)     the same
# although the file has just been opened and can be read: pyarrow's wrapper for Python files treats an
# object without `closed` as closed. Two range requests (the last eight bytes, then the footer) and a
# `pyarrow.BufferReader` read the same footer.
#
# Fails if any of this changes. Needs Python 3.11 or later and a package index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q obstore==0.12.1 pyarrow==26.0.1
"$folder/venv/bin/python" - <<'PYTHON'
import io

import obstore
import pyarrow
import pyarrow.parquet
from obstore.store import MemoryStore

store = MemoryStore()
buffer = io.BytesIO()
pyarrow.parquet.write_table(pyarrow.table({"x": [1, 2, 3]}), buffer)
obstore.put(store, "t.parquet", buffer.getvalue())


def tried(read):
    try:
        return f"{read()} rows"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def by_ranges():
    size = obstore.head(store, "t.parquet")["size"]
    end = bytes(obstore.get_range(store, "t.parquet", start=size - 8, end=size))
    length = int.from_bytes(end[:4], "little") + 8
    footer = bytes(obstore.get_range(store, "t.parquet", start=size - length, end=size))
    return pyarrow.parquet.read_metadata(pyarrow.BufferReader(b"PAR1" + footer)).num_rows


def opened():
    return obstore.open_reader(store, "t.parquet")


reader = opened()
found = {
    "has closed": hasattr(reader, "closed"),
    "reads": bytes(reader.read(4)) == b"PAR1",
    "read_metadata": tried(lambda: pyarrow.parquet.read_metadata(opened()).num_rows),
    "ParquetFile": tried(lambda: pyarrow.parquet.ParquetFile(opened()).metadata.num_rows),
    "two ranges": tried(by_ranges),
}
for what, said in found.items():
    print(f"{what:14} {said}")
closed = "ValueError: I/O operation on closed file"
assert found == {
    "has closed": False,
    "reads": True,
    "read_metadata": closed,
    "ParquetFile": closed,
    "two ranges": "3 rows",
}, found
PYTHON
