"""The first line never promises more than the worst check."""

import re
import xml.etree.ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.validators.render.reports import hostile, reports
from validators.render import as_html, as_json, junit, markdown, terminal
from validators.report import Check, Report
from validators.verdict import Verdict, worst

few = settings(max_examples=20, deadline=None)
several = st.lists(reports, max_size=3)
ICONS = {
    Verdict.PASS: "✅",
    Verdict.WARN: "⚠️",
    Verdict.SKIPPED: "⏭️",
    Verdict.INCONCLUSIVE: "❔",
    Verdict.ERROR: "🛑",
    Verdict.FAIL: "❌",
}


def _worst(every: list[Report]) -> Verdict:
    """The worst of all checks; no checks, or no gates, are an ERROR."""
    return worst(worst(check.verdict for check in report.checks) for report in every)


@few
@given(several, hostile, st.integers(60, 9000))
def test_the_first_line_shows_the_worst_of_the_checks_however_much_is_cut(
    every: list[Report], title: str, longest: int
) -> None:
    found = _worst(every)
    first = markdown.render(every, title, longest=longest).partition("\n")[0]
    assert first.removeprefix("## ").startswith(ICONS[found])
    words = re.search(r"\b(FAIL|ERROR|INCONCLUSIVE|SKIPPED|WARN)\b", first.partition(":")[0])
    assert found is Verdict.PASS or (words is not None and words[1] == found.value)


@few
@given(several)
def test_no_form_calls_a_pass_what_did_not_pass(every: list[Report]) -> None:
    found = _worst(every)
    lines = {
        "terminal": terminal.render(every, "the gates").partition("\n")[0],
        "page": re.findall(r"<title>(.*?)</title>", as_html.render(every, "the gates"))[0],
        "markdown": markdown.render(every, "the gates").partition("\n")[0],
    }
    for line in lines.values():
        assert "PASS" not in line
        assert (found.value in line) is (found is not Verdict.PASS)
    assert f'"verdict": "{found.value}"' in as_json.render(every, "t").partition('"reports"')[0]
    root = ET.fromstring(junit.render(every, "t"))
    bad = int(root.attrib["failures"]) + int(root.attrib["errors"])
    stops = {Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE}
    assert not every or (bad > 0) is (found in stops)


@few
@given(reports)
def test_the_heading_of_a_gate_shows_the_worst_of_its_own_checks(report: Report) -> None:
    passed = Check(name="rows", verdict=Verdict.PASS, message="there are rows")
    other = Report(gate="smoke", subject="x", checks=(passed,))
    text = markdown.render([other, report], "t")
    headings = re.findall(r"^### (\S+) (\w+) gate", text, re.MULTILINE)
    assert (ICONS[worst(c.verdict for c in report.checks)], report.gate) in headings


def test_a_pass_promises_nothing_of_what_its_title_speaks_of() -> None:
    passed = Check(name="rows", verdict=Verdict.PASS, message="there are rows")
    report = Report(gate="data", subject="flights", checks=(passed,))
    text = markdown.render(report, "the gates that ran, of 3")
    assert text.startswith("## ✅ the gates that ran, of 3\n\n1 passed.\n")
