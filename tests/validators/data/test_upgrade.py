"""Suites from before 1.0 are rewritten to what the installed Great Expectations takes."""

import importlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from validators.data.suites import engine
from validators.data.suites.suite import read_suite
from validators.data.upgrade import Upgrade, is_of_before, upgraded

pytestmark = pytest.mark.filterwarnings("ignore")  # the import of Great Expectations has many


def old(kind: str, **kwargs: Any) -> dict[str, Any]:
    return {"expectation_type": f"expect_{kind}", "kwargs": kwargs, "meta": {}}


BOTH = {"min_value": 0, "max_value": 5}
SUITE: dict[str, Any] = {
    "expectation_suite_name": "flights.warning",
    "ge_cloud_id": "8f2d1c8e-4e4a-4d0f-a3f1-6d4d4d1b2f10",
    "data_asset_type": "Dataset",
    "meta": {"great_expectations_version": "0.15.50", "citations": [{"comment": "by hand"}]},
    "evaluation_parameters": {"least": 3, "urn:great_expectations:validations:a": 4},
    "expectations": [
        {
            **old("column_values_to_not_be_null", column="id", result_format="BASIC", mostly=0.9),
            "ge_cloud_id": "5b1d1c8e-4e4a-4d0f-a3f1-6d4d4d1b2f10",
            "success_on_last_run": True,
        },
        old("column_values_to_be_between", column="x", **BOTH, parse_strings_as_datetimes=True),
        old("column_max_to_be_between", column="x", auto=True, profiler_config=None, **BOTH),
        old("multicolumn_values_to_be_unique", column_list=["a", "b"], ignore_row_if="never"),
        old("column_pair_values_to_be_equal", column_A="a", column_B="b", ignore_row_if="never"),
        old(
            "column_values_to_be_unique",
            column="id",
            row_condition='col("x") > 5',
            condition_parser="great_expectations__experimental__",
        ),
        old("table_row_count_to_be_between", min_value={"$PARAMETER": "least"}, max_value=None),
        old("table_row_count_to_equal", value={"$PARAMETER": "expected_rows * 2"}),
        old("column_to_exist", column="x", include_config=True, catch_exceptions=False),
    ],
}
LOST = [
    (old("column_pair_cramers_phi_value_to_be_less_than", column_A="a", column_B="b"), "custom"),
    (old("column_values_to_be_valid_iban", column="a"), "custom_expectations"),
    (
        old("table_row_count_to_equal", value={"$PARAMETER": "urn:great_expectations:x:y"}),
        "other validations",
    ),
    (old("table_row_count_to_equal", value={"$PARAMETER": "now()"}), "would change"),
    (
        old("column_to_be_unique", column="a"),
        "no such type",
    ),
    (
        old(
            "column_values_to_be_unique", column="a", row_condition="x > 5",
            condition_parser="spark",
        ),
        "pandas' syntax",
    ),
    (old("column_values_to_be_in_set", column="a"), "`value_set` is missing"),
    (old("column_values_to_not_be_in_set", column="a", value_set=[]), "`value_set` lists nothing"),
    (old("table_row_count_to_equal_other_table", other_table_name="a"), "needs a database"),
    ({"kwargs": {"column": "a"}}, "no `expectation_type`"),
    (old("column_mean_to_be_between", column="a", auto=True), "profiler at each run"),
    (old("column_min_to_be_between", column="a", **BOTH, like_pattern="x"), "`like_pattern`"),
]  # fmt: skip


def accepted(found: Upgrade) -> int:
    """How many expectations Great Expectations reads; it raises on what is wrong."""
    # Imported here as it takes seconds.
    core = importlib.import_module("great_expectations.core")
    form = importlib.import_module("great_expectations.expectations.expectation_configuration")
    entries = [form.ExpectationConfiguration(**entry) for entry in found.suite["expectations"]]
    suite = core.ExpectationSuite(**{**found.suite, "expectations": []})
    return len([suite.add_expectation_configuration(entry) for entry in entries])


def test_everything_that_has_a_form_today_is_carried_over_and_accepted() -> None:
    found = upgraded(SUITE)
    assert found.lost == (
        ("the parameter `urn:great_expectations:validations:a`",
         "it is the result of another validation", True),
    )  # fmt: skip
    assert accepted(found) == len(SUITE["expectations"])
    assert found.suite["name"] == "flights.warning"
    assert found.suite["id"] == SUITE["ge_cloud_id"]
    assert found.suite["suite_parameters"] == {"least": 3}
    assert found.suite["meta"] == {
        "citations": [{"comment": "by hand"}],
        "great_expectations_version": engine.VERSION,
    }


def test_headgate_reads_the_result_and_has_nothing_against_it() -> None:
    text = json.dumps(upgraded(SUITE).suite)
    suite = read_suite(text, "suite.json", {"expected_rows": 5})
    assert suite.problems == ()
    assert [one.kwargs.get("ignore_row_if") for one in suite.expectations[3:5]] == [
        "never",
        "neither",
    ]
    assert suite.expectations[5].kwargs["condition_parser"] == "great_expectations"


def test_what_changes_in_meaning_is_said_of_the_expectation_that_it_changes_in() -> None:
    said = {remark.about: remark.what for remark in upgraded(SUITE).remarks if not remark.lost}
    dates = said["expectation 2 (expect_column_values_to_be_between of x)"]
    assert "types: {COLUMN: timestamp}" in dates
    assert "profiler" in said["expectation 3 (expect_column_max_to_be_between of x)"]
    assert "expected_rows" in said["expectation 8 (expect_table_row_count_to_equal)"]


@pytest.mark.parametrize(("entry", "said"), LOST)
def test_what_cannot_be_carried_over_is_said_and_the_rest_is(
    entry: dict[str, Any], said: str
) -> None:
    found = upgraded({**SUITE, "evaluation_parameters": {}, "expectations": [entry]})
    assert found.lost
    assert any(said in remark.what for remark in found.lost)
    accepted(found)


def test_a_null_that_stood_for_a_default_is_left_out() -> None:
    between = old("column_values_to_be_between", column="x", mostly=None, strict_min=None, **BOTH)
    found = upgraded({**SUITE, "evaluation_parameters": {}, "expectations": [between]})
    assert found.lost == ()
    assert found.suite["expectations"][0]["kwargs"] == {"column": "x", **BOTH}


def test_a_type_with_capitals_in_its_name_is_the_one_without_them() -> None:
    pair = {"column_A": "a", "column_B": "b"}
    found = upgraded(
        {**SUITE, "evaluation_parameters": {},
         "expectations": [old("column_pair_values_A_to_be_greater_than_B", **pair)]}
    )  # fmt: skip
    (entry,) = found.suite["expectations"]
    assert entry["type"] == "expect_column_pair_values_a_to_be_greater_than_b"
    assert found.lost == ()


def test_a_suite_of_today_is_not_of_before() -> None:
    assert is_of_before(SUITE)
    assert not is_of_before(upgraded(SUITE).suite)
    assert not is_of_before(["expectation_type"])


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["a", "", "x > 1", "neither"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["$PARAMETER", "a", "quantiles"]), inner, max_size=2)
    ),
    max_leaves=4,
)
ARGUMENTS = ("column", "column_A", "column_B", "column_list", "min_value", "max_value", "mostly",
             "value_set", "regex", "row_condition", "condition_parser", "auto", "result_format",
             "ignore_row_if", "type_", "value", "quantile_ranges")  # fmt: skip
TYPES = [
    entry["expectation_type"]
    for entry in (*SUITE["expectations"], *(one[0] for one in LOST))
    if "expectation_type" in entry
]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(TYPES), st.dictionaries(st.sampled_from(ARGUMENTS), ANYTHING, max_size=5))
def test_whatever_is_in_an_old_suite_great_expectations_takes_what_comes_out(
    kind: str, kwargs: dict[str, Any]
) -> None:
    entry = {"expectation_type": kind, "kwargs": kwargs}
    found = upgraded({"expectation_suite_name": "s", "expectations": [entry]})
    kept = found.suite["expectations"]
    assert len(kept) == 1 or found.lost
    for one in kept:
        limits = [one["kwargs"].get(key) for key in ("min_value", "max_value")]
        if not any(isinstance(limit, str) for limit in limits):  # these Headgate reads, not they
            accepted(found)
