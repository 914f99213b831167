"""A suite is read with positions, and all problems of its structure are reported at once."""

import json
from pathlib import Path

import pytest

from specs.loading.problems import Problem
from validators.data.suites.suite import Suite, read_suite

YAML = """\
name: flights
expectations:
  - type: expect_column_values_to_not_be_null
    kwargs: {column: carrier}
  - type: expect_column_values_to_be_between
    kwargs:
      column: dep_delay
      min_value: -60
      max_value: 1440
    severity: warning
    meta: {why: minutes}
"""


def _one(text: str, file: str = "suite.yaml") -> Problem:
    (problem,) = read_suite(text, file).problems
    return problem


def _same(one: Suite, other: Suite) -> bool:
    return [(e.type, e.kwargs, e.severity) for e in one.expectations] == [
        (e.type, e.kwargs, e.severity) for e in other.expectations
    ]


def test_a_suite_is_read_with_the_line_of_each_expectation() -> None:
    suite = read_suite(YAML, "suite.yaml")
    assert suite.problems == ()
    assert [one.severity for one in suite.expectations] == ["critical", "warning"]
    assert suite.expectations[1].kwargs == {
        "column": "dep_delay",
        "min_value": -60,
        "max_value": 1440,
    }
    assert [one.line for one in suite.expectations] == [3, 5]


def test_json_and_yaml_say_the_same(tmp_path: Path) -> None:
    content = {
        "name": "flights",
        "meta": {"great_expectations_version": "1.24.1"},
        "expectations": [
            {"type": one.type, "kwargs": one.kwargs, "severity": one.severity, "meta": {}}
            for one in read_suite(YAML, "suite.yaml").expectations
        ],
    }
    for indent in (None, 2, "\t"):
        suite = read_suite(json.dumps(content, indent=indent), "suite.json")
        assert suite.problems == ()
        assert _same(suite, read_suite(YAML, "suite.yaml"))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_limit_that_is_no_number_is_refused(number: str) -> None:
    text = json.dumps({"name": "s", "expectations": [{"type": "t", "kwargs": {"max_value": 5}}]})
    assert read_suite(text, "suite.json").problems == ()
    problem = _one(text.replace("5", number), "suite.json")
    assert (problem.code, problem.message.partition(" ")[0]) == ("not-finite", number)


def test_a_suite_without_expectations_is_a_problem() -> None:
    problem = _one("name: flights\nexpectations: []\n")
    assert problem.code == "no-expectations"
    assert problem.line == 2


def test_a_misspelt_key_is_found_with_its_place_and_the_right_name() -> None:
    problem = _one(YAML.replace("    kwargs: {", "    kwrgs: {"))
    assert (problem.line, problem.column, problem.nearest) == (4, 5, "kwargs")


def test_an_unknown_severity_names_those_that_there_are() -> None:
    problem = _one(YAML.replace("severity: warning", "severity: blocker"))
    assert (problem.line, problem.found) == (10, "blocker")
    assert problem.expected == "critical, warning, info"


def test_whether_there_may_be_nothing_to_check_is_true_or_false() -> None:
    problem = _one(YAML.replace("why: minutes", "may_be_empty: sometimes"))
    assert problem.path == "expectations[1].meta.may_be_empty"
    assert problem.expected == "true or false"
    text = YAML.replace("why: minutes", "may_be_empty: true")
    first, second, *_ = read_suite(text, "suite.yaml").expectations
    assert (first.may_be_empty, second.may_be_empty) == (False, True)


def test_the_form_before_1_0_is_recognised() -> None:
    text = YAML.replace("name: flights", "expectation_suite_name: flights")
    problem = _one(text)
    assert problem.nearest == "name"
    old = _one(
        YAML.replace(
            "- type: expect_column_values_to_not", "- expectation_type: expect_column_values_to_not"
        )
    )
    assert old.nearest == "type"
    assert "before Great Expectations 1.0" in old.message


def test_every_problem_is_told_at_once() -> None:
    text = (
        "nme: x\nexpectations:\n- type: 3\n- kwargs: []\n- severity: loud\n  type: expect_x\n- 7\n"
    )
    lines = [problem.line for problem in read_suite(text, "suite.yaml").problems]
    assert {1, 3, 4, 5, 7} <= set(lines)


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("", "suite.yaml"),
        ("- a list", "suite.yaml"),
        ("name: [", "suite.yaml"),
        ("name: x\nexpectations: 3", "suite.yaml"),
        ("!!python/object/apply:os.system ['true']", "suite.yaml"),
        ("[" * 500, "suite.json"),
        ("{" * 500, "suite.yaml"),
        ('{"name": "x", "expectations": [,]}', "suite.json"),
        ("name: x\n" + "# " + "x" * 300_000, "suite.yaml"),
        ('{"name": "' + "x" * 300_000 + '"}', "suite.json"),
        ("\x00\x01", "suite.yaml"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1]\n"
            + "".join(
                f"{k}: &{k} [{','.join('*' + p for _ in range(9))}]\n"
                for p, k in zip("abcdefg", "bcdefgh", strict=True)
            ),
            "suite.yaml",
        ),
        ("name: x\nexpectations:\n- type: e\n  kwargs: {min_value: {$PARAMETER: low}}", "s.yaml"),
    ],
    ids=lambda value: value[:20].strip() or "empty" if isinstance(value, str) else None,
)
def test_a_hostile_or_broken_suite_is_refused_in_words(text: str, file: str) -> None:
    problems = read_suite(text, file).problems
    assert problems
    assert all(problem.file == file and problem.message for problem in problems)
    assert read_suite(text, file).expectations == ()
