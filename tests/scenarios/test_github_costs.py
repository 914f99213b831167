"""How often GitHub is asked in the life of a pull request, of which an app has 5,000 calls an hour.

Webhooks say when to look, so the looks that a pull request brings about are counted, and none that
only a clock does: a poll is two calls, which are free while nothing is new. Not counted either is
how far a run is, one call at most every five seconds. A call is free where GitHub answers 304. What
two objects have to say at one time comes in any order, so calls are counted by what they do.
"""

import asyncio
import math
from collections import Counter

import pytest

from controller.machine.runs import execution
from tests.doubles.github.service import Record
from tests.doubles.github.state import Issue
from tests.scenarios.team import SPEC, Team
from tests.scenarios.world import World, run_git

pytestmark = pytest.mark.usefixtures("webhooks")
MOST = 14
"""Calls from the push to the report."""
REPO = "/repos/{owner}/{repo}"
PULLS = f"GET {REPO}/pulls"
SAID = f"GET {REPO}/issues/comments"
CHECKS = f"GET {REPO}/commits/{{ref}}/check-runs"
CHECK = f"POST {REPO}/check-runs"
COMMENTS = f"GET {REPO}/issues/{{issue_number}}/comments"
REPORTED = {
    # What the webhooks of the push and of the pull request have looked at.
    PULLS: 2,
    SAID: 2,
    # The check of the rules, concluded at once; that of the run, from its start to its end.
    CHECKS: 1,
    CHECK: 2,
    f"PATCH {REPO}/check-runs/{{check_run_id}}": 1,
    # The comment: is there one, the plan, was there another; is it as it was, the report.
    COMMENTS: 3,
    f"POST {REPO}/issues/{{issue_number}}/comments": 1,
    f"PATCH {REPO}/issues/comments/{{comment_id}}": 1,
}
ACCEPTED = {
    # What the webhook of the comment has looked at; may its author write, and accept.
    PULLS: 1,
    SAID: 1,
    f"GET {REPO}/collaborators/{{username}}/permission": 2,
    f"POST {REPO}/issues/comments/{{comment_id}}/reactions": 1,
    # The check of the rules, and that of the run anew, in which nothing is left to do.
    CHECKS: 1,
    CHECK: 2,
    COMMENTS: 1,
    f"PATCH {REPO}/issues/comments/{{comment_id}}": 1,
}


@pytest.fixture(autouse=True)
def untold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without reports of progress, whose number depends on how fast the machine is."""
    monkeypatch.setattr(execution, "PROGRESS", math.inf)


class Meter:
    """Counts the calls since it was read last."""

    def __init__(self, team: Team, world: World) -> None:
        self.team = team
        self.world = world
        self._read = 0

    async def settled(self) -> list[Record]:
        """Wait until everything has been reported and read back, and the outbox is empty."""
        github, store = self.team.github, self.world.store
        await asyncio.to_thread(github.notice)
        await asyncio.to_thread(github.webhooks.settle)

        async def rest() -> bool:
            return not await store.inbox() and not await store.outbox()

        await self.world.until(rest, "nothing to be left to say")
        calls = github.calls()[self._read :]
        self._read += len(calls)
        return calls


@pytest.fixture
def meter(team: Team, world: World) -> Meter:
    return Meter(team, world)


def free(calls: list[Record]) -> int:
    return sum(call.status == 304 for call in calls)


async def life(meter: Meter, number: int, *changes: tuple[str, str]) -> tuple[Issue, list[Record]]:
    """Push a branch with changes of the spec, open its pull request, and wait for the report of
    that run; with the calls."""
    team, world = meter.team, meter.world
    await meter.settled()
    run_git(world.work, "switch", "-q", "-c", "idea", "main")
    spec = world.work / SPEC
    for old, new in changes:
        assert old in spec.read_text()
        spec.write_text(spec.read_text().replace(old, new))
    sha = world.push("Try an idea")
    calls = await meter.settled()  # so that each webhook has a look of its own
    pull = team.github.open_pull_request(team.repository, "idea")
    await team.concluded(sha, "success")
    await team.commented(pull, f"mean-{number} passed")
    return pull, calls + await meter.settled()


async def test_from_the_push_to_the_report_it_is_thirteen_calls_of_which_four_are_free(
    team: Team, world: World, meter: Meter
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        _, calls = await life(meter, 2, ("shift: 0.0", "shift: 2.0"))
    assert Counter(call.operation for call in calls) == REPORTED
    assert (len(calls), free(calls)) == (13, 4)
    assert len(calls) <= MOST


async def test_a_loosened_rule_costs_nothing_more_and_its_acceptance_ten_calls(
    team: Team, world: World, meter: Meter
) -> None:
    world.push("Add the pipeline")
    team.github.grant(team.repository, "adele", "admin")
    async with world.controller():
        await world.serves(1)
        looser = ("not_worse_by: 10%", "not_worse_by: 90%")
        pull, calls = await life(meter, 2, looser, ("shift: 0.0", "shift: 2.0"))
        assert "1 rule loosened" in (await team.commented(pull, "mean-2 passed"))
        assert Counter(call.operation for call in calls) == REPORTED
        assert len(calls) <= MOST

        sha = team.repository.git.heads()["idea"]
        team.github.comment(team.repository, pull, f"/headgate accept {sha}", "adele")
        await team.commented(pull, "mean-3 passed")
        calls = await meter.settled()
    assert Counter(call.operation for call in calls) == ACCEPTED
    assert (len(calls), free(calls)) == (10, 2)
