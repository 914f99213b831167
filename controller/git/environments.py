"""The environments branch: what runs where, as files in git that people may edit.

Commits are written without losing anybody's change: read the head, commit on top of it, and push
if the head has not moved.
"""

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from controller.git import CommitInfo, Mirror
from controller.git.compare_and_swap import HEADGATE, NextCommit, RetryTiming, swap
from controller.git.environment_file import ACTION, PROPOSAL, Invalid, message_of, parse, to_yaml
from controller.git.fence import fenced
from controller.machine.environments.file import EnvironmentFile, path_of, place_of
from controller.store.shards import LeaseToken
from specs.failures import TryAgain

BRANCH = "headgate/environments"

PROPOSALS = "headgate/release/"
"""The prefix of branches that are proposed to be merged into that branch."""
_OF_PROPOSAL = re.compile(rf"{PROPOSALS}(.+)-([^-]+)-\d+")

_LOOK_BACK = 1000
"""Commits in which an earlier write of an action is looked for."""
_PAST = 200
"""Commits of a file that are read for its history."""


class FileRevision(NamedTuple):
    """A commit, and the file at that commit; None if it was removed or is invalid."""

    commit: CommitInfo
    file: EnvironmentFile | None


def proposed_place(branch: str) -> str | None:
    """The environment whose release is proposed on that branch, as `flight-delay/staging`; None for
    a branch that Headgate did not make."""
    found = _OF_PROPOSAL.fullmatch(branch)
    return f"{found[1]}/{found[2]}" if found is not None else None


def is_ours(commit: CommitInfo) -> bool:
    """Whether Headgate wrote the commit, by its trailer and its committer.

    A person's `git revert` of it has no trailer and a person's cherry-pick another committer, so
    both count as that person's.
    """
    return ACTION in commit.trailers and commit.committer == HEADGATE.email


def proposed_by(commit: CommitInfo) -> str | None:
    """The rollout that the commit was proposed for, also after a squash or a rebase."""
    return None if is_ours(commit) else commit.trailers.get(PROPOSAL)


def rollout_of(commit: CommitInfo, prefix: str) -> int:
    """The number of the rollout `PREFIX-NUMBER` that Headgate made the commit for; 0 for none."""
    found = re.match(rf"{re.escape(prefix)}-(\d+)/", commit.trailers.get(ACTION, ""))
    return int(found[1]) if found else 0


class Environments:
    """Reads and writes the environments branch of one repository.

    Every method may raise what `Mirror` raises: `TryAgain` and `NeedsHuman`.
    """

    def __init__(
        self, mirror: Mirror, branch: str = BRANCH, backoff: RetryTiming | None = None
    ) -> None:
        self._mirror = mirror
        self._branch = branch
        self._backoff = backoff or RetryTiming()
        self._listed: tuple[str, frozenset[str]] | None = None
        """The commit that `places` was asked for last, and the answer."""

    async def head(self) -> str | None:
        """The branch's commit on the remote, fetched; None when there is no branch yet."""
        return await self._mirror.tip(self._branch)

    async def read(
        self, environment: str, pipeline: str, at: str | None = None
    ) -> EnvironmentFile | None:
        """The file at commit `at`, or as it is now; None if there is none. Raises `Invalid`."""
        commit = at or await self.head()
        path = path_of(environment, pipeline)
        text = await self._mirror.read(commit, path) if commit else None
        return None if text is None else parse(text, path)

    async def present(
        self, environment: str, pipeline: str, at: str
    ) -> EnvironmentFile | Invalid | None:
        """Like `read`, but returns `Invalid` instead of raising it."""
        try:
            return await self.read(environment, pipeline, at)
        except Invalid as broken:
            return broken

    async def history(
        self, environment: str, pipeline: str, limit: int = 50
    ) -> tuple[CommitInfo, ...]:
        """The commits that changed the file, latest first: the release history."""
        head = await self.head()
        if head is None:
            return ()
        return await self._mirror.log(head, [path_of(environment, pipeline)], limit)

    async def places(self, at: str) -> frozenset[str]:
        """The environments that have a file at the commit `at`."""
        if self._listed is None or self._listed[0] != at:
            self._listed = (at, _places(await self._mirror.files(at)))
        return self._listed[1]

    async def moved(self, old: str | None, new: str | None) -> frozenset[str] | None:
        """The environments whose file a commit after `old` and up to `new` touches; None is a
        branch that does not exist.

        None for all: after a force-push or a deletion nobody knows what was there in between.
        """
        if old is None:
            return await self.places(new) if new is not None else frozenset()
        if new is None or not await self._mirror.has(old):
            return None
        if not await self._mirror.is_ancestor(old, new):
            return None
        return _places(await self._mirror.touched(old, new))

    async def named(self) -> frozenset[str]:
        """The environments that have a file on the branch, as last fetched."""
        tip = await self._mirror.resolve(self._branch)
        return await self.places(tip) if tip is not None else frozenset()

    async def past(self, environment: str, pipeline: str, at: str) -> tuple[FileRevision, ...]:
        """The revisions of the file up to the commit `at`, latest first."""
        path = path_of(environment, pipeline)
        commits = await self._mirror.log(at, [path], _PAST)
        texts = await self._mirror.read_each([one.sha for one in commits], path)
        return tuple(FileRevision(one, _parsed(texts.get(one.sha), path)) for one in commits)

    async def highest(self, environment: str, pipeline: str) -> int:
        """The highest version number that the file ever named, on the branch as last fetched."""
        tip = await self._mirror.resolve(self._branch)
        said = await self.past(environment, pipeline, tip) if tip else ()
        numbers = {one.file.model.version for one in said if one.file and one.file.model}
        for one in said:
            numbers |= {q.version or 0 for q in one.file.quarantine} if one.file else set()
        return max(numbers, default=0)

    async def write(
        self,
        change: Callable[[EnvironmentFile | Invalid | None], EnvironmentFile],
        environment: str,
        pipeline: str,
        subject: str,
        action_id: str,
        lease: LeaseToken | None = None,
    ) -> str:
        """Commit the result of `change` on the current file, and push it; the commit's id. With a
        `lease`, not if somebody has pushed under a later one.

        Idempotent by `action_id`. `change` is called again, with the new content, if somebody else
        pushed in between; it may raise if the change does not apply any more.
        """

        async def propose(tip: str | None) -> NextCommit | str:
            done = await self._written(action_id, tip)
            if done:
                return done
            file = change(await self.present(environment, pipeline, tip) if tip else None)
            files = {path_of(environment, pipeline): to_yaml(file).encode()}
            return NextCommit(files, message_of(file, subject, action_id))

        beside = partial(fenced, self._mirror, lease) if lease is not None else None
        return await swap(self._mirror, self._branch, propose, self._backoff, beside=beside)

    async def propose(self, file: EnvironmentFile, subject: str, proposal: str) -> str:
        """Push a branch with one commit on top of this branch that writes the file; its name.

        The branch is recreated if the file has changed on this branch since. If somebody else has
        committed to it, it is left alone. Raises `TryAgain` if this branch does not exist yet.
        """
        name = f"{PROPOSALS}{proposal}"
        head, tip = await self.head(), await self._mirror.tip(name)
        if head is None:
            raise TryAgain(f"{self._mirror.url} has no branch {self._branch} yet")
        if tip is not None:
            last = await self._mirror.commit_info(tip)
            theirs = last.trailers.get(PROPOSAL) != proposal or last.committer != HEADGATE.email
            if theirs or await self._is_current(file, last, head):
                return name
        files = {file.path: to_yaml(file).encode()}
        message = message_of(file, subject, proposal, mark=PROPOSAL)
        made = await self._mirror.write_commit(head, files, message, HEADGATE)
        await self._mirror.push(name, made, tip)
        return name

    async def withdraw(self, proposal: str) -> None:
        """Delete the proposal's branch, if it is there."""
        await self._mirror.delete(f"{PROPOSALS}{proposal}")

    async def _is_current(self, file: EnvironmentFile, last: CommitInfo, head: str) -> bool:
        """Whether the commit writes that file, and the file did not change below it since."""
        said = await self._mirror.read(last.sha, file.path)
        was = await self._mirror.read(last.parents[0], file.path) if last.parents else None
        now = await self._mirror.read(head, file.path)
        return said == to_yaml(file).encode() and was == now

    async def _written(self, action_id: str, head: str | None) -> str | None:
        commits = await self._mirror.log(head, limit=_LOOK_BACK) if head else ()
        return next((one.sha for one in commits if one.trailers.get(ACTION) == action_id), None)


def _places(paths: Iterable[str]) -> frozenset[str]:
    return frozenset(place for path in paths if (place := place_of(path)) is not None)


def _parsed(text: bytes | None, path: str) -> EnvironmentFile | None:
    try:
        return None if text is None else parse(text, path)
    except Invalid:
        return None
