"""What a report contains, and in which order."""

import re
from collections.abc import Mapping
from typing import Any, get_args

from controller.machine.actions import ReportCommit
from controller.machine.pipelines.dataset_changes import ChangedObject, ObjectChanges
from controller.machine.pipelines.plan import Plan, Planned, PlannedData
from controller.machine.pipelines.rule_change import RuleChange
from controller.machine.runs.reasons import RunReason
from controller.machine.runs.run import NodePhase, Progress, Trigger
from controller.reports.changes import PreviousRun
from controller.reports.commit_report import ReportContext, build
from controller.reports.escaping import fenced
from controller.reports.forge import LONGEST
from controller.reports.links import Links
from controller.reports.plain_text import plain
from controller.reports.run_summary import DataSince
from controller.reports.steps import ICONS
from specs.digests import digest, short
from tests.controller.reports.stories import (
    FLIGHTS,
    SPEC,
    cached,
    data_report,
    done,
    failed_step,
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
        "PASS; cached from flight-delay-11",
        "`train`",
        "runs: there is no cached result",
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
        "flight-delay-12 stopped by gate.model (FAIL) after 3 min.",
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
            "baseline.evaluate": failed_step("no"),
            "train": failed_step(last_words),
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
    assert (
        "Report only: `feature` is not the release branch." in build(said, theirs, GRAPH, {}).text
    )
    assert "headgate releases" not in build(said, theirs, GRAPH, reports).text


def test_a_passed_run_of_a_spec_without_a_release_promises_none() -> None:
    nodes = {**STOPPED.nodes, "gate.model": done(2, Verdict.PASS, report="y")}
    bare, reports = graph(SHA, spec_text=SPEC), {"gate.model": model_report(Verdict.PASS)}
    said = action("passed", "passed")
    text = build(said, run(SHA, nodes), bare, reports).text
    assert "It releases nothing: the spec has no `release`." in text
    assert "Next: `headgate show flight-delay-12`" in text
    assert not re.search("staging|production|headgate releases", text.partition("### Inputs")[0])
    going = build(action("running", "x"), run(SHA, nodes, finished=None), bare, reports).text
    assert "It releases nothing" in going
    assert "goes to staging" not in going
    pull = build(said.model_copy(update={"pull": 3}), run(SHA, nodes, **PULL), bare, reports).text
    assert "no `release`. After the merge, this model is reused, not trained again." in pull
    assert "yet" not in pull


def test_a_terminal_shows_no_title_of_what_is_folded_above_the_heading_that_says_it() -> None:
    text = build(action("stopped", "x"), STOPPED, GRAPH, {}).text
    assert "<summary>Steps and inputs</summary>" in text
    assert "Steps and inputs" not in plain(text)
    assert "\n\n### Steps\n" in plain(text)
    quoted = "```text\n<details><summary>as it is</summary>\n# 1\n```\n"
    assert plain(quoted) == quoted


def test_an_invalid_spec_is_shown_with_its_problems_and_cannot_end_the_block() -> None:
    problems = "ml-pipeline.yaml:3:5: error: found ```\n# not a heading"
    said = action("invalid", "the spec is invalid: 1 problem", None, problems)
    text = build(said, None, None, {}).text
    assert f"````text\n{problems}\n````" in text
    assert "`headgate validate`" in text


def test_a_skipped_commit_says_why_and_which_run_still_holds() -> None:
    elsewhere = run("f" * 40, STOPPED.nodes)
    title = "nothing to run: nothing it reads has changed since flight-delay-12 (passed)"
    text = build(action("skipped", title), elsewhere, None, {}).text
    assert title in text
    assert "`headgate show flight-delay-12`" in text
    assert "### Steps" not in text


def test_a_flood_of_checks_and_words_stays_within_the_limit_and_keeps_the_failure() -> None:
    noisy = run(SHA, {**STOPPED.nodes, "train": failed_step("word " * 10_000)})
    reports = {"gate.model": model_report(Verdict.FAIL, 300)}
    report = build(action("stopped", "stopped"), noisy, GRAPH, reports)
    assert len(report.text) <= LONGEST
    assert "roc_auc is 0.512" in report.text
    assert "The whole report: `headgate show flight-delay-12`" in report.text
    assert "characters omitted" in report.text


def test_a_quote_shows_no_control_characters() -> None:
    assert "\x1b" not in fenced("red \x1b[31m")


def test_every_phase_of_a_node_has_an_icon() -> None:
    assert set(ICONS) == {*get_args(NodePhase)}


def test_the_baseline_is_named_by_its_version() -> None:
    text = build(action("passed", "passed"), run(SHA, STOPPED.nodes, baseline=3), GRAPH, {}).text
    assert "- baseline v3" in text


PULL: Mapping[str, Any] = {
    "pull": 12,
    "branch": "pull request 12",
    "base": "b" * 40,
    "baseline": 1,
    "releases": False,
}
HUB = Links("https://github.com/octo/flights")


FLIGHTS_MOVED = RunReason(
    text="flights went from aaaaaaaaaaaa to bbbbbbbbbbbb", kind="dataset", name="flights"
)
DEEPER = RunReason(
    text="params.depth went from 6 to 9", kind="parameter", name="depth", was="6", now="9"
)
TRAINS_FIRST = RunReason(text="train runs before it", kind="consequence")


def plan(*changes: RuleChange, **facts: Any) -> Plan:
    """The plan of a pull request that trains deeper trees on newer data."""
    known: Mapping[str, Any] = {
        "pipeline": "flight-delay",
        "commit": SHA,
        "compared_with": "flight-delay-11",
        "nothing_to_do": False,
        "nodes": (
            planned("gate.data.flights", FLIGHTS_MOVED),
            planned("train", DEEPER, "train.py changed"),
            planned("evaluate", TRAINS_FIRST),
        ),
        "datasets": (
            PlannedData(
                name="flights", uri="data/*.csv", version=FLIGHTS, was="sha256:" + "a" * 64
            ),
        ),
        "policy": changes,
        "policy_base": "b" * 40,
    }
    return Plan(**{**known, **facts})


CAME = ObjectChanges(
    objects=4, added=1, named=(ChangedObject(key="2024-04.csv", happened="added"),)
)


def exam_change(was: str, now: str, loosens: bool) -> RuleChange:
    """The pull request changes the evaluation's code."""
    return RuleChange(
        rule="exam: evaluate.py", exam_part="evaluate.py", was=was, now=now, loosens=loosens
    )


def planned(name: str, *why: RunReason | str) -> Planned:
    reasons = tuple(RunReason(text=one) if isinstance(one, str) else one for one in why)
    return Planned(name=name, kind="step", what="run", why=reasons)


def test_a_reader_sees_parameters_files_by_step_and_rows_that_changed() -> None:
    passed = run(SHA, {**STOPPED.nodes, "gate.model": done(2, Verdict.PASS, report="y")}, **PULL)
    reports = {"gate.data.flights": data_report(), "gate.model": model_report(Verdict.PASS)}
    context = ReportContext(
        links=HUB,
        base="main",
        before=PreviousRun({"flights": 110_000}, {"flights": CAME}),
    )
    text = build(action("passed", "x"), passed, GRAPH, reports, plan(), context=context).text
    changed = text.partition("### What changed")[2].partition("<details>")[0]
    assert in_order(
        changed,
        "Compared with `flight-delay-11`",
        f"https://github.com/octo/flights/compare/{'b' * 40}...{SHA}",
        "- `params.depth`: `6` → `9` (`train`)",
        "- `train`: train.py changed",
        f"- data `flights`: 110,000 → 120,000 rows; 4 objects; `2024-04.csv` added; "
        f"version `aaaaaaaaaaaa` → `{short(FLIGHTS)}`",
    )
    assert "runs before it" not in changed


def test_why_it_ran_names_the_objects_that_came_with_their_rows() -> None:
    came = ObjectChanges(
        objects=5,
        added=1,
        gone=1,
        named=(
            ChangedObject(key="2013-05.parquet", happened="added", rows=27_128),
            ChangedObject(key="2012`|.csv", happened="gone"),
        ),
    )
    since = DataSince("flight-delay-11", {"flights": came})
    text = build(
        action("stopped", "x"), STOPPED, GRAPH, {}, context=ReportContext(since=since)
    ).text
    assert in_order(
        text,
        "Why it ran: ",
        "Since `flight-delay-11`: `flights` `2013-05.parquet` added, 27,128 rows, ",
        " gone.",
    )


def test_whose_gates_judged_is_said_and_in_bold_where_they_are_the_commit_s_own() -> None:
    ours = run(SHA, STOPPED.nodes, **PULL)
    context = ReportContext(links=HUB, base="main")
    text = build(action("stopped", "x"), ours, GRAPH, {}, plan(), context=context).text
    link = f"[`{'b' * 12}`](https://github.com/octo/flights/commit/{'b' * 40})"
    assert f"Judged by the gates of `main` ({link})" in text
    accepted = ours.model_copy(update={"accepted": "grace"})
    text = build(action("stopped", "x"), accepted, GRAPH, {}, plan(), context=context).text
    assert "**Judged by its own rules, accepted by @&#8203;grace for this commit.**" in text
    assert "Judged by the gates of" not in text


def test_a_changed_exam_is_in_bold_with_what_both_evaluations_say_and_the_way_out() -> None:
    leaks = exam_change(was="aaaa", now="bbbb", loosens=True)
    nodes = {**STOPPED.nodes, "gate.model": done(2, Verdict.PASS, report="y")}
    nodes |= {"base.evaluate": done(3, predictions="q")}
    nodes |= {"gate.model.base": done(2, Verdict.FAIL, report="z")}
    reports = {
        "gate.model": model_report(Verdict.PASS, baseline=0.752),
        "gate.model.base": model_report(Verdict.FAIL, baseline=0.752),
    }
    said = action("stopped", "x").model_copy(update={"pull": 12})
    report = build(said, run(SHA, nodes, **PULL), GRAPH, reports, plan(leaks))
    assert report.conclusion == "failure"
    assert report.title.startswith("stopped: by the base branch's evaluation, roc_auc 0.752")
    assert in_order(
        report.text,
        "### ⚠️ The exam changed: `evaluate.py`",
        "**The candidate is also scored by the base branch's evaluation.**",
        "| ✅ | this commit's evaluation | roc_auc 0.8679 | PASS |",
        "| ❌ | the base branch's evaluation | roc_auc 0.512 | FAIL |",
        "has reviewed and accepted it",
        "This loosens a rule",
        f"comments `/headgate accept {SHA[:12]}`",
        "**exam: evaluate.py**",
        "Next: ",
        "2 gates, 2 checks: 1 failed, 1 passed.",
        "❌ model gate: flight-delay, judged by the base branch's evaluation",
        "✅ model gate: flight-delay, judged by this commit's evaluation",
    )
    assert report.text.count("/headgate accept") == 1


def test_what_did_not_pass_is_linked_to_the_line_that_asks_for_it_at_the_commit_that_judges() -> (
    None
):
    reports = {"gate.model": model_report(Verdict.FAIL)}
    context = ReportContext(links=HUB)
    text = build(action("stopped", "x"), STOPPED, GRAPH, reports, context=context).text
    assert f"(https://github.com/octo/flights/blob/{SHA}/ml-pipeline.yaml#L20)" in text
    assert "https://" not in build(action("stopped", "x"), STOPPED, GRAPH, reports).text


def test_why_a_run_began_reads_well_whatever_the_reason() -> None:
    for why in ("ada asked for it (`/headgate run`)", "commit 0123 on main: Mend it."):
        one = run(SHA, STOPPED.nodes, trigger=Trigger(kind="manual", why=why))
        text = plain(build(action("stopped", "x"), one, GRAPH, {}).text)
        assert f"Why it ran: {why.removesuffix('.')}. It took" not in text
        assert f"Why it ran: {why.removesuffix('.')}." in text
        assert "Because of" not in text


def test_a_title_is_one_line_of_at_most_200_characters() -> None:
    long = model_report(Verdict.FAIL)
    (check,) = long.checks
    check = check.model_copy(update={"observed": None, "message": "no\nway " * 200})
    bad = long.model_copy(update={"checks": (check,)})
    report = build(action("stopped", "x"), STOPPED, GRAPH, {"gate.model": bad})
    assert len(report.title) <= 200
    assert "\n" not in report.title


def test_no_table_of_a_report_has_more_than_four_columns() -> None:
    loose = exam_change(was="aaaa", now="bbbb", loosens=True)
    going = run(SHA, {"train": Progress(key="k")}, finished=None, **PULL)
    over = run(SHA, STOPPED.nodes, **PULL)
    for one in (going, over):
        state = "running" if one.live else "stopped"
        text = build(action(state, "x"), one, GRAPH, {}, plan(loose)).text
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert rows
        assert max(row.count("|") - 1 for row in rows) <= 4
