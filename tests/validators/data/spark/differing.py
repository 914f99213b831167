"""`python -m tests.validators.data.spark.differing`: of each case, whether Great Expectations says
on pandas and on Spark that the expectation is met, how many values do not meet it, and whether it
raised; as JSON. It gets the rows as they are, without what Headgate does for it."""

import json
import logging
import warnings
from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from validators.data.spark.session import session
from validators.data.suites import engine
from validators.data.suites.suite import Expectation


class Case(NamedTuple):
    """An expectation on a table."""

    name: str
    table: dict[str, Any]
    type: str
    kwargs: dict[str, Any]


NAN: Final = float("nan")
CASES: Final = (
    Case("nan", {"x": [1.0, NAN]}, "column_values_to_be_between",
         {"column": "x", "min_value": 0, "max_value": 2}),
    Case("nan is null", {"x": [1.0, NAN]}, "column_values_to_not_be_null", {"column": "x"}),
    Case("nan mean", {"x": [1.0, NAN]}, "column_mean_to_be_between",
         {"column": "x", "min_value": 0, "max_value": 2}),
    Case("nan max", {"x": [1.0, NAN]}, "column_max_to_be_between", {"column": "x", "max_value": 2}),
    Case("day in set", {"x": [date(2024, 1, 1)]}, "column_values_to_be_in_set",
         {"column": "x", "value_set": ["2024-01-01"]}),
    Case("decimal in set", {"x": [Decimal("1.10")]}, "column_values_to_be_in_set",
         {"column": "x", "value_set": [1.1]}),
    Case("number as text", {"x": [1, 2]}, "column_values_to_be_in_set",
         {"column": "x", "value_set": ["1", "2"]}),
    Case("quartiles", {"x": [1, 2, 3, 4]}, "column_quantile_values_to_be_between",
         {"column": "x", "quantile_ranges": {"quantiles": [0.25], "value_ranges": [[2, 2]]}}),
    Case("median", {"x": [1, 2, 3, 4]}, "column_median_to_be_between",
         {"column": "x", "min_value": 2.5, "max_value": 2.5}),
    Case("end of text", {"x": ["a\r"]}, "column_values_to_match_regex",
         {"column": "x", "regex": "a$"}),
    Case("other digits", {"x": ["\N{FULLWIDTH DIGIT ONE}"]}, "column_values_to_match_regex",
         {"column": "x", "regex": r"\d"}),
    Case("named group", {"x": ["a"]}, "column_values_to_match_regex",
         {"column": "x", "regex": "(?P<one_letter>a)"}),
    Case("pair of nulls", {"x": [None, "a"], "y": [None, "a"]}, "column_pair_values_to_be_equal",
         {"column_A": "x", "column_B": "y", "ignore_row_if": "neither"}),
    Case("compared with null", {"x": [2, None], "y": [1, 1]},
         "column_pair_values_a_to_be_greater_than_b", {"column_A": "x", "column_B": "y"}),
    Case("sum with null", {"x": [1, 2], "y": [1, None]}, "multicolumn_sum_to_equal",
         {"column_list": ["x", "y"], "sum_total": 2}),
    Case("negative zero", {"x": [0.0, -0.0]}, "column_values_to_be_unique", {"column": "x"}),
    Case("member twice", {"x": ["a", "b"]}, "column_distinct_values_to_contain_set",
         {"column": "x", "value_set": ["a", "a"]}),
    Case("overflow", {"x": [2**62, 2**62, 2**62]}, "column_sum_to_be_between",
         {"column": "x", "min_value": 0}),
    Case("constant", {"x": [1.0, 1.0, 1.0]}, "column_value_z_scores_to_be_less_than",
         {"column": "x", "threshold": 1, "double_sided": True}),
    Case("one value", {"x": [1.0]}, "column_stdev_to_be_between", {"column": "x", "min_value": 0}),
    Case("outliers", {"x": [1, 2, 3, 100]}, "column_values_to_not_be_outliers", {"column": "x"}),
    Case("order", {"x": [1, 2, 3]}, "column_values_to_be_increasing", {"column": "x"}),
    Case("type", {"x": [1, 2]}, "column_values_to_be_of_type", {"column": "x", "type_": "int64"}),
    Case("dates", {"x": ["2024-01-01"]}, "column_values_to_be_dateutil_parseable", {"column": "x"}),
    Case("dotted", {"a.b": [1, 2]}, "column_values_to_be_unique", {"column": "a.b"}),
)  # fmt: skip


def main() -> None:
    """Print the answers to each case."""
    found: dict[str, Any] = {}
    with TemporaryDirectory() as place, session(Path(place)) as spark:
        for case in CASES:
            file = f"{place}/{len(found)}.parquet"
            pq.write_table(pa.table(case.table), file)
            asked = {0: Expectation(f"expect_{case.type}", case.kwargs)}
            frames: tuple[Any, Any] = (pd.read_parquet(file), spark.read.parquet(file))
            (theirs,) = engine.evaluate(frames[0], asked)
            (ours,) = engine.evaluate_on_spark(frames[1], asked)
            found[case.name] = [[one.success, one.unexpected, one.raised] for one in (theirs, ours)]
    print(json.dumps(found))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    main()
