#!/usr/bin/env bash
# The validation result of a passing quantile expectation cannot be written as JSON, nor printed.
#
# great_expectations 1.24.1 with numpy 2: `success` of expect_column_quantile_values_to_be_between is a
# numpy.bool, and `to_json_dict()`, which promises a JSON-serializable dict, passes it on. So json.dumps of
# it, and print() of the result itself, raise TypeError ("Object of type bool is not JSON serializable").
# Other expectations in the same suite have a bool of Python; one of quantiles makes the whole result
# unwritable.
#
# Fails if any of this changes. Needs Python 3.11 or later and a package index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q great_expectations==1.24.1 pandas==3.1.1
cd "$folder"
GX_ANALYTICS_ENABLED=false venv/bin/python - <<'PYTHON' 2>"$folder/log" || { cat "$folder/log"; exit 1; }
import json

import great_expectations as gx
import pandas

frame = pandas.DataFrame({"x": [1, 2, 3]})
source = gx.get_context(mode="ephemeral").data_sources.add_pandas("pandas")
batch = (
    source.add_dataframe_asset("x")
    .add_batch_definition_whole_dataframe("all")
    .get_batch({"dataframe": frame})
)
ranges = {"quantiles": [0.5], "value_ranges": [[0, 3]]}
asked = {
    "mean": gx.expectations.ExpectColumnMeanToBeBetween(column="x", min_value=0),
    "quantile": gx.expectations.ExpectColumnQuantileValuesToBeBetween(
        column="x", quantile_ranges=ranges
    ),
}
found = {}
for name, expectation in asked.items():
    result = batch.validate(expectation)
    try:
        json.dumps(result.to_json_dict())
        found[name] = "written"
    except TypeError as error:
        found[name] = str(error)
    try:
        str(result)
        printed = "printed"
    except TypeError:
        printed = "cannot be printed"
    print(f"{name}: success is a {type(result.success).__module__} bool: {found[name]}; {printed}")
assert found["mean"] == "written", found
assert "bool is not JSON serializable" in found["quantile"], found
PYTHON
