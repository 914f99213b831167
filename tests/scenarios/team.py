"""The people around a repository on GitHub, and what they see there."""

from controller.machine.runs.run import Run
from tests.doubles.github import CheckRun, GitHub, Repository
from tests.doubles.github.state import Issue
from tests.scenarios.world import World, run_git

SPEC = "ml-pipeline.yaml"


class Team:
    """A committer, a reviewer, and whoever else comments."""

    def __init__(self, world: World, github: GitHub, repository: Repository) -> None:
        self.world = world
        self.github = github
        self.repository = repository

    def propose(self, branch: str, **changes: tuple[str, str]) -> tuple[Issue, str]:
        """A pull request with one commit on a new branch off main."""
        run_git(self.world.work, "switch", "-q", "-c", branch, "main")
        sha = self.world.push(f"Change {branch}", **changes)
        return self.github.open_pull_request(self.repository, branch, title=f"Try {branch}"), sha

    def comments(self, pull: Issue) -> list[str]:
        return [comment.body for comment in self.github.comments(self.repository, pull)]

    def checks(self, sha: str) -> list[CheckRun]:
        """Those of gates; what becomes of the rules has a check of its own."""
        runs = self.github.check_runs(self.repository, sha)
        return [run for run in runs if not run.name.startswith("headgate policy / ")]

    def policies(self, sha: str) -> list[str | None]:
        """How the checks of what becomes of the rules ended, the newest last."""
        runs = self.github.check_runs(self.repository, sha)
        return [run.conclusion for run in runs if run.name.startswith("headgate policy / ")]

    def conclusions(self, sha: str) -> list[str | None]:
        return [run.conclusion for run in self.checks(sha)]

    async def concluded(self, sha: str, *conclusions: str) -> list[CheckRun]:
        """Wait until the checks of a commit have ended in these ways."""

        async def look() -> list[CheckRun] | None:
            return self.checks(sha) if self.conclusions(sha) == [*conclusions] else None

        return await self.world.until(look, f"the checks of {sha} to be {conclusions}")

    async def commented(self, pull: Issue, text: str) -> str:
        """Wait until a comment says so."""

        async def look() -> str | None:
            return next((body for body in self.comments(pull) if text in body), None)

        return await self.world.until(look, f"a comment with {text!r}")

    async def running(self, number: int) -> Run:
        async def look() -> Run | None:
            run = await self.world.run(number)
            return run if run and run.step else None

        return await self.world.until(look, f"run {number} to have a step in progress")


class Fork:
    """A stranger's fork, with one branch."""

    def __init__(self, team: Team) -> None:
        self.team = team
        self.repository = team.github.fork(team.repository, "stranger")

    def push(self, old: str, new: str) -> str:
        spec = (self.team.world.work / SPEC).read_text()
        assert old in spec
        changed = {SPEC: spec.replace(old, new)}
        return self.team.github.push(self.repository, changed, "idea", "stranger")

    def propose(self) -> Issue:
        return self.team.github.open_pull_request(
            self.team.repository, "idea", author="stranger", fork=self.repository
        )
