"""From recorded results of Great Expectations to sentences, without running it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from validators.data.answering.columns import columns_everywhere, columns_to_read
from validators.data.checks import TableFacts, check_of, missing_notes, numbered
from validators.data.suites.outcome import ExpectationOutcome, exception_class, outcome_of
from validators.data.suites.phrases import words_for
from validators.data.suites.suite import Expectation, Severity
from validators.report import Check
from validators.verdict import Verdict

CALM = {"raised_exception": False, "exception_traceback": None, "exception_message": None}
FACTS = TableFacts(rows=27_004, columns=("carrier", "dep_delay", "when"), types={"carrier": "str"})


def _check(
    type: str,  # noqa: A002 - as Great Expectations calls it
    result: Mapping[str, Any],
    *,
    success: object = False,
    severity: Severity = "critical",
    info: Mapping[str, Any] = CALM,
    facts: TableFacts = FACTS,
    **kwargs: Any,
) -> Check:
    outcome = outcome_of(place=0, type=type, success=success, result=result, exception_info=info)
    one = Expectation(type, kwargs, severity, line=7, column=5)
    return check_of(one, outcome, facts, "expectations/flights.yaml")


def _nulls(severity: Severity = "critical", **kwargs: Any) -> Check:
    return _check(
        "expect_column_values_to_not_be_null",
        {
            "element_count": 27004,
            "unexpected_count": 412,
            "unexpected_percent": 1.5257,
            "partial_unexpected_list": [None],
        },
        severity=severity,
        column="carrier",
        **kwargs,
    )


def test_nulls_are_told_with_value_limit_and_n() -> None:
    check = _nulls()
    assert check.verdict is Verdict.FAIL
    assert check.message == "`carrier`: 412 of 27,004 values are null (1.53 %), none allowed"
    assert (check.observed, check.limit, check.n) == ("412 (1.53 %)", "no nulls", 27004)
    assert check.where is not None
    assert (check.where.file, check.where.line) == ("expectations/flights.yaml", 7)


def test_a_tolerance_is_part_of_the_sentence() -> None:
    assert _nulls(mostly=0.99).message.endswith("(1.53 %), at most 1 % allowed")


@pytest.mark.parametrize(
    ("severity", "verdict", "blocks"),
    [
        ("critical", Verdict.FAIL, True),
        ("warning", Verdict.WARN, False),
        ("info", Verdict.WARN, False),
    ],
)
def test_only_a_critical_expectation_blocks(
    severity: Severity, verdict: Verdict, blocks: bool
) -> None:
    check = _nulls(severity)
    assert (check.verdict, check.blocks) == (verdict, blocks)
    assert check.message.endswith("(for information)") is (severity == "info")


def test_nulls_do_not_count_among_the_values_of_a_set() -> None:
    result = {"element_count": 4000, "unexpected_count": 1357, "missing_count": 82}
    check = _check(
        "expect_column_values_to_be_in_set", result, column="carrier", value_set=["AA", "UA"]
    )
    assert check.message.startswith("`carrier`: 1,357 of 3,918 values are not in AA, UA (34.64 %)")
    assert check.n == 3918


def test_a_range_says_what_was_found() -> None:
    kind = "expect_column_values_to_be_between"
    one = Expectation(kind, {"column": "dep_delay", "min_value": -60, "max_value": 1440})
    outcome = ExpectationOutcome(0, success=False, unexpected=2, evaluated=10, span=(-99, 2000.7))
    check = check_of(one, outcome, FACTS, "expectations/flights.yaml")
    assert check.message == (
        "`dep_delay`: 2 of 10 values are outside -60 to 1,440 (20 %), none allowed; "
        "found -99 to 2,001"
    )


@pytest.mark.parametrize(("success", "passes"), [(True, True), ("True", True), ("False", False)])
def test_success_may_come_as_a_text(success: object, passes: bool) -> None:
    kind = "expect_column_quantile_values_to_be_between"
    check = _check(kind, {}, success=success, column="dep_delay", quantile_ranges={})
    assert (check.verdict is Verdict.PASS) is passes


FLAT = {
    "raised_exception": True,
    "exception_message": "could not convert string to float: 'MARKER'",
    "exception_traceback": (
        'Traceback (most recent call last):\n  File "x.py", line 1, in f\n'
        "ValueError: could not convert string to float: 'MARKER'\n"
    ),
}
CHAINED = {
    **FLAT,
    "exception_traceback": FLAT["exception_traceback"]  # type: ignore[operator]  # it is a text
    + "\nThe above exception was the direct cause of the following exception:\n\n"
    "great_expectations.exceptions.exceptions.MetricResolutionError: could not convert 'MARKER'\n",
}


@pytest.mark.parametrize("info", [FLAT, {"MetricConfigurationID(metric_name='x')": CHAINED}])
def test_both_forms_of_an_exception_are_an_error_that_quotes_no_data(
    info: Mapping[str, Any],
) -> None:
    check = _check("expect_column_max_to_be_between", {}, info=info, column="carrier", min_value=0)
    assert check.verdict is Verdict.ERROR
    assert check.message == (
        "`expect_column_max_to_be_between` could not be evaluated (ValueError); `carrier` holds str"
    )
    assert "MARKER" not in check.model_dump_json()


def test_an_exception_whose_traceback_says_nothing_is_still_one() -> None:
    assert exception_class({"raised_exception": True}) == "unknown error"
    assert exception_class({"metric": {"raised_exception": True}}) == "unknown error"
    assert exception_class(CALM) is None
    assert exception_class(None) is None


@pytest.mark.parametrize("value", ["MARKER", ["MARKER"], {"values": ["MARKER"]}, True])
def test_an_observed_value_that_is_no_aggregate_is_not_kept(value: object) -> None:
    result = {"observed_value": value, "partial_unexpected_list": ["MARKER"]}
    check = _check("expect_column_max_to_be_between", result, column="carrier", min_value="A")
    assert check.observed is None
    assert "MARKER" not in check.model_dump_json()


def test_an_aggregate_is_shown() -> None:
    check = _check(
        "expect_column_mean_to_be_between",
        {"observed_value": 101.5},
        column="dep_delay",
        max_value=3.0,
    )
    assert check.message == "`dep_delay`: expected mean ≤ 3, found 101.5"
    assert check.observed == 101.5
    date = _check(
        "expect_column_max_to_be_between",
        {"observed_value": datetime(2013, 2, 11)},  # noqa: DTZ001 - as a column without zone gives
        column="when",
        min_value="2014-01-01",
    )
    assert date.observed == "2013-02-11"


def test_columns_that_are_not_as_wanted_are_named() -> None:
    check = _check(
        "expect_table_columns_to_match_set",
        {"observed_value": ["carrier", "extra"]},
        column_set=["carrier", "origin"],
    )
    assert check.message == "the table's columns: missing `origin`; unexpected `extra`"


def test_a_missing_column_fails_each_expectation_about_it_and_is_noted_once() -> None:
    about = [
        Expectation("expect_column_values_to_not_be_null", {"column": "carier"}),
        Expectation("expect_column_values_to_be_unique", {"column": "carier"}),
        Expectation("expect_column_values_to_be_unique", {"column": "origin"}),
    ]
    checks = [check_of(one, None, FACTS, "suite.yaml") for one in about]
    assert {check.verdict for check in checks} == {Verdict.FAIL}
    assert checks[0].message == "column `carier` is missing from the dataset"
    assert "`carrier`" in (checks[0].next_step or "")
    assert missing_notes(about, FACTS) == [
        "Column `carier` is missing: 2 checks fail for this one reason."
    ]


def test_an_expectation_without_a_result_is_an_error() -> None:
    one = Expectation("expect_column_values_to_be_unique", {"column": "carrier"})
    assert check_of(one, None, FACTS, "suite.yaml").verdict is Verdict.ERROR


def test_a_type_without_words_of_its_own_is_reported_under_its_name() -> None:
    check = _check("expect_column_values_to_shine", {}, column="carrier")
    assert check.message == ("`carrier`: expected column values to shine, which does not hold")


def test_only_the_columns_that_the_suite_names_are_read() -> None:
    nulls = Expectation("expect_column_values_to_not_be_null", {"column": "a"})
    pair = Expectation("expect_column_pair_values_to_be_equal", {"column_A": "b", "column_B": "c"})
    rows = Expectation("expect_table_row_count_to_be_between", {"min_value": 1})
    assert columns_to_read([nulls, pair, rows]) == frozenset("abc")


@pytest.mark.parametrize(
    "one",
    [
        Expectation("expect_something_else", {}),
        Expectation("unexpected_rows_expectation", {"unexpected_rows_query": "select 1"}),
    ],
)
def test_all_columns_are_read_where_any_may_matter(one: Expectation) -> None:
    assert columns_to_read([one]) is None
    assert columns_everywhere([one]) == frozenset()


@pytest.mark.parametrize(
    ("kind", "kwargs", "everywhere"),
    [
        (
            "table_columns_to_match_set",
            {"column_set": ["a", "b"], "exact_match": False},
            {"a", "b"},
        ),
        ("table_columns_to_match_set", {"column_set": ["a", "b"]}, None),
        ("table_columns_to_match_ordered_list", {"column_list": ["a", "b"]}, None),
        ("table_column_count_to_equal", {"value": 2}, None),
        ("column_to_exist", {"column": "a"}, {"a"}),
    ],
)
def test_what_is_about_names_reads_no_column(
    kind: str, kwargs: dict[str, Any], everywhere: set[str] | None
) -> None:
    one = Expectation(f"expect_{kind}", kwargs)
    assert columns_to_read([one]) == frozenset()
    assert columns_everywhere([one]) == everywhere


def _where(condition: object, parser: str | None = None) -> Expectation:
    kwargs = {"column": "a", "row_condition": condition, "condition_parser": parser}
    return Expectation("expect_column_values_to_be_unique", kwargs)


COLUMN = {"name": "b"}


@pytest.mark.parametrize(
    ("one", "named"),
    [
        (_where("b > 1", "pandas"), "b"),
        (_where("b > 1"), "b"),
        (_where("b > 1 & c == 'b d'", "pandas"), "bc"),
        (_where("1 < b < c", "pandas"), "bc"),
        (_where("b in ['x', 'y'] or not c.isnull()", "pandas"), "bc"),
        (_where("b.str.len() > sin(c) + 1", "pandas"), "bc"),
        (_where("`b` == 'c > d & `e`'", "pandas"), "b"),
        (_where("b", "pandas"), "b"),
        (_where('col("b") >= 5', "great_expectations"), "b"),
        (_where('col("b").notNull()'.lower(), "great_expectations__experimental__"), "b"),
        (_where({"type": "comparison", "column": COLUMN, "operator": "IN", "parameter": [1]}), "b"),
        (
            _where(
                {
                    "type": "and",
                    "conditions": [
                        {"type": "nullity", "column": COLUMN, "is_null": True},
                        {"type": "pass_through", "pass_through_filter": "c > 1"},
                    ],
                }
            ),
            "bc",
        ),
        (_where("", "pandas"), ""),
        (_where("b >", "pandas"), ""),  # said when it is evaluated
    ],
)
def test_the_columns_that_a_condition_names_are_read(one: Expectation, named: str) -> None:
    assert columns_to_read([one]) == frozenset("a" + named)


def test_z_scores_are_told_with_their_threshold() -> None:
    kind = "expect_column_value_z_scores_to_be_less_than"
    kwargs = {"column": "x", "threshold": 3, "double_sided": True}
    assert words_for(Expectation(kind, kwargs)).limit == "z-scores within ±3"
    one_sided = Expectation(kind, {**kwargs, "double_sided": False})
    assert words_for(one_sided).limit == "z-scores below 3"


def test_a_condition_that_is_an_object_is_told_as_people_write_it() -> None:
    parts = [
        {"type": "comparison", "column": COLUMN, "operator": "NOT_IN", "parameter": [1, 2]},
        {"type": "comparison", "column": COLUMN, "operator": ">", "parameter": "x"},
        {"type": "nullity", "column": COLUMN, "is_null": False},
    ]
    said = words_for(_where({"type": "and", "conditions": parts})).limit
    assert said == "unique values where b not in [1, 2] and b > 'x' and b is not null"


def test_a_column_misspelt_in_a_condition_is_blamed_on_the_condition() -> None:
    one = Expectation(
        "expect_column_values_to_not_be_null",
        {"column": "dep_delay", "row_condition": "carier == 'AA'", "condition_parser": "pandas"},
    )
    check = check_of(one, None, FACTS, "suite.yaml")
    assert check.verdict is Verdict.FAIL
    assert check.message == (
        "column `carier`, which its condition names, is missing from the dataset"
    )
    assert "`carrier`" in (check.next_step or "")


def test_equal_expectations_get_names_of_their_own() -> None:
    names = [check.name for check in numbered([_nulls(), _nulls(), _nulls()])]
    assert names == ["carrier: no nulls", "carrier: no nulls (2)", "carrier: no nulls (3)"]


def test_a_result_keeps_its_place_in_the_suite() -> None:
    kind = "expect_column_values_to_be_unique"
    found = outcome_of(place=3, type=kind, success=True, result={}, exception_info=None)
    assert found == ExpectationOutcome(place=3, success=True)


@pytest.mark.parametrize(
    ("kind", "kwargs", "limit", "missed"),
    [
        ("column_type_to_be", {"type_": "int32"}, "type int32", None),
        ("column_to_exist", {"column_index": 2}, "column index 2 (the first is 0)", None),
        ("column_to_exist", {}, "exists", None),
        ("column_values_to_be_between", {"min_value": 1}, "values ≥ 1", "are not ≥ 1"),
        (
            "column_value_lengths_to_be_between",
            {"min_value": 1, "max_value": 3},
            "lengths 1 to 3",
            "have a length that is outside 1 to 3",
        ),
    ],
)
def test_what_is_expected_is_told_with_its_arguments(
    kind: str, kwargs: dict[str, Any], limit: str, missed: str | None
) -> None:
    words = words_for(Expectation(f"expect_{kind}", {"column": "carrier", **kwargs}))
    assert words.limit == limit
    assert missed in (None, words.missed)


def test_columns_in_another_order_are_told_as_they_are() -> None:
    check = _check(
        "expect_table_columns_to_match_ordered_list",
        {"observed_value": ["b", "a"]},
        column_list=["a", "b"],
    )
    assert check.message == "the table's columns: in the wrong order: `b`, `a`"
