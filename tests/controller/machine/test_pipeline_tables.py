"""A commit of a table is complete as it is; who says `quiet` waits for several."""

from typing import Any

from tests.controller.machine.team import Team


def _team(**trigger: Any) -> Team:
    team = Team()
    team.drop("numbers 1", marked=True)
    team.push("c1", ("triggers.data", {"datasets": ["numbers"], **trigger}))
    team.turn()
    team.turn(1000.0)
    team.end()
    return team


def test_a_commit_of_a_table_is_run_at_once() -> None:
    team = _team()
    new = team.drop("numbers 2", whole=True)
    team.turn()
    assert team.last_run.datasets == {"numbers": new}


def test_files_wait_for_the_half_minute_that_is_the_default() -> None:
    team = _team()
    team.drop("numbers 2")
    assert team.turn().requeue_after == 30.0
    assert list(team.runs) == ["mean-1"]


def test_commits_are_gathered_for_as_long_as_the_spec_says() -> None:
    team = _team(quiet="5m")
    team.drop("numbers 2", whole=True)
    team.turn()
    new = team.drop("numbers 3", whole=True)
    team.turn(299.0)
    assert list(team.runs) == ["mean-1"]
    team.turn(300.0)
    assert team.last_run.datasets == {"numbers": new}


def test_a_marker_that_the_spec_asks_for_is_waited_for() -> None:
    team = _team(marker="_SUCCESS")
    team.drop("numbers 2", whole=True, marked=False)
    team.turn()
    team.turn(1000.0)
    assert list(team.runs) == ["mean-1"]


def test_a_file_that_is_being_written_is_looked_at_again_though_nothing_else_changed() -> None:
    team = _team(quiet="0s")
    team.drop("numbers 1", settled=False)
    assert team.turn().requeue_after == 1.0
    new = team.drop("numbers 1 and the file")
    team.turn(1.0)
    assert team.last_run.datasets == {"numbers": new}
