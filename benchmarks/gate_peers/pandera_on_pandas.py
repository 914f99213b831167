"""`python FILE SUITE.json DATA.parquet`: the same checks by pandera on pandas."""

import json
import math
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

NULLS, TWICE = "not_nullable", "field_uniqueness"  # what pandera calls these
asked = json.loads(Path(sys.argv[1]).read_text())["expectations"]


def check_of(name: str, kind: str, kwargs: dict[str, Any]) -> pa.Check:
    """A check that is known by its name."""
    low, high = kwargs.get("min_value", -math.inf), kwargs.get("max_value", math.inf)
    match kind:
        case "expect_column_values_to_be_between":
            return pa.Check.in_range(low, high, error=name)
        case "expect_column_values_to_be_in_set":
            return pa.Check.isin(kwargs["value_set"], error=name)
        case "expect_column_values_to_match_regex":
            return pa.Check.str_matches(kwargs["regex"], error=name)
        case "expect_column_mean_to_be_between":
            return pa.Check(lambda values: low <= values.mean() <= high, error=name)
        case "expect_table_row_count_to_be_between":
            return pa.Check(lambda frame: len(frame) >= low, error=name)
    raise NotImplementedError(kind)


checks: dict[str | None, list[pa.Check]] = defaultdict(list)
whole, unique = set(), set()
names: list[tuple[str | None, str]] = []
for at, one in enumerate(asked):
    column = one["kwargs"].get("column")
    if one["type"] == "expect_column_values_to_not_be_null":
        whole.add(column)
        names.append((column, NULLS))
    elif one["type"] == "expect_column_values_to_be_unique":
        unique.add(column)
        names.append((column, TWICE))
    else:
        checks[column].append(check_of(f"check-{at}", one["type"], one["kwargs"]))
        names.append((column, f"check-{at}"))

columns = {column for column, _ in names if column}
schema = pa.DataFrameSchema(
    {
        name: pa.Column(None, checks[name], nullable=name not in whole, unique=name in unique)
        for name in columns
    },
    checks=checks[None],
)
frame = pd.read_parquet(sys.argv[2], columns=sorted(columns))
failed: set[str] = set()
try:
    schema.validate(frame, lazy=True)
except SchemaErrors as errors:
    # A check of a name is one column's; those of nulls and uniqueness are told by the column.
    for case in errors.failure_cases[["column", "check"]].drop_duplicates().itertuples():
        failed |= {f"{case.column} {case.check}", str(case.check)}
met = [
    f"{column} {name}" not in failed and not (name.startswith("check-") and name in failed)
    for column, name in names
]
sys.stdout.write(json.dumps(met))
