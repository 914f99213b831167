"""What a pipeline asks its observer for, and what it must not ask for."""

from typing import Any

import pytest

from controller.machine.pipelines.needs import DatasetNeed, datasets_to_list, needs_of
from controller.machine.pipelines.pipeline import begin
from controller.machine.repositories.pull import Pull, pull_branch
from tests.controller.machine.kit import fields, sha
from tests.controller.machine.team import QUEUE, Team, began

QUERY = {"url": "${SHOP}", "sql": "SELECT * FROM n", "version": "SELECT max(at) FROM n"}
QUERIED = ("datasets.numbers", {"query": QUERY, "expectations": "numbers.yaml"})
ELSEWHERE = ("datasets.numbers.uri", "file:///elsewhere/*.csv")
MINE = pull_branch(7)


def propose(team: Team, name: str, *changes: tuple[str, Any], **facts: Any) -> str:
    """Pull request 7 into main, off the commit c1, has a new head."""
    commit = team.push(name, *changes, branch=MINE)
    body = fields(team.inbox.pop())
    pull = Pull(number=7, head=commit, base="main", base_commit=sha("c1"), **facts)
    team.say("commit_seen", {**body, "pull": pull.plain()})
    return commit


def listed(team: Team) -> list[tuple[str, str]]:
    """Commit and place of every dataset that is listed now."""
    needs = needs_of(team.state or begin(team.inbox), team.inbox)
    code = {commit: team.code[commit] for commit in needs.specs}
    found: tuple[DatasetNeed, ...] = datasets_to_list(needs, code, team.rules(needs))
    return [(need.code.source.commit, need.place.partition(" once")[0]) for need in found]


def test_the_head_is_needed_of_a_branch_whose_run_read_data_that_changed() -> None:
    team = began()
    team.push("t1", ("params.depth", 2), branch="trial")
    team.turn()
    team.end(stale=("numbers",))
    assert sha("t1") in needs_of(team.pipeline, team.inbox).commits


def test_every_commit_that_waits_in_line_is_read_and_only_the_first_has_its_data_listed() -> None:
    team = began(QUEUE)
    for name, depth in (("c2", 2), ("c3", 3), ("c4", 4)):
        team.push(name, QUEUE, ("params.depth", depth))
        team.turn()
    needs = needs_of(team.pipeline, ())
    assert {sha("c3"), sha("c4")} <= needs.specs.keys()
    assert set(needs.commits) == {sha("c3"), sha("c4")}, "the first in line, and the head"
    team.push("c5", QUEUE, ("params.depth", 5))
    team.push("c6", QUEUE, ("params.depth", 6))
    needs = needs_of(team.pipeline, team.inbox)
    assert {sha(name) for name in ("c3", "c4", "c5", "c6")} <= needs.specs.keys()
    assert set(needs.commits) == {sha("c3"), sha("c6")}


def test_a_pull_request_has_its_own_data_listed_and_what_only_its_base_reads() -> None:
    team = began()
    mine = propose(team, "p1", ELSEWHERE)
    assert (mine, "numbers at file:///elsewhere/*.csv") in listed(team)
    assert (sha("c1"), "numbers at file:///bucket/*.csv") in listed(team)
    team.turn()
    team.push("c2", ELSEWHERE)
    team.turn()
    needs = needs_of(team.pipeline, ())
    assert sha("c1") not in needs.commits
    assert (sha("c1"), "numbers at file:///bucket/*.csv") in listed(team)


@pytest.mark.parametrize("fork", [True, False])
def test_no_database_is_queried_for_a_pull_request_that_may_not_have_its_address(
    fork: bool,
) -> None:
    team = began()
    mine = propose(team, "p1", QUERIED, fork=fork)
    assert mine in needs_of(team.pipeline, team.inbox).commits
    assert mine not in [commit for commit, _ in listed(team)]


def test_a_query_that_is_run_for_a_branch_answers_the_pull_request_as_well() -> None:
    team = Team()
    team.push("c1", QUERIED)
    mine = propose(team, "p1", QUERIED, ("params.depth", 2))
    assert sorted(commit for commit, _ in listed(team)) == sorted([sha("c1"), mine])


def test_a_commit_that_is_the_head_of_a_branch_too_has_the_rights_of_that_branch() -> None:
    team = began()
    mine = propose(team, "p1", QUERIED)
    team.see("p1", branch="trial")
    assert mine in [commit for commit, _ in listed(team)]
