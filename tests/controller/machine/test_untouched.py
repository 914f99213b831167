"""Which pipelines have nothing to do with a commit that changes nothing that they read."""

from controller.machine.pipelines.untouched import covering_run
from tests.controller.machine.kit import sha
from tests.controller.machine.team import MAIN, Team, began


def run_for(team: Team, commit: str, branch: str = MAIN) -> str | None:
    """The run whose result stands for a newer commit that reads the same as that one."""
    return covering_run(team.pipeline, branch, team.code[commit])


def test_the_run_that_passed_stands_for_a_commit_that_changes_nothing_it_reads() -> None:
    team = began()
    assert run_for(team, sha("c1")) == "mean-1"


def test_so_it_does_once_a_commit_in_between_was_found_to_have_nothing_to_run() -> None:
    team = began()
    docs = team.push("c2", README__md="better words")
    team.turn()
    assert team.pipeline.heads[MAIN] == docs
    assert run_for(team, docs) == "mean-1"


def test_a_run_of_older_inputs_stands_for_nothing_newer() -> None:
    team = began()
    newer = team.push("c2", ("datasets.numbers.uri", "file:///other/*.csv"))
    team.turn()
    team.turn(90_000.0)
    assert team.told(newer)[-1][0] == "cancelled", "it waited for its data for too long"
    assert run_for(team, newer) is None


def test_a_pipeline_with_a_run_requested_or_in_progress_looks_at_every_commit() -> None:
    team = began()
    commit = team.push("c2", ("params.depth", 7))
    team.turn()
    assert run_for(team, commit) is None
    team.end()
    team.turn()
    assert run_for(team, commit) == "mean-2"
    team.trigger(force=True)
    team.turn()
    assert run_for(team, commit) is None


def test_a_commit_after_a_run_that_did_not_pass_is_looked_at() -> None:
    for outcome in ("failed", "stopped", "cancelled"):
        team = began()
        commit = team.push("c2", ("params.depth", 7))
        team.turn()
        team.end(outcome)
        team.turn()
        assert run_for(team, commit) is None


def test_newer_data_that_triggers_nothing_by_itself_is_taken_with_the_next_commit() -> None:
    team = began(("triggers", {}))
    assert run_for(team, sha("c1")) == "mean-1"
    team.drop("numbers 2")
    team.turn(100.0)
    assert list(team.runs) == ["mean-1"]
    assert run_for(team, sha("c1")) is None


def test_where_commits_start_no_runs_none_is_looked_at() -> None:
    team = Team()
    commit = team.push("c1", ("triggers.commits", {"enabled": False}))
    team.turn()
    assert run_for(team, commit) == ""


def test_a_branch_or_a_place_of_the_spec_that_is_unknown_is_looked_at() -> None:
    team = began()
    assert run_for(team, sha("c1"), "topic") is None
    moved = team.code[sha("c1")].source.model_copy(update={"folder": "moved"})
    code = team.code[sha("c1")].model_copy(update={"source": moved})
    assert covering_run(team.pipeline, MAIN, code) is None
    team.lose()
    team.turn()
    assert run_for(team, sha("c1")) is None
