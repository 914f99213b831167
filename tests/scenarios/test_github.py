"""What a team sees on GitHub of what it pushes there; the double judges every request."""

from collections import Counter

import pytest

from tests.doubles.github import CheckRun, GitHub, Repository
from tests.scenarios.world import World

CREATE = "POST /repos/{owner}/{repo}/check-runs"
UPDATE = "PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}"


async def concluded(world: World, github: GitHub, repository: Repository, sha: str) -> CheckRun:
    """Wait for the conclusion of the one check of a commit."""

    async def look() -> CheckRun | None:
        checks = github.check_runs(repository, sha)
        return checks[0] if checks and checks[0].conclusion else None

    return await world.until(look, f"the check of {sha}")


async def test_a_push_gets_one_check_that_goes_from_the_plan_to_success(
    world: World, github: GitHub, repository: Repository
) -> None:
    pushed = world.push("Add the pipeline")
    async with world.controller():
        check = await concluded(world, github, repository, pushed)
    assert (check.name, check.conclusion) == ("headgate / mean", "success")
    assert check.output["title"] == "all steps ran; there is no gate, so nothing was judged"
    assert "mean-1 passed" in check.output["summary"]
    assert "`train`" in check.output["summary"]
    assert [run.id for run in github.check_runs(repository, pushed)] == [check.id]
    calls = Counter(record.operation for record in github.calls())
    assert calls[CREATE] == 1
    assert calls[UPDATE] <= 2, "queued while the data settles, in progress, and the end"
    assert not any("comments" in op and not op.startswith("GET") for op in calls), (
        "there is no pull request to comment on"
    )
    assert world.note(pushed) == "", "GitHub is where this is looked at"


async def test_a_broken_spec_fails_the_check_with_an_annotation_on_its_line(
    world: World, github: GitHub, repository: Repository
) -> None:
    broken = world.push("Break it", ml_pipeline__yaml=("params:", "parms:"))
    spec = (world.work / "ml-pipeline.yaml").read_text().splitlines()
    line = next(n for n, text in enumerate(spec, 1) if text.startswith("parms:"))
    async with world.controller():
        check = await concluded(world, github, repository, broken)
    assert check.conclusion == "failure"
    at = {(one["path"], one["start_line"]) for one in check.annotations}
    assert ("ml-pipeline.yaml", line) in at
    assert any("params" in one["message"] for one in check.annotations)


async def test_a_controller_that_ends_in_the_middle_leaves_one_check_for_the_next_to_conclude(
    world: World, github: GitHub, repository: Repository
) -> None:
    pushed = world.push("Train slowly", ml_pipeline__yaml=("wait: 0.0", "wait: 3.0"))
    async with world.controller():

        async def begun() -> bool:
            return [run.status for run in github.check_runs(repository, pushed)] == ["in_progress"]

        await world.until(begun, "the check to be in progress")
    async with world.controller():
        await concluded(world, github, repository, pushed)
    assert [run.conclusion for run in github.check_runs(repository, pushed)] == ["success"]
    assert len(github.calls(CREATE)) == 1


@pytest.mark.usefixtures("webhooks")
async def test_a_webhook_shows_a_push_long_before_the_next_poll(
    world: World, github: GitHub, repository: Repository
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        docs = world.push("Say nothing new")
        github.notice()
        check = await concluded(world, github, repository, docs)
    assert check.conclusion == "neutral"
