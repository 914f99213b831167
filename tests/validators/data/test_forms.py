"""What is not shown to Great Expectations is something that the installed version takes."""

import json
import subprocess
import sys
from itertools import combinations, product
from typing import Any

import pytest

from validators.data.answering.answers import READS_LIMITS
from validators.data.suites.forms import KNOWN, is_known
from validators.data.suites.suite import Expectation

Asked = tuple[str, dict[str, Any], bool]

# One process for all: the import costs seconds. It prints those that Great Expectations refuses.
REFUSED = """
import json, sys
from validators.data.suites import engine
from validators.data.suites.suite import Expectation
asked = json.load(sys.stdin)
found = [engine.misfit(Expectation(kind, kwargs), reads_limits=reads)
         for kind, kwargs, reads in asked]
print(json.dumps([[*one, why.why] for one, why in zip(asked, found) if why]))
"""
LEAST: list[dict[str, Any]] = [
    {}, {"column": "c"}, {"column_A": "a", "column_B": "b"}, {"column_list": ["a", "b"]},
    {"column_list": ["a", "b"], "sum_total": 1.5}, {"column_set": ["a"]}, {"value": 3},
    {"column": "c", "value_set": ["a", 1, None]}, {"column": "c", "value_set": []},
    {"column_A": "a", "column_B": "b", "value_pairs_set": [["a", 1], [None, 2.5]]},
    {"column": "c", "type_": "int"}, {"column": "c", "type_list": ["int", "str"]},
    {"column": "c", "regex": "[a-z"}, {"column": "c", "regex_list": ["a", "b"]},
    {"column": "c", "quantile_ranges": {"quantiles": [0.5], "value_ranges": [[None, 2]]}},
    {"column": "c", "quantile_ranges": {"quantiles": [0, 1], "value_ranges": [[1, 2], [3, 4.5]]}},
    {"column": "c", "like_pattern": "a%"}, {"column": "c", "like_pattern_list": ["a%", "_b"]},
    {"column": "c", "value": 3}, {"column": "c", "threshold": 2, "double_sided": True},
]  # fmt: skip
"""Arguments of which each type takes some."""
MORE: dict[str, list[Any]] = {
    "mostly": [0, 0.5, 1, 1.5, None],
    "min_value": [None, 0, -1.5, 2**60, "2024-05-01", True],
    "max_value": [None, 0, 3.5, 2**60, "a", []],
    "strict_min": [True, False, None],
    "strict_max": [True, 1],
    "strictly": [True, "yes"],
    "allow_relative_error": ["linear", "midpoint", "middling"],
    "or_equal": [False, None],
    "ignore_row_if": ["neither", "never", "any_value_is_missing", "both_values_are_missing"],
    "match_on": ["any", "all", "some"],
    "method": ["iqr", "std", "mad"],
    "multiplier": [0, 1.5, 3, -1],
    "ties_okay": [True, None],
    "column_index": [0, 2, -1],
    "exact_match": [False, None],
    "row_condition": ["x > 1", 'col("x") > 1', ""],
    "condition_parser": ["pandas", "great_expectations", "spark"],
    "escape": ["!", "", "ab", None],
    "misspelt": [1],
}


def asked() -> list[Asked]:
    """Of each type, arguments of every kind and each two of them together, in a known form."""
    found: list[Asked] = []
    for kind, least in product(sorted(KNOWN), LEAST):
        several = [{key: value} for key, values in MORE.items() for value in values]
        pairs = [
            {**one, **two} for one, two in combinations(several, 2) if one.keys() != two.keys()
        ]
        for more in ({}, *several, *pairs):
            reads = kind in READS_LIMITS
            kwargs = {**least, **more}
            if kwargs.get("row_condition") != 'col("x") > 1' and "condition_parser" in more:
                continue  # a condition is read here, whatever Great Expectations makes of it
            if is_known(Expectation(kind, kwargs), reads_limits=reads):
                found.append((kind, kwargs, reads))
    return found


@pytest.fixture(scope="module")
def forms() -> list[Asked]:
    return asked()


def test_great_expectations_takes_what_it_is_not_shown(forms: list[Asked]) -> None:
    command = [sys.executable, "-c", REFUSED]
    told = json.dumps(forms)
    done = subprocess.run(command, input=told, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [], len(json.loads(done.stdout))


def test_each_type_of_the_table_has_a_known_form(forms: list[Asked]) -> None:
    assert {kind for kind, _, _ in forms} == KNOWN


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        ("expect_column_values_to_be_in_sets", {"column": "c", "value_set": ["a"]}),
        ("expect_column_values_to_be_in_set", {"column": "c"}),
        ("expect_column_values_to_be_in_set", {"column": "c", "value_set": "a"}),
        ("expect_column_values_to_be_unique", {"column": 1}),
        ("expect_column_values_to_be_unique", {"column": "c", "mostly": 2}),
        ("expect_column_values_to_be_unique", {"column": "c", "mostyl": 1}),
        ("expect_column_max_to_be_between", {"column": "c", "max_value": "a"}),
        ("expect_column_values_to_not_be_in_set", {"column": "c", "value_set": [None]}),
    ],
)
def test_what_may_be_wrong_is_shown_to_it(kind: str, kwargs: dict[str, Any]) -> None:
    assert not is_known(Expectation(kind, kwargs))
