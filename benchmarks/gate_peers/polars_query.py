"""`python FILE SUITE.json DATA.parquet`: the same checks as one streaming query of Polars, as one
would write it by hand for speed."""

import json
import sys
from pathlib import Path
from typing import Any

import polars as pl


def of(kind: str, kwargs: dict[str, Any]) -> pl.Expr:
    """The expectation as an expression; null counts as met."""
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    column = pl.col(kwargs.get("column", ""))
    match kind:
        case "expect_column_values_to_not_be_null":
            return column.null_count() == 0
        case "expect_column_values_to_be_between":
            return (column.min() >= low) & (column.max() <= high)
        case "expect_column_values_to_be_in_set":
            return column.is_in(kwargs["value_set"]).all()
        case "expect_column_values_to_match_regex":
            return column.str.contains(kwargs["regex"]).all()
        case "expect_column_values_to_be_unique":
            return column.drop_nulls().n_unique() == column.count()
        case "expect_column_mean_to_be_between":
            return column.mean().is_between(low, high)
        case "expect_table_row_count_to_be_between":
            return pl.len() >= low
    raise NotImplementedError(kind)


asked = json.loads(Path(sys.argv[1]).read_text())["expectations"]
expressions = [of(one["type"], one["kwargs"]).alias(str(at)) for at, one in enumerate(asked)]
found = pl.scan_parquet(sys.argv[2]).select(expressions).collect(engine="streaming")
sys.stdout.write(json.dumps([one is not False for one in found.row(0)]))
