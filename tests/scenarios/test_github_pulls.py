"""What a committer and a reviewer see of a pull request, from the plan to the merge."""

from tests.scenarios.team import SPEC, Fork, Team
from tests.scenarios.world import World, run_git


async def test_a_pull_request_gets_a_check_and_a_comment_and_is_not_trained_again_after_the_merge(
    team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        pull, sha = team.propose("shift", ml_pipeline__yaml=("shift: 0.0", "shift: 2.0"))
        (check,) = await team.concluded(sha, "success")
        title = "all steps ran; there is no gate, so nothing was judged; no rule loosened"
        assert (check.name, check.output["title"]) == ("headgate / mean", title)
        comment = await team.commented(pull, "mean-2 passed")
        assert len(team.comments(pull)) == 1
        assert "params.shift went from 0.0 to 2.0" in comment
        assert "pull request" in comment
        assert (await world.pipeline()).versions == 1  # type: ignore[union-attr]  # it is there

        merged = team.github.merge(team.repository, pull)
        await world.serves(2, "staging")
        await team.concluded(merged, "success")
        run = await world.run(3)
    assert run is not None
    assert run.nodes["train"].cached_from == "mean-2", "it was trained for the pull request"


async def test_the_plan_is_there_while_the_run_goes_on_and_progress_makes_no_new_comment(
    team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        pull, sha = team.propose("slow", ml_pipeline__yaml=("wait: 0.0", "wait: 7.0"))
        planned = await team.commented(pull, "mean-2 runs")
        assert "params.wait went from 0.0 to 7.0" in planned

        async def in_progress() -> bool:
            (run,) = team.checks(sha)
            return "train" in run.output["title"] and run.status == "in_progress"

        await world.until(in_progress, "the check to name the step")
        assert len(team.comments(pull)) == 1
        await team.concluded(sha, "success")
        await team.commented(pull, "mean-2 passed")
        assert len(team.comments(pull)) == 1


async def test_a_pull_request_that_touches_nothing_gets_a_neutral_check_and_no_comment(
    team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        (world.work / "README.md").write_text("Read me.\n")
        pull, sha = team.propose("docs")
        (check,) = await team.concluded(sha, "neutral")
    title = f"nothing to run: #{pull.number} changes nothing that mean reads"
    assert check.output["title"] == title
    assert team.comments(pull) == []
    assert await world.run(2) is None


async def test_a_newer_commit_of_a_pull_request_cancels_the_run_of_the_older(
    team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        pull, first = team.propose("slow", ml_pipeline__yaml=("wait: 0.0", "wait: 50.0"))
        await team.running(2)
        second = world.push("Be quick", ml_pipeline__yaml=("wait: 50.0", "wait: 0.1"))
        (check,) = await team.concluded(first, "cancelled")
        assert f"superseded by commit {second[:12]}" in check.output["title"]
        await team.concluded(second, "success")
        await team.commented(pull, "mean-3 passed")
    assert len(team.comments(pull)) == 1


async def test_closing_a_pull_request_cancels_what_runs_for_it(team: Team, world: World) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        pull, sha = team.propose("slow", ml_pipeline__yaml=("wait: 0.0", "wait: 50.0"))
        await team.running(2)
        team.github.close(team.repository, pull)
        (check,) = await team.concluded(sha, "cancelled")
    assert "pull request" in check.output["title"]
    assert "was closed" in check.output["title"]


async def test_deleting_or_pushing_over_the_branch_in_the_middle_of_a_run_cancels_it(
    team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        _, first = team.propose("slow", ml_pipeline__yaml=("wait: 0.0", "wait: 50.0"))
        await team.running(2)
        run_git(world.work, "reset", "-q", "--hard", "main")
        text = (world.work / SPEC).read_text()
        (world.work / SPEC).write_text(text.replace("wait: 0.0", "wait: 51.0"))
        run_git(world.work, "commit", "-qam", "Another way")
        run_git(world.work, "push", "-qf", "origin", "HEAD")
        second = run_git(world.work, "rev-parse", "HEAD")
        await team.concluded(first, "cancelled")
        await team.running(3)
        team.github.delete_branch(team.repository, "slow")  # GitHub closes the pull request
        await team.concluded(second, "cancelled")


# -- forks -----------------------------------------------------------------------------------------


async def test_nothing_of_a_fork_runs_until_a_maintainer_approves_that_very_commit(
    team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    team.github.grant(team.repository, "maya", "write")
    async with world.controller():
        await world.serves(1)
        fork = Fork(team)
        first = fork.push("shift: 0.0", "shift: 3.0")
        pull = fork.propose()
        await team.concluded(first, "action_required")
        held = await team.commented(pull, f"/headgate approve {first[:12]}")
        assert "fork" in held

        def say(text: str, author: str) -> None:
            team.github.comment(team.repository, pull, text, author)

        say(f"/headgate approve {first[:12]}", "stranger")
        await team.commented(pull, "Sorry @stranger")
        say("/headgate approve", "maya")
        await team.commented(pull, "Say which commit you have read")
        say("/headgate run", "maya")
        await team.commented(pull, "approve that very commit first")
        assert await world.run(2) is None, "nothing ran"

        say(f"/headgate approve {first[:12]}", "maya")
        await team.concluded(first, "action_required", "success")
        await team.commented(pull, "mean-2 passed")

        second = fork.push("shift: 0.0", "shift: 4.0")
        await team.concluded(second, "action_required")
        await team.commented(pull, f"/headgate approve {second[:12]}")
        assert await world.run(3) is None, "a new push needs a new approval"
