#!/usr/bin/env bash
# Four engines convert the same column of numbers to text in three ways.
#
# Slices, categories and keys are often compared as text, and the two sides of a comparison often come
# from different engines: one team writes Parquet with Polars, another reads it with Arrow. With pyarrow
# 26.0.1, pandas 3.1.1, duckdb 2.0.1 and polars 2.1.0:
#   1.0     1 in Arrow; 1.0 in pandas, DuckDB and Polars
#   -0.0    -0 in Arrow; -0.0 in the others
#   1e-07   1e-7 in Arrow and Polars; 1e-07 in pandas and DuckDB
#   NaN     nan in Arrow and DuckDB; NaN in Polars; a missing value in pandas
# So a join or a grouping by text finds no matches for whole numbers, which is what a float column of
# hours, zip codes or identifiers with a missing value contains. Compare numbers by value, not as text.
#
# Fails if any of this changes. Needs Python 3.11 or later and a package index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyarrow==26.0.1 pandas==3.1.1 duckdb==2.0.1 polars==2.1.0
"$folder/venv/bin/python" - <<'PYTHON'
import duckdb
import pandas
import polars
import pyarrow
import pyarrow.compute

NUMBERS = [1.0, 100000.0, -0.0, 1e-7, float("nan")]

found = {
    "pyarrow": pyarrow.compute.cast(pyarrow.array(NUMBERS), pyarrow.string()).to_pylist(),
    "pandas": [
        None if pandas.isna(text) else text for text in pandas.Series(NUMBERS).astype(str)
    ],
    "duckdb": [
        text
        for (text,) in duckdb.execute("select unnest(?::double[])::varchar", [NUMBERS]).fetchall()
    ],
    "polars": polars.Series(NUMBERS).cast(polars.String).to_list(),
}
expected = {
    "pyarrow": ["1", "100000", "-0", "1e-7", "nan"],
    "pandas": ["1.0", "100000.0", "-0.0", "1e-07", None],
    "duckdb": ["1.0", "100000.0", "-0.0", "1e-07", "nan"],
    "polars": ["1.0", "100000.0", "-0.0", "1e-7", "NaN"],
}
for engine, texts in found.items():
    print(f"{engine:8}", *texts)
shared = set(found["pyarrow"][:3]) & set(found["pandas"][:3])
print("whole numbers with the same text in Arrow and pandas:", shared or "none")
assert found == expected, "the conversion of numbers to text has changed"
PYTHON
