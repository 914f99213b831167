"""What a team sees on GitHub of its releases: environments, statuses, and an issue if asked for."""

import pytest

from controller.config.settings import Settings
from tests.doubles.github import GitHub, Repository
from tests.doubles.github.state import Issue
from tests.scenarios.world import World

CREATE = "POST /repos/{owner}/{repo}/deployments"
CONTEXT = "headgate / mean / production"
Told = list[tuple[str, str]]


@pytest.fixture
def repository(world: World, repository: Repository) -> Repository:
    """Rollbacks are told by issue."""
    settings = world.settings.model_dump(mode="json", exclude_unset=True)
    settings["notify"] = [{"to": "github-issue", "on": ["rollback"]}]
    world.settings = Settings.model_validate(settings)
    return repository


def issues(repository: Repository) -> list[Issue]:
    return [issue for issue in repository.issues.values() if issue.pull is None]


def told(github: GitHub, repository: Repository, environment: str, sha: str) -> list[Told]:
    """What each deployment of a commit to an environment said, one status after another."""
    return [
        [(status["state"], status["description"]) for status in one.statuses]
        for one in github.deployments(repository)
        if (one.environment, one.sha) == (environment, sha)
    ]


async def shown(
    world: World, github: GitHub, repository: Repository, environment: str, sha: str, state: str
) -> Told:
    """Wait until the one deployment of the commit has come to that state."""

    async def look() -> Told | None:
        found = told(github, repository, environment, sha)
        assert len(found) <= 1, found
        return found[0] if found and found[0] and found[0][-1][0] == state else None

    return await world.until(look, f"{environment} of {sha} to be shown as {state}")


async def test_a_first_release_shows_both_environments_active(
    world: World, github: GitHub, repository: Repository
) -> None:
    pushed = world.push("Add the pipeline")
    async with world.controller():
        for environment in ("staging", "production"):
            said = await shown(world, github, repository, environment, pushed, "success")
            assert said == [
                ("in_progress", "v1: is starting"),
                ("success", "v1: serves all traffic"),
            ]
    assert [one.production for one in github.deployments(repository)] == [False, True]
    statuses = github.statuses(repository, pushed)
    assert [(one["context"], one["state"]) for one in statuses] == [(CONTEXT, "success")]
    branch = "octo/models/commits/headgate/environments/production/mean.yaml"
    assert statuses[0]["target_url"] == f"{github.url}/{branch}"


async def test_a_canary_shows_its_weights_and_what_it_replaces_becomes_inactive(
    world: World, github: GitHub, repository: Repository
) -> None:
    first = world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        async with world.traffic():
            second = world.push("Shift", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))
            said = await shown(world, github, repository, "production", second, "success")
        assert [text for _, text in said] == [
            "v2: is starting",
            "v2: canary at 20 %",
            "v2: canary at 50 %",
            "v2: serves all traffic",
        ]
        for environment in ("staging", "production"):
            left = await shown(world, github, repository, environment, first, "inactive")
            assert left[-1] == ("inactive", "v1: replaced by v2")

        async with world.traffic():
            world.revert_environment()
            await world.serves(1)

            async def reverted() -> bool:
                states = [s[-1] for s in told(github, repository, "production", first)]
                return states == [
                    ("inactive", "v1: replaced by v2"),
                    ("success", "v1: serves all traffic"),
                ]

            await world.until(reverted, "the revert to be a deployment of its own")
        await shown(world, github, repository, "production", second, "inactive")
    assert issues(repository) == []


async def test_a_canary_that_is_rolled_back_fails_its_commit_and_opens_one_issue(
    world: World, github: GitHub, repository: Repository
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        async with world.traffic():
            bad = world.push("Be faster", serve__py=("FAULTY = 0", "FAULTY = 3"))
            said = await shown(world, github, repository, "production", bad, "failure")
        assert "Rolled back: the canary is worse than stable in errors" in said[-1][1]

        async def issued() -> bool:
            return bool(issues(repository))

        await world.until(issued, "the issue")
    for _ in range(2):
        async with world.controller():
            await world.serves(1)

    async with world.controller():
        await world.serves(1)
        statuses = github.statuses(repository, bad)
        assert [(one["context"], one["state"]) for one in statuses] == [(CONTEXT, "failure")]
        assert "v2 is quarantined: Rolled back" in statuses[0]["description"]
        (issue,) = issues(repository)
        assert issue.title == "mean: production rolled back v2"
        assert issue.body is not None
        assert "**Removed:** v2" in issue.body
        assert "**errors" in issue.body

        async def closed() -> bool:
            return issue.state == "closed"

        await world.until(closed, "the issue to be closed, as stable serves all again")
    (comment,) = github.comments(repository, issue)
    assert "rollback/mean-production-2: resolved." in comment.body
    assert len(issues(repository)) == 1


async def test_an_answer_of_github_that_is_lost_makes_no_second_deployment(
    world: World, github: GitHub, repository: Repository
) -> None:
    github.fail(CREATE, applied=True, drop=True)
    pushed = world.push("Add the pipeline")
    async with world.controller():
        for environment in ("staging", "production"):
            await shown(world, github, repository, environment, pushed, "success")
    assert len(github.deployments(repository)) == 2


async def test_a_github_that_refuses_deployments_holds_up_no_release(
    world: World, github: GitHub, repository: Repository
) -> None:
    (installation,) = github.hub.installations.values()
    del installation.permissions["deployments"]
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
    assert github.deployments(repository) == []
    assert 403 in {call.status for call in github.calls()}
