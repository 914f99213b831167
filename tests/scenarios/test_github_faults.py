"""GitHub is down, ends tokens, sets limits, and controllers die: what holds all the same."""

from tests.doubles.github import CheckRun
from tests.scenarios.team import Team
from tests.scenarios.world import World


async def one_check_and_comment(team: Team, sha: str, run: str) -> None:
    """Exactly one of each, and both tell the truth."""
    (check,) = await team.concluded(sha, "success")
    assert f"{run} passed" in check.output["summary"]
    (pull,) = team.repository.pulls()
    await team.commented(pull, f"{run} passed")
    assert len(team.comments(pull)) == 1


async def test_while_github_is_down_new_data_reaches_staging_and_nothing_is_said_twice_later(
    team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        _, sha = team.propose("shift", ml_pipeline__yaml=("shift: 0.0", "shift: 2.0"))
        await team.concluded(sha, "success")
        team.github.fail("*", times=10_000, status=500)
        world.drop("b.csv", [7, 8, 9])
        await world.serves(2, "staging")
        assert await world.run(3) is not None
        team.github.service.faults.clear()
        await one_check_and_comment(team, sha, "mean-2")


async def test_a_token_that_ends_in_the_middle_of_a_run_and_a_limit_cost_only_time(
    team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        _, sha = team.propose("slow", ml_pipeline__yaml=("wait: 0.0", "wait: 2.0"))
        await team.running(2)
        team.github.end_tokens()
        team.github.limits.trip(times=2, retry_after=1)
        await one_check_and_comment(team, sha, "mean-2")


async def test_a_controller_that_dies_between_the_check_and_the_comment_leaves_one_of_each(
    team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        _, sha = team.propose("slow", ml_pipeline__yaml=("wait: 0.0", "wait: 2.0"))

        async def checked() -> list[CheckRun]:
            return team.github.check_runs(team.repository, sha)

        await world.until(checked, "a check run")
    async with world.controller():
        await one_check_and_comment(team, sha, "mean-2")
