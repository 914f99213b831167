"""What each environment sees of an environments branch that was deleted or force-pushed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from controller.git.environment_file import to_yaml
from controller.git.environments import BRANCH, Environments
from controller.machine.core import InboxMessage, Key
from controller.machine.environments.environment import (
    EnvironmentState,
    LostHistory,
    ObservedEnvironment,
)
from controller.machine.environments.file import EnvironmentFile, path_of
from controller.machine.messages import BranchMoved
from controller.observers.environment import EnvironmentObserver
from controller.observers.past import PastReader
from deployers.local import LocalDeployer
from tests.controller.git.git_server import run_git
from tests.controller.releases import released

SERVE = "python serve.py {model} {port}"
RELEASE = {"serve": {"run": SERVE}}


class Team:
    """A repository whose branch Headgate writes, and where a person may do anything."""

    def __init__(self, root: Path, branch: Environments, observer: EnvironmentObserver) -> None:
        self.remote, self.clone = root / "ada" / "remote.git", root / "ada" / "clone"
        self._branch = branch
        self._observer = observer

    async def write(self, environment: str, reason: str) -> str:
        """Headgate writes down what an environment runs; the commit."""
        file = EnvironmentFile(pipeline="mean", environment=environment, pinned="pin" in reason)
        return await self._branch.write(
            lambda _: file, environment, "mean", reason, f"mean/{environment}/{reason}"
        )

    def delete(self) -> None:
        run_git(self.remote, "update-ref", "-d", f"refs/heads/{BRANCH}")

    def commit(self, environment: str, *, anew: bool = False) -> str:
        """Ada changes a file of the branch, on top of it or on a history of her own."""
        run_git(self.clone, "fetch", "-q", "origin")
        if anew:
            run_git(self.clone, "checkout", "-q", "--orphan", "hers")
        else:
            run_git(self.clone, "checkout", "-q", "-B", "hers", f"origin/{BRANCH}")
        path = self.clone / path_of(environment, "mean")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(to_yaml(EnvironmentFile(pipeline="mean", environment=environment)))
        run_git(self.clone, "add", "-A")
        run_git(self.clone, "commit", "-q", "--allow-empty", "-m", "By hand")
        run_git(self.clone, "push", "-qf", "origin", f"HEAD:refs/heads/{BRANCH}")
        return run_git(self.clone, "rev-parse", "HEAD")

    async def look(self, environment: str, acted_on: str) -> ObservedEnvironment:
        """What an environment sees that has acted on this commit."""
        await self._branch.head()
        state = EnvironmentState(
            pipeline="mean", name=environment, repository="team", acted_on=acted_on, rollouts=1
        )
        key = Key("environment", state.place)
        moved = BranchMoved(repository="team")
        told = InboxMessage(number=1, to=key, id="moved", message=moved, at=0.0)
        return await self._observer.observe(key, state, (told,))


@asynccontextmanager
async def team(root: Path) -> AsyncIterator[Team]:
    deployer = LocalDeployer(root / "serving", redact=str)
    async with released(root, RELEASE, {}) as v1:
        branches = {"team": Environments(v1.repositories.mirror("team"))}
        pasts = PastReader(v1.repositories, branches, v1.versions, v1.artifacts)
        observer = EnvironmentObserver(
            v1.versions, deployer, v1.repositories, branches, str, pasts, {}, lambda: 0.0
        )
        try:
            yield Team(root, branches["team"], observer)
        finally:
            await deployer.close()


async def test_a_deleted_branch_counts_as_deleted_after_it_was_recreated(
    tmp_path: Path,
) -> None:
    async with team(tmp_path) as here:
        staging = await here.write("staging", "promote")
        production = await here.write("production", "promote")
        here.delete()
        assert (await here.look("production", production)).lost_history == LostHistory(
            was=production, now=None
        )
        await here.write("production", "anew")
        await here.write("production", "pin")
        seen = await here.look("staging", staging)
    assert seen.lost_history == LostHistory(was=staging, now=None)
    assert seen.branch is None, "its own file is not there yet"


async def test_a_persons_commit_on_a_recreated_branch_is_new_all_the_same(
    tmp_path: Path,
) -> None:
    async with team(tmp_path) as here:
        staging = await here.write("staging", "promote")
        here.delete()
        await here.write("production", "anew")
        hers = here.commit("staging")
        seen = await here.look("staging", staging)
    assert seen.lost_history == LostHistory(was=staging, now=None, news=True)
    assert seen.branch is not None
    assert seen.branch.commit == hers


async def test_a_history_that_a_person_began_counts_as_a_force_push(tmp_path: Path) -> None:
    async with team(tmp_path) as here:
        staging = await here.write("staging", "promote")
        here.commit("production", anew=True)
        await here.write("production", "anew")
        seen = await here.look("staging", staging)
    assert seen.lost_history is not None
    assert seen.lost_history.now is not None
    assert seen.lost_history.left_out == (f"{staging[:12]} by Headgate, 'mean: promote'",)


async def test_a_branch_that_is_pushed_back_to_a_commit_of_headgates_own_is_not_deleted(
    tmp_path: Path,
) -> None:
    async with team(tmp_path) as here:
        first = await here.write("staging", "promote")
        staging = await here.write("staging", "pin")
        run_git(here.remote, "update-ref", f"refs/heads/{BRANCH}", first)
        seen = await here.look("staging", staging)
    assert seen.lost_history is not None
    assert (seen.lost_history.now, len(seen.lost_history.left_out)) == (first, 1)
