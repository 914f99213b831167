"""Observes git repositories."""

from collections.abc import Sequence

from controller.environments import BRANCH
from controller.kinds.code import Repositories
from controller.machine import repository
from controller.machine.core import Decision, Key, Letter
from controller.machine.repository import Commit, Observed, Repository
from specs.failures import NeedsHuman
from specs.globs import matches
from specs.model import SPEC_FILE


class RepositoryKind:
    """A `Kind`: asks the remote for its branches, and what is new on them for its pipelines."""

    state = Repository

    def __init__(self, repositories: Repositories) -> None:
        self._repositories = repositories

    async def observe(
        self, key: Key, state: Repository | None, _inbox: Sequence[Letter]
    ) -> Observed:
        mirror = self._repositories.mirror(key.name)
        heads = await mirror.heads()
        default = await mirror.default_branch()
        if default is None or default not in heads:
            raise NeedsHuman(
                f"the repository {key.name} has no commit on its default branch; push one"
            )
        await mirror.fetch()
        seen = state.heads if state else {}
        commits = {}
        for branch, sha in heads.items():
            if branch == BRANCH:
                continue
            if seen.get(branch) == sha:
                commits[branch] = Commit(sha=sha)
                continue
            pipelines = await self._pipelines(key.name, branch, sha, is_default=branch == default)
            if pipelines or branch == default:
                info = await mirror.commit_info(sha)
                commits[branch] = Commit(
                    sha=sha, subject=info.subject[:200], author=info.author, pipelines=pipelines
                )
        if default in commits and not commits[default].pipelines and state:
            unchanged = commits[default].model_copy(update={"pipelines": state.pipelines})
            if seen.get(default) == commits[default].sha:
                commits[default] = unchanged
        return Observed(default_branch=default, heads=commits, environments=heads.get(BRANCH))

    def decide(
        self,
        key: Key,
        state: Repository | None,
        observed: Observed,
        _inbox: Sequence[Letter],
        _now: float,
    ) -> Decision[Repository]:
        return repository.decide(key.name, state, observed)

    async def _pipelines(
        self, repository: str, branch: str, sha: str, *, is_default: bool
    ) -> dict[str, str]:
        """Names by folder of the pipelines that want to hear of this branch."""
        files = await self._repositories.mirror(repository).files(sha)
        found = {}
        for path in files:
            folder, _, name = path.rpartition("/")
            if name != SPEC_FILE:
                continue
            code = await self._repositories.code(repository, sha, folder)
            if code.name and (is_default or _admits(code.branches, branch)):
                found[folder] = code.name
        return found


def _admits(globs: Sequence[str], branch: str) -> bool:
    return any(matches(glob, branch) for glob in globs)
