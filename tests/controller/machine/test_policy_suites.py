"""Which changes of a suite let data through that was stopped before."""

import json
from typing import Any

import pytest

from controller.machine.pipelines.policy_suites import NamedSuite, suite_changes, suite_of
from controller.machine.pipelines.rule_change import RuleChange
from tests.controller.machine.kit import spec
from validators.data.suites.suite import read_suite

SUITE = """\
name: flights
expectations:
  - {type: expect_column_values_to_not_be_null, kwargs: {column: delay, mostly: 0.9}}
  - {type: expect_column_values_to_be_unique, kwargs: {column: id}}
  - {type: expect_column_values_to_be_between, kwargs: {column: month, min_value: 1, max_value: 12}}
  - {type: expect_column_values_to_be_in_set, kwargs: {column: origin, value_set: [EWR, JFK]}}
"""


def suite(path: str, text: str) -> NamedSuite:
    return suite_of(spec(("datasets.numbers.expectations", path)), "numbers", text)


def found(was: str, now: str) -> list[tuple[str, str, str, bool]]:
    assert SUITE.count(was) == 1
    before, after = suite("suite.yaml", SUITE), suite("suite.yaml", SUITE.replace(was, now))
    changes = suite_changes(before, after)
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
    content = {
        "name": "s",
        "expectations": [{"type": "t", "kwargs": {"column": "a", "max_value": 5}}],
    }
    text = json.dumps(content)
    before, after = suite("suite.json", text), suite("suite.json", text.replace("5", "NaN"))
    (change,) = suite_changes(before, after)
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
    changes = list(suite_changes(suite("suite.yaml", SUITE), suite("suite.yaml", moved)))
    assert [(one.rule, one.was, one.loosens) for one in changes] == [
        ("suite.yaml: carrier", "none", False)
    ]


def test_a_suite_that_becomes_json_is_compared_as_what_it_was() -> None:
    nulls, *_ = read_suite(SUITE, "suite.yaml").expectations
    kept = {"type": nulls.type, "kwargs": dict(nulls.kwargs)}
    text = json.dumps({"name": "flights", "expectations": [kept]}, indent="\t")
    changes = list(suite_changes(suite("suite.yaml", SUITE), suite("suite.json", text)))
    assert {(change.now, change.loosens) for change in changes} == {("removed", True)}


def test_an_expectation_that_only_warns_is_said_to() -> None:
    (change,) = found("{column: id}}", "{column: id}, severity: warning}")
    assert change[1:3] == ("unique values", "unique values (warning: does not stop)")


INLINE: list[dict[str, Any]] = [
    {"type": "expect_column_values_to_be_between", "kwargs": {"column": "x", "max_value": 1}}
]
LOOSER = [{**INLINE[0], "kwargs": {"column": "x", "max_value": 9}}]


def inline(expectations: list[dict[str, Any]], **params: object) -> NamedSuite:
    here = ("datasets.numbers.expectations", expectations)
    return suite_of(spec(here, ("params", params)), "numbers", "")


def test_a_looser_suite_in_the_spec_is_told_by_expectation() -> None:
    before, after = map(inline, (INLINE, LOOSER))
    (change,) = suite_changes(before, after)
    assert change.rule == "datasets.numbers.expectations: x"
    assert (change.was, change.now, change.loosens) == ("values ≤ 1", "values ≤ 9", True)


def test_a_suite_that_moves_into_the_spec_is_compared_as_what_it_was() -> None:
    text = json.dumps({"name": "s", "expectations": INLINE})
    before = suite("suite.json", text)
    assert list(suite_changes(before, inline(INLINE))) == []
    assert [one.loosens for one in suite_changes(before, inline(LOOSER))] == [True]


def limited(text: str, **params: object) -> NamedSuite:
    value = {"$PARAMETER": text}
    return inline([{**INLINE[0], "kwargs": {"column": "x", "max_value": value}}], **params)


@pytest.mark.parametrize(
    ("now", "loosens"), [({"most": 9}, True), ({"most": 3}, False), ({"most": 5}, None)]
)
def test_a_parameter_that_changes_is_a_limit_that_changes(
    now: dict[str, int], loosens: bool | None
) -> None:
    changes = suite_changes(limited("most", most=5), limited("most", **now))
    assert [one.loosens for one in changes] == ([] if loosens is None else [loosens])


def test_a_parameter_in_an_expression_may_loosen_whichever_way_it_goes() -> None:
    before, after = (limited("10 - most", most=most) for most in (5, 4))
    (change,) = suite_changes(before, after)
    assert (change.was, change.loosens) == ("values ≤ 10 - most, with most 5", True)


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


def changed(before: str, after: str, named: str = NAMED) -> list[RuleChange]:
    return list(suite_changes(suite(named, before), suite(named, after)))


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
    changes = changed(CONTRACT, CONTRACT.replace(was, now))
    assert {change.rule for change in changes} == {f"{NAMED}: {column}"}
    assert any(change.loosens for change in changes) is loosens


def test_what_changes_in_another_object_of_the_contract_does_not_matter() -> None:
    rest = CONTRACT.replace("{name: id, required: true}", "{name: id}")
    assert rest != CONTRACT
    assert changed(CONTRACT, rest) == []
    (change,) = changed(CONTRACT, rest, "shop.odcs.yaml#customers")
    assert change.loosens
