"""Releases that wait for a pull request: merged, closed, overtaken, edited; on the double."""

from typing import Literal

import pytest

from controller.git.environments import BRANCH, PROPOSALS
from controller.machine.core import Key
from controller.machine.environments.environment import EnvironmentState
from controller.machine.messages import Approve, BranchMoved, Retry
from tests.doubles.github import GitHub, Issue, Repository
from tests.scenarios.world import World, git_or_none, run_git

PRODUCTION = Key("environment", "mean/production")
OPEN = "POST /repos/{owner}/{repo}/pulls"


@pytest.fixture
def repository(world: World, repository: Repository) -> Repository:
    """With a spec that asks for approval."""
    spec = world.work / "ml-pipeline.yaml"
    text = spec.read_text().replace("production:\n", "production:\n    approval: pull-request\n")
    spec.write_text(text)
    world.push("Add the pipeline")
    return repository


def proposals(github: GitHub, repository: Repository) -> list[Issue]:
    with github.service.lock:
        return [one for one in repository.pulls() if one.request.base_ref == BRANCH]


async def proposed(world: World, github: GitHub, repository: Repository, number: int) -> Issue:
    """Wait until the release of that version is proposed, and the controller knows it."""

    async def look() -> Issue | None:
        env = await world.environment("production")
        rollout = env.rollout if env else None
        if rollout is None or rollout.version.version != number or rollout.proposal is None:
            return None
        at = rollout.proposal.pull
        return next((one for one in proposals(github, repository) if one.number == at), None)

    return await world.until(look, f"the proposal of v{number}")


async def ended(world: World) -> EnvironmentState:
    """Wait until nothing is in progress in production, and the outbox is empty."""

    async def look() -> EnvironmentState | None:
        env = await world.environment("production")
        return env if env and env.rollout is None and not await world.store.outbox() else None

    return await world.until(look, "the end of the rollout")


def branches(world: World) -> list[str]:
    """Of proposals, on the remote."""
    found = git_or_none(world.remote, "branch", "--format=%(refname:short)") or ""
    return [name for name in found.splitlines() if name.startswith(PROPOSALS)]


@pytest.mark.parametrize("method", ["merge", "squash"])
async def test_merging_the_pull_request_releases_and_says_who_approved(
    world: World, github: GitHub, repository: Repository, method: Literal["merge", "squash"]
) -> None:
    async with world.controller():
        pull = await proposed(world, github, repository, 1)
        assert pull.title == "Release mean v1 to production"
        assert "## Model card" in (pull.body or "")
        assert "headgate approve mean/production" in (pull.body or "")
        assert world.file() is None, "nothing is released before somebody agrees"
        github.merge(repository, pull, "grace", method)
        await world.serves(1)
        await ended(world)
    assert branches(world) == []
    assert len(proposals(github, repository)) == 1
    assert github.comments(repository, pull) == []
    rollout = await world.store.get(Key("rollout", "mean-production-1"))
    assert rollout is not None
    assert rollout.body["outcome"] == "promoted"
    assert "approved by" in rollout.body["reason"]
    assert "grace" in rollout.body["reason"]


async def test_closing_the_pull_request_declines_and_a_retry_proposes_again(
    world: World, github: GitHub, repository: Repository
) -> None:
    async with world.controller():
        pull = await proposed(world, github, repository, 1)
        github.close(repository, pull, "grace")
        await world.say(PRODUCTION, BranchMoved(repository="team"))  # as a webhook does
        env = await ended(world)
        assert env.stable is None
        assert env.quarantine == ()
        rollout = await world.store.get(Key("rollout", "mean-production-1"))
        assert rollout is not None
        assert rollout.body["outcome"] == "aborted"
        assert rollout.body["reason"].startswith("declined by grace")
        assert branches(world) == []
        await world.say(PRODUCTION, Retry(by="ada"))
        again = await proposed(world, github, repository, 1)
    assert again.number != pull.number
    assert again.state == "open"


async def test_a_newer_release_closes_the_older_proposal_and_says_so(
    world: World, github: GitHub, repository: Repository
) -> None:
    async with world.controller():
        older = await proposed(world, github, repository, 1)
        world.push("Shift", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))
        newer = await proposed(world, github, repository, 2)

        async def closed() -> bool:
            return older.state == "closed" and len(branches(world)) == 1

        await world.until(closed, "the older one to be closed")
        said = [comment.body for comment in github.comments(repository, older)]
    assert newer.state == "open"
    assert len(said) == 1
    assert "superseded by v2" in said[0]


async def test_the_command_approves_as_well_and_closes_the_pull_request(
    world: World, github: GitHub, repository: Repository
) -> None:
    async with world.controller():
        pull = await proposed(world, github, repository, 1)
        await world.say(PRODUCTION, Approve(by="ada", reason="seen"))
        await world.serves(1)
        await ended(world)
    assert pull.state == "closed"
    assert pull.request.merged_at is None
    assert ["approved by ada: seen" in one.body for one in github.comments(repository, pull)] == [
        True
    ]
    assert branches(world) == []


async def test_a_controller_that_dies_between_the_push_and_the_pull_request_opens_one(
    world: World, github: GitHub, repository: Repository
) -> None:
    github.fail(OPEN, times=1000, status=502)
    async with world.controller():

        async def pushed() -> bool:
            return bool(branches(world)) and bool(github.calls(OPEN))

        await world.until(pushed, "the branch")
    assert proposals(github, repository) == []
    before = branches(world)
    github.service.faults.clear()
    async with world.controller():
        await proposed(world, github, repository, 1)
    assert branches(world) == before
    assert len(proposals(github, repository)) == 1


async def test_a_person_who_edits_the_proposal_to_an_unknown_version_is_refused(
    world: World, github: GitHub, repository: Repository
) -> None:
    async with world.controller():
        pull = await proposed(world, github, repository, 1)
        clone = world.root / "editor"
        run_git(world.root, "clone", "-q", "-b", branches(world)[0], str(world.remote), str(clone))
        path = clone / "production" / "mean.yaml"
        path.write_text(path.read_text().replace("version: 1", "version: 9"))
        run_git(clone, "commit", "-q", "-am", "Take another")
        run_git(clone, "push", "-q")
        github.merge(repository, pull, "grace")
        env = await ended(world)
    assert env.stable is None
    rollout = await world.store.get(Key("rollout", "mean-production-1"))
    assert rollout is not None
    assert rollout.body["outcome"] == "aborted"
    assert "the file does not name it" in rollout.body["reason"]
    assert "mean: refuse a change of production" in world.releases()
    assert branches(world) == []
