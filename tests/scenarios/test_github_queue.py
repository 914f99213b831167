"""GitHub's merge queue: what would be merged next has the checks that a branch may require."""

from tests.scenarios.team import Team
from tests.scenarios.world import World, run_git

BRANCH = "gh-readonly-queue/main/pr-"


async def test_a_merge_group_is_answered_by_what_its_pull_request_said_of_the_same_content(
    team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        pull, sha = team.propose("shift", ml_pipeline__yaml=("shift: 0.0", "shift: 2.0"))
        await team.concluded(sha, "success")
        branch, group = team.github.queue(team.repository, pull)
        assert branch.startswith(f"{BRANCH}{pull.number}-")
        (check,) = await team.concluded(group, "neutral")  # as good as success to GitHub
        assert check.name == "headgate / mean"
        title = (
            "nothing to run: nothing it reads has changed since mean-2 (passed); no rule loosened"
        )
        assert check.output["title"] == title
        await world.until(lambda: _policies(team, group, "success"), "the check of the rules")
        assert len(team.comments(pull)) == 1, "what is said of a group is no comment"
        assert await world.run(3) is None


async def test_a_merge_group_of_other_content_is_judged_and_so_is_the_one_behind_it(
    team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        one, first = team.propose("shift", ml_pipeline__yaml=("shift: 0.0", "shift: 2.0"))
        await team.concluded(first, "success")
        run_git(world.work, "switch", "-q", "main")
        two, second = team.propose("words", train__py=("a real model", "a model"))
        await team.concluded(second, "success")
        _, ahead = team.github.queue(team.repository, one)
        branch, group = team.github.queue(team.repository, two, behind=ahead)
        (check,) = await team.concluded(group, "success")
        assert check.name == "headgate / mean"
        run = await world.ended(4)
        assert (run.commit, run.branch, run.pull) == (group, branch, None)
        assert run.trigger.why == f"merge group {group[:12]} of #{two.number} into main"
        assert not run.releases


async def test_a_merge_group_loosens_what_was_accepted_in_its_pull_requests_and_no_more(
    team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    team.github.grant(team.repository, "adele", "admin")
    async with world.controller():
        await world.serves(1)
        pull, sha = team.propose("looser", ml_pipeline__yaml=("worse_by: 10%", "worse_by: 20%"))
        await world.until(lambda: _policies(team, sha, "failure"), "the rules to be looked at")
        _, early = team.github.queue(team.repository, pull)
        await world.until(lambda: _policies(team, early, "failure"), "the group to be refused")

        team.github.comment(team.repository, pull, f"/headgate accept {sha}", "adele")
        await world.until(lambda: _policies(team, sha, "success"), "the rules to be accepted")
        team.github.delete_branch(team.repository, f"{BRANCH}{pull.number}-{pull.request.base_sha}")
        _, late = team.github.queue(team.repository, pull)
        await world.until(lambda: _policies(team, late, "success"), "the group to pass")


async def _policies(team: Team, sha: str, conclusion: str) -> bool:
    return team.policies(sha)[-1:] == [conclusion]
