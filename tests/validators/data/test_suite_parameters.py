"""A suite with parameters judges as the same suite with their values."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.validators.data.asking import ROOT, ask
from validators.data.suites.suite import read_suite
from validators.report import Report
from validators.verdict import Verdict

TABLE = {"id": [1, 2, 3], "x": [0.5, 1.5, 2.5]}


def suite(*values: object, **own: object) -> str:
    entries = [
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "x", "max_value": value},
        }
        for value in values
    ]
    return json.dumps({"name": "s", "expectations": entries, "suite_parameters": own}, indent=1)


def parameter(text: str) -> dict[str, str]:
    return {"$PARAMETER": text}


def judged(folder: Path, text: str, **params: Any) -> Report:
    return ask(folder, TABLE, text, "suite.json", params=params)


def test_the_spec_s_params_go_before_the_suite_s_own(tmp_path: Path) -> None:
    text = suite(parameter("most"), parameter("least"), most=9, least=0)
    own, given = (read_suite(text, "suite.json", params) for params in ({}, {"most": 2}))
    assert [one.kwargs["max_value"] for one in own.expectations] == [9, 0]
    assert [one.kwargs["max_value"] for one in given.expectations] == [2, 0]


def test_an_unknown_parameter_is_an_error_with_its_line_and_the_nearest_name() -> None:
    (problem,) = read_suite(suite(parameter("mots"), most=9), "suite.json").problems
    assert (problem.line, problem.nearest) == (8, "most")


def test_a_limit_in_a_parameter_stops_what_the_limit_stops(tmp_path: Path) -> None:
    report = judged(tmp_path, suite(parameter("most")), most=2)
    plain = judged(tmp_path, suite(2))
    assert report.verdict is Verdict.FAIL
    assert [one.message for one in report.checks] == [one.message for one in plain.checks]


def test_expressions_are_computed_as_great_expectations_does(tmp_path: Path) -> None:
    texts = ("most * 2 - 1", "trunc(most / 2) + PI", "most / 0", "most + ", "datetime(2024, 1, 1)")
    report = judged(tmp_path, suite(*map(parameter, texts)), most=2)
    said = [(check.verdict, check.message) for check in report.checks]
    errors = [message for verdict, message in said if verdict is Verdict.ERROR]
    assert "`most / 0` cannot be computed" in errors[0]
    assert "`most +` cannot be computed" in errors[1]
    assert "2024-01-01" in errors[2]  # a time, which the column of floats cannot be compared with
    passed = [check for check in report.checks if check.verdict is Verdict.PASS]
    assert [check.limit for check in passed] == ["values ≤ 3", "values ≤ 4.14159"]


@pytest.mark.parametrize("text", ["now()", "nothing", "urn:great_expectations:x"])
def test_what_cannot_be_filled_is_an_error_and_the_rest_is_judged(
    tmp_path: Path, text: str
) -> None:
    report = judged(tmp_path, suite(parameter(text), 9))
    assert [check.verdict for check in report.checks] == [Verdict.ERROR, Verdict.PASS]


IMPORTED = """
import sys
from validators.data.__main__ import main
main(sys.argv[1:])
print("great_expectations" in sys.modules)
"""


@pytest.mark.parametrize(("text", "imports"), [("most", "False"), ("most * 2", "True")])
def test_only_an_expression_costs_the_import_of_great_expectations(
    tmp_path: Path, text: str, imports: str
) -> None:
    judged(tmp_path, suite(parameter(text)), most=9)
    paths = (str(tmp_path / "request.json"), str(tmp_path / "again.json"))
    command = (sys.executable, "-W", "ignore", "-c", IMPORTED, *paths)
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == imports
