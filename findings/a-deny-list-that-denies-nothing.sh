#!/usr/bin/env bash
# A deny-list of dates or amounts lets through the values that it lists.
#
# A suite is JSON, with dates as text and amounts as numbers, but a Parquet file has dates and decimals.
# With great_expectations 1.24.1 on pandas 3.1.1 and pyarrow 26.0.1, and frames from Arrow's to_pandas, on
# a column of dates and on a column of decimals
#   expect_column_values_to_not_be_in_set  passes although each value is in the list
#   expect_column_values_to_be_in_set      fails although each value is in the list
# and on timestamps in nanoseconds both fail, so the same days are neither in the set nor outside it.
# Values are compared with text and floats by Python's equality; only not_in_set parses the list, and
# only for timestamps. A check that should block known bad dates or amounts therefore accepts all of
# them. Test a deny-list on data that it has to stop.
#
# Fails if any of this changes. Needs Python 3.11 or later and a package index.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q great_expectations==1.24.1 pandas==3.1.1 pyarrow==26.0.1
cd "$folder"
GX_ANALYTICS_ENABLED=false venv/bin/python - <<'PYTHON' 2>"$folder/log" || { cat "$folder/log"; exit 1; }
from datetime import date, datetime
from decimal import Decimal

import great_expectations as gx
import pyarrow
from great_expectations import expectations
from great_expectations.data_context.types.base import ProgressBarsConfig

DAYS = ["2024-05-01", "2024-05-02"]
frame = pyarrow.table(
    {
        "date": pyarrow.array([date(2024, 5, 1), date(2024, 5, 2)]),
        "decimal": pyarrow.array([Decimal("1.10"), Decimal("2.20")]),
        "timestamp": pyarrow.array(
            [datetime(2024, 5, 1), datetime(2024, 5, 2)], pyarrow.timestamp("ns")
        ),
    }
).to_pandas()
context = gx.get_context(mode="ephemeral")
context.variables.progress_bars = ProgressBarsConfig(globally=False)
batch = (
    context.data_sources.add_pandas("frames")
    .add_dataframe_asset("all")
    .add_batch_definition_whole_dataframe("whole")
    .get_batch({"dataframe": frame})
)


def passes(kind: type, column: str, members: list[object]) -> bool:
    return bool(batch.validate(kind(column=column, value_set=members)).success)


found = {
    column: (
        passes(expectations.ExpectColumnValuesToBeInSet, column, members),
        passes(expectations.ExpectColumnValuesToNotBeInSet, column, members),
    )
    for column, members in [("date", DAYS), ("decimal", [1.1, 2.2]), ("timestamp", DAYS)]
}
for column, (inside, outside) in found.items():
    print(f"{column:10} in_set passes: {inside!s:6} not_in_set passes: {outside}")
assert found == {
    "date": (False, True),
    "decimal": (False, True),
    "timestamp": (False, False),
}, "the members of a set are now compared differently"
PYTHON
