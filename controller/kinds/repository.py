"""Observes git repositories."""

from collections.abc import Sequence

from controller.environments import BRANCH
from controller.kinds.code import Repositories
from controller.machine import repository
from controller.machine.core import Decision, Key, Letter
from controller.machine.pipeline import Code
from controller.machine.repository import Commit, Observed, Repository, is_seen
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
        commits = {}
        for branch, sha in heads.items():
            if branch == BRANCH:
                continue
            if is_seen(state, branch, sha, default):
                commits[branch] = Commit(sha=sha)
                continue
            told = state.pipelines.get(branch, {}) if state else {}
            specs = await self._specs(key.name, sha)
            wanting = {
                folder: code
                for folder, code in specs.items()
                if branch == default
                or _admits(code.branches, branch)
                or (code.spec is None and folder in told)  # broken, it may not say so any more
            }
            if wanting or branch == default:
                info = await mirror.commit_info(sha)
                commits[branch] = Commit(
                    sha=sha,
                    subject=info.subject[:200],
                    author=info.author,
                    pipelines={f: code.name for f, code in wanting.items() if code.name},
                    broken=tuple(folder for folder, code in wanting.items() if code.spec is None),
                )
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

    async def _specs(self, repository: str, sha: str) -> dict[str, Code]:
        """The specs at a commit, by folder."""
        files = await self._repositories.mirror(repository).files(sha)
        parts = [path.rpartition("/") for path in files]
        folders = [folder for folder, _, name in parts if name == SPEC_FILE]
        return {f: await self._repositories.code(repository, sha, f) for f in folders}


def _admits(globs: Sequence[str], branch: str) -> bool:
    return any(matches(glob, branch) for glob in globs)
