"""`python FILE SUITE.json DATA.parquet pandas|polars`: the same checks by pandera, on either.

On Polars, its check of a lazy frame looks at no value unless told to, so it gets one that is in
memory, and is told so too.
"""

import json
import math
import os
import sys
from collections import defaultdict
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ["PANDERA_VALIDATION_DEPTH"] = "SCHEMA_AND_DATA"
ON = sys.argv[3]
frames: Any = import_module(ON)
pa: Any = import_module(f"pandera.{ON}")
errors: Any = import_module("pandera.errors")

NULLS, TWICE = "not_nullable", "field_uniqueness"  # what pandera calls these
asked = json.loads(Path(sys.argv[1]).read_text())["expectations"]


def check_of(name: str, kind: str, kwargs: dict[str, Any]) -> Any:
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
            return pa.Check(_mean_in(low, high), error=name)
        case "expect_table_row_count_to_be_between":
            return pa.Check(_rows_from(low), error=name)
    raise NotImplementedError(kind)


def _mean_in(low: float, high: float) -> Any:
    if ON == "pandas":
        return lambda values: low <= values.mean() <= high
    col = frames.col
    return lambda data: data.lazyframe.select(col(data.key).mean().is_between(low, high))


def _rows_from(low: float) -> Any:
    if ON == "pandas":
        return lambda frame: len(frame) >= low
    return lambda data: data.lazyframe.select(frames.len() >= low)


def _pairs(cases: Any) -> Iterable[tuple[str, str]]:
    """Column and check of each failure, once."""
    pairs: Iterable[tuple[str, str]]
    if ON == "pandas":
        pairs = cases[["column", "check"]].drop_duplicates().itertuples(index=False)
    else:
        pairs = cases.select("column", "check").unique().rows()
    return pairs


checks: dict[str | None, list[Any]] = defaultdict(list)
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
frame = frames.read_parquet(sys.argv[2], columns=sorted(columns))
failed: set[str] = set()
try:
    schema.validate(frame, lazy=True)
except errors.SchemaErrors as found:
    # A check of a name is one column's; those of nulls and uniqueness are told by the column.
    for about, check in _pairs(found.failure_cases):
        failed |= {f"{about} {check}", str(check)}
met = [
    f"{column} {name}" not in failed and not (name.startswith("check-") and name in failed)
    for column, name in names
]
sys.stdout.write(json.dumps(met))
