"""No text of a report may act: not as markup, not in a terminal, not in a browser (PAINS 25)."""

import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from itertools import groupby

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.validators.render.reports import hostile, reports
from validators.render import as_html, as_json, junit, markdown, terminal
from validators.render.common import as_reports, attention
from validators.render.safe_text import clean
from validators.report import Report
from validators.verdict import Verdict

few = settings(max_examples=20, deadline=None)
several = st.lists(reports, min_size=1, max_size=2)

# What the renderer itself writes.
OWN_HTML = {"<br>", "<sub>", "</sub>", "<code>", "</code>", "<details>", "</details>"}
OWN_HTML |= {"<summary>", "</summary>"}


@few
@given(several, hostile)
def test_markdown_has_no_markup_but_its_own(every: list[Report], title: str) -> None:
    text = markdown.render(every, title)
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    tokens = parser.parse(text)
    headings = [token for token in tokens if token.type == "heading_open"]
    assert len(headings) == 1 + len(every)
    assert not [t for t in tokens if t.type in {"fence", "code_block", "ordered_list_open", "hr"}]
    inline = [child for token in tokens for child in token.children or ()]
    assert not [t for t in inline if t.type in {"link_open", "image", "em_open", "s_open"}]
    blocks = [token.content for token in tokens if token.type == "html_block"]
    shown = "".join([*blocks, *(t.content for t in inline if t.type == "html_inline")])
    assert set(re.findall(r"<[^>]*>", shown)) <= OWN_HTML
    # No text opened a row, a cell or an item of its own.
    rows = sum(token.type == "tr_open" for token in tokens)
    tables = sum(token.type == "table_open" for token in tokens)
    assert rows - tables == sum(len(report.metrics) for report in every)
    cells = sum(token.type in {"th_open", "td_open"} for token in tokens)
    assert tables * 2 <= cells <= 4 * rows
    items = sum(token.type == "list_item_open" for token in tokens)
    assert items == sum(map(_items, every))


def _items(report: Report) -> int:
    """One for each check and note, and one above several answers to the same question."""
    checks = sorted(report.checks, key=lambda check: attention(check.verdict))
    loud = [check for check in checks if check.verdict is not Verdict.PASS]
    sizes = [
        len(list(alike))
        for _, alike in groupby(loud, lambda c: (c.verdict, c.name, c.next_step, c.where))
    ]
    undefined = sum(bool(metric.note) for metric in report.metrics)
    return len(checks) + sum(size > 1 for size in sizes) + len(report.notes) + undefined


@few
@given(hostile)
def test_markdown_shows_the_text_itself(text: str) -> None:
    cleaned = " ".join(clean(text).split())
    (paragraph,) = [
        token
        for token in MarkdownIt("commonmark").enable(["table"]).parse(f"> {markdown.escape(text)}.")
        if token.type == "inline"
    ]
    shown = "".join(child.content for child in paragraph.children or ())
    assert shown.replace("\N{ZERO WIDTH SPACE}", "") == f"{cleaned}.".replace(
        "\N{ZERO WIDTH SPACE}", ""
    )


def test_markdown_mentions_nobody_and_refers_to_nothing() -> None:
    shown = markdown.escape(
        "@team #12 GH-3 https://evil.example www.evil.example a@b.example :tada:"
    )
    text = MarkdownIt("commonmark").render(shown)
    for acting in ("@team", "#12", "GH-3", "https:", "www.", "a@b", ":tada:"):
        assert acting not in text
    assert text.count("\N{ZERO WIDTH SPACE}") == 7


@few
@given(several, hostile)
def test_a_terminal_gets_colours_and_no_other_command(every: list[Report], title: str) -> None:
    plain = terminal.render(every, title)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", plain)
    coloured = terminal.render(every, title, colour=True)
    left = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", left)


def test_a_terminal_shows_square_brackets_as_they_are() -> None:
    assert "[bold red]x[/]" in terminal.render(Report(gate="data", subject="[bold red]x[/]"), "t")


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def _page(text: str) -> _Page:
    page = _Page()
    page.feed(text)
    page.close()
    return page


def _all_of_it() -> tuple[set[str], set[str]]:
    page = _page(as_html.render([Report(gate="data", subject="x")], "t"))
    tags = {"ul", "li", "b", "p", "dl", "dt", "dd", "code", "details", "summary", "footer"}
    tags |= {"table", "thead", "tbody", "tr", "th", "td"}
    tags |= {"figure", "figcaption", "svg", "title", "desc", "rect", "line", "text", "path", "br"}
    attributes = {"open", "title", "aria-hidden", "class", "role", "scope", "text-anchor"}
    attributes |= {"x", "y", "x1", "y1", "x2", "y2", "width", "height", "viewbox", "d"}
    return page.tags | tags, page.attributes | attributes | {"preserveaspectratio"}


TAGS, ATTRIBUTES = _all_of_it()


@few
@given(several, hostile)
def test_a_page_has_no_element_but_its_own_and_loads_nothing(
    every: list[Report], title: str
) -> None:
    page = _page(as_html.render(every, title))
    assert page.tags <= TAGS
    assert "script" not in page.tags
    assert page.attributes <= ATTRIBUTES
    assert not page.attributes & {"src", "href", "onerror", "srcset", "action"}


@few
@given(several, hostile)
def test_junit_is_well_formed_and_its_counts_are_right(every: list[Report], title: str) -> None:
    root = ET.fromstring(junit.render(every, title))
    assert root.tag == "testsuites"
    for suite, report in zip(root.findall("testsuite"), as_reports(every), strict=True):
        cases = suite.findall("testcase")
        assert int(suite.attrib["tests"]) == len(cases) == max(1, len(report.checks))
        assert int(suite.attrib["failures"]) == report.count(Verdict.FAIL)
        assert len(suite.findall("testcase/failure")) == report.count(Verdict.FAIL)
        errors = len(suite.findall("testcase/error"))
        assert errors == int(suite.attrib["errors"])
        assert errors > 0 or report.verdict not in (Verdict.ERROR, Verdict.INCONCLUSIVE)
        assert len(suite.findall("testcase/skipped")) == report.count(Verdict.SKIPPED)


# Element: attributes it must have, attributes it may have, children in their order.
SHAPE: dict[str, tuple[set[str], set[str], list[str]]] = {
    "testsuites": ({"name", "tests", "failures", "errors", "skipped"}, set(), ["testsuite"]),
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped"},
        set(),
        ["properties", "testcase", "system-out"],
    ),
    "properties": (set(), set(), ["property"]),
    "property": ({"name", "value"}, set(), []),
    "testcase": (
        {"name", "classname"},
        {"file", "line"},
        ["skipped", "error", "failure", "system-out"],
    ),
    "skipped": ({"message"}, set(), []),
    "error": ({"message", "type"}, set(), []),
    "failure": ({"message", "type"}, set(), []),
    "system-out": (set(), set(), []),
}


@few
@given(several)
def test_junit_has_the_shape_that_readers_of_it_agree_on(every: list[Report]) -> None:
    for element in ET.fromstring(junit.render(every, "t")).iter():
        must, may, children = SHAPE[element.tag]
        assert must <= set(element.keys()) <= must | may
        places = [children.index(child.tag) for child in element]
        assert places == sorted(places)


@few
@given(several, hostile)
def test_json_is_strict_and_reads_back_as_the_same_reports(every: list[Report], title: str) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    found = json.loads(as_json.render(every, title), parse_constant=refuse)
    for one, report in zip(found["reports"], as_reports(every), strict=True):
        assert one.pop("verdict") == report.verdict
        assert one.pop("passes") is report.verdict.passes
        assert sum(one.pop("counts").values()) == len(report.checks)
        # By its JSON, because NaN is not equal to itself.
        again = Report.model_validate(one)
        assert again.model_dump_json() == report.model_dump_json()
