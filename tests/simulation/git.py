"""A git remote in memory, and the mirror of it that a controller has."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from controller.git import CommitInfo, Mirror
from controller.git.command import Rejected
from controller.git.commit_info import Author
from controller.git.environments import BRANCH
from controller.git.repositories import Repositories
from controller.machine.pipelines.code import Code
from controller.machine.runs.commit_files import CommitFiles
from specs.digests import digest
from specs.failures import TryAgain
from tests.simulation.chaos import Life
from tests.simulation.clock import now

MAIN = "main"
_TRAILER = re.compile(r"([A-Za-z-]+): (.+)")


@dataclass(frozen=True)
class Saved:
    """A commit with all its files."""

    info: CommitInfo
    tree: Mapping[str, bytes]


@dataclass
class Remote:
    """All commits, the branches, and what the controller's mirror fetched of them."""

    commits: dict[str, Saved] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)
    fetched: dict[str, str] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    """The spec of each commit of the code."""

    def commit(
        self, parent: str | None, files: Mapping[str, bytes | None], message: str, by: Author
    ) -> str:
        """Write a commit, which is on no branch yet."""
        before = self.commits[parent].tree if parent else {}
        changed = {**before, **files}
        tree = {path: text for path, text in changed.items() if text is not None}
        said = {path: digest(text.decode()) for path, text in tree.items()}
        sha = digest([parent, message, said, len(self.commits)])[7:47]
        subject, _, body = message.partition("\n")
        last = message.rstrip().rpartition("\n\n")[2]
        matches = (_TRAILER.match(each) for each in last.splitlines())
        trailers: dict[str, str] = {each[1]: each[2] for each in matches if each}
        self.commits[sha] = Saved(
            CommitInfo(
                sha=sha,
                parents=(parent,) if parent else (),
                author=by.name,
                email=by.email,
                committer=by.email,
                time=int(now()),
                subject=subject,
                body=body,
                trailers=trailers,
            ),
            tree,
        )
        return sha

    def line(self, sha: str | None) -> Sequence[Saved]:
        """A commit and its ancestors."""
        found = []
        while sha is not None:
            commit = self.commits[sha]
            found.append(commit)
            sha = commit.info.parents[0] if commit.info.parents else None
        return found

    def touched(self, commit: Saved) -> frozenset[str]:
        """What a commit changes."""
        parents = commit.info.parents
        before = self.commits[parents[0]].tree if parents else {}
        every = before.keys() | commit.tree.keys()
        return frozenset(path for path in every if before.get(path) != commit.tree.get(path))

    def environments(self) -> Sequence[Saved]:
        """The commits of the environments branch, latest first."""
        return self.line(self.heads.get(BRANCH))


class SimulatedMirror(Mirror):
    """A `Mirror` of a remote in memory. Histories are lines."""

    def __init__(self, remote: Remote, life: Life) -> None:
        self._in_memory = remote
        self._life = life

    @property
    def url(self) -> str:
        return "memory"

    async def heads(self) -> dict[str, str]:
        await self._life.enter("git")
        return dict(self._in_memory.heads)

    async def default_branch(self) -> str | None:
        return MAIN

    async def fetch(self) -> None:
        await self._life.enter("git")
        self._in_memory.fetched = dict(self._in_memory.heads)

    async def fetch_pulls(self, heads: Mapping[int, str]) -> None:
        assert not heads

    async def tip(self, ref: str) -> str | None:
        await self._life.enter("git")
        found = self._in_memory.heads.get(ref)
        if found is not None:
            self._in_memory.fetched[ref] = found
        return found

    async def push(self, ref: str, sha: str, expected: str | None) -> None:
        await self._life.enter("git")
        if self._in_memory.heads.get(ref) != expected:
            raise Rejected("somebody else was faster")
        self._in_memory.heads[ref] = self._in_memory.fetched[ref] = sha
        self._life.history.say("pushed", ref, sha[:8], self._in_memory.commits[sha].info.subject)
        await self._life.leave("git")

    async def resolve(self, ref: str) -> str | None:
        return self._in_memory.fetched.get(ref)

    async def has(self, commit: str) -> bool:
        return commit in self._in_memory.commits

    async def read(self, commit: str, path: str) -> bytes | None:
        return self._in_memory.commits[commit].tree.get(path)

    async def read_each(self, commits: Sequence[str], path: str) -> dict[str, bytes]:
        trees = {sha: self._in_memory.commits[sha].tree for sha in commits}
        return {sha: tree[path] for sha, tree in trees.items() if path in tree}

    async def files(self, commit: str) -> CommitFiles:
        tree = self._in_memory.commits[commit].tree
        return CommitFiles({path: digest(text.decode()) for path, text in tree.items()})

    async def commit_info(self, commit: str) -> CommitInfo:
        return self._in_memory.commits[commit].info

    async def log(
        self, ref: str, paths: Sequence[str] = (), limit: int = 50, without: str | None = None
    ) -> tuple[CommitInfo, ...]:
        remote = self._in_memory
        start = ref if ref in remote.commits else remote.fetched.get(ref)
        left_out = {one.info.sha for one in remote.line(without)}
        found = [
            one.info
            for one in remote.line(start)
            if one.info.sha not in left_out and (not paths or remote.touched(one) & {*paths})
        ]
        return tuple(found[:limit])

    async def between(self, old: str, new: str, limit: int) -> tuple[str, ...]:
        known = {one.info.sha for one in self._in_memory.line(old)}
        line = [one.info.sha for one in self._in_memory.line(new) if one.info.sha not in known]
        return tuple(line[1 : limit + 1])

    async def touched(self, old: str, new: str) -> tuple[str, ...]:
        remote = self._in_memory
        known = {one.info.sha for one in remote.line(old)}
        news = [one for one in remote.line(new) if one.info.sha not in known]
        return tuple(sorted({path for one in news for path in remote.touched(one)}))

    async def fork_points(self, one: str, other: str) -> tuple[str, ...]:
        line = {each.info.sha for each in self._in_memory.line(one)}
        shared = [x.info.sha for x in self._in_memory.line(other) if x.info.sha in line]
        return tuple(shared[:1])

    async def is_ancestor(self, commit: str, of: str) -> bool:
        return any(one.info.sha == commit for one in self._in_memory.line(of))

    async def write_commit(
        self, parent: str | None, files: Mapping[str, bytes | None], message: str, author: Author
    ) -> str:
        return self._in_memory.commit(parent, files, message, author)

    async def close(self) -> None:
        return None


class SimulatedRepositories(Repositories):
    """The specs of a remote in memory: values, which are not read from YAML each time."""

    def __init__(self, remote: Remote, mirror: SimulatedMirror) -> None:
        self._in_memory = remote
        self._only = mirror

    def mirror(self, repository: str) -> Mirror:
        if repository != "team":
            raise TryAgain(f"there is no repository {repository}")
        return self._only

    async def code(self, repository: str, commit: str, spec: str) -> Code:
        return self._in_memory.codes[commit]

    async def specs(self, repository: str, commit: str) -> Mapping[str, Code]:
        code = self._in_memory.codes[commit]
        return {code.source.file: code}

    async def named(self, repository: str, commit: str, pipeline: str) -> Code | None:
        code = self._in_memory.codes[commit]
        return code if code.name == pipeline else None

    async def rules(self, repository: str, commit: str, pipeline: str) -> Code | None:
        return await self.named(repository, commit, pipeline)
