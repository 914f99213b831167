"""What a pipeline makes of commits, data, schedules, and runs that ended."""

from typing import Any

import pytest

from controller.machine.actions import ReportCommit
from controller.machine.core import parsed
from controller.machine.pipelines.needs import needs_of
from controller.machine.pipelines.pipeline import PipelineState
from controller.machine.runs.run import Run
from specs.digests import digest
from tests.controller.machine.kit import sha
from tests.controller.machine.team import MAIN, QUEUE, QUIET, Team, began

# -- commits -----------------------------------------------------------------------------------


def test_while_a_run_ends_the_newest_commit_waits_and_those_between_are_told() -> None:
    team = began()
    for name in ("c2", "c3", "c4"):
        team.push(name, ("params.depth", int(name[1])))
        team.turn()
    assert [run.commit for run in team.runs.values()] == [sha("c1"), sha("c2")]
    assert team.told(sha("c3")) == [("cancelled", f"superseded by {sha('c4')[:12]}")]
    team.end("cancelled")
    team.turn()
    assert team.last_run.commit == sha("c4")
    assert team.pipeline.wanted == {}


def test_a_commit_of_the_docs_runs_nothing_and_gets_a_terminal_status() -> None:
    team = began()
    docs = team.push("c2", README__md="better words")
    team.turn()
    assert list(team.runs) == ["mean-1"]
    title = "nothing to run: nothing it reads has changed since mean-1 (passed)"
    assert team.told(docs) == [("skipped", title)]


def test_an_invalid_spec_is_told_and_the_next_commit_goes_on() -> None:
    team = began()
    broken = team.push("c2", broken=True)
    team.turn()
    assert team.told(broken) == [("invalid", "the spec is invalid: 1 problem")]
    team.drop("numbers 2")
    team.turn(100.0)
    assert list(team.runs) == ["mean-1"]
    team.push("c3", ("params.depth", 9))
    team.turn()
    assert team.last_run.commit == sha("c3")


def test_a_newer_commit_of_another_branch_cancels_the_run_of_the_older() -> None:
    team = began()
    team.push("t1", ("params.depth", 7), branch="topic")
    team.turn()
    assert not team.last_run.releases
    team.push("t2", ("params.depth", 8), branch="topic")
    team.turn()
    assert team.cancelled() == ["mean-2"]
    team.end("cancelled")
    team.turn()
    assert team.last_run.commit == sha("t2")
    assert team.cancelled() == ["mean-2"]


def test_the_same_commit_seen_twice_cancels_and_runs_nothing() -> None:
    team = began()
    for _ in range(3):
        team.push("t1", ("params.depth", 7), branch="topic")
        team.turn()
    team.end()
    team.turn()
    assert list(team.runs) == ["mean-1", "mean-2"]
    assert team.cancelled() == []


def test_a_branch_that_moves_its_spec_moves_that_of_no_other() -> None:
    team = began()
    team.push("t1", ("params.depth", 7), branch="topic", path="models/mean/ml-pipeline.yaml")
    team.trigger(force=True)
    team.turn()
    assert {r.branch: r.folder for r in team.runs.values()} == {MAIN: "", "topic": "models/mean"}


def test_a_state_that_names_the_folder_of_a_spec_is_still_read() -> None:
    team = began()
    old = team.pipeline.plain()
    del old["specs"]
    old["folders"] = {MAIN: "", "topic": "models/mean"}
    team.state = parsed(PipelineState, old)
    assert team.pipeline.specs == {
        MAIN: "ml-pipeline.yaml",
        "topic": "models/mean/ml-pipeline.yaml",
    }


def test_a_run_says_which_spec_of_its_folder_it_is_of() -> None:
    team = Team()
    team.push("c1", path="models/ml-pipeline.mean.yaml")
    team.turn()
    team.turn(30.0)
    run = team.last_run
    assert (run.folder, run.file) == ("models", "ml-pipeline.mean.yaml")
    assert run.spec == "models/ml-pipeline.mean.yaml"
    graph = next(fact.body for fact in team.facts if fact.key.kind == "graph")
    (gate,) = (node["attempt"] for node in graph["nodes"] if node["name"] == "gate.model")
    assert gate["file"] == "ml-pipeline.mean.yaml"
    old = run.plain()
    del old["file"]
    assert parsed(Run, old).spec == "models/ml-pipeline.yaml"


# -- data --------------------------------------------------------------------------------------


def test_new_data_runs_once_it_is_quiet_and_each_change_starts_the_quiet_anew() -> None:
    team = began(QUIET)
    team.drop("numbers 2")
    assert team.turn().requeue_after == 30.0
    team.turn(20.0)
    new = team.drop("numbers 3")
    team.turn()
    team.turn(29.0)
    assert list(team.runs) == ["mean-1"]
    team.turn(1.0)
    assert team.last_run.datasets == {"numbers": new}
    assert team.last_run.trigger.kind == "data"
    assert "numbers went from" in team.last_run.trigger.why


def test_new_data_with_a_marker_runs_only_once_the_marker_is_there() -> None:
    marker = ("triggers.data.marker", "_SUCCESS")
    team = Team()
    team.drop("numbers 1", marked=True)
    team.push("c1", marker)
    team.turn()
    team.drop("numbers 2", marked=False)
    team.end()
    team.turn(5000.0)
    assert list(team.runs) == ["mean-1"]
    team.drop("numbers 2", marked=True)
    team.turn()
    assert list(team.runs) == ["mean-1", "mean-2"]


def test_newer_data_that_a_marker_holds_back_is_told_until_the_marker_counts() -> None:
    team = Team()
    team.drop("numbers 1", marked=False, unmarked="its marker _SUCCESS is missing")
    team.push("c1", ("triggers.data.marker", "_SUCCESS"))
    team.turn()
    told = "dataset numbers to be complete (its marker _SUCCESS is missing)"
    assert team.pipeline.waits_for == told
    team.drop("numbers 1", marked=True)
    team.turn()
    team.end()
    team.turn()

    def told_of(content: str, **facts: Any) -> str | None:
        team.drop(content, **facts)
        team.turn()
        return team.pipeline.held_back

    stale = "its marker _SUCCESS is older than b.csv"
    assert told_of("numbers 1", marked=False, unmarked=stale) is None, "it counts already"
    waiting = told_of("numbers 2", marked=False, unmarked=stale)
    assert waiting == f"dataset numbers has newer data, and {stale}"
    assert told_of("numbers 2", marked=True) is None


def test_data_that_is_being_written_is_never_complete_however_quiet() -> None:
    team = began(QUIET)
    team.drop("half of numbers 2", settled=False)
    team.turn()
    assert team.turn(1000.0).requeue_after == 1.0
    assert list(team.runs) == ["mean-1"]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 1, 0, 2, 2, 0)])
def test_one_run_for_each_dataset_version_however_messages_come(order: tuple[int, ...]) -> None:
    team = began(QUIET)
    team.drop("numbers 2")
    team.turn()
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("schedule_due", {"at": "2026-01-05T04:00:00+00:00"}),
        ("run_requested", {"kind": "manual", "why": "ada asked"}),
        ("cancel_run", {"branch": "topic", "reason": "nothing runs there"}),
    ]
    for at in order:
        team.say(*kinds[at])
    team.turn(40.0)
    for at in order:
        team.say(*kinds[at])
    team.turn()
    team.end()
    for at in order:
        team.say(*kinds[at])
        team.turn()
    assert list(team.runs) == ["mean-1", "mean-2"]
    assert team.last_run.datasets == {"numbers": digest("numbers 2")}


def test_the_end_of_a_run_told_twice_makes_one_version_and_one_release() -> None:
    team = began()
    team.push("c2", ("params.depth", 2))
    team.turn()
    for _ in range(2):
        team.end(model="better")
    team.turn()
    team.end(model="better")
    team.turn()
    assert team.releases() == [1, 2]
    assert team.pipeline.versions == 2


def test_a_run_that_waits_for_a_day_is_looked_at_less_and_less_often() -> None:
    team = Team()
    team.buckets.clear()
    team.push("c1")
    wait, waited, looks = team.turn().requeue_after, 0.0, 0
    while waited < 80_000:
        assert wait is not None
        assert wait <= max(1.0, min(0.11 * waited, 300.0)), "what only looking finds out is found"
        waited, looks = waited + wait, looks + 1
        wait = team.turn(wait).requeue_after
    assert looks < 400
    team.push("c2", ("params.depth", 2))
    assert team.turn().requeue_after == 1.0, "this one has not waited yet"


def test_a_dataset_that_is_missing_is_waited_for_by_name_and_then_runs() -> None:
    team = Team()
    team.buckets.clear()
    team.push("c1")
    assert team.turn().requeue_after == 1.0
    assert team.pipeline.waits_for == "there is no object at file:///bucket/*.csv yet"
    team.drop("numbers 1")
    team.turn()
    assert team.pipeline.waits_for == "dataset numbers to be complete"
    team.turn(30.0)
    assert list(team.runs) == ["mean-1"]
    assert team.pipeline.waits_for is None


MORE = ("datasets.more", {"uri": "file:///more/*.csv"})
MORE_READ = ("steps.train.inputs", {"numbers": "datasets.numbers", "more": "datasets.more"})


def test_a_branch_that_adds_a_dataset_runs_on_it() -> None:
    team = began()
    more = team.drop("more", "file:///more/*.csv")
    team.push("t1", MORE, MORE_READ, branch="topic")
    team.turn()
    assert team.last_run.datasets == {"numbers": digest("numbers 1"), "more": more}


def test_a_branch_that_adds_a_dataset_that_is_missing_says_so_and_holds_up_no_other() -> None:
    team = began()
    team.push("t1", MORE, MORE_READ, branch="topic")
    team.push("c2", ("params.depth", 2))
    team.turn()
    assert team.pipeline.waits_for == "there is no object at file:///more/*.csv yet"
    assert team.last_run.commit == sha("c2")


def test_a_branch_that_reads_elsewhere_reads_there_and_changes_nothing_on_main() -> None:
    team = began()
    other = team.drop("others", "file:///elsewhere/*.csv")
    team.push("t1", ("datasets.numbers.uri", "file:///elsewhere/*.csv"), branch="topic")
    team.turn()
    team.turn(30.0)
    assert (team.last_run.branch, team.last_run.datasets) == ("topic", {"numbers": other})
    team.end()
    team.turn(100.0)
    assert list(team.runs) == ["mean-1", "mean-2"]


def test_a_branch_that_waits_for_nothing_makes_no_half_written_data_ready_for_main() -> None:
    team = began(QUIET)
    half = team.drop("half of numbers 2")
    team.push("t1", ("triggers.data", None), branch="topic")
    team.turn()
    assert (team.last_run.branch, team.last_run.datasets) == ("topic", {"numbers": half})
    assert [run.branch for run in team.runs.values()] == [MAIN, "topic"]


def test_data_in_the_repository_is_that_of_the_commit_and_waits_for_nothing() -> None:
    here = ("datasets.numbers.uri", "data/*.csv")
    team = Team()
    first = team.drop("as in c1", "data/*.csv")
    team.push("c1", here)
    team.turn()
    assert team.last_run.datasets == {"numbers": first}
    team.end()
    team.turn()
    second = team.drop("as in c2", "data/*.csv")
    team.push("c2", here)
    team.turn()
    assert team.last_run.datasets == {"numbers": second}
    assert len(team.pipeline.data) == 1


def test_where_commits_start_no_runs_data_does_from_the_first_change_on() -> None:
    off = ("triggers.commits", {"enabled": False})
    team = Team()
    commit = team.push("c1", off, QUIET)
    team.turn()
    team.turn(60.0)
    assert team.told(commit) == [("skipped", "nothing to run: triggers.commits is off")]
    assert team.runs == {}
    team.drop("numbers 2")
    team.turn()
    team.push("c2", off, QUIET, ("params.depth", 2))
    team.turn(30.0)
    assert [(r.trigger.kind, r.commit) for r in team.runs.values()] == [("data", sha("c2"))]


# -- asked for ---------------------------------------------------------------------------------


def test_a_schedule_runs_what_changed_and_remembers_when_it_was_due() -> None:
    team = began(("triggers", {"schedule": {"cron": "0 4 * * *"}}))
    assert team.pipeline.scheduled is not None, "its first time may be missed, too"
    at = "2026-01-05T04:00:00+00:00"
    team.say("schedule_due", {"at": at})
    team.turn()
    assert list(team.runs) == ["mean-1"]
    assert team.pipeline.scheduled == 1767585600.0
    team.drop("numbers 2")
    team.say("schedule_due", {"at": at})
    team.turn()
    assert team.last_run.trigger.kind == "schedule"


def test_a_forced_trigger_runs_though_nothing_changed_even_if_a_commit_comes_between() -> None:
    team = began()
    team.trigger()
    team.turn()
    assert list(team.runs) == ["mean-1"]
    team.trigger(force=True)
    team.push("c2", README__md="better words")
    team.turn()
    assert team.last_run.commit == sha("c2")
    assert team.last_run.fingerprint == team.runs["mean-1"].fingerprint


def test_a_trigger_for_a_branch_that_is_not_there_runs_nothing() -> None:
    team = began()
    team.trigger(force=True, branch="nowhere")
    team.turn()
    assert list(team.runs) == ["mean-1"]


def test_a_run_that_was_asked_for_waits_for_a_commit_that_commits_do_not_start() -> None:
    off = ("triggers.commits", {"enabled": False})
    team = began()
    team.push("c2", ("params.depth", 2))
    team.turn()
    team.trigger()
    team.push("c3", off, ("params.depth", 3))
    team.turn()
    team.end()
    team.turn()
    assert team.last_run.commit == sha("c3")


# -- versions and alerts -----------------------------------------------------------------------


def test_the_same_package_is_the_same_version_number() -> None:
    team = began()
    for name, model in (("c2", "a model"), ("c3", "another"), ("c4", "a model")):
        team.push(name, ("params.depth", int(name[1])))
        team.turn()
        team.end(model=model)
        team.turn()
    assert team.releases() == [1, 1, 2, 1]
    assert [f.key.name for f in team.facts if f.key.kind == "model"] == ["mean/1", "mean/2"]


def test_a_run_of_another_branch_makes_no_version() -> None:
    team = began()
    team.push("t1", ("params.depth", 7), branch="topic")
    team.turn()
    team.end("passed", model="better")
    team.turn()
    assert team.releases() == [1]


def test_on_call_is_told_once_that_gates_stop_main_and_once_that_it_passes_again() -> None:
    team = began()
    for number, outcome in enumerate(["stopped", "stopped", "failed", "stopped", "failed"], 2):
        team.push(f"c{number}", ("params.depth", number))
        team.turn()
        team.end(outcome)
        team.turn()
    gate, run = "mean/gate/model/mean-2", "mean/run/mean-4"
    assert team.alerts() == [("gate_failed", "firing", gate), ("run_failed", "firing", run)]
    assert list(team.pipeline.alerts) == [gate, run]
    team.actions.clear()
    for number in (7, 8):
        team.push(f"c{number}", ("params.depth", number))
        team.turn()
        team.end()
        team.turn()
    assert team.alerts() == [("gate_failed", "resolved", gate), ("run_failed", "resolved", run)]
    assert list(team.pipeline.alerts) == []


def test_on_call_is_not_told_of_other_branches() -> None:
    team = began()
    team.push("t1", ("params.depth", 7), branch="topic")
    team.turn()
    team.end("stopped")
    team.turn()
    assert team.alerts() == []


# -- at rest -----------------------------------------------------------------------------------


def looks_in_an_idle_day(team: Team) -> int:
    """How often it is looked at if no source hints and nobody says anything."""
    looks, left = 0, 86_400.0
    wait = team.turn().requeue_after
    while wait is not None and wait <= left:
        looks, left = looks + 1, left - wait
        wait = team.turn(wait).requeue_after
    return looks


def test_a_pipeline_that_watches_nothing_is_looked_at_only_when_somebody_says_so() -> None:
    team = began(("triggers.data", None))
    assert looks_in_an_idle_day(team) == 0


def test_a_pipeline_whose_data_is_complete_is_looked_at_once_an_hour_besides_hints() -> None:
    assert looks_in_an_idle_day(began(QUIET)) == 24


# -- gone --------------------------------------------------------------------------------------


def test_a_pipeline_whose_spec_is_gone_says_so_and_wants_nothing_whatever_comes() -> None:
    team = began()
    team.push("c2", ("params.depth", 2))
    team.turn()
    team.end("stopped")
    team.turn()
    team.lose(at="c3")
    decision = team.turn()
    assert decision.requeue_after is None
    title = "nothing to run: its spec is not on main any more; its environments keep what they run"
    assert team.told(sha("c3")) == [("skipped", title)]
    assert team.alerts()[-1] == ("gate_failed", "resolved", "mean/gate/model/mean-2")
    team.drop("numbers 2")
    team.say("schedule_due", {"at": "2026-01-05T04:00:00+00:00"})
    team.trigger(force=True)
    team.turn(1000.0)
    assert list(team.runs) == ["mean-1", "mean-2"]
    assert (team.pipeline.heads, team.pipeline.last, team.pipeline.data) == ({}, {}, {})


def test_a_run_of_a_spec_that_is_gone_is_cancelled_and_releases_nothing_if_it_ends_first() -> None:
    team = began()
    team.push("c2", ("params.depth", 2))
    team.turn()
    waiting = team.push("c3", QUEUE, ("params.depth", 3))
    team.turn()
    team.lose(at="c4")
    team.turn()
    assert team.cancelled() == ["mean-2"]
    assert team.told(waiting)[-1][0] == "cancelled"
    team.end(run="mean-2", model="better")
    team.turn()
    assert team.releases() == [1]
    assert team.pipeline.active == {}


def test_a_spec_that_comes_back_runs_again() -> None:
    team = began()
    team.lose(at="c2")
    team.turn()
    team.see("c1")
    team.turn()
    team.turn(30.0)
    assert team.last_run.id == "mean-2"
    assert team.pipeline.gone is None


def test_a_deleted_branch_is_forgotten_and_its_run_cancelled() -> None:
    team = began()
    team.push("t1", ("params.depth", 7), branch="topic")
    team.turn()
    team.lose("topic")
    team.turn()
    assert team.cancelled() == ["mean-2"]
    team.end("cancelled")
    team.turn()
    kept = team.pipeline
    for facts in (kept.heads, kept.specs, kept.wanted, kept.last):
        assert "topic" not in facts
    assert kept.gone is None


def test_another_repository_takes_no_spec_away() -> None:
    team = began()
    team.lose(at="c2", repository="another")
    team.turn()
    assert team.pipeline.gone is None
    assert team.pipeline.heads == {MAIN: sha("c1")}


# -- what waits, and what is tried again -------------------------------------------------------


def test_a_commit_that_waits_for_data_is_told_so_once_and_given_up_after_a_day() -> None:
    team = Team()
    team.buckets.clear()
    commit = team.push("c1")
    for _ in range(3):
        team.turn()
    waits = "waits: there is no object at file:///bucket/*.csv yet"
    assert team.told(commit) == [("running", waits)]
    team.turn(86_400.0)
    state, title = team.told(commit)[-1]
    assert state == "cancelled"
    assert "headgate trigger" in title
    assert not team.pipeline.wanted


def test_a_failed_run_is_tried_again_when_asked_though_nothing_changed() -> None:
    team = began()
    team.push("c2", ("params.depth", 2))
    team.turn()
    team.end("failed")
    team.turn()
    team.trigger()
    team.turn()
    assert list(team.runs) == ["mean-1", "mean-2", "mean-3"]


def test_a_pipeline_of_one_name_in_another_repository_is_refused_and_changes_nothing() -> None:
    team = began()
    theirs = sha("theirs")
    body = {
        "pipeline": "mean",
        "repository": "others",
        "spec": "x/ml-pipeline.yaml",
        "branch": MAIN,
    }
    body |= {"branch": MAIN, "commit": theirs, "default_branch": MAIN}
    before = team.pipeline
    team.say("commit_seen", body)
    decision = team.turn()
    refused = [a for a in decision.actions if isinstance(a, ReportCommit)]
    assert [(a.repository, a.commit, a.state) for a in refused] == [("others", theirs, "invalid")]
    assert (team.pipeline.repository, team.pipeline.heads) == ("team", before.heads)


def test_a_commit_of_another_repository_that_is_refused_is_never_read() -> None:
    team = began()
    body = {"pipeline": "mean", "repository": "others", "spec": "x/ml-pipeline.yaml"}
    team.say(
        "commit_seen", {**body, "branch": MAIN, "commit": sha("theirs"), "default_branch": MAIN}
    )
    needs = needs_of(team.pipeline, team.inbox)
    assert sha("theirs") not in needs.specs
    assert (needs.repository, needs.heads[MAIN]) == ("team", sha("c1"))


def test_a_pipeline_that_moves_to_another_repository_is_read_from_there() -> None:
    team = began()
    team.lose()
    body = {"pipeline": "mean", "repository": "others", "spec": "ml-pipeline.yaml"}
    team.say(
        "commit_seen", {**body, "branch": MAIN, "commit": sha("moved"), "default_branch": MAIN}
    )
    needs = needs_of(team.pipeline, team.inbox)
    assert needs.repository == "others"
    assert needs.commits[sha("moved")] == ("others", "ml-pipeline.yaml")
    assert needs.commits[sha("c1")] == ("team", "ml-pipeline.yaml"), "it says whom to notify"
