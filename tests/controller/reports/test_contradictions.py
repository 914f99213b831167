"""No sentence of a report contradicts its verdict, however a run ends."""

import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import pytest

from controller.machine.runs.run import Progress, Run
from controller.reports.commit_report import ReportContext, WorseSibling, build
from controller.reports.forge import CommitReport
from controller.reports.gates import completed
from controller.reports.plain_text import plain
from tests.controller.reports.stories import (
    data_report,
    done,
    failed_step,
    graph,
    model_report,
    run,
)
from tests.controller.reports.test_commit_report import SHA, action
from validators.report import Report
from validators.verdict import Verdict, worst

GRAPH = graph(SHA)
SKIPPED = Progress(skipped="train did not succeed")
CASES: Mapping[str, Mapping[str, Any]] = {
    "pushed": {},
    "of a pull request": {"pull": 12, "releases": False, "branch": "pull request 12"},
    "cancelled": {"cancelled": "superseded by commit ffffffffffff"},
}


def runs() -> Iterator[Run]:
    """Every way in which the four nodes of the story can end, pushed, proposed and cancelled."""
    gates = [done(1, verdict, report="r") for verdict in Verdict]
    for facts in CASES.values():
        for data, train, model in product(
            [*gates, failed_step("no data")],
            [done(42, model="m"), failed_step("exit code 1")],
            [*gates, failed_step("killed")],
        ):
            goes_on = data.verdict is not None and data.verdict.passes
            nodes = {
                "gate.data.flights": data,
                "train": train if goes_on else SKIPPED,
                "gate.model": model if goes_on and train.outputs else SKIPPED,
            }
            yield run(SHA, nodes, **facts)


def told(one: Run, *, lost: bool) -> CommitReport:
    """The report at the end of a run; its model gate's report may be lost."""
    said = action(one.outcome, f"{one.id} {one.outcome}").model_copy(update={"pull": one.pull})
    return build(said, one, GRAPH, reports_of(one, lost=lost))


def reports_of(one: Run, *, lost: bool) -> dict[str, Report]:
    found = {}
    for gate, report in (
        ("gate.data.flights", data_report()),
        ("gate.model", model_report(Verdict.PASS)),
    ):
        verdict = one.nodes[gate].verdict
        if verdict is not None and not (lost and gate == "gate.model"):
            (check, *_) = report.checks
            judged = check.model_copy(update={"verdict": verdict})
            found[gate] = report.model_copy(update={"checks": (judged,)})
    return found


@pytest.mark.parametrize("lost", [False, True])
def test_whatever_became_of_a_run_its_heading_its_check_and_its_sentences_agree(
    lost: bool,
) -> None:
    outcomes = set()
    for one in runs():
        outcomes.add(one.outcome)
        report = told(one, lost=lost)
        text = plain(report.text)
        passed = one.outcome == "passed"
        assert (report.conclusion == "success") == passed
        assert report.text.startswith("## ✅") == passed
        assert f"{one.id} {one.outcome} " in text
        headings = re.findall(r"^## .*", report.text, re.MULTILINE)
        assert len(headings) == 1, "a second verdict could be another"
        released = "goes to staging" in text or "reused, not trained again" in text
        assert released == passed
        assert ("gave no verdict" in text) <= (not passed)
        if not passed:
            assert "PASS: " not in text
            assert report.title not in ("passed", "all gates passed")
    assert outcomes == {"passed", "failed", "stopped", "cancelled"}


def test_a_gate_that_did_not_judge_is_named_and_a_lost_report_keeps_its_verdict() -> None:
    nodes = {"gate.data.flights": done(1, Verdict.PASS, report="r"), "train": failed_step("no")}
    failed = run(SHA, {**nodes, "gate.model": SKIPPED})
    text = plain(told(failed, lost=False).text)
    assert "`gate.model` gave no verdict: train did not succeed." in text
    stopped = run(SHA, {**nodes, "gate.model": done(2, Verdict.FAIL, report="r")})
    text = plain(told(stopped, lost=True).text)
    assert "The report of `gate.model` is lost; its verdict was FAIL." in text


@pytest.mark.parametrize("lost", [False, True])
def test_reports_for_programs_never_pass_where_the_run_did_not(lost: bool) -> None:
    for one in runs():
        reports = completed(one, GRAPH, reports_of(one, lost=lost))
        if one.outcome != "passed":
            assert not worst(report.verdict for report in reports).passes


def test_a_pull_request_whose_twin_was_stopped_does_not_pass_and_says_which_it_was() -> None:
    nodes = {
        "gate.data.flights": done(1, Verdict.PASS, report="r"),
        "train": done(42, model="m"),
        "gate.model": done(2, Verdict.PASS, report="r"),
    }
    ours = run(SHA, nodes, **CASES["of a pull request"])
    said = action("passed", "passed").model_copy(update={"pull": 12})
    worse = WorseSibling(14, "flight-delay-13", "was stopped", "failure")
    report = build(
        said, ours, GRAPH, reports_of(ours, lost=False), context=ReportContext(worse=worse)
    )
    assert report.conclusion == "failure"
    assert report.text.startswith("## ❌")
    assert report.title.startswith("#14 with the same head was stopped; here: roc_auc 0.8679")
    assert "its run `flight-delay-13` was stopped" in plain(report.text)
