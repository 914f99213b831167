"""Which rule changes count as the pull request's own."""

from pathlib import Path

import pytest

from controller.git import Mirror
from controller.git.repositories import Repositories
from controller.planning.plans import compare
from tests.controller.cli.seeds import SPEC
from tests.controller.git.git_server import Person, run_git

SUITE = "name: rows\nexpectations:\n  - {type: expect_column_to_exist, kwargs: {column: id}}\n"
FILES = {
    "ml-pipeline.yaml": SPEC,
    "suite.yaml": SUITE,
    "train.py": "",
    "evaluate.py": "",
    "serve.py": "",
}
STRICTER = SPEC.replace("at_least: 0.6", "at_least: 0.7")
LOOSER = SPEC.replace("at_least: 0.6", "at_least: 0.5")


class Team:
    """Main, and a branch that forked from it."""

    def __init__(self, root: Path) -> None:
        self.person = Person(root / "ada")
        self.mirror = Mirror(str(self.person.remote), root / "mirror.git")
        self.repositories = Repositories({"team": self.mirror}, root / "checkouts")
        self.main = self.person.push(FILES)

    def goes_on(self, **files: str) -> None:
        """Main moves."""
        run_git(self.person.clone, "checkout", "-q", self.main)
        self.main = self.person.push({n.replace("__", "."): t for n, t in files.items()})

    def branch(self, since: str, **files: str) -> str:
        run_git(self.person.clone, "checkout", "-q", since)
        renamed = {name.replace("__", "."): text for name, text in files.items()}
        return self.person.push(renamed, branch="mine")

    async def loosened(self, head: str) -> list[str]:
        await self.mirror.fetch()
        code = await self.repositories.named("team", head, "toy")
        base = await self.repositories.rules("team", self.main, "toy")
        assert code is not None
        found = await compare(self.repositories, code, base, self.main)
        return [change.rule for change in found.changes if change.loosens]


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


async def test_rules_that_main_tightened_since_the_fork_are_not_the_branchs_change(
    team: Team,
) -> None:
    left = team.main
    spec = {"ml-pipeline.yaml": STRICTER, "evaluate.py": "mended"}
    team.goes_on(**{name.replace(".", "__"): text for name, text in spec.items()})
    head = team.branch(left, README__md="words")
    assert await team.loosened(head) == []


async def test_a_rule_that_both_sides_changed_is_a_change_of_the_branch(team: Team) -> None:
    left = team.main
    team.goes_on(**{"ml-pipeline__yaml": STRICTER})
    head = team.branch(left, **{"ml-pipeline__yaml": LOOSER})
    assert await team.loosened(head) == ["gates.model: limit of roc_auc"]


async def test_a_branch_that_merged_main_and_kept_its_own_rules_changes_them(team: Team) -> None:
    """As it has merged main, its rules are those that a merge into main would bring."""
    left = team.main
    team.goes_on(**{"ml-pipeline__yaml": STRICTER})
    mine = team.branch(left, README__md="words")
    run_git(team.person.clone, "checkout", "-q", mine)
    run_git(team.person.clone, "merge", "-q", "--no-edit", "-s", "ours", team.main)
    head = team.person.push({}, branch="mine")
    assert await team.loosened(head) == ["gates.model: limit of roc_auc"]


async def test_without_a_pipeline_at_the_fork_point_every_difference_is_a_change(
    team: Team,
) -> None:
    gone = team.person.push({"ml-pipeline.yaml": None})
    team.main = gone
    head = team.branch(gone, **{"ml-pipeline__yaml": LOOSER})
    assert await team.loosened(head) == ["gates.model: limit of roc_auc"]
