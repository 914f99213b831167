"""`python FILE SUITE.json DATA.parquet`: the same checks as one query of DuckDB, as one would
write it by hand for speed."""

import json
import sys
from pathlib import Path
from typing import Any

import duckdb


def of(kind: str, kwargs: dict[str, Any]) -> str:
    """The expectation as an expression. Nulls are no values, so `NULL` from an aggregate counts as
    met."""
    column, low, high = (kwargs.get(key) for key in ("column", "min_value", "max_value"))
    match kind:
        case "expect_column_values_to_not_be_null":
            return f"count({column}) = count(*)"
        case "expect_column_values_to_be_between":
            return f"min({column}) >= {low} AND max({column}) <= {high}"
        case "expect_column_values_to_be_in_set":
            return f"bool_and({column} IN ({', '.join(map(repr, kwargs['value_set']))}))"
        case "expect_column_values_to_match_regex":
            return f"bool_and(regexp_matches({column}, '{kwargs['regex']}'))"
        case "expect_column_values_to_be_unique":
            return f"count(DISTINCT {column}) = count({column})"
        case "expect_column_mean_to_be_between":
            return f"avg({column}) BETWEEN {low} AND {high}"
        case "expect_table_row_count_to_be_between":
            return f"count(*) >= {low}"
    raise NotImplementedError(kind)


asked = json.loads(Path(sys.argv[1]).read_text())["expectations"]
expressions = ", ".join(of(one["type"], one["kwargs"]) for one in asked)
found = duckdb.execute(f"SELECT {expressions} FROM read_parquet(?)", [sys.argv[2]]).fetchone()
assert found is not None
sys.stdout.write(json.dumps([one is not False for one in found]))
