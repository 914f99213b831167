"""A comment on a pull request has a maximum length; reports are cut by whole checks (PAINS 14)."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.validators.render.reports import TITLE, hostile, reports
from validators.render import markdown
from validators.report import Check, Report
from validators.verdict import Verdict

WHOLE = "headgate show R-17"


def _long(passed: int, failed: int) -> Report:
    checks = [
        Check(name=f"passed {at:04}", verdict=Verdict.PASS, message="as expected", n=at)
        for at in range(passed)
    ]
    checks += [
        Check(name=f"failed {at:04}", verdict=Verdict.FAIL, message="not as expected", n=at)
        for at in range(failed)
    ]
    return Report(gate="data", subject="flights", checks=tuple(checks))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(reports, max_size=3),
    hostile,
    st.none() | hostile,
    st.integers(min_value=0, max_value=4000),
)
def test_the_text_is_never_longer_than_allowed(
    every: list[Report], title: str, whole: str | None, longest: int
) -> None:
    assert len(markdown.render(every, title, whole=whole, longest=longest)) <= longest


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(700, 9000))
def test_whole_checks_are_cut_and_counted_passes_first(
    passed: int, failed: int, longest: int
) -> None:
    text = markdown.render(_long(passed, failed), TITLE, whole=WHOLE, longest=longest)
    failing = r"^- ❌ \*\*failed \d{4}\*\*<br>not as expected \(n \d+\)$"
    passing = r"^- \*\*passed \d{4}\*\*<br>as expected$"
    seen_failed, seen_passed = (
        len(re.findall(line, text, re.MULTILINE)) for line in (failing, passing)
    )
    assert len(re.findall(r"\*\*(?:failed|passed) ", text)) == seen_failed + seen_passed
    cut = passed + failed - seen_failed - seen_passed
    said = re.search(r"_(\d+) checks? (?:is|are) not shown here", text)
    assert (int(said[1]) if said else 0) == cut
    assert not cut or WHOLE in text
    assert seen_passed == 0 or seen_failed == failed


def test_as_much_is_shown_as_fits() -> None:
    report = _long(0, 1500)
    text = markdown.render(report, TITLE, whole=WHOLE)
    assert 65_000 < len(text) <= markdown.LONGEST
    assert "1,500 failed" in text


def test_a_short_report_is_not_cut() -> None:
    text = markdown.render(_long(3, 3), TITLE, whole=WHOLE)
    assert "not shown" not in text
    assert WHOLE not in text
