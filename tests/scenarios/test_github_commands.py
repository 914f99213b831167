"""What people ask for on GitHub: by a comment, by a button, while the controller is down or up."""

import asyncio

import pytest

from tests.doubles.github.state import Comment, Issue
from tests.scenarios.team import Fork, Team
from tests.scenarios.world import World


def say(team: Team, pull: Issue, text: str, author: str = "maya") -> Comment:
    """A comment; maya may write, and nobody else."""
    team.github.grant(team.repository, "maya", "write")
    return team.github.comment(team.repository, pull, text, author)


async def nodded(team: Team, comment: Comment) -> None:
    """Wait for the thumb that says that it is done."""

    async def look() -> bool:
        return [what for _, _, what, _ in comment.reactions] == ["+1"]

    await team.world.until(look, f"a thumb on {comment.body!r}")


async def test_a_writers_command_is_carried_out_and_a_stranger_gets_a_polite_answer(
    team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        pull, sha = team.propose("shift", ml_pipeline__yaml=("shift: 0.0", "shift: 2.0"))
        await team.concluded(sha, "success")

        for verb in ("run", "plan", "cancel"):
            say(team, pull, f"/headgate {verb}", "stranger")
        say(team, pull, "/headgatefoo run")
        say(team, pull, "I think /headgate run helps", "stranger")
        say(team, pull, "/headgate deploy now")
        helped = await team.commented(pull, "That is not a Headgate command")
        assert "`/headgate retry`" in helped
        say(team, pull, "/headgate plan")
        planned = await team.commented(pull, "answer to")
        assert planned
        await team.commented(pull, "## mean\n\n")
        await nodded(team, say(team, pull, "/headgate retry"))
        assert [("Sorry @stranger" in body) for body in team.comments(pull)].count(True) == 3
        assert await world.run(3) is None, "nobody who may has asked for what did not pass"

        await nodded(team, say(team, pull, "/headgate run"))
        await team.concluded(sha, "success", "success")
        run = await world.ended(3)
    assert (run.trigger.kind, run.trigger.by, run.pull) == ("manual", "maya", pull.number)
    assert run.nodes["train"].cached_from == "mean-2"
    assert await world.run(4) is None


async def test_what_runs_is_cancelled_on_a_word_and_tried_again_on_another(
    team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        pull, sha = team.propose("slow", ml_pipeline__yaml=("wait: 0.0", "wait: 50.0"))
        await team.running(2)
        say(team, pull, "/headgate cancel")
        (check,) = await team.concluded(sha, "cancelled")
        assert "maya asked for it" in check.output["title"]
        await team.commented(pull, "mean-2 cancelled")
        say(team, pull, "/headgate retry")
        again = await team.running(3)
        assert (again.trigger.kind, again.pull) == ("retry", pull.number)
        say(team, pull, "/headgate cancel")
        await team.concluded(sha, "cancelled", "cancelled")


async def test_a_comment_while_the_controller_was_down_is_acted_on_once_when_it_is_back(
    team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        pull, sha = team.propose("shift", ml_pipeline__yaml=("shift: 0.0", "shift: 2.0"))
        await team.concluded(sha, "success")
    say(team, pull, "/headgate run")
    async with world.controller():
        await world.ended(3)
        await team.concluded(sha, "success", "success")
    async with world.controller():
        say(team, pull, "/headgate plan")
        await team.commented(pull, "## mean\n\n")
        pipeline = await world.pipeline()
    assert pipeline is not None
    assert pipeline.runs == 3
    assert pipeline.wanted == {}


@pytest.mark.usefixtures("webhooks")
async def test_buttons_run_once_however_often_their_webhook_comes(team: Team, world: World) -> None:
    world.push("Add the pipeline")
    hooks = team.github.webhooks
    team.github.grant(team.repository, "maya", "write")
    async with world.controller():
        await world.serves(1)
        pull, sha = team.propose("shift", ml_pipeline__yaml=("shift: 0.0", "shift: 2.0"))
        (check,) = await team.concluded(sha, "success")
        team.github.click_rerun(team.repository, check, "stranger")
        hooks.double("check_run")
        team.github.click_rerun(team.repository, check, "maya")
        checks = await team.concluded(sha, "success", "success")
        assert "mean-3 passed" in checks[1].output["summary"]

        # GitHub tells of what became of checks, too; of these, the last press is replayed.
        pressed = [one for one in hooks.sent if b'"rerequested"' in one.body][-1]
        assert await asyncio.to_thread(hooks.replay, pressed) == 202, "it is noted, and was before"
        hooks.double("check_suite")
        team.github.click_rerun_all(team.repository, sha, "maya")
        await team.concluded(sha, "success", "success", "success")
        await asyncio.to_thread(hooks.settle)
        say(team, pull, "/headgate plan")
        await team.commented(pull, "## mean\n\n")
    pipeline = await world.pipeline()
    assert pipeline is not None
    assert (pipeline.runs, dict(pipeline.wanted)) == (4, {})


@pytest.mark.usefixtures("webhooks")
async def test_the_button_on_the_check_of_a_fork_approves_that_commit(
    team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    team.github.grant(team.repository, "maya", "write")
    async with world.controller():
        await world.serves(1)
        fork = Fork(team)
        first = fork.push("shift: 0.0", "shift: 3.0")
        pull = fork.propose()
        (held,) = await team.concluded(first, "action_required")
        second = fork.push("shift: 0.0", "shift: 4.0")
        (current,) = await team.concluded(second, "action_required")
        team.github.click_action(team.repository, current, "approve", "stranger")
        team.github.click_action(team.repository, held, "approve", "maya")
        await asyncio.to_thread(team.github.webhooks.settle)
        say(team, pull, "/headgate run")
        await team.commented(pull, "approve that very commit first")
        assert await world.run(2) is None, "a stranger's press, and one on a commit that was left"
        team.github.click_action(team.repository, current, "approve", "maya")
        await team.concluded(second, "action_required", "success")
    assert (await world.ended(2)).commit == second
    assert await world.run(3) is None


@pytest.mark.usefixtures("webhooks")
async def test_webhooks_that_come_late_and_in_disorder_and_forged_ones_change_nothing_in_the_end(
    team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    hooks = team.github.webhooks
    async with world.controller():
        await world.serves(1)
        hooks.hold()
        pull, first = team.propose("shift", ml_pipeline__yaml=("shift: 0.0", "shift: 2.0"))
        second = world.push("Shift more", ml_pipeline__yaml=("shift: 2.0", "shift: 3.0"))
        team.github.notice()
        assert await asyncio.to_thread(hooks.oversize, "pull_request") == 200, "26 MB of nothing"
        forged = {"action": "opened", "repository": {"full_name": "octo/models"}}
        assert await asyncio.to_thread(hooks.forge, "pull_request", forged) == 401
        hooks.release(lambda held: [*reversed(held), *held])
        await team.concluded(second, "success")
        await team.commented(pull, "mean-2 passed")
        assert team.github.check_runs(team.repository, first) == []
        hooks.lose("pull_request")
        hooks.lose("push")
        third = world.push("Shift most", ml_pipeline__yaml=("shift: 3.0", "shift: 4.0"))
        team.github.notice()
        say(team, pull, "/headgate plan")  # any word of GitHub's has all of it looked at
        await team.concluded(third, "success")
    assert await world.run(4) is None
