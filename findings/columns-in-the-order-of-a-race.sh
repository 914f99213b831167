#!/usr/bin/env bash
# pyarrow's reader of JSON lines gives the columns in another order from one reading to the next.
#
# The keys of an object may come in any order. `pyarrow.json.read_json` (26.0.1) parses blocks of a file
# on several threads, and the columns are in the order of whichever block is done first: if rows are not
# all written with their keys in one order, the same file has its columns in one order now and in another
# later. Read with `use_threads=False`, or order the columns yourself.
#
# Fails if that changes. Needs Python 3.11 or later and a package index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyarrow==26.0.1
"$folder/venv/bin/python" - <<'PYTHON'
import collections
import io

import pyarrow
import pyarrow.json

pyarrow.set_cpu_count(8)
first = b'{"x": 1, "k": 2}\n' * 4000
second = b'{"k": 1, "x": 2}\n' * 4000


def orders(use_threads):
    options = pyarrow.json.ReadOptions(block_size=len(first), use_threads=use_threads)
    return collections.Counter(
        tuple(pyarrow.json.read_json(io.BytesIO(first + second), options).column_names)
        for _ in range(1000)
    )


print("pyarrow", pyarrow.__version__)
with_threads, without = orders(True), orders(False)
print("with threads:", dict(with_threads))
print("without:", dict(without))
assert len(with_threads) == 2, "always in one order"
assert list(without) == [("x", "k")]
PYTHON
