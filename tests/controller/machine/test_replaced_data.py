"""Data that is replaced while a run reads it fails the run, and the next run reads the new data."""

from controller.machine.runs.attempt import AttemptState
from tests.controller.machine.kit import fields
from tests.controller.machine.lab import lab
from tests.controller.machine.team import QUIET, Team, began
from validators.verdict import Verdict


def replaced(team: Team) -> None:
    """End the newest run because its data was replaced."""
    team.end("failed", stale=["numbers"])
    team.turn()


def test_a_step_whose_data_was_replaced_is_not_retried_and_the_run_names_the_dataset() -> None:
    one = lab(("steps.train.retries", 3), endings={"train": [AttemptState.DATA_CHANGED]})
    run = one.finish()
    assert run.outcome == "failed"
    assert one.order == ["gate.data.numbers", "train"]
    assert fields(one.messages[-1])["stale"] == ["numbers"]


def test_a_data_gate_whose_data_was_replaced_gives_no_verdict() -> None:
    one = lab(endings={"gate.data.numbers": [AttemptState.DATA_CHANGED]})
    run = one.finish()
    assert run.outcome == "failed"
    assert "data.numbers" not in run.verdicts or run.verdicts["data.numbers"] is not Verdict.ERROR
    assert fields(one.messages[-1])["stale"] == ["numbers"]


def test_a_run_that_fails_for_another_reason_names_no_dataset() -> None:
    one = lab(endings={"train": [AttemptState.FAILED]})
    assert one.finish().outcome == "failed"
    assert fields(one.messages[-1])["stale"] == []


def test_the_next_run_reads_the_new_version_once_it_is_complete() -> None:
    team = began(QUIET)
    team.drop("numbers 2")
    team.turn()
    team.turn(30.0)
    assert team.last_run.id == "mean-2"
    new = team.drop("numbers 3")
    replaced(team)
    team.turn(20.0)
    assert team.last_run.id == "mean-2"
    team.turn(10.0)
    assert team.last_run.datasets == {"numbers": new}
    assert team.last_run.trigger.why == "numbers changed while mean-2 read it"


def test_a_replaced_version_that_is_still_listed_is_used_again_only_after_a_while() -> None:
    team = began(QUIET)
    same = team.drop("numbers 2")
    team.turn()
    team.turn(30.0)
    assert team.last_run.id == "mean-2"
    replaced(team)
    for _ in range(5):
        team.turn(1.0)
    assert team.last_run.id == "mean-2", "it would fail over it time and again at once"
    team.turn(60.0)
    assert team.last_run.id == "mean-3"
    assert team.last_run.datasets == {"numbers": same}


def test_a_newer_waiting_commit_is_run_instead() -> None:
    team = began(QUIET)
    team.drop("numbers 2")
    team.turn()
    team.turn(30.0)
    newer = team.push("c2", QUIET, ("params.depth", 9))
    team.drop("numbers 3")
    replaced(team)
    team.turn(60.0)
    assert team.last_run.commit == newer
    assert list(team.runs) == ["mean-1", "mean-2", "mean-3"]


def test_a_version_listed_long_ago_is_quiet_only_by_what_was_listed_since() -> None:
    team = began(QUIET)
    team.drop("numbers 2", at=team.now + 1)
    team.turn(1.0)
    team.turn(40.0)
    assert list(team.runs) == ["mean-1"], "nobody has looked since"
    team.drop("numbers 2", at=team.now)
    team.turn(1.0)
    assert list(team.runs) == ["mean-1", "mean-2"]
