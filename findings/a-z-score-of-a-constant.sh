#!/usr/bin/env bash
# A z-score check of a column whose values are all equal passes with any threshold.
#
# A stuck sensor, or a column filled with a default, is what such a check should find. With
# great_expectations 1.24.1 on pandas 3.1.1, expect_column_value_z_scores_to_be_less_than on a column of
# equal values, on one with a single value, and on one with an infinite value passes even with thresholds
# that no z-score can be below, such as -100, and reports that all elements were evaluated: an undefined
# score counts as meeting the expectation. Check the standard deviation or the number of distinct values
# as well.
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
from great_expectations import expectations
from great_expectations.data_context.types.base import ProgressBarsConfig

COLUMNS = {
    "stuck": [21.5, 21.5, 21.5, 21.5],
    "single": [None, None, 3.0, None],
    "infinite": [1.0, 2.0, float("inf"), 3.0],
    "usual": [1.0, 2.0, 3.0, 4.0],
}
context = gx.get_context(mode="ephemeral")
context.variables.progress_bars = ProgressBarsConfig(globally=False)
batch = (
    context.data_sources.add_pandas("frames")
    .add_dataframe_asset("all")
    .add_batch_definition_whole_dataframe("whole")
    .get_batch({"dataframe": pandas.DataFrame(COLUMNS)})
)
found = {}
for column in COLUMNS:
    check = expectations.ExpectColumnValueZScoresToBeLessThan(
        column=column, threshold=-100, double_sided=False
    )
    result = batch.validate(check)
    found[column] = bool(result.success)
    print(f"{column:9} z < -100: {result.success!s:6} elements: {result.result['element_count']}")
assert found == {"stuck": True, "single": True, "infinite": True, "usual": False}, (
    "undefined z-scores are now judged differently"
)
PYTHON
