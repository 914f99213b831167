"""What a reader of a commit finds, and in which order."""

import re

from controller.machine.actions import ReportCommit
from controller.machine.runs.run import Progress
from controller.reports.build import build
from controller.reports.plain import plain
from controller.reports.protocol import LONGEST
from controller.reports.quoted import fenced
from specs.digests import digest, short
from tests.controller.reports.stories import (
    FLIGHTS,
    broken,
    cached,
    data_report,
    done,
    graph,
    model_report,
    run,
)
from validators.verdict import Verdict

SHA = "0123456789" * 4
GRAPH = graph(SHA)
MODEL = digest(b"a model")


def action(
    state: str, title: str, run: str | None = "flight-delay-12", text: str = ""
) -> ReportCommit:
    return ReportCommit.model_validate(
        {
            "repository": "flights",
            "commit": SHA,
            "pipeline": "flight-delay",
            "state": state,
            "title": title,
            "run": run,
            "text": text,
        }
    )


STOPPED = run(
    SHA,
    {
        "gate.data.flights": cached("flight-delay-11", Verdict.PASS, report="x"),
        "train": done(42, model=MODEL),
        "evaluate": done(3, predictions="p"),
        "gate.model": done(2, Verdict.FAIL, report="y"),
    },
)


def in_order(text: str, *parts: str) -> bool:
    """Whether the parts come one after another."""
    return re.search(".*".join(map(re.escape, parts)), text, re.DOTALL) is not None


def test_while_it_runs_the_plan_says_what_runs_what_is_cached_and_why() -> None:
    going = run(
        SHA,
        {
            "gate.data.flights": cached("flight-delay-11", Verdict.PASS, report="x"),
            "train": Progress(key="k"),
        },
        finished=None,
    )
    text = plain(build(action("running", "flight-delay-12 runs"), going, GRAPH, {}).text)
    assert in_order(
        text,
        "flight-delay-12 runs",
        "If it passes, its model goes to staging",
        "`gate.data.flights`",
        "PASS; cached: nothing that it reads has changed since flight-delay-11",
        "`train`",
        "runs: nothing made before is from the same code, parameters and inputs",
        "`gate.model`",
        "waits for train, evaluate",
        f"dataset `flights` `{short(FLIGHTS)}`",
        "baseline none: no model in production is known",
    )


def test_a_stopped_run_says_the_verdict_the_failing_check_and_what_to_do() -> None:
    reports = {"gate.data.flights": data_report(), "gate.model": model_report(Verdict.FAIL, 3)}
    said = action("stopped", "stopped by gate.model (FAIL)")
    text = plain(build(said, STOPPED, GRAPH, reports).text)
    assert in_order(
        text,
        "❌ stopped: roc_auc 0.512, limit >= 0.6",
        "flight-delay-12 stopped after 3 min 20 s.",
        "Nothing is released.",
        "`headgate explain flight-delay-12`",
        "❌ model gate",
        "roc_auc is 0.512, the limit is 0.6.",
        "slice 0",
        "✅ data gate",
        "`train`              42 s",
        f"model `{short(MODEL)}`",
    )


def test_a_failed_step_is_quoted_in_its_own_words_with_the_commands() -> None:
    last_words = 'exit code 1\nTraceback:\n```\n<img src=x> @everyone "why"\n```'
    failed = run(
        SHA,
        {
            "baseline.evaluate": broken("no"),
            "train": broken(last_words),
            "evaluate": Progress(skipped="train did not succeed"),
        },
    )
    report = build(action("failed", f"failed: train: {last_words}"), failed, GRAPH, {})
    assert report.title == "flight-delay-12 failed: train: exit code 1"
    assert f"````text\n{last_words}\n````" in report.text
    assert "`headgate logs flight-delay-12 train` · `headgate retry flight-delay-12`" in report.text
    assert "attempt 2" in report.text
    assert "skipped: train did not succeed" in report.text


def test_a_passed_run_says_what_comes_next_only_where_it_releases() -> None:
    nodes = {**STOPPED.nodes, "gate.model": done(2, Verdict.PASS, report="y")}
    ours, theirs = run(SHA, nodes), run(SHA, nodes, releases=False, branch="feature")
    said = action("passed", "passed")
    reports = {"gate.model": model_report(Verdict.PASS)}
    assert "goes to staging" in build(said, ours, GRAPH, reports).text
    assert "`headgate releases flight-delay`" in build(said, ours, GRAPH, reports).text
    assert "It only reports: `feature` does not release." in build(said, theirs, GRAPH, {}).text
    assert "headgate releases" not in build(said, theirs, GRAPH, reports).text


def test_an_invalid_spec_is_shown_with_its_problems_and_cannot_end_the_block() -> None:
    problems = "ml-pipeline.yaml:3:5: error: found ```\n# not a heading"
    said = action("invalid", "the spec is invalid: 1 problem", None, problems)
    text = build(said, None, None, {}).text
    assert f"````text\n{problems}\n````" in text
    assert "`headgate validate`" in text


def test_a_skipped_commit_says_why_and_which_run_still_holds() -> None:
    elsewhere = run("f" * 40, STOPPED.nodes)
    title = "nothing to run: all that it reads is as in flight-delay-12 (passed)"
    text = build(action("skipped", title), elsewhere, None, {}).text
    assert title in text
    assert "`headgate show flight-delay-12`" in text
    assert "### Steps" not in text


def test_a_flood_of_checks_and_words_stays_within_the_limit_and_keeps_the_failure() -> None:
    noisy = run(SHA, {**STOPPED.nodes, "train": broken("word " * 10_000)})
    reports = {"gate.model": model_report(Verdict.FAIL, 300)}
    report = build(action("stopped", "stopped"), noisy, GRAPH, reports)
    assert len(report.text) <= LONGEST
    assert "roc_auc is 0.512" in report.text
    assert "The whole report: `headgate show flight-delay-12`" in report.text
    assert "characters are left out" in report.text


def test_a_quote_shows_no_control_characters() -> None:
    assert "\x1b" not in fenced("red \x1b[31m")


def test_the_baseline_is_named_by_its_version() -> None:
    text = build(action("passed", "passed"), run(SHA, STOPPED.nodes, baseline=3), GRAPH, {}).text
    assert "- baseline v3" in text
