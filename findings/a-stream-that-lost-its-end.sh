#!/usr/bin/env bash
# An Arrow IPC stream that lost its last batches reads as a whole table, and so does the first of two.
#
# A stream ends with a mark of 8 bytes, but may also just end. So pyarrow 26.0.1 and polars 2.1.0 take
# a file that was cut between two batches (an upload that broke off, a writer that was killed or not
# closed) for a complete one with fewer rows, and of two streams that were written to one file they
# read the first, without a word. A Parquet, ORC or Arrow IPC *file* that is cut anywhere is an error.
# Compare the end of the file with the mark, and where the reader stopped with the file's size.
#
# Fails if any of this changes. Needs Python 3.11 or later and a package index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyarrow==26.0.1 polars==2.1.0
"$folder/venv/bin/python" - <<'PYTHON'
import io

import polars
import pyarrow
import pyarrow.ipc

MARK = b"\xff\xff\xff\xff\0\0\0\0"
table = pyarrow.table({"x": range(4000)})
sink = io.BytesIO()
ends = []
with pyarrow.ipc.new_stream(sink, table.schema) as writer:
    for batch in table.to_batches(max_chunksize=1000):
        writer.write_batch(batch)
        ends.append(sink.tell())
whole = sink.getvalue()
assert whole.endswith(MARK)


def rows(content):
    read = []
    for reader in (
        lambda: pyarrow.ipc.open_stream(content).read_all().num_rows,
        lambda: polars.read_ipc_stream(io.BytesIO(content)).height,
    ):
        try:
            read.append(reader())
        except Exception as error:
            read.append(type(error).__name__)
    return read


print("pyarrow", pyarrow.__version__, "polars", polars.__version__)
cases = {
    "whole": whole,
    "cut after three batches of four": whole[: ends[2]],
    "cut within the fourth batch": whole[: ends[3] - 100],
    "two streams in one file": whole + whole,
}
found = {name: rows(content) for name, content in cases.items()}
for name, read in found.items():
    print(f"{name}: {read[0]} rows in pyarrow, {read[1]} in polars")
assert found["whole"] == [4000, 4000]
assert found["cut after three batches of four"] == [3000, 3000], "the end is checked"
assert found["two streams in one file"] == [4000, 4000], "what follows is read or refused"
assert found["cut within the fourth batch"][0] == "OSError"
PYTHON
