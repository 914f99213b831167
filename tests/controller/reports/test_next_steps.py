"""The next steps: named once, where readers look for them, and only if they can help."""

from typing import Any

import pytest

from controller.machine.pipelines.plan import Plan
from controller.machine.pipelines.rule_change import RuleChange
from controller.machine.repositories import reports
from controller.machine.repositories.pull import Pull
from controller.machine.runs.run import Progress
from controller.reports.commit_report import ReportContext, build
from controller.reports.rules import title_of
from specs.digests import short
from tests.controller.reports.stories import FLIGHTS, done, graph, model_report, run
from tests.controller.reports.test_commit_report import (
    HUB,
    PULL,
    SHA,
    STOPPED,
    action,
    exam_change,
    in_order,
    planned,
)
from tests.controller.reports.test_commit_report import plan as plan_of
from validators.verdict import Verdict

GRAPH = graph(SHA)
NODES = {**STOPPED.nodes, "gate.model": done(2, Verdict.PASS, report="y")}
LOOSER = RuleChange(
    rule="gates.model: roc_auc", was="at least 0.6", now="at least 0.5", loosens=True
)
EXAM = exam_change(was="c30592a06950", now="b41e3eea2e49", loosens=True)


def told(plan: Plan, state: str = "passed", **facts: object) -> str:
    """The text on a pull request whose run passed."""
    said = action(state, "x").model_copy(update={"pull": 12})
    context = ReportContext(links=HUB, base="main")
    reports = {"gate.model": model_report(Verdict.PASS)}
    return build(
        said, run(SHA, NODES, **{**PULL, **facts}), GRAPH, reports, plan, None, context
    ).text


FAILED = {"gate.data.flights": done(1, Verdict.FAIL, report="r")}


def test_who_is_told_that_data_stopped_production_is_told_how_to_accept_it() -> None:
    text = build(action("stopped", "x"), run(SHA, FAILED), GRAPH, {}).text
    assert f"headgate accept flight-delay/flights {short(FLIGHTS)} --reason" in text


@pytest.mark.parametrize(
    ("nodes", "facts"),
    [
        (FAILED, PULL),
        ({**FAILED, "gate.model": done(2, Verdict.FAIL, report="y")}, {}),
        ({"gate.data.flights": done(1, Verdict.ERROR, report="r")}, {}),
    ],
)
def test_what_cannot_be_accepted_is_not_offered(
    nodes: dict[str, Progress], facts: dict[str, Any]
) -> None:
    """For a pull request, or with another gate that stops it, or if the gate could not judge."""
    text = build(action("stopped", "x"), run(SHA, nodes, **facts), GRAPH, {}).text
    assert "headgate accept" not in text


def test_a_pass_with_loosened_rules_says_which_check_fails_who_may_accept_and_how() -> None:
    text = told(plan_of(LOOSER, approvers=("@ada", "@acme/ml-risk")))
    assert (
        "**`headgate policy / flight-delay` fails until @&#8203;ada or @&#8203;acme/ml-risk "
        f"comments `/headgate accept {SHA[:12]}`.**"
    ) in text
    assert text.count("/headgate accept") == 1
    anybody = told(plan_of(LOOSER), scope="into easy")
    assert "`headgate policy / flight-delay (into easy)` fails until a repository admin" in anybody
    assert "headgate policy" not in told(plan_of())


def test_what_was_accepted_says_by_whom_and_asks_for_nothing() -> None:
    text = told(plan_of(LOOSER, approvers=("@ada",)), accepted="grace")
    assert "as @&#8203;grace has accepted them" in text
    assert "**`headgate policy / flight-delay` therefore passes.**" in text
    assert "/headgate accept" not in text


def test_what_to_do_next_follows_the_verdict_and_its_reasons_and_precedes_the_evidence() -> None:
    text = told(plan_of(EXAM))
    assert in_order(text, "The exam changed", "This loosens a rule", "Next: ", "model gate:")


@pytest.mark.parametrize(
    ("verdict", "helps"),
    [(Verdict.FAIL, False), (Verdict.ERROR, True), (Verdict.INCONCLUSIVE, True)],
)
def test_a_further_run_is_offered_only_where_it_may_end_otherwise(
    verdict: Verdict, helps: bool
) -> None:
    stopped = run(SHA, {**NODES, "gate.model": done(2, verdict, report="y")}, **PULL)
    said = action("stopped", "x").model_copy(update={"pull": 12})
    assert ("comment `/headgate run`" in build(said, stopped, GRAPH, {}).text) is helps


def test_a_file_of_the_exam_is_linked_at_both_commits_in_place_of_its_digests() -> None:
    text = told(plan_of(EXAM, policy_spec="team/ml-pipeline.yaml"))
    web = "https://github.com/octo/flights/blob"
    assert f"[as it was]({web}/{'b' * 40}/team/evaluate.py)" in text
    assert f"[changed]({web}/{SHA}/evaluate.py)" in text
    assert "c30592a06950" not in text
    unlinked = build(action("passed", "x"), run(SHA, NODES, **PULL), GRAPH, {}, plan_of(EXAM)).text
    assert "| **as it was** | **changed** |" in unlinked


def test_links_to_the_base_and_to_what_changed_stand_once() -> None:
    text = told(plan_of(LOOSER))
    assert text.count(f"/commit/{'b' * 40}") == 1
    assert text.count("/compare/") == 1


def test_how_the_rules_were_found_is_said_only_where_they_are_not_in_their_place() -> None:
    assert "name" not in told(plan_of()).partition("Judged by")[2].partition("\n")[0]
    moved = told(plan_of(policy_spec="team/ml-pipeline.yaml"))
    assert "; its spec there is `team/ml-pipeline.yaml`, found by the pipeline's name." in moved
    history = told(plan_of(policy_base="c" * 40))
    assert (
        "it no longer has a valid spec of this name, so these are its last valid rules ([`cccc"
        in history
    )


def test_cells_are_a_few_words_and_all_reasons_stand_below_the_plan() -> None:
    files = [f"src/features/of_the_weather_{n}.py changed" for n in range(5)]
    plan = plan_of(nodes=(planned("train", *files),))
    going = run(SHA, {}, **{**PULL, "finished": None})
    text = build(action("running", "x"), going, GRAPH, {}, plan).text
    (row,) = [line for line in text.splitlines() if line.startswith("| ") and "`train`" in line]
    assert row.endswith("runs: src/features/of_the_weather_0.py changed and 4 more |")
    assert f"- `train`: {'; '.join(files)}" in text


def test_names_of_rules_in_a_title_are_whole() -> None:
    many = [LOOSER.model_copy(update={"rule": f"gates.model: metric number {n}"}) for n in range(9)]
    title = title_of(many)
    assert title.startswith("9 rules loosened: gates.model: metric number 0, gates.model: metric")
    assert title.endswith("number 2 and 6 more")


def test_what_waits_for_a_person_is_said_in_sentences_and_its_command_once() -> None:
    pull = Pull(number=12, head=SHA, base="a`@b`<img>|c", base_commit="b" * 40, fork=True)
    place = reports.ReportPlace("flights", SHA, "", pull)
    (fork,) = reports.held(place, pull, ["flight-delay"])
    gone = reports.removed(place, pull, "flight-delay", "")
    for waits in (fork, gone):
        text = build(waits, None, None, {}).text
        assert "```" not in text
        assert "@b" not in text
        assert "<img" not in text
        assert text.count(f"`/headgate {waits.asks} {SHA[:12]}`") == 1
