"""What an author does who wants a worse model to be released, and what a reviewer sees of it.

The model in production has a ROC AUC of about 0.83; the worse one of these stories is about as good
as a coin. No check that a branch can be protected by may let it through, whatever the pull request
changes beside it.
"""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.machine.core import Key
from tests.doubles.github.state import Issue
from tests.scenarios.team import SPEC, Team
from tests.scenarios.test_gates import GATED, points
from tests.scenarios.world import World, run_git

GATE, POLICY = "headgate / mean", "headgate policy / mean"
WORSE = ("noise: 0.0", "noise: 9.0")
GATES = """\
gates:
  model:
    predictions: steps.evaluate.predictions
    columns: {key: id, label: label, score: score}
    checks:
      - {metric: roc_auc, at_least: 0.6}
      - {metric: roc_auc, not_worse_than_baseline_by: 0.005}

"""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A world whose pipeline has both gates, with one good month in the bucket."""
    made = await World.make(tmp_path, GATED)
    made.put("a.csv", points(0, 2000))
    spec = made.work / SPEC
    spec.write_text(spec.read_text().partition("notify:")[0])  # nobody is on call here
    yield made
    await made.tear_down()


class Author:
    """Changes the spec and the code, and opens pull requests."""

    def __init__(self, team: Team, world: World) -> None:
        self.team = team
        self.world = world

    def edit(self, *changes: tuple[str, str], file: str = SPEC) -> None:
        path = self.world.work / file
        text = path.read_text()
        for old, new in changes:
            assert old in text, f"{old!r} is not in {file}"
            text = text.replace(old, new)
        path.write_text(text)

    def begin(self, branch: str) -> None:
        run_git(self.world.work, "switch", "-q", "-c", branch, "main")

    def open(self, branch: str) -> tuple[Issue, str]:
        sha = self.world.push(f"Change {branch}")
        github, repository = self.team.github, self.team.repository
        return github.open_pull_request(repository, branch, title=branch), sha

    async def noticed(self) -> None:
        """Wait until the head of main was seen, so that it is what judges."""
        head = run_git(self.world.work, "rev-parse", "main")

        async def look() -> bool:
            record = await self.world.store.get(Key("repository", "team"))
            return record is not None and record.body["heads"].get("main") == head

        await self.world.until(look, "main to be looked at")

    async def checked(self, sha: str, name: str) -> tuple[str, str]:
        """Wait for the conclusion of a check; with its title."""

        async def look() -> tuple[str, str] | None:
            runs = self.team.github.check_runs(self.team.repository, sha)
            last = [run for run in runs if run.name == name]
            if not last or last[-1].conclusion is None:
                return None
            return last[-1].conclusion, last[-1].output["title"]

        return await self.world.until(look, f"{name} of {sha} to be concluded")


@pytest.fixture
def author(team: Team, world: World) -> Author:
    return Author(team, world)


def bold(text: str) -> str:
    return " ".join(text.split("**")[1::2])


async def test_a_head_with_two_bases_has_a_check_and_a_comment_for_each(
    author: Author, team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        author.begin("easy")
        author.edit((GATES, ""))
        world.push("Ask for nothing")
        run_git(world.work, "switch", "-q", "-c", "worse")
        author.edit(WORSE)
        into_main, sha = author.open("worse")
        into_easy = team.github.open_pull_request(team.repository, "worse", base="easy")
        assert (await author.checked(sha, f"{GATE} (into easy)"))[0] == "success"
        assert (await author.checked(sha, GATE))[0] == "failure"
        assert (await author.checked(sha, POLICY))[0] == "failure"
        await team.commented(into_main, "stopped")
        await team.commented(into_easy, "passed")


async def test_a_branch_that_is_watched_does_not_answer_for_a_pull_request(
    author: Author, world: World
) -> None:
    """Main has it watched, and its own spec has no gates."""
    author.edit(("triggers:\n", "triggers:\n  commits: {branches: [twin]}\n"))
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        author.begin("worse")
        author.edit(WORSE, (GATES, ""), ("[twin]", "[twin, evil]"))
        _, sha = author.open("worse")
        for name in ("evil", "twin"):
            run_git(world.work, "push", "-q", "origin", f"HEAD:refs/heads/{name}")
        assert (await author.checked(sha, f"{GATE} (on twin)"))[0] == "success"
        assert (await author.checked(sha, GATE))[0] == "failure"
        pipeline = await world.pipeline()
    assert pipeline is not None
    assert "evil" not in pipeline.heads, "only main says which branches are run"


async def test_renaming_what_evaluates_and_dropping_its_checks_drops_nothing(
    author: Author, world: World
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        author.begin("rename")
        author.edit(WORSE, (GATES, ""), ("  evaluate:\n", "  score:\n"))
        _, sha = author.open("rename")
        assert (await author.checked(sha, GATE))[0] == "failure"
        run = await world.ended(2)
    assert run.nodes["gate.model"].verdict == "FAIL", "by the base's checks, wherever they apply"


async def test_an_exam_that_leaks_the_answers_is_sat_beside_that_of_the_base(
    author: Author, team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        author.begin("leak")
        author.edit(WORSE)
        author.edit(
            ('row["label"], score]', 'row["label"], float(row["label"])]'), file="evaluate.py"
        )
        pull, sha = author.open("leak")
        assert (await author.checked(sha, GATE))[0] == "failure"
        _, rules = await author.checked(sha, POLICY)
        run = await world.ended(2)
        comment = await team.commented(pull, "mean-2 stopped")
    assert run.nodes["gate.model"].verdict in ("PASS", "WARN")
    assert run.nodes["gate.model.base"].verdict == "FAIL"
    assert "evaluate.py" in bold(comment)
    assert "too good to be true" in comment
    assert "1 rule" in rules


async def test_easier_data_is_judged_beside_the_data_of_the_base_and_by_its_suite(
    author: Author, team: Team, world: World
) -> None:
    """The easy file is one that the worse model gets right."""
    world.push("Add the pipeline")
    (world.root / "easy").mkdir()
    rows = [f"{n},{n % 2 * 0.98 + 0.01},{n % 2}" for n in range(1000)]
    (world.root / "easy" / "a.csv").write_text("\n".join(["id,x,label", *rows]) + "\n")
    world.configure(data_roots=[str(world.bucket), str(world.root / "easy")])
    async with world.controller():
        await world.serves(1)
        author.begin("easy-data")
        author.edit(
            ("noise: 0.0", "noise: 0.9"), (f"file://{world.bucket}/", f"file://{world.root}/easy/")
        )
        pull, sha = author.open("easy-data")
        assert (await author.checked(sha, GATE))[0] == "failure"
        run = await world.ended(2)
        comment = await team.commented(pull, "mean-2 stopped")
        author.begin("renamed-data")
        author.edit(
            ("  points: {uri", "  others: {uri"),
            (", expectations: suite.yaml", ""),
            ("datasets.points", "datasets.others"),
            ("datasets: [points]", "datasets: [others]"),
        )
        _, renamed = author.open("renamed-data")
        await author.checked(renamed, GATE)
        assert (await author.checked(renamed, POLICY))[0] == "failure"
        suited = await world.ended(3)
    assert run.nodes["gate.model.base"].verdict == "FAIL"
    assert "datasets.points.uri" in bold(comment)
    assert suited.nodes["gate.data.others"].verdict == "PASS", "the suite followed the data"


async def test_a_judge_that_is_switched_off_is_a_rule_and_the_next_one_is_not_waved_through(
    author: Author, world: World
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        author.begin("off")
        author.edit(("triggers:\n", "triggers:\n  pull_requests: {enabled: false}\n"))
        _, off = author.open("off")
        assert (await author.checked(off, POLICY))[0] == "failure"
        run_git(world.work, "switch", "-q", "main")
        run_git(world.work, "merge", "-q", "off")
        run_git(world.work, "push", "-q", "origin", "main")
        await author.noticed()
        author.begin("worse")
        author.edit(WORSE, (GATES, ""))
        _, sha = author.open("worse")
        conclusion, title = await author.checked(sha, GATE)
        assert conclusion == "action_required"
        assert "/headgate run" in title
        assert (await author.checked(sha, POLICY))[0] == "failure"


async def test_a_spec_that_is_deleted_and_comes_back_without_gates_is_judged_by_those_it_had(
    author: Author, team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    spec = (world.work / SPEC).read_text()
    async with world.controller():
        await world.serves(1)
        author.begin("delete")
        (world.work / SPEC).unlink()
        pull, gone = author.open("delete")
        conclusion, title = await author.checked(gone, GATE)
        assert conclusion == "action_required"
        assert "removes mean" in title
        assert (await author.checked(gone, POLICY))[0] == "failure"
        team.github.merge(team.repository, pull)
        run_git(world.work, "switch", "-q", "main")
        run_git(world.work, "pull", "-q", "--ff-only", "origin", "main")
        await author.noticed()
        author.begin("again")
        (world.work / SPEC).write_text(spec.replace(GATES, "").replace(*WORSE))
        _, again = author.open("again")
        assert (await author.checked(again, GATE))[0] == "failure"
        assert (await author.checked(again, POLICY))[0] == "failure"


async def test_a_file_that_no_step_says_it_reads_is_read_by_none(
    author: Author, world: World
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        author.begin("unread")
        author.edit(("    reads: [evaluate.py]\n", "    reads: [suite.yaml]\n"))
        _, sha = author.open("unread")
        assert (await author.checked(sha, GATE))[0] == "failure"
        run = await world.ended(2)
    assert "evaluate.py" in (run.nodes["evaluate"].failed or "")


async def test_a_release_that_is_taken_out_or_moves_to_another_folder_is_compared_by_name(
    author: Author, team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        author.begin("unreleased")
        path = world.work / SPEC
        path.write_text(path.read_text().partition("release:")[0])
        _, sha = author.open("unreleased")
        assert (await author.checked(sha, POLICY))[0] == "failure"

        author.begin("moved")
        (world.work / "models").mkdir()
        for file in ("ml-pipeline.yaml", "train.py", "evaluate.py", "serve.py", "suite.yaml"):
            shutil.move(world.work / file, world.work / "models" / file)
        author.edit(WORSE, ("at_least: 0.6", "at_least: 0.1"), file=f"models/{SPEC}")
        pull, moved = author.open("moved")
        assert (await author.checked(moved, GATE))[0] == "failure"
        assert (await author.checked(moved, POLICY))[0] == "failure"
        comment = await team.commented(pull, "stopped")
    assert "at least 0.1" in bold(comment)


async def test_looser_rules_apply_to_a_commit_once_somebody_with_the_right_accepts_that_very_one(
    author: Author, team: Team, world: World
) -> None:
    world.push("Add the pipeline")
    team.github.grant(team.repository, "walt", "write")
    team.github.grant(team.repository, "adele", "admin")
    async with world.controller():
        await world.serves(1)
        author.begin("looser")
        author.edit(WORSE, (GATES, GATES.replace("0.6}", "0.1}").replace("0.005", "0.9")))
        pull, sha = author.open("looser")
        assert (await author.checked(sha, GATE))[0] == "failure"
        assert (await author.checked(sha, POLICY))[0] == "failure"
        said = f"/headgate accept {sha[:12]}"
        team.github.comment(team.repository, pull, said, "walt")
        await team.commented(pull, "Sorry @walt")
        team.github.comment(team.repository, pull, said, "adele")

        async def accepted() -> bool:
            return (await author.checked(sha, POLICY))[0] == "success"

        await world.until(accepted, "the rules to be accepted")
        comment = await team.commented(pull, "mean-3 passed")
        assert (await author.checked(sha, GATE))[0] == "success"
        assert "adele" in bold(comment)

        author.edit(("noise: 9.0", "noise: 8.0"))
        again = world.push("One more")
        assert (await author.checked(again, GATE))[0] == "failure"
        assert (await author.checked(again, POLICY))[0] == "failure", "of another commit"


async def test_an_edited_file_of_data_in_the_repository_is_another_exam(
    author: Author, world: World
) -> None:
    held_out = world.work / "held-out"
    held_out.mkdir()
    (held_out / "a.csv").write_text(points(9000, 2000))
    author.edit(
        ("\nparams:", '\n  held-out: {uri: "held-out/*.csv"}\n\nparams:'),
        (
            "{model: steps.train.model, points: datasets.points}",
            "{model: steps.train.model, points: datasets.held-out}",
        ),
    )
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        author.begin("edited")
        author.edit(("noise: 0.0", "noise: 0.9"))
        rows = [f"{n},{n % 2 * 0.98 + 0.01},{n % 2}" for n in range(1000)]
        (held_out / "a.csv").write_text("\n".join(["id,x,label", *rows]) + "\n")
        _, sha = author.open("edited")
        assert (await author.checked(sha, GATE))[0] == "failure"
        run = await world.ended(2)
    assert run.datasets.keys() >= {"held-out", "base.held-out"}
    assert run.nodes["gate.model.base"].verdict == "FAIL"


async def test_a_second_spec_of_a_name_takes_over_no_check(author: Author, world: World) -> None:
    """It would be the first of the two by its folder's name, and judge by its own rules one day."""
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        author.begin("twins")
        (world.work / "a").mkdir()
        for file in ("ml-pipeline.yaml", "train.py", "evaluate.py", "serve.py", "suite.yaml"):
            shutil.copy(world.work / file, world.work / "a" / file)
        _, sha = author.open("twins")
        conclusion, title = await author.checked(sha, GATE)
        assert (conclusion, (await author.checked(sha, POLICY))[0]) == ("failure", "failure")
        assert "two specs are named mean" in title
        assert await world.run(2) is None


async def test_a_spec_without_model_gates_and_release_passes_nothing(
    author: Author, world: World
) -> None:
    world.push("Add the pipeline")
    async with world.controller():
        await world.serves(1)
        author.begin("bare")
        path = world.work / SPEC
        bare = path.read_text().partition("release:")[0].replace(GATES, "").replace(*WORSE)
        path.write_text(bare.replace("model: steps.train.model\n\n", ""))
        _, sha = author.open("bare")
        assert (await author.checked(sha, GATE))[0] == "failure"
        assert (await author.checked(sha, POLICY))[0] == "failure"
