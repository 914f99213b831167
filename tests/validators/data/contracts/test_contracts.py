"""What a data contract asks, as expectations; and what of it nothing checks."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.validators.data.contracts.contracts import asked, contract, not_checked, read
from validators.data.contracts.reading import expectation_problems, read_expectations
from validators.data.gate import judge
from validators.data.reading.objects import ObjectFile
from validators.data.request import DataGateRequest, SuiteFile
from validators.report import Report
from validators.verdict import Verdict

X = {"column": "x"}
BETWEEN = "table_row_count_to_be_between"


def column(logical: str | None = None, **more: Any) -> dict[str, Any]:
    kind = {} if logical is None else {"logicalType": logical}
    return {"name": "x", **kind, **more}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (column("string"), [("column_values_to_be_of_type", {**X, "type_": "string"})]),
        (
            column("number"),
            [("column_values_to_be_in_type_list",
              {**X, "type_list": ["floating", "decimal", "integer"]})],
        ),
        (
            column("timestamp", logicalTypeOptions={"timezone": True}),
            [("column_values_to_be_of_type", {**X, "type_": "timestamp with time zone"})],
        ),
        (
            column(physicalType="decimal(10,2)"),
            [("column_values_to_be_of_type", {**X, "type_": "decimal(10,2)"})],
        ),
        (column(required=True), [("column_values_to_not_be_null", X)]),
        (column(unique=True), [("column_values_to_be_unique", X)]),
        (
            column(primaryKey=True),
            [("column_values_to_not_be_null", X), ("column_values_to_be_unique", X)],
        ),
        (
            column(physicalName="X_1", required=True),
            [("column_values_to_not_be_null", {"column": "X_1"})],
        ),
    ],
)  # fmt: skip
def test_a_property_says_what_its_column_is(said: Any, expected: Any) -> None:
    assert asked(contract(said)) == expected


@pytest.mark.parametrize(
    ("logical", "options", "expected"),
    [
        (
            "string",
            {"minLength": 1, "maxLength": 9, "pattern": "^A"},
            [("column_value_lengths_to_be_between", {**X, "min_value": 1, "max_value": 9}),
             ("column_values_to_match_regex", {**X, "regex": "^A"})],
        ),
        (
            "integer",
            {"minimum": 0, "exclusiveMaximum": 10},
            [("column_values_to_be_between", {**X, "min_value": 0}),
             ("column_values_to_be_between", {**X, "max_value": 10, "strict_max": True})],
        ),
        (
            "date",
            {"exclusiveMinimum": "2024-01-01", "maximum": "2024-12-31"},
            [("column_values_to_be_between", {**X, "max_value": "2024-12-31"}),
             ("column_values_to_be_between",
              {**X, "min_value": "2024-01-01", "strict_min": True})],
        ),
        (
            "integer",
            {"multipleOf": 5},
            [(BETWEEN, {"max_value": 0, "row_condition": "`x`.notnull() and `x` % 5 != 0",
                        "condition_parser": "pandas"})],
        ),
        (
            "integer",
            {"format": "u16"},
            [("column_values_to_be_between", {**X, "min_value": 0, "max_value": 65535})],
        ),
    ],
)  # fmt: skip
def test_the_options_of_a_type_limit_its_values(logical: str, options: Any, expected: Any) -> None:
    _, *found = asked(contract(column(logical, logicalTypeOptions=options)))
    assert found == expected


def rule(metric: str, unit: str | None = None, **more: Any) -> dict[str, Any]:
    return {"metric": metric, **({"unit": unit} if unit else {}), **more}


VALID = {"validValues": ["open", "closed"]}
NON_NULL = "column_proportion_of_non_null_values_to_be_between"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (rule("nullValues", mustBe=0), ("column_values_to_not_be_null", X)),
        (rule("nullValues", mustBeLessThan=1, unit="percent"),
         (NON_NULL, {**X, "min_value": 0.99, "strict_min": True})),
        (rule("nullValues", mustBeLessThan=5),
         (BETWEEN, {"max_value": 4, "row_condition": "`x`.isnull()",
                    "condition_parser": "pandas"})),
        (rule("missingValues", mustBeLessOrEqualTo=3, arguments={"missingValues": [None, "N/A"]}),
         (BETWEEN, {"max_value": 3, "row_condition": "`x`.isnull() or `x`.isin(['N/A'])",
                    "condition_parser": "pandas"})),
        (rule("invalidValues", mustBe=0, arguments=VALID),
         ("column_values_to_be_in_set", {**X, "value_set": ["open", "closed"]})),
        (rule("invalidValues", mustBeLessOrEqualTo=25, unit="percent", arguments={"pattern": "^A"}),
         ("column_values_to_match_regex", {**X, "regex": "^A", "mostly": 0.75})),
        (rule("duplicateValues", mustBe=0), ("column_values_to_be_unique", X)),
        (rule("rowCount", mustBeBetween=[10, 20]), (BETWEEN, {"min_value": 10, "max_value": 20})),
        (rule("rowCount", mustBeGreaterThan=10), (BETWEEN, {"min_value": 11})),
        ({"type": "custom", "engine": "greatExpectations",
          "implementation": "type: expect_column_max_to_be_between\n"
          "kwargs: {column: x, max_value: 9}\n"},
         ("column_max_to_be_between", {**X, "max_value": 9})),
        ({"type": "custom", "engine": "great-expectations",
          "implementation": {"type": "expect_column_values_to_be_null", "kwargs": X}},
         ("column_values_to_be_null", X)),
    ],
)  # fmt: skip
def test_a_quality_rule_is_an_expectation(said: Any, expected: Any) -> None:
    assert asked(contract(column(quality=[said]))) == [expected]


def test_the_columns_of_a_primary_key_are_one_key_in_their_order() -> None:
    day = {"name": "day", "primaryKey": True, "primaryKeyPosition": 2}
    shop = {"name": "shop", "primaryKey": True, "primaryKeyPosition": 1}
    found = asked(contract(day, shop))
    assert found[-1] == ("compound_columns_to_be_unique", {"column_list": ["shop", "day"]})
    assert [kind for kind, _ in found[:-1]] == ["column_values_to_not_be_null"] * 2


def test_rules_of_the_table_count_its_rows_and_compare_them() -> None:
    together = rule("duplicateValues", mustBe=0, arguments={"properties": ["x", "y"]})
    found = asked(contract(column(), quality=[rule("rowCount", mustBe=5), together]))
    assert found == [
        (BETWEEN, {"min_value": 5, "max_value": 5}),
        ("compound_columns_to_be_unique", {"column_list": ["x", "y"]}),
    ]


@pytest.mark.parametrize(
    ("severity", "expected"),
    [("error", "critical"), ("warning", "warning"), ("info", "info"), (None, "critical")],
)
def test_a_rule_stops_unless_it_is_a_warning(severity: str | None, expected: str) -> None:
    said = rule("nullValues", mustBe=0, **({"severity": severity} if severity else {}))
    _, one = read(contract(column(quality=[said]))).expectations
    assert one.severity == expected


def test_equal_demands_are_one_expectation() -> None:
    said = column(required=True, quality=[rule("nullValues", mustBe=0)])
    assert asked(contract(said)) == [("column_values_to_not_be_null", X)]


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (column("number", logicalTypeOptions={"multipleOf": 5}), "`multipleOf: 5` of `x`"),
        (column("string", logicalTypeOptions={"format": "hostname"}), "the format hostname of `x`"),
        (column("date", logicalTypeOptions={"minimum": "01/05/2024"}),
         "the limit 01/05/2024 of `x`: write it as 2024-05-01 or 12:30"),
        (column(physicalType="geography"),
         "the physical type geography of `x`: give it a `logicalType`"),
        (column("object", properties=[{"name": "y"}]), "`properties` inside of `x`"),
        (column(quality=[{"type": "sql", "query": "SELECT 1", "mustBe": 1}]),
         "a rule as SQL: SELECT 1"),
        (column(quality=[{"type": "text", "description": "is sound"}]), "a rule as text: is sound"),
        (column(quality=[{"type": "custom", "engine": "soda", "implementation": "x"}]),
         "a rule of the engine soda: custom"),
        (column(quality=[rule("nullValues", mustNotBe=3)]),
         "`mustNotBe: 3` of the rule nullValues"),
        (column(quality=[rule("duplicateValues", mustBeLessThan=3)]),
         "the rule duplicateValues of `x`: such a number is only checked as a share, or against 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_checked_is_named(said: Any, what: str) -> None:
    assert not_checked(contract(said)) == [what]


def test_service_levels_are_named_with_their_place() -> None:
    content = contract(column(), slaProperties=[{"property": "latency", "value": 4, "unit": "d"}])
    text = json.dumps(content, indent=1)
    (problem,) = expectation_problems(text, "orders.odcs.json", like="orders")
    assert problem.message == "not checked: the service level latency 4 d"
    assert problem.severity == "warning"
    assert '"property": "latency"' in text.splitlines()[problem.line]


def told(version: str, said: Any) -> list[tuple[str, dict[str, Any]]]:
    """What a property asks in a version that the reference implementation does not read."""
    text = json.dumps(contract(said, apiVersion=version))
    suite = read_expectations(text, "orders.odcs.json", like="orders")
    assert (suite.problems, suite.unchecked) == ((), ())
    return [(one.type.removeprefix("expect_"), one.kwargs) for one in suite.expectations[1:]]


def test_rules_have_their_names_of_version_3_0() -> None:
    count = {"rule": "duplicateCount", "mustBe": 0}
    values = {"rule": "validValues", "validValues": ["open"]}
    assert told("v3.0.2", column(quality=[count, values])) == [
        ("column_values_to_be_unique", X),
        ("column_values_to_be_in_set", {**X, "value_set": ["open"]}),
    ]


def test_values_are_listed_as_in_version_3_2() -> None:
    listed = [{"value": 1, "label": "high"}, {"value": 2}]
    assert told("v3.2.0", column(enum=listed)) == [
        ("column_values_to_be_in_set", {**X, "value_set": [1, 2]})
    ]


def test_several_operators_of_a_rule_all_hold() -> None:
    said = rule("rowCount", mustBeGreaterThan=1, mustBeLessThan=9)
    assert told("v3.0.2", column(quality=[said])) == [
        (BETWEEN, {"min_value": 2}),
        (BETWEEN, {"max_value": 8}),
    ]


def test_a_key_is_of_the_columns_that_its_properties_are() -> None:
    pair = {"properties": ["x", "y"]}
    named = column(physicalName="X1"), {"name": "y", "physicalName": "Y1"}
    found = asked(contract(*named, quality=[rule("duplicateValues", mustBe=0, arguments=pair)]))
    assert found == [("compound_columns_to_be_unique", {"column_list": ["X1", "Y1"]})]


def test_a_misspelt_key_is_named_with_the_nearest() -> None:
    text = json.dumps(contract(column(requird=True)))
    (problem,) = expectation_problems(text, "orders.odcs.json", like="orders")
    assert problem.message == "not checked: the unknown key `requird`"
    assert problem.nearest == "required"


def two() -> dict[str, Any]:
    content = contract(column())
    content["schema"].append({"name": "customers", "properties": [{"name": "id"}]})
    return content


@pytest.mark.parametrize(
    ("dataset", "part", "found"),
    [("orders", None, "x"), ("customers", None, "id"), ("any", "customers", "id")],
)
def test_of_several_objects_the_named_one_counts(
    dataset: str, part: str | None, found: str
) -> None:
    (only,) = read(two(), dataset, part).expectations
    assert only.kwargs == {"column": found}


def test_if_no_object_is_meant_the_names_are_told() -> None:
    (problem,) = read(two(), "sales").problems
    assert "none is named like the dataset" in problem.message
    assert "`expectations: orders.odcs.json#orders`" in problem.message
    assert problem.expected == "orders, customers"
    (wrong,) = read(two(), "orders", "order").problems
    assert wrong.message == "the contract has no object `order`"


def test_a_file_of_another_name_needs_its_object_named() -> None:
    text = json.dumps(two())
    (problem,) = read_expectations(text, "contract.json", like="orders").problems
    assert "its file is not named .odcs.yaml" in problem.message
    assert (
        len(read_expectations(text, "contract.json", like="orders", part="orders").expectations)
        == 1
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"apiVersion": "v2.2.2"}, "unknown version of data contracts"),
        ({"schema": []}, "the contract has no `schema`: there is nothing to check"),
        ({"schema": [{"name": "orders"}]}, "nothing in it can be checked"),
        ({"schema": [{"name": "orders", "properties": ["x"]}]}, "a property is a mapping"),
        ({"schema": [{"name": "o", "properties": [{"name": "x", "logicalType": "int"}]}]},
         "unknown `logicalType`"),
        ({"schema": [{"name": "o", "properties": [{"name": "x", "required": "yes"}]}]},
         "`required` is true or false"),
        ({"schema": [{"name": "o", "properties": [
            {"name": "x", "quality": [{"metric": "nullValues"}]}]}]}, "the rule needs one of"),
    ],
)  # fmt: skip
def test_a_contract_that_cannot_be_understood_is_an_error(change: Any, message: str) -> None:
    text = json.dumps({**contract(column()), **change})
    problems = read_expectations(text, "orders.odcs.json", like="orders").problems
    assert any(message in problem.message for problem in problems)


def test_a_limit_that_is_no_number_is_an_error_of_the_contract() -> None:
    text = json.dumps(contract(column(quality=[rule("rowCount", mustBe="ten")])))
    (problem,) = read_expectations(text, "orders.odcs.yaml", like="orders").problems
    assert (problem.message, problem.found) == ("`mustBe` is a number", "ten")


def test_a_suite_stays_a_suite() -> None:
    text = '{"name": "x", "expectations": [{"type": "expect_DataContract"}]}'
    assert read_expectations(text, "x.json").expectations[0].type == "expect_DataContract"
    (problem,) = read_expectations(text, "x.json", like="x", part="orders").problems
    assert "this is a suite" in problem.message


def judged(folder: Path, content: Any, key: str) -> Report:
    """The gate's report on an object of a folder by a contract."""
    (folder / "orders.odcs.json").write_text(json.dumps(content))
    return judge(
        DataGateRequest(
            dataset="orders",
            version="sha256:" + "0f" * 32,
            objects=(ObjectFile(key=key, path=str(folder / key)),),
            suite=SuiteFile(path=str(folder / "orders.odcs.json"), origin="orders.odcs.json"),
        )
    )


@pytest.mark.parametrize(
    ("values", "verdict"),
    [([0, 5, None, -10], Verdict.PASS), ([5, 7], Verdict.FAIL), ([None, None], Verdict.PASS)],
)
def test_multiples_are_counted_exactly(tmp_path: Path, values: Any, verdict: Verdict) -> None:
    pq.write_table(pa.table({"x": pa.array(values, pa.int64())}), tmp_path / "a.parquet")
    content = contract(column("integer", logicalTypeOptions={"multipleOf": 5}))
    checks = judged(tmp_path, content, "a.parquet").checks
    assert [check.verdict for check in checks if "row" in check.name] == [verdict]


def test_columns_that_are_text_are_read_as_text_where_files_have_no_types(tmp_path: Path) -> None:
    content = contract(column("string"), {"name": "gone", "logicalType": "string"})
    (tmp_path / "a.csv").write_text("x,y\n123,1\n456,2\n")
    checks = judged(tmp_path, content, "a.csv").checks
    assert [check.verdict for check in checks if check.subject == "x"] == [Verdict.PASS] * 2
    assert {check.subject for check in checks if check.verdict is not Verdict.PASS} == {"gone"}
    assert not [check for check in checks if check.name.startswith("types")]
    pq.write_table(pa.table({"x": [123], "gone": [""]}), tmp_path / "a.parquet")
    checks = judged(tmp_path, content, "a.parquet").checks
    assert [one.subject for one in checks if one.verdict is Verdict.FAIL] == ["x"]


def test_the_gate_judges_by_a_contract_and_names_what_it_leaves_out(tmp_path: Path) -> None:
    content = contract(
        column("string", required=True, logicalTypeOptions={"maxLength": 3}),
        {"name": "note", "logicalType": "string"},
        quality=[{"type": "sql", "query": "SELECT 1", "mustBe": 1}],
        slaProperties=[{"property": "retention", "value": 3, "unit": "y"}],
    )
    rows = {"x": ["abc", "abcd"], "note": pa.array([None, None], pa.string())}
    pq.write_table(pa.table(rows), tmp_path / "a.parquet")
    report = judged(tmp_path, content, "a.parquet")
    failing = [check for check in report.checks if check.verdict is not Verdict.PASS]
    assert [(check.subject, check.verdict) for check in failing] == [("x", Verdict.FAIL)]
    assert failing[0].where is not None
    assert failing[0].where.file == "orders.odcs.json"
    assert [note for note in report.notes if "not checked" in note] == [
        "orders.odcs.json:1: not checked: a rule as SQL: SELECT 1",
        "orders.odcs.json:1: not checked: the service level retention 3 y",
    ]
