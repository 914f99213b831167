"""Each form of one report, letter by letter.

After a wanted change: `HEADGATE_GOLDEN=write pytest tests/validators/render/test_golden.py`, and
read the difference.
"""

import itertools
import os
import re
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


@pytest.mark.parametrize("name", ["report.html", "report.md", "report.txt", "report.xml"])
def test_an_engine_is_named_where_it_is_not_the_usual_one(name: str) -> None:
    text = " ".join(FORMS[name](DATA, TITLE).split())  # a terminal breaks lines
    assert "evaluated by" in text
    assert "Great Expectations" in text
    assert "Headgate" not in text


def test_a_page_draws_what_failed_over_its_reference_and_says_it_without_sight() -> None:
    page = as_html.render(DATA, TITLE)
    assert page.count("<figure") == 2
    version = "version 3f3f3f3f3f3f of 2026-05-12, which passed its gates"
    assert f"{version}: about 25,865 values, estimated from a sample" in page
    assert page.count('<path class="then"') == 1
    assert "<title>above 1,590: 1 (&lt;0.01 %)</title>" in page
    (said,) = re.findall("<desc>(.*?)</desc>", page)
    assert said.startswith("27,004 values, 1 above what is drawn; drawn -210 to 1,590")
    assert "; the reference: about 25,865 values; drawn" in said
    assert said.endswith("limit: values -60 to 1,440")
    row = r'"out"><th scope="row">other values, not in the set</th><td>50 \(0.19 %\)<br>'
    assert re.search(rf'{row}<span class="before">0 \(0 %\)', page)


def test_a_page_without_a_reference_draws_the_version_alone() -> None:
    alone = tuple(check.model_copy(update={"reference": None}) for check in DATA.checks)
    page = as_html.render(DATA.model_copy(update={"checks": alone, "reference": None}), TITLE)
    assert page.count("<figure") == 2
    assert 'class="now">this version: 27,004 values' in page
    assert 'class="then"' not in page
    assert 'class="before"' not in page


def test_a_report_for_programs_names_the_engine_of_each_check() -> None:
    (report,) = as_json.to_dict(DATA, TITLE)["reports"]
    engines = {check["name"].partition(":")[0]: check["engine"] for check in report["checks"]}
    assert (engines["flight_id"], engines["origin"]) == ("Headgate", "Great Expectations")


@pytest.mark.parametrize("name", ["report.html", "report.md", "report.txt"])
def test_what_failed_stands_before_what_warned_and_what_passed(name: str) -> None:
    text = FORMS[name](DATA, TITLE)
    assert text.index("carrier: no nulls") < text.index("dep_delay: values")
    if name != "report.txt":  # a terminal only counts what passed
        assert text.index("dep_delay: values") < text.index("flight_id: unique values")


@pytest.mark.parametrize("name", sorted(FORMS))
def test_the_model_stands_before_its_data_and_the_worst_first_within_a_kind(name: str) -> None:
    clean = DATA.model_copy(update={"subject": "weather", "checks": DATA.checks[:1]})
    orders = {FORMS[name](order, TITLE) for order in itertools.permutations((DATA, MODEL, clean))}
    assert len(orders) == 1
    (text,) = orders
    places = [text.index(report.subject) for report in (MODEL, DATA, clean)]
    assert places == sorted(places)


def test_metrics_are_a_table_of_four_columns_and_those_that_no_check_names_are_folded() -> None:
    text = markdown.render(MODEL, TITLE)
    assert "| Metric | v6 → candidate | Difference | 95 % interval |" in text
    assert "| roc_auc ↑ | 0.731 → 0.7123 | 🔻 &#45;0.01865 | &#45;0.0231 to -0.0147 |" in text
    assert text.index("roc_auc ↑") < text.index("2 more metrics") < text.index("log_loss ↓")
    assert not re.search(r"\d\.\d{6}", text)


def test_several_answers_to_one_question_share_its_name_and_next_step() -> None:
    text = markdown.render(MODEL, TITLE)
    assert text.count("roc_auc by carrier") == 1
    assert text.count("Add a check with") == 1
    assert "\n  - carrier=UA got worse: roc_auc 0.81 → 0.62 on 406 rows.\n" in text
    assert "\n  - carrier=DL got worse: roc_auc 0.8 → 0.63 on 406 rows.\n" in text


def test_evidence_that_the_words_leave_out_stands_beside_the_name() -> None:
    text = markdown.render(MODEL, TITLE)
    assert "**latency**<br>No predictions. (window 90 min)" in text
    assert "roc_auc by carrier** (limit not worse by more than 0.005)" in text
    assert "limit not worse by more than 0.005, difference &#45;0.01865, interval" in text
