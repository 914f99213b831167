#!/usr/bin/env bash
# A column of unsigned integers that only falls is "increasing".
#
# great_expectations 1.24.1 on pandas 3.1.1 decides by the differences between neighbours, computed in the
# column's own integer type, and differences of unsigned integers are never negative. So 30, 20, 10 as
# uint32 passes expect_column_values_to_be_increasing with 0 unexpected values; as int32 it fails with 2.
# Unsigned columns are usual in Parquet that was shrunk to save memory.
#
# Fails if any of this changes. Needs Python 3.11 or later and a package index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q great_expectations==1.24.1 pandas==3.1.1
cd "$folder"
GX_ANALYTICS_ENABLED=false venv/bin/python - <<'PYTHON' 2>"$folder/log" || { cat "$folder/log"; exit 1; }
import great_expectations as gx
import pandas

source = gx.get_context(mode="ephemeral").data_sources.add_pandas("pandas")
found = {}
for kind in ("uint32", "int32"):
    frame = pandas.DataFrame({"n": pandas.Series([30, 20, 10], dtype=kind)})
    asset = source.add_dataframe_asset(kind)
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    result = batch.validate(gx.expectations.ExpectColumnValuesToBeIncreasing(column="n"))
    found[kind] = (result.success, result.result["unexpected_count"])
    print(f"{kind}: success {found[kind][0]}, {found[kind][1]} unexpected")
assert found == {"uint32": (True, 0), "int32": (False, 2)}, found
PYTHON
