"""What a newer commit means for a run that goes on, and for commits that wait."""

from typing import Any

import pytest

from controller.machine.core import parsed
from controller.machine.pipelines.pipeline import PipelineState
from specs.digests import digest
from tests.controller.machine.kit import sha
from tests.controller.machine.team import MAIN, QUEUE, QUIET, Team, began

OFF = ("triggers.commits", {"enabled": False})
TOPIC = "topic"


def deep(depth: int) -> tuple[str, Any]:
    return ("params.depth", depth)


def running(*changes: tuple[str, Any], branch: str = MAIN) -> Team:
    """A team whose first run passed, and whose second goes on."""
    team = began(*changes)
    team.push("c2", deep(2), *changes, branch=branch)
    team.turn()
    assert team.last_run.id == "mean-2"
    return team


def said(team: Team, name: str) -> list[str]:
    return [f"{state}: {title}" for state, title in team.told(sha(name))]


# -- cancel ------------------------------------------------------------------------------------


@pytest.mark.parametrize("branch", [MAIN, TOPIC])
def test_a_commit_that_changes_what_runs_ends_the_run_once_and_runs_itself(branch: str) -> None:
    team = running(branch=branch)
    team.push("c3", deep(3), branch=branch)
    for _ in range(3):
        team.turn()
    assert team.cancelled() == ["mean-2"]
    assert list(team.runs) == ["mean-1", "mean-2"], "one at a time"
    team.end("cancelled")
    team.turn()
    assert (team.last_run.id, team.last_run.commit) == ("mean-3", sha("c3"))


@pytest.mark.parametrize("branch", [MAIN, TOPIC])
def test_a_commit_that_changes_nothing_of_it_lets_it_go_on_and_says_which_run_stands_for_it(
    branch: str,
) -> None:
    team = running(branch=branch)
    team.push("c3", deep(2), branch=branch, README__md="other words")
    for _ in range(3):
        team.turn()
    assert team.cancelled() == []
    stands = "waits: mean-2 is running and covers it, as nothing it reads has changed"
    assert said(team, "c3") == [f"running: {stands}"]
    team.end()
    team.turn()
    assert said(team, "c3")[1:] == [
        "skipped: nothing to run: nothing it reads has changed since mean-2 (passed)"
    ]
    assert list(team.runs) == ["mean-1", "mean-2"]


def test_what_a_failed_run_stood_for_is_tried_again_by_its_own_run() -> None:
    team = running()
    team.push("c3", deep(2), README__md="other words")
    team.turn()
    team.end("failed")
    team.turn()
    assert (team.last_run.id, team.last_run.commit) == ("mean-3", sha("c3"))


def test_data_that_came_meanwhile_is_not_the_doing_of_a_commit() -> None:
    team = running(QUIET)
    team.drop("numbers 2")
    team.turn()
    team.turn(30.0)
    team.push("c3", QUIET, deep(2), README__md="other words")
    team.turn()
    assert team.cancelled() == []
    team.end()
    team.turn()
    assert team.last_run.commit == sha("c3"), "for the new data"
    assert team.last_run.datasets == {"numbers": digest("numbers 2")}


@pytest.mark.parametrize(
    "change",
    [
        ("datasets.numbers.uri", "file:///elsewhere/*.csv"),
        ("datasets.more", {"uri": "file:///more/*.csv"}),
    ],
)
def test_a_commit_that_reads_elsewhere_ends_the_run_though_the_data_is_not_there_yet(
    change: tuple[str, Any],
) -> None:
    team = running()
    team.push("c3", deep(2), change)
    team.turn()
    assert team.cancelled() == ["mean-2"]


def test_a_commit_that_reads_the_same_content_elsewhere_lets_the_run_go_on() -> None:
    team = running()
    uri = "file:///elsewhere/*.csv"
    team.drop("numbers 1", uri)
    team.push("c3", deep(2), ("datasets.numbers.uri", uri))
    team.turn()
    team.turn(30.0)
    assert team.cancelled() == ["mean-2"], "until it is complete, it is not known to be the same"


def test_a_run_that_ended_before_it_could_be_cancelled_is_released_and_the_commit_runs_next() -> (
    None
):
    team = running()
    team.push("c3", deep(3))
    team.turn()
    team.end("passed", model="another")
    team.turn()
    assert team.releases() == [1, 2], "what has reached a rollout is left to it"
    assert team.last_run.commit == sha("c3")


@pytest.mark.parametrize(("branch", "cancelled"), [(MAIN, []), (TOPIC, ["mean-2"])])
def test_a_broken_commit_is_told_at_once_and_the_last_valid_one_of_the_default_branch_goes_on(
    branch: str, cancelled: list[str]
) -> None:
    team = running(branch=branch)
    team.push("c3", broken=True, branch=branch)
    team.turn()
    assert said(team, "c3") == ["invalid: the spec is invalid: 1 problem"]
    assert team.cancelled() == cancelled


def test_a_commit_that_commits_do_not_run_is_told_so_at_once_and_ends_nothing() -> None:
    team = running()
    team.push("c3", OFF, deep(3))
    team.turn()
    assert said(team, "c3") == ["skipped: nothing to run: triggers.commits is off"]
    assert team.cancelled() == []
    team.trigger()
    team.turn()
    assert team.cancelled() == [], "what is asked for has its turn"
    assert said(team, "c3")[1:] == ["running: waits: mean-2 to end"]


def test_what_is_asked_for_at_the_commit_that_runs_ends_nothing_and_runs_next() -> None:
    team = running()
    team.trigger(force=True)
    team.turn()
    assert team.cancelled() == []
    assert said(team, "c2") == []
    team.end()
    team.turn()
    assert (team.last_run.id, team.last_run.commit) == ("mean-3", sha("c2"))


def test_a_commit_that_takes_back_what_failed_has_nothing_to_run() -> None:
    team = running()
    team.end("cancelled")
    team.turn()
    team.push("c3")
    team.turn()
    assert said(team, "c3") == [
        "skipped: nothing to run: nothing it reads has changed since mean-1 (passed)"
    ]


def test_a_commit_that_takes_back_what_woke_somebody_runs_so_that_it_is_over() -> None:
    team = running()
    team.end("stopped")
    team.turn()
    team.push("c3")
    team.turn()
    assert team.last_run.commit == sha("c3")
    team.end()
    team.turn()
    assert [status for _, status, _ in team.alerts()] == ["firing", "resolved"]


# -- queue -------------------------------------------------------------------------------------


def queued(*names: str) -> Team:
    """A team whose second run goes on, and these commits wait in line."""
    team = running(QUEUE)
    for name in names:
        team.push(name, QUEUE, deep(int(name[1:])))
        team.turn()
    return team


def finish(team: Team, turns: int = 20) -> list[str]:
    """Every run passes until none is wanted; the commits that ran, the oldest first."""
    for _ in range(turns):
        if team.pipeline.active:
            team.end(model=team.last_run.id)
        team.turn()
    assert not team.pipeline.wanted
    assert not team.pipeline.behind
    return [run.commit for run in team.runs.values()]


def test_in_a_queue_no_commit_is_dropped_and_each_is_released_in_its_turn() -> None:
    team = queued("c3", "c4", "c5")
    assert team.cancelled() == []
    assert said(team, "c3") == ["running: waits: mean-2 to end"]
    waits = "running: waits: its turn: `triggers.commits.supersede` is `queue`"
    assert (said(team, "c4"), said(team, "c5")) == ([waits], [waits])
    assert finish(team) == [sha(f"c{n}") for n in range(1, 6)]
    assert team.releases() == [1, 2, 3, 4, 5]


def test_commits_that_are_seen_in_one_look_wait_in_line_all_the_same() -> None:
    team = running(QUEUE)
    for name in ("c3", "c4"):
        team.push(name, QUEUE, deep(int(name[1:])))
    assert finish(team) == [sha(f"c{n}") for n in range(1, 5)]


def test_in_a_queue_what_has_nothing_to_run_says_so_in_its_turn() -> None:
    team = queued("c3")
    team.push("c4", QUEUE, deep(3), README__md="other words")
    team.turn()
    team.push("c5", broken=True)
    team.turn()
    team.push("c6", QUEUE, deep(6))
    assert finish(team) == [sha(name) for name in ("c1", "c2", "c3", "c6")]
    assert "nothing it reads has changed since mean-3 (passed)" in said(team, "c4")[-1]
    assert said(team, "c5")[-1] == "invalid: the spec is invalid: 1 problem"


def test_new_data_asks_the_last_in_line_to_run_and_overtakes_nobody() -> None:
    team = running(QUEUE, QUIET)
    team.push("c3", QUEUE, QUIET, deep(3))
    team.push("c4", QUEUE, QUIET, deep(4))
    team.turn()
    team.trigger(force=True)
    team.turn()
    assert finish(team) == [sha(f"c{n}") for n in range(1, 5)]
    assert team.last_run.trigger.kind == "manual"


def test_a_commit_that_ends_the_queue_lets_the_newest_win() -> None:
    team = queued("c3", "c4")
    team.push("c5", deep(5))
    team.turn()
    for name in ("c3", "c4"):
        assert said(team, name)[-1] == f"cancelled: superseded by {sha('c5')[:12]}"
    assert team.cancelled() == ["mean-2"]
    team.end("cancelled")
    assert finish(team) == [sha(name) for name in ("c1", "c2", "c5")]


def test_what_is_cancelled_by_a_person_takes_the_whole_line_along() -> None:
    team = queued("c3", "c4")
    team.say("cancel_run", {"branch": MAIN, "reason": "cancelled: ada asked"})
    team.turn()
    assert team.cancelled() == ["mean-2"]
    for name in ("c3", "c4"):
        assert said(team, name)[-1] == "cancelled: cancelled: ada asked"
    team.end("cancelled")
    assert finish(team) == [sha("c1"), sha("c2")]


def test_a_branch_that_is_deleted_takes_its_line_along() -> None:
    team = began()
    for name in ("t1", "t2", "t3"):
        team.push(name, QUEUE, deep(int(name[1:])), branch=TOPIC)
        team.turn()
    team.lose(TOPIC)
    team.turn()
    assert [said(team, name)[-1].partition(":")[0] for name in ("t2", "t3")] == ["cancelled"] * 2
    assert not team.pipeline.behind


def test_a_state_of_before_commits_could_wait_in_line_goes_on() -> None:
    team = running()
    old = team.pipeline.plain()
    for fact in ("behind", "passed"):
        del old[fact]
    for last in old["last"].values():
        for fact in ("datasets", "places", "superseded"):
            del last[fact]
    team.state = parsed(PipelineState, old)
    team.push("c3", deep(2), README__md="other words")
    team.turn()
    assert team.cancelled() == []
    team.push("c4", deep(4))
    team.turn()
    assert team.cancelled() == ["mean-2"]
