"""Each form of one report, letter by letter.

After a wanted change: `HEADGATE_GOLDEN=write pytest tests/validators/render/test_golden.py`, and
read the difference.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.validators.render.reports import DATA, MODEL, TITLE
from validators.render import as_html, as_json, junit, markdown, terminal

GOLDEN = Path(__file__).parent / "golden"
FORMS: dict[str, Callable[..., str]] = {
    "report.html": as_html.render,
    "report.json": as_json.render,
    "report.md": markdown.render,
    "report.txt": terminal.render,
    "report.xml": junit.render,
}


@pytest.mark.parametrize("name", sorted(FORMS))
def test_a_report_looks_as_it_did(name: str) -> None:
    text = FORMS[name]((DATA, MODEL), TITLE)
    if os.environ.get("HEADGATE_GOLDEN") == "write":
        (GOLDEN / name).write_text(text, encoding="utf-8")
    assert text == (GOLDEN / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(FORMS))
def test_one_report_is_a_sequence_of_one(name: str) -> None:
    assert FORMS[name](DATA, TITLE) == FORMS[name]([DATA], TITLE)


@pytest.mark.parametrize("name", sorted(FORMS))
def test_a_gate_that_checked_nothing_is_shown_as_an_error(name: str) -> None:
    empty = DATA.model_copy(update={"checks": ()})
    assert "ERROR" in FORMS[name](empty, TITLE)
    assert "ERROR" in FORMS[name]([], TITLE) or name == "report.xml"


@pytest.mark.parametrize("name", ["report.html", "report.md", "report.txt"])
def test_a_gate_that_cannot_fail_says_so(name: str) -> None:
    assert "does not enforce" in FORMS[name](MODEL, TITLE)
    assert "does not enforce" not in FORMS[name](DATA, TITLE)


@pytest.mark.parametrize("name", ["report.html", "report.md", "report.txt"])
def test_what_failed_stands_before_what_warned_and_what_passed(name: str) -> None:
    text = FORMS[name](DATA, TITLE)
    assert text.index("carrier: no nulls") < text.index("dep_delay: values")
    if name != "report.txt":  # a terminal only counts what passed
        assert text.index("dep_delay: values") < text.index("flight_id: unique values")
