#!/usr/bin/env bash
# pyarrow's reader of ORC takes the column `a.b` for the field `b` of the column `a`.
#
# ORC allows any character in a name. Asked for the column "a.b" of a file that also has a struct `a` with
# a field `b`, pyarrow 26.0.1 returns a column `a` with that field, and the column that is called so cannot
# be read by its name, nor by its number, which is looked up by name; without a struct `a` it is read.
# Its readers of Parquet and of IPC files find it. Read all columns and choose from the table.
#
# Fails if any of this changes. Needs Python 3.11 or later and a package index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyarrow==26.0.1
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

import pyarrow
import pyarrow.orc
import pyarrow.parquet

folder = sys.argv[1]
table = pyarrow.table({"a.b": [1], "a": [{"b": 2, "c": 3}]})
pyarrow.orc.write_table(table, f"{folder}/x.orc")
pyarrow.parquet.write_table(table, f"{folder}/x.parquet")
file = pyarrow.orc.ORCFile(f"{folder}/x.orc")
by_name = file.read(columns=["a.b"]).to_pydict()
by_number = file.read(columns=[0]).to_pydict()
parquet = pyarrow.parquet.read_table(f"{folder}/x.parquet", columns=["a.b"]).to_pydict()
alone = f"{folder}/alone.orc"
pyarrow.orc.write_table(table.select(["a.b"]), alone)
print("pyarrow", pyarrow.__version__, file.schema.names)
print("ORC by name:", by_name)
print("ORC by number:", by_number)
print("Parquet by name:", parquet)
assert by_name == by_number == {"a": [{"b": 2}]}, "it is found by its name"
assert parquet["a.b"] == [1]
print("ORC without a struct:", pyarrow.orc.ORCFile(alone).read(columns=["a.b"]).to_pydict())
assert pyarrow.orc.ORCFile(alone).read(columns=["a.b"]).to_pydict() == {"a.b": [1]}
PYTHON
