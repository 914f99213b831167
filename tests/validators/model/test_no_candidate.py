"""A candidate without predictions never passes, and the report says whose evaluation it was."""

import json
from pathlib import Path

import pytest

from tests.validators.model.tables import Bench, flights
from validators.model.gate import judge
from validators.model.request import ModelGateRequest, NoCandidate
from validators.render import as_html, junit, markdown, terminal
from validators.report import Report
from validators.verdict import Verdict

EXAM = "the evaluation of main (3fa9c1d), on its data"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def _without(bench: Bench, none: NoCandidate) -> Report:
    request = bench.request(flights(200), flights(200)).model_copy(
        update={"candidate": none, "exam": EXAM}
    )
    return judge(ModelGateRequest.model_validate_json(request.model_dump_json()))


def test_a_candidate_without_predictions_is_an_error_that_names_every_check(bench: Bench) -> None:
    none = NoCandidate(kind="missing", reason="the pull request has no step evaluate")
    report = _without(bench, none)
    assert report.verdict is Verdict.ERROR
    first, *rest = report.checks
    assert first.message == "There is nothing to judge: the pull request has no step evaluate."
    assert "Fix the step that writes steps.evaluate.predictions" in (first.next_step or "")
    assert [check.verdict for check in rest] == [Verdict.SKIPPED] * len(bench.checks)
    assert all("was not measured" in check.message for check in rest)


def test_a_candidate_on_which_the_evaluation_failed_leaves_the_question_open(bench: Bench) -> None:
    none = NoCandidate(
        kind="could_not_run", reason="evaluate.py exited with 1.", next_step="Read its log."
    )
    report = _without(bench, none)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert not report.verdict.passes
    assert report.checks[0].message.endswith("could not be evaluated: evaluate.py exited with 1.")
    assert report.checks[0].next_step == "Read its log."


def test_the_report_of_another_exam_says_whose_it_is_wherever_it_is_shown(bench: Bench) -> None:
    request = bench.request(flights(), flights()).model_copy(update={"exam": EXAM})
    for report in (judge(request), _without(bench, NoCandidate(kind="missing", reason="x"))):
        assert report.exam == EXAM
        assert report.notes[0] == f"Judged by {EXAM}."
        for render in (markdown.render, terminal.render, as_html.render, junit.render):
            assert EXAM in render(report, "t")


def test_the_report_names_what_the_candidate_was_held_against(bench: Bench) -> None:
    assert bench.judge(flights(), flights()).baseline == "flight-delay 6"
    assert bench.judge(flights()).baseline == ""


def test_a_request_with_a_file_is_read_as_before(bench: Bench) -> None:
    given = json.loads(bench.request(flights(200), None).model_dump_json())
    assert isinstance(given["candidate"], str)
    assert isinstance(ModelGateRequest.model_validate(given).candidate, Path)
    open_ = {"kind": "could_not_run", "reason": "x"}
    assert isinstance(
        ModelGateRequest.model_validate({**given, "candidate": open_}).candidate, NoCandidate
    )
