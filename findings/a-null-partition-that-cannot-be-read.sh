#!/usr/bin/env bash
# pandas cannot read a dataset that pandas has written, if one of its partitions is null.
#
# Hive's name for a null partition is __HIVE_DEFAULT_PARTITION__, which pyarrow writes and understands: by
# itself the partition reads as null, filters on it work, and Polars, DuckDB and delta-rs read the whole
# dataset. But when pyarrow 26.0.1 combines the fragments into a table, it cannot unify the partition
# column's dictionaries, because that of the null partition has no value:
#   pandas.read_parquet(folder)   ArrowInvalid: Cannot yet unify dictionaries
#                                 with nulls
# So a job that worked for months fails on the first day on which a key is missing, in the first step
# that reads the data. `partitioning=None` leaves the column out; pyarrow.dataset with a partitioning of
# plain types (`pyarrow.dataset.partitioning(schema, flavor="hive")`) reads it.
#
# Fails if any of this changes. Needs Python 3.11 or later and a package index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyarrow==26.0.1 pandas==3.1.1 duckdb==2.0.1 polars==2.1.0
"$folder/venv/bin/python" - "$folder/data" <<'PYTHON'
import sys

import duckdb
import pandas
import polars
import pyarrow
import pyarrow.dataset

folder = sys.argv[1]
rows = pandas.DataFrame({"kind": ["a", "b", None], "x": [1, 2, 3]})
rows.to_parquet(folder, partition_cols=["kind"], index=False)

try:
    said = f"read {len(pandas.read_parquet(folder))} rows"
except pyarrow.ArrowException as error:
    said = f"{type(error).__name__}: {error}"
typed = pyarrow.dataset.partitioning(
    pyarrow.schema([("kind", pyarrow.string())]), flavor="hive"
)
found = {
    "pandas.read_parquet": said,
    "pandas, partitioning=None": sorted(pandas.read_parquet(folder, partitioning=None)["x"]),
    "pyarrow, a plain type": sorted(
        pyarrow.dataset.dataset(folder, partitioning=typed).to_table()["kind"].to_pylist(), key=str
    ),
    "polars": sorted(polars.read_parquet(f"{folder}/**/*.parquet")["x"].to_list()),
    "duckdb": sorted(
        x for (x,) in duckdb.execute(f"select x from '{folder}/**/*.parquet'").fetchall()
    ),
}
for who, what in found.items():
    print(f"{who:27} {what}")
assert "Cannot yet unify dictionaries with nulls" in found.pop("pandas.read_parquet")
assert found == {
    "pandas, partitioning=None": [1, 2, 3],
    "pyarrow, a plain type": [None, "a", "b"],
    "polars": [1, 2, 3],
    "duckdb": [1, 2, 3],
}, found
PYTHON
