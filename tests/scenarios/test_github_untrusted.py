"""What a pull request is judged by and is given, whatever it says itself."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.config.secrets import Secrets
from tests.doubles.github.state import Issue
from tests.scenarios.team import SPEC, Fork, Team
from tests.scenarios.test_gates import GATED, points
from tests.scenarios.world import World

SECRETS = {"LAKE": "hunter2-of-the-lake", "WAREHOUSE": "correct-horse-battery"}
SPY = """\
import os, sys
seen = sorted(name for name in ("LAKE", "WAREHOUSE") if os.environ.get(name))
print("it sees ", *seen, "with", *(os.environ[name] for name in seen), file=sys.stderr, flush=True)
open(sys.argv[1], "w").write("seen")
sys.exit(os.environ.get("PASS") != "yes")
"""
"""Says which secrets it sees, and what they are, and fails so that a report quotes it."""
STEP = """\
  spy:
    run: python spy.py {outputs.out}
    outputs: {out: out.txt}
    secrets: [LAKE, WAREHOUSE]
    reads: [spy.py]
    env: {PASS: "yes"}

model: steps.train.model"""
CHECK = "      - {metric: roc_auc, at_least: 0.6}\n"
AGAINST = "      - {metric: roc_auc, not_worse_than_baseline_by: 0.005}\n"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A world whose pipeline has both gates, with one good month in the bucket."""
    made = await World.make(tmp_path, GATED)
    made.put("a.csv", points(0, 2000))
    yield made
    await made.tear_down()


@pytest.fixture
def team(team: Team, world: World) -> Team:
    """Nobody is on call here, and a step is handed two passwords."""
    spec = world.work / SPEC
    text = spec.read_text().partition("notify:")[0]
    spec.write_text(text.replace("model: steps.train.model\n", f"{STEP}\n", 1))
    (world.work / "spy.py").write_text(SPY)
    world.secrets = Secrets({"APP_KEY": team.github.private_key, **SECRETS})
    return team


def bold(comment: str) -> str:
    return "\n".join(re.findall(r"\*\*(.+?)\*\*", comment))


async def test_a_looser_gate_does_not_judge_and_is_said_in_bold(team: Team, world: World) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        spec = world.work / SPEC
        spec.write_text(spec.read_text().replace(AGAINST, "").replace("noise: 0.0", "noise: 9.0"))
        pull, sha = team.propose("loosen", ml_pipeline__yaml=("at_least: 0.6", "at_least: 0.1"))
        await team.concluded(sha, "failure")
        comment = await team.commented(pull, "mean-2 stopped")
        run = await world.ended(2)
    assert run.nodes["gate.model"].verdict == "FAIL"
    assert "This loosens 2 rules" in comment
    assert "at least 0.1" in bold(comment)
    assert "not worse than the baseline by more than 0.005" in bold(comment)
    assert "stay in force until this is merged" in bold(comment)


async def test_a_tighter_gate_judges_beside_that_of_main(team: Team, world: World) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        stricter = CHECK.replace("0.6", "0.99")
        pull, sha = team.propose("tighten", ml_pipeline__yaml=(CHECK, stricter))
        await team.concluded(sha, "failure")
        comment = await team.commented(pull, "mean-2 stopped")
    assert "roc_auc at least 0.6" in comment
    assert "roc_auc at least 0.99" in comment
    assert "This loosens" not in comment


async def sees(team: Team, number: int, pull: Issue) -> str:
    """What the step of a run says that it sees; the values are in no report."""
    run = await team.world.ended(number)
    assert run.outcome == "failed"
    said = await team.commented(pull, f"{run.id} failed")
    whole = said + str([check.output for check in team.github.check_runs(team.repository)])
    for value in SECRETS.values():
        assert value not in whole
    (seen,) = set(re.findall(r"it sees +(.*?) *with", said))
    return str(seen)


async def test_a_pull_request_gets_the_secrets_that_main_marks_and_a_fork_gets_none(
    team: Team, world: World
) -> None:
    spec = world.work / SPEC
    marks = "triggers:\n  pull_requests: {secrets: [LAKE]}\n"
    spec.write_text(spec.read_text().replace("triggers:\n", marks))
    world.push("Add the pipeline")
    team.github.grant(team.repository, "maya", "write")
    async with world.controller():
        await world.serves(1)
        # Their own marks count for nothing.
        text = spec.read_text().replace("secrets: [LAKE]}", "secrets: [LAKE, WAREHOUSE]}")
        spec.write_text(text)
        pull, _ = team.propose("spy", ml_pipeline__yaml=('PASS: "yes"', 'PASS: "no"'))
        assert await sees(team, 2, pull) == "LAKE"

        fork = Fork(team)
        head = fork.push('PASS: "no"', 'PASS: "never"')
        theirs = fork.propose()
        await team.commented(theirs, f"/headgate approve {head[:12]}")
        team.github.comment(team.repository, theirs, f"/headgate approve {head}", "maya")
        assert await sees(team, 3, theirs) == ""


async def test_a_fork_is_approved_and_judged_before_its_rules_can_be_accepted(
    team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    team.github.grant(team.repository, "maya", "write")
    team.github.grant(team.repository, "adele", "admin")
    text = (world.work / SPEC).read_text()
    looser = text.replace(AGAINST, "").replace("at_least: 0.6", "at_least: 0.1")
    async with world.controller():
        await world.serves(1)
        fork = Fork(team)

        def push(noise: str) -> str:
            changed = {SPEC: looser.replace("noise: 0.0", noise)}
            return team.github.push(fork.repository, changed, "idea", "stranger")

        def say(text: str, author: str) -> None:
            team.github.comment(team.repository, pull, text, author)

        async def ruled(sha: str, conclusion: str) -> None:
            async def look() -> bool:
                return team.policies(sha)[-1:] == [conclusion]

            await world.until(look, f"the policy check of {sha} to say {conclusion}")

        sha = push("noise: 9.0")
        pull = fork.propose()
        await team.concluded(sha, "action_required")
        await ruled(sha, "failure")
        say(f"/headgate accept {sha}", "adele")
        await team.commented(pull, "approve that very commit first")
        assert await world.run(2) is None, "nothing ran"

        say(f"/headgate approve {sha}", "maya")
        await team.concluded(sha, "action_required", "failure")
        comment = await team.commented(pull, "mean-2 stopped")
        assert "This loosens 2 rules" in comment
        assert (await world.ended(2)).nodes["gate.model"].verdict == "FAIL"
        say(f"/headgate accept {sha}", "maya")
        await team.commented(pull, "Sorry @maya")
        assert await world.run(3) is None
        assert "success" not in team.policies(sha), (
            "the word that came too early counts for nothing"
        )

        say(f"/headgate accept {sha}", "adele")
        await team.concluded(sha, "action_required", "failure", "success")
        assert "adele" in bold(await team.commented(pull, "mean-3 passed"))
        await ruled(sha, "success")

        again = push("noise: 8.0")
        await team.concluded(again, "action_required")
        await ruled(again, "failure")
        assert await world.run(4) is None, "another commit needs both words again"
