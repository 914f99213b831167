"""On plain columns, where Great Expectations is right, our results equal its results."""

import json
import subprocess
import sys
from typing import Any

import pytest

# One process for all: the import costs seconds. It prints both answers to each question.
BOTH = """
import json, sys, warnings
import pyarrow as pa
from validators.data.answering.answers import READS_LIMITS, answers
from validators.data.suites import engine
from validators.data.reading.dataset import in_memory
from validators.data.values.frame import frame_of, settled
from validators.data.suites.suite import Expectation
warnings.simplefilter("ignore")
columns, asked = json.load(sys.stdin)
table = pa.table(columns)
several = {at: Expectation("expect_" + kind, kwargs) for at, (kind, kwargs) in enumerate(asked)}
ours = {one.place: one for one in answers(in_memory(table, tuple(columns)), several)}
theirs = {one.place: one for one in engine.evaluate(frame_of(settled(table)), several)}
print(json.dumps([
    [[one.success, one.unexpected, one.evaluated, one.raised] for one in (ours[at], theirs[at])]
    for at in several
]))
"""
COLUMNS: dict[str, list[Any]] = {
    "n": [1, 2, 2, 3, 5, 8, 13, 21],
    "m": [1, 2, 3, 3, 4, 9, 14, 21],
    "x": [0.5, None, 1.5, 2.5, 2.5, -3.0, 40.0, None],
    "y": [0.5, None, 1.0, None, 2.5, -3.5, 41.0, 1.0],
    "w": ["a", "b", "b", "c", None, "a", "b", "d"],
    "v": ["a", "b", "c", "c", None, None, "b", "e"],
    "t": ["a1", "A", "", "ü٣", "a\nb", "a1", "1.50", None],
}
ABOUT: dict[str, list[dict[str, Any]]] = {
    "column_values_to_be_between": [
        {"min_value": 2, "max_value": 5},
        {"min_value": 2, "strict_min": True},
        {"max_value": 2.5, "strict_max": True, "mostly": 0.5},
        {"max_value": 2.5, "mostly": 0.625},
    ],
    "column_min_to_be_between": [{"min_value": -3, "max_value": 1}, {"min_value": 1}],
    "column_max_to_be_between": [{"max_value": 21}, {"max_value": 21, "strict_max": True}],
    "column_mean_to_be_between": [{"min_value": 6.875, "max_value": 7.5}, {"max_value": 6.8}],
    "column_median_to_be_between": [{"min_value": 2, "max_value": 4}, {"min_value": 4.1}],
    "column_sum_to_be_between": [{"min_value": 44, "max_value": 55}, {"min_value": 50}],
    "column_stdev_to_be_between": [{"min_value": 7, "max_value": 7.1}, {"min_value": 7.1}],
    "column_quantile_values_to_be_between": [
        {"quantile_ranges": {"quantiles": [0.25, 0.5, 0.75], "value_ranges": ranges}, **how}
        for ranges in ([[2, 2], [3, 3], [8, 8]], [[0, 2], [2.5, 2.5], [2, None]])
        for how in ({}, {"allow_relative_error": "linear"}, {"allow_relative_error": "midpoint"})
    ],
    "column_value_z_scores_to_be_less_than": [
        {"threshold": 2, "double_sided": True},
        {"threshold": 1.5, "double_sided": False, "mostly": 0.9},
        {"threshold": -0.1, "double_sided": False},
    ],
    "column_values_to_not_be_outliers": [
        {"method": method, "multiplier": multiplier}
        for method in ("iqr", "std")
        for multiplier in (0, 1, 1.5, 3)
    ],
    "column_values_to_be_increasing": [{}, {"strictly": True}],
    "column_values_to_be_decreasing": [{"mostly": 0.3}],
}
SETS: dict[str, list[Any]] = {"n": [1, 2, 3, 5], "x": [0.5, 1.5, 2.5], "w": ["a", "b", "z"]}
ON_SETS: list[tuple[str, dict[str, Any]]] = [
    ("values_to_be_in", {}),
    ("values_to_be_in", {"mostly": 0.5}),
    ("values_to_not_be_in", {}),
    ("distinct_values_to_be_in", {}),
    ("distinct_values_to_contain", {}),
    ("most_common_value_to_be_in", {}),
    ("most_common_value_to_be_in", {"ties_okay": True}),
]
ON_EACH: list[tuple[str, dict[str, Any]]] = [
    ("column_values_to_be_unique", {}),
    ("column_values_to_be_unique", {"mostly": 0.5}),
    ("column_values_to_be_null", {}),
    ("column_values_to_not_be_null", {"mostly": 0.75}),
    ("column_unique_value_count_to_be_between", {"min_value": 4, "max_value": 6}),
    ("column_proportion_of_unique_values_to_be_between", {"min_value": 0.6}),
    ("column_proportion_of_non_null_values_to_be_between", {"min_value": 0.8}),
    ("column_to_exist", {"column_index": 1}),
]
PATTERNS = ["^a", "[a-z]1$", r"\d", "b$", "^$", "(?=a)a.b", r"\w{2}", "(?i)a", "a|ü"]
ON_TEXTS: list[tuple[str, dict[str, Any]]] = [
    *((f"values_to_{kind}match_regex", {"regex": pattern, "mostly": mostly})
      for kind in ("", "not_") for pattern in PATTERNS for mostly in (1, 0.5)),
    *(("values_to_match_regex_list", {"regex_list": PATTERNS[:upto], "match_on": on})
      for upto in (1, 3, 9) for on in ("any", "all")),
    *(("values_to_not_match_regex_list", {"regex_list": PATTERNS[at:at + 2]}) for at in range(7)),
    *(("value_lengths_to_be_between", how) for how in (
        {"min_value": 1}, {"max_value": 3, "mostly": 0.8}, {"min_value": 1, "strict_min": True},
        {"min_value": 0, "max_value": 4, "strict_max": True})),
    *(("value_lengths_to_equal", {"value": value, "mostly": 0.4}) for value in (1, 2)),
]  # fmt: skip
IGNORED: list[dict[str, Any]] = [
    {},
    {"ignore_row_if": "either_value_is_missing"},
    {"ignore_row_if": "neither"},
    {"mostly": 0.6},
]
ASKED: list[tuple[str, dict[str, Any]]] = [
    *((kind, {"column": name, **kwargs}) for kind, several in ABOUT.items()
      for kwargs in several for name in ("n", "x")),
    *((f"column_{kind}_set", {"column": name, "value_set": values[:upto], **how})
      for name, values in SETS.items() for upto in (1, 2, 4)
      for kind, how in ON_SETS),
    *((kind, {"column": name, **how}) for name in ("n", "x", "w") for kind, how in ON_EACH),
    *((kind, {"column_A": a, "column_B": b, **how}) for a, b in [("n", "m"), ("x", "y"), ("w", "v")]
      for how in IGNORED
      for kind in ["column_pair_values_to_be_equal", *(
          ["column_pair_values_a_to_be_greater_than_b"] if a != "w" else [])]),
    *(("column_pair_values_a_to_be_greater_than_b", {"column_A": "x", "column_B": "y",
       "or_equal": True, "ignore_row_if": ignored})
      for ignored in ("both_values_are_missing", "either_value_is_missing")),
    ("column_pair_values_to_be_in_set", {"column_A": "n", "column_B": "w",
     "value_pairs_set": [[1, "a"], [2, "b"], [3, "c"], [5, None], [8, "a"], [21, "x"]]}),
    *((kind, {"column_list": columns, **how})
      for columns in (["n", "m"], ["x", "y"], ["w", "v"])
      for how in ({}, {"ignore_row_if": "any_value_is_missing"}, {"ignore_row_if": "never"})
      for kind in ("compound_columns_to_be_unique", "multicolumn_values_to_be_equal",
                   "select_column_values_to_be_unique_within_record")),
    *(("multicolumn_sum_to_equal", {"column_list": columns, "sum_total": total, "mostly": 0.1,
       "ignore_row_if": ignored})
      for columns in (["n", "m"], ["x", "y"]) for total in (1, 42)
      for ignored in ("all_values_are_missing", "any_value_is_missing", "never")),
    *((f"column_{kind}", {"column": name, **how}) for name in ("w", "t") for kind, how in ON_TEXTS),
    ("table_row_count_to_equal", {"value": 8}),
    ("table_row_count_to_be_between", {"max_value": 8, "strict_max": True}),
    ("table_column_count_to_equal", {"value": 8}),
    ("table_column_count_to_be_between", {"min_value": 6}),
    ("table_columns_to_match_ordered_list", {"column_list": list("nmxywvt")}),
    ("table_columns_to_match_ordered_list", {"column_list": list("nmxyvwt")}),
    ("table_columns_to_match_set", {"column_set": list("tvwxynm")}),
    ("table_columns_to_match_set", {"column_set": list("nm")}),
    ("table_columns_to_match_set", {"column_set": list("nm"), "exact_match": False}),
    ("table_columns_to_match_set", {"column_set": list("nz"), "exact_match": False}),
    ("table_columns_to_match_set", {"column_set": list("nm"), "exact_match": None}),
    *(("column_to_exist", {"column": "m", "column_index": at}) for at in (1, 6, -6, -1, 9)),
    *(("column_values_to_be_between", {"column": "n", "min_value": 2, "max_value": 13,
       "row_condition": f'col("x"){called}', "condition_parser": "great_expectations"})
      for called in (".notNull()", ".notnull()", ".NOTNULL()")),
]  # fmt: skip


@pytest.fixture(scope="module")
def both() -> list[Any]:
    asked = json.dumps([COLUMNS, ASKED])
    command = [sys.executable, "-c", BOTH]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


def test_both_give_the_same_verdict_of_the_same_values(both: list[Any]) -> None:
    assert len(both) == len(ASKED)
    different = [
        (asked, ours, theirs)
        for asked, (ours, theirs) in zip(ASKED, both, strict=True)
        if ours != theirs
    ]
    assert different == []
    assert {ours[0] for ours, _ in both} == {True, False}
    assert {ours[3] for ours, _ in both} == {None}
