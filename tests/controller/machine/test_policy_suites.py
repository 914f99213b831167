"""Which changes of a suite let data through that was stopped before."""

import json

import pytest

from controller.machine.pipelines.policy_suites import SuiteText, suite_changes
from controller.machine.pipelines.rule_change import RuleChange
from validators.data.suite import read_suite

SUITE = """\
name: flights
expectations:
  - {type: expect_column_values_to_not_be_null, kwargs: {column: delay, mostly: 0.9}}
  - {type: expect_column_values_to_be_unique, kwargs: {column: id}}
  - {type: expect_column_values_to_be_between, kwargs: {column: month, min_value: 1, max_value: 12}}
  - {type: expect_column_values_to_be_in_set, kwargs: {column: origin, value_set: [EWR, JFK]}}
"""


def changed(
    before: str, after: str, was: str = "suite.yaml", now: str = "suite.yaml"
) -> list[RuleChange]:
    """What changed between two texts of a suite, in files of these names."""
    return list(suite_changes(SuiteText(was, "flights", before), SuiteText(now, "flights", after)))


def found(was: str, now: str) -> list[tuple[str, str, str, bool]]:
    assert SUITE.count(was) == 1
    changes = changed(SUITE, SUITE.replace(was, now))
    return [(one.rule, one.was, one.now, one.loosens) for one in changes]


@pytest.mark.parametrize(
    ("was", "now", "column"),
    [
        ("mostly: 0.9", "mostly: 0.5", "delay"),
        ("max_value: 12", "max_value: 13", "month"),
        ("min_value: 1, ", "", "month"),
        ("[EWR, JFK]", "[EWR, JFK, LGA]", "origin"),
        ("{column: id}}", "{column: id}, severity: warning}", "id"),
        ("{column: id}}", "{column: id}, meta: {may_be_empty: true}}", "id"),
    ],
)
def test_an_expectation_that_asks_for_less_loosens(was: str, now: str, column: str) -> None:
    assert [(one[0], one[3]) for one in found(was, now)] == [(f"suite.yaml: {column}", True)]


def test_a_limit_that_nothing_is_above_loosens() -> None:
    suite = {
        "name": "s",
        "expectations": [{"type": "t", "kwargs": {"column": "a", "max_value": 5}}],
    }
    text = json.dumps(suite)
    (change,) = changed(text, text.replace("5", "NaN"), "suite.json", "suite.json")
    assert change.loosens


def test_an_expectation_that_is_removed_is_said_in_words() -> None:
    line = "  - {type: expect_column_values_to_be_unique, kwargs: {column: id}}\n"
    assert found(line, "") == [("suite.yaml: id", "unique values", "removed", True)]


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (", mostly: 0.9", ""),
        ("max_value: 12", "max_value: 11"),
        ("name: flights\n", "name: flights\nmeta: {owner: me}\n"),
    ],
)
def test_what_asks_for_more_or_the_same_loosens_nothing(was: str, now: str) -> None:
    assert not any(one[3] for one in found(was, now))


def test_an_added_expectation_is_told_and_one_that_moved_is_not() -> None:
    added = "  - {type: expect_column_to_exist, kwargs: {column: carrier}}\n"
    head, *lines = SUITE.partition("expectations:\n")[2].splitlines(keepends=True)
    moved = "name: flights\nexpectations:\n" + "".join([*lines, head, added])
    changes = changed(SUITE, moved)
    assert [(one.rule, one.was, one.loosens) for one in changes] == [
        ("suite.yaml: carrier", "none", False)
    ]


def test_a_suite_that_becomes_json_is_compared_as_what_it_was() -> None:
    nulls, *_ = read_suite(SUITE, "suite.yaml").expectations
    kept = {"type": nulls.type, "kwargs": dict(nulls.kwargs)}
    text = json.dumps({"name": "flights", "expectations": [kept]}, indent="\t")
    changes = changed(SUITE, text, "suite.yaml", "suite.json")
    assert {(change.now, change.loosens) for change in changes} == {("removed", True)}


def test_an_expectation_that_only_warns_is_said_to() -> None:
    (change,) = found("{column: id}}", "{column: id}, severity: warning}")
    assert change[1:3] == ("unique values", "unique values (warning: does not stop)")


CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: shop
version: 1.0.0
status: active
schema:
  - name: orders
    properties:
      - {name: id, logicalType: integer, required: true}
      - name: state
        logicalTypeOptions: {maxLength: 9}
        quality:
          - {metric: nullValues, mustBeLessThan: 5, unit: percent}
  - name: customers
    properties: [{name: id, required: true}]
"""
NAMED = "shop.odcs.yaml#orders"


@pytest.mark.parametrize(
    ("was", "now", "column", "loosens"),
    [
        ("id, logicalType: integer, required: true", "id, logicalType: integer", "id", True),
        ("integer", "number", "id", True),
        ("maxLength: 9", "maxLength: 99", "state", True),
        ("maxLength: 9", "maxLength: 8", "state", False),
        ("mustBeLessThan: 5", "mustBeLessThan: 50", "state", True),
        ("mustBeLessThan: 5", "mustBeLessThan: 1", "state", False),
    ],
)
def test_a_contract_is_compared_by_what_it_asks(
    was: str, now: str, column: str, loosens: bool
) -> None:
    assert CONTRACT.count(was) == 1
    changes = changed(CONTRACT, CONTRACT.replace(was, now), NAMED, NAMED)
    assert {change.rule for change in changes} == {f"{NAMED}: {column}"}
    assert any(change.loosens for change in changes) is loosens


def test_what_changes_in_another_object_of_the_contract_does_not_matter() -> None:
    rest = CONTRACT.replace("{name: id, required: true}", "{name: id}")
    assert rest != CONTRACT
    assert changed(CONTRACT, rest, NAMED, NAMED) == []
    (change,) = changed(CONTRACT, rest, "shop.odcs.yaml#customers", "shop.odcs.yaml#customers")
    assert change.loosens
