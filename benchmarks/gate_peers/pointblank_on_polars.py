"""`python FILE SUITE.json DATA.parquet`: the same checks by pointblank on Polars."""

import json
import sys
from functools import partial
from itertools import islice
from pathlib import Path

import pointblank as pb
import polars as pl


def at_least(rows: int, data: pl.DataFrame) -> bool:
    """Whether there are so many rows."""
    return len(data) >= rows


asked = json.loads(Path(sys.argv[1]).read_text())["expectations"]
wanted = {one["kwargs"]["column"] for one in asked if "column" in one["kwargs"]}
validation = pb.Validate(pl.read_parquet(sys.argv[2], columns=sorted(wanted)))
steps: list[int] = []
"""How many steps each expectation takes."""
for one in asked:
    kwargs = one["kwargs"]
    column, low, high = (kwargs.get(key) for key in ("column", "min_value", "max_value"))
    steps.append(1)
    match one["type"]:
        case "expect_column_values_to_not_be_null":
            validation = validation.col_vals_not_null(column)
        case "expect_column_values_to_be_between":
            validation = validation.col_vals_between(column, low, high, na_pass=True)
        case "expect_column_values_to_be_in_set":
            validation = validation.col_vals_in_set(column, kwargs["value_set"])
        case "expect_column_values_to_match_regex":
            validation = validation.col_vals_regex(column, kwargs["regex"], na_pass=True)
        case "expect_column_values_to_be_unique":
            validation = validation.rows_distinct(columns_subset=column)
        case "expect_column_mean_to_be_between":
            steps[-1] = 2
            validation = validation.col_avg_ge(column, low).col_avg_le(column, high)
        case "expect_table_row_count_to_be_between":
            validation = validation.specially(partial(at_least, low))
        case kind:
            raise NotImplementedError(kind)
found = validation.interrogate(collect_extracts=False)
passed = iter([bool(step.all_passed) for step in found.validation_info])
sys.stdout.write(json.dumps([all(list(islice(passed, count))) for count in steps]))
