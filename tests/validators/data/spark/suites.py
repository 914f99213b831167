"""A table with what engines differ in, and expectations of every type that is answered on Spark."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from validators.data.suites.suite import Expectation

_AT = datetime(2024, 1, 1, 12, 0, 0, 5, tzinfo=UTC)
TABLE = pa.table(
    {
        "whole": [1, 2, None, 2, -5],
        "more": [1, None, None, 1, 7],
        "float": [1.5, float("nan"), -0.0, 0.0, None],
        "single": pa.array([0.1, 0.5, None, 0.5, -2.0], pa.float32()),
        "text": ["a", "b\n", "ä\N{FULLWIDTH DIGIT ONE}", None, "a\v"],
        "json": ["1", "{}", "{", None, '"a"'],
        "day": [date(2024, 1, one) for one in (1, 2, 3, 3, 5)],
        "moment": pa.array([_AT.replace(tzinfo=None)] * 3 + [None, None], pa.timestamp("us")),
        "nanos": pa.array([_AT] * 4 + [None], pa.timestamp("ns", "Europe/Berlin")),
        "money": pa.array([Decimal(one) for one in ("1.10", "2.25", "-3.00", "1.10", "0.00")],
                          pa.decimal128(9, 2)),
        "truth": [True, False, None, True, True],
        "a.b`c": [2**53, 2**53 + 1, 5, 6, 7],
    }
)  # fmt: skip
_RANGES: dict[str, tuple[Any, Any]] = {
    "whole": (1, 1.5),
    "float": (0, 2),
    "single": (0.1, None),
    "day": ("2024-01-02", "2024-01-03T12:00"),
    "moment": ("2024-01-01", None),
    "nanos": ("2024-01-01T12:00:00.000006Z", None),
    "money": (1.1, "2.25"),
    "truth": (0, 0),
    "a.b`c": (2**53 + 1, None),
}
_SETS: dict[str, list[Any]] = {
    "whole": [1, "2", None, -5],
    "float": [0, 1.5],
    "text": ["a", "b\n"],
    "day": ["2024-01-01", "2024-01-03"],
    "moment": ["2024-01-01T12:00:00.000005"],
    "nanos": ["2024-01-01T13:00:00.000005+01:00"],
    "money": [1.1],
    "truth": [True],
    "a.b`c": [2**53 + 1],
}
_PATTERNS = ("^a$", "b$", r"^\w+$", "[^a-z]", r"\d", r"b.", r"a\s", "")


def every_type() -> list[Expectation]:
    """The suite for the table."""
    return [Expectation(f"expect_{kind}", kwargs) for kind, kwargs in _every()]


def _every() -> Iterator[tuple[str, dict[str, Any]]]:
    yield from _of_columns()
    yield from _of_texts()
    yield from _of_records()
    yield "table_row_count_to_equal", {"value": 5}
    yield "table_row_count_to_be_between", {"max_value": 1, "row_condition": "whole > 1"}
    yield "table_column_count_to_equal", {"value": 3}
    yield "table_column_count_to_be_between", {"min_value": 3}
    yield "table_columns_to_match_set", {"column_set": ["whole"], "exact_match": False}
    yield "table_columns_to_match_ordered_list", {"column_list": ["whole"]}
    yield "column_to_exist", {"column": "whole"}
    yield "column_type_to_be", {"column": "money", "type_": "decimal"}
    yield "column_values_to_be_of_type", {"column": "whole", "type_": "int64"}
    yield "column_values_to_be_in_type_list", {"column": "whole", "type_list": ["double"]}


def _of_columns() -> Iterator[tuple[str, dict[str, Any]]]:
    for name in TABLE.column_names:
        yield "column_values_to_be_null", {"column": name, "mostly": 0.2}
        yield "column_values_to_not_be_null", {"column": name}
        yield "column_values_to_be_unique", {"column": name, "mostly": 0.4}
        yield "column_unique_value_count_to_be_between", {"column": name, "min_value": 3}
        kwargs = {"column": name, "min_value": 0.8, "strict_min": True}
        yield "column_proportion_of_unique_values_to_be_between", kwargs
        yield "column_proportion_of_non_null_values_to_be_between", kwargs
    for name, (low, high) in _RANGES.items():
        ends = {"min_value": low, "max_value": high}
        limits = {"column": name, **{key: end for key, end in ends.items() if end is not None}}
        for what in ("values", "min", "max", "mean", "median", "sum", "stdev"):
            yield f"column_{what}_to_be_between", limits
        yield "column_values_to_be_between", {**limits, "strict_min": True, "mostly": 0.5}
    for name, members in _SETS.items():
        kwargs = {"column": name, "value_set": members}
        for what in ("values_to_be_in", "values_to_not_be_in", "distinct_values_to_be_in",
                     "distinct_values_to_contain", "distinct_values_to_equal",
                     "most_common_value_to_be_in"):  # fmt: skip
            yield f"column_{what}_set", kwargs
        condition = f"`{name}` in {members!r}" if "`" not in name else "whole > 1 or more.isnull()"
        yield "column_values_to_be_unique", {"column": "day", "row_condition": condition}
        yield "column_values_to_not_be_null", {
            "column": "whole", "row_condition": f"not ({condition})"}  # fmt: skip
    for name in ("whole", "float", "single", "money"):
        yield "column_value_z_scores_to_be_less_than", {
            "column": name, "threshold": 1, "double_sided": True}  # fmt: skip
        yield "column_values_to_not_be_outliers", {"column": name}
        yield "column_values_to_not_be_outliers", {
            "column": name, "method": "std", "multiplier": 1}  # fmt: skip


def _of_texts() -> Iterator[tuple[str, dict[str, Any]]]:
    for pattern in _PATTERNS:
        yield "column_values_to_match_regex", {"column": "text", "regex": pattern}
        yield "column_values_to_not_match_regex", {"column": "text", "regex": pattern}
    several: dict[str, Any] = {"column": "text", "regex_list": ["^a|x", "[^a]$"]}
    yield "column_values_to_match_regex_list", several
    yield "column_values_to_match_regex_list", several | {"match_on": "all"}
    yield "column_values_to_not_match_regex_list", several
    yield "column_value_lengths_to_equal", {"column": "text", "value": 1}
    yield "column_value_lengths_to_be_between", {"column": "text", "min_value": 2}
    yield "column_values_to_be_json_parseable", {"column": "json"}
    yield "column_values_to_match_strftime_format", {"column": "json", "strftime_format": "%H"}


def _of_records() -> Iterator[tuple[str, dict[str, Any]]]:
    pair = {"column_A": "whole", "column_B": "more"}
    for ignored in ("both_values_are_missing", "either_value_is_missing", "neither"):
        kwargs = {**pair, "ignore_row_if": ignored}
        yield "column_pair_values_to_be_equal", kwargs
        yield "column_pair_values_a_to_be_greater_than_b", kwargs
        yield "column_pair_values_a_to_be_greater_than_b", {**kwargs, "or_equal": True}
        yield "column_pair_values_to_be_in_set", {
            **kwargs, "value_pairs_set": [[1, 1], [None, None], [2, None]]}  # fmt: skip
    for ignored in ("all_values_are_missing", "any_value_is_missing", "never"):
        listed = {"column_list": ["whole", "more"], "ignore_row_if": ignored}
        yield "compound_columns_to_be_unique", listed
        yield "select_column_values_to_be_unique_within_record", listed
        yield "multicolumn_values_to_be_equal", listed
        yield "multicolumn_sum_to_equal", {**listed, "sum_total": 2}
    texts = {"column_A": "text", "column_B": "json"}
    yield "column_pair_values_a_to_be_greater_than_b", texts
    yield "compound_columns_to_be_unique", {"column_list": ["text", "day", "float"]}
