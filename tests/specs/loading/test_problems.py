"""The renderings of problems for people and machines."""

import json

from hypothesis import given
from hypothesis import strategies as st

from specs.lint.check import check
from specs.loading.problems import (
    Problem,
    has_errors,
    in_order,
    render_text,
    to_github,
    to_json,
    to_sarif,
)
from tests.specs.samples import FILES, TEN_MISTAKES
from tests.specs.steady import steady

FILE = "flights/ml-pipeline.yaml"
PROBLEMS = check(TEN_MISTAKES, FILE, FILES).problems


def problem(message: str = "m", *, line: int = 1, column: int = 1) -> Problem:
    return Problem("error", "code", message, FILE, line, column)


def test_the_caret_is_below_the_column() -> None:
    text = render_text([problem(line=2, column=4)], {FILE: "first\nab cd\n"})
    assert text.splitlines()[1:3] == ["  2 | ab cd", "    |    ^"]


def test_a_long_line_is_shown_around_the_column() -> None:
    text = render_text([problem(column=501)], {FILE: "a" * 500 + "X" + "b" * 500})
    source, caret = text.splitlines()[1:3]
    assert len(source) < 120
    assert source[caret.index("^")] == "X"


def test_no_line_is_shown_without_the_source() -> None:
    text = render_text([problem("all is wrong", line=7)], {})
    assert text.startswith(f"{FILE}:7:1: error: all is wrong [code]\n")


def test_no_problems_give_no_text() -> None:
    assert render_text([], {}) == ""


@steady
@given(st.text())
def test_a_spec_cannot_control_the_terminal(text: str) -> None:
    shown = render_text([problem(text)], {FILE: text})
    assert all(character.isprintable() or character == "\n" for character in shown)


def test_json_has_every_field() -> None:
    first = json.loads(to_json(PROBLEMS))[0]
    assert first == {
        "severity": "error", "code": "unknown-key", "message": "unknown key `owner` in `metadata`",
        "file": FILE, "line": 5, "column": 3, "path": "metadata.owner", "found": None,
        "expected": "one of name, owners", "nearest": "owners",
    }  # fmt: skip


def test_github_gets_one_command_per_line() -> None:
    lines = to_github(PROBLEMS).splitlines()
    assert len(lines) == len(PROBLEMS)
    assert lines[0] == (
        "::error file=flights/ml-pipeline.yaml,line=5,col=3,title=unknown-key::"
        "unknown key `owner` in `metadata` (metadata.owner); expected one of name, owners; "
        "did you mean owners?"
    )


@steady
@given(st.text(), st.text())
def test_a_spec_cannot_write_workflow_commands(message: str, file: str) -> None:
    command = to_github([Problem("error", "c", message, file)])
    assert command.count("\n") == 1
    assert "\r" not in command
    properties = command.removeprefix("::error ").partition("::")[0]
    assert properties.count(",") == 3


def test_sarif_has_place_and_message() -> None:
    log = json.loads(to_sarif(PROBLEMS))
    run = log["runs"][0]
    assert log["version"] == "2.1.0"
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == {p.code for p in PROBLEMS}
    assert [result["ruleId"] for result in run["results"]] == [p.code for p in PROBLEMS]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == FILE
    assert place["region"] == {"startLine": 5, "startColumn": 3}


def test_a_sarif_fingerprint_does_not_change_when_lines_move() -> None:
    def prints(text: str) -> list[str]:
        results = json.loads(to_sarif(check(text, FILE, FILES).problems))["runs"][0]["results"]
        return [result["partialFingerprints"]["headgate/v1"] for result in results]

    assert prints(TEN_MISTAKES) == prints("# one more line\n" + TEN_MISTAKES)
    assert len(set(prints(TEN_MISTAKES))) == len(PROBLEMS)


def test_problems_are_sorted_by_place_without_duplicates() -> None:
    late, early = problem(line=2), problem(line=1)
    assert in_order([late, early, late]) == (early, late)
    assert has_errors([late])
    assert not has_errors([Problem("warning", "c", "m", FILE)])


def test_a_sarif_place_is_a_uri() -> None:
    log = json.loads(to_sarif([Problem("error", "c", "m", "my models/ml-pipeline.yaml")]))
    place = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "my%20models/ml-pipeline.yaml"
