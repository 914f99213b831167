"""Observes repositories: the heads of branches and pull requests, and the specs at new ones."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import structlog

from controller.git.environments import BRANCH
from controller.git.repositories import Repositories
from controller.github.pulls import Pulls, begin
from controller.machine.core import InboxMessage, Key
from controller.machine.messages import ButtonPressed, ForgeMoved
from controller.machine.pipelines.code import Code
from controller.machine.pipelines.trust import changes_pipeline
from controller.machine.repositories.pull import (
    Command,
    LastComment,
    Pull,
    Right,
    accepts,
    approvals,
    pull_branch,
)
from controller.machine.repositories.repository import (
    Commit,
    ObservedRepository,
    RepositoryState,
    is_held,
    is_seen,
    pipelines_of,
)
from controller.observers.merge_groups import MergeGroup, acceptances_of, group_of
from specs.failures import Ignore, NeedsHuman, TryAgain
from specs.globs import matches
from specs.model import is_spec_file, misnamed

AT_ONCE = 25
"""New heads of pull requests that one look reads."""
BESIDE = 20
"""Commits that were pushed together with the new head of a branch, and are told so."""

log = structlog.get_logger("headgate.repository")


class RepositoryObserver:
    """A `Kind`: asks the remote for its branches and GitHub for pull requests, and what is new on
    them for its pipelines. `pulls` is None without GitHub."""

    def __init__(self, repositories: Repositories, pulls: Pulls | None = None) -> None:
        self._repositories = repositories
        self._pulls = pulls

    async def observe(
        self, key: Key, state: RepositoryState | None, inbox: Sequence[InboxMessage]
    ) -> ObservedRepository:
        mirror = self._repositories.mirror(key.name)
        before = state or RepositoryState(name=key.name)
        heads = await mirror.heads()
        default = await mirror.default_branch()
        if default is None or default not in heads:
            # Its source hints at the first push.
            log.info("a repository has no commit on its default branch yet", name=key.name)
            raise Ignore(f"the repository {key.name} has no commit on its default branch")
        await mirror.fetch()
        talk = await self._talk(before, heads, default, inbox)
        approved = approvals(before.approved, talk.pulls, talk.asked)

        def seen(branch: str, sha: str, pull: Pull | None = None) -> bool:
            return is_seen(state, branch, sha, default, approved, pull)

        reported = {BRANCH, *(pull.branch for pull in talk.pulls.values())}
        commits: dict[str, Commit] = {}
        unwatched: dict[str, str] = {}
        for branch in heads.keys() - reported:
            sha = heads[branch]
            found = None
            if group := group_of(branch, heads, talk.pulls):
                known = seen(branch, sha, group.pull)
                commits[branch] = await self._merge_group(before, group, approved, known=known)
                continue
            if not seen(branch, sha):
                found = await self._branch(before, branch, sha, default, heads[default])
            if found is not None or seen(branch, sha):
                commits[branch] = found or Commit(sha=sha)
            elif await self._is_unwatched(before, branch, sha):
                unwatched[branch] = sha
        fresh = [n for n, pull in talk.pulls.items() if not seen(pull_branch(n), pull.head, pull)]
        pulls = await self._look_at_pulls(before, talk.pulls, fresh, commits)
        asked = await self._with_rights(before, talk, pulls, commits, default)
        return ObservedRepository(
            default_branch=default,
            heads=commits,
            unwatched=unwatched,
            environments=heads.get(BRANCH),
            pulls=pulls,
            asked=asked,
            last_comment=talk.last_comment,
            pressed=talk.pressed,
            unheard=talk.unheard,
            more=len(fresh) > AT_ONCE,
            nudged=any(isinstance(x.message, ForgeMoved) and x.message.pull for x in inbox),
        )

    async def _talk(
        self,
        before: RepositoryState,
        heads: Mapping[str, str],
        default: str,
        inbox: Sequence[InboxMessage],
    ) -> "_Talk":
        """What GitHub says. While it says nothing, branches are looked at all the same, and
        buttons that were pressed are kept, as nobody would tell of them again."""
        if self._pulls is None or not self._pulls.on_github(before.name):
            return _Talk({}, (), None)
        told = (x.message for x in inbox if isinstance(x.message, ButtonPressed))
        pressed = (*before.pressed, *told)
        try:
            pulls = await self._pulls.open(before.name)
            asked, heeded = await self._pulls.asked(before.name, before.last_comment, pressed)
        except (TryAgain, NeedsHuman) as failure:
            log.warning("pull requests cannot be looked at", reason=str(failure))
            heeded = before.last_comment or begin(time.time())
            return _Talk(before.pulls, (), heeded, pressed, unheard=True)
        ours = {
            number: pull.model_copy(update={"base_commit": heads[pull.base]})
            for number, pull in pulls.items()
            if pull.base in heads
            and pull.branch != default
            and BRANCH not in (pull.base, pull.branch)
        }
        asked = tuple(
            one.model_copy(update={"early": True})
            if one.pull in ours and ours[one.pull].head != before.heads.get(pull_branch(one.pull))
            else one
            for one in asked
        )
        return _Talk(ours, asked, heeded)

    async def _with_rights(
        self,
        before: RepositoryState,
        talk: "_Talk",
        pulls: Mapping[int, Pull],
        commits: Mapping[str, Commit],
        default: str,
    ) -> tuple[Command, ...]:
        """What people ask for, and who of them may accept what. Raises what GitHub's client does:
        nothing of this look may be kept then, or its comments would be weighed against heads that
        came after them."""
        approved = approvals(before.approved, pulls, talk.asked)
        asked = []
        for command in talk.asked:
            found: dict[str, Right] = {}
            for pull in pulls.values():
                if accepts(command, pull, default) and not is_held(pull, approved):
                    branch = pull_branch(pull.number)
                    every = pipelines_of(before, branch, commits[branch])
                    found |= await self._rights(before.name, command, pull, every)
            asked.append(command.model_copy(update={"rights": found}))
        return tuple(asked)

    async def _rights(
        self, name: str, command: Command, pull: Pull, pipelines: Sequence[str]
    ) -> dict[str, Right]:
        """What a person may accept of a pull request, by pipeline: its base says whose word
        counts, whatever the pull request says itself."""
        assert self._pulls is not None, "else nobody could ask"
        found = {}
        for pipeline in pipelines:
            if command.pipeline in ("", pipeline):
                rules = await self._repositories.rules(name, pull.base_commit, pipeline)
                who = rules.spec.policy.approvers if rules and rules.spec else ()
                found[pipeline] = await self._pulls.right(name, command.by, who)
        return found

    async def _watched(self, name: str, head: str) -> dict[str, tuple[str, ...]]:
        """Globs of the branches that count, by pipeline: as the default branch says it, since runs
        of a branch get the secrets that it asks for."""
        specs = await self._repositories.specs(name, head)
        return {code.name: code.branches for code in specs.values() if code.name}

    async def _branch(
        self, before: RepositoryState, branch: str, sha: str, default: str, head: str
    ) -> Commit | None:
        """The new head of a branch, if commits of it count; `head` is the default branch's."""
        told = before.pipelines.get(branch, {})
        watched = {} if branch == default else await self._watched(before.name, head)
        wanting = {
            spec: code
            for spec, code in (await self._repositories.specs(before.name, sha)).items()
            if branch == default
            or _admits(watched.get(code.name or "", ()), branch)
            or (code.spec is None and spec in told)  # broken, it may not say so any more
        }
        if not wanting and branch != default:
            return None
        mirror = self._repositories.mirror(before.name)
        info = await mirror.commit_info(sha)
        known = branch in before.heads or branch in (before.unwatched or {})
        old = before.heads.get(branch if known else default)
        return Commit(
            sha=sha,
            subject=info.subject[:200],
            author=info.author,
            pipelines=_names(wanting),
            broken=_broken(wanting),
            beside=await mirror.between(old, sha, BESIDE) if old and wanting else (),
            misnamed=_misnamed(await mirror.files(sha)) if branch == default else {},
        )

    async def _is_unwatched(self, before: RepositoryState, branch: str, sha: str) -> bool:
        """Whether a branch that does not count has specs. Where there are pull requests, they say
        what becomes of a branch."""
        if self._pulls is not None and self._pulls.on_github(before.name):
            return False
        if (before.unwatched or {}).get(branch) == sha:
            return True
        files = await self._repositories.mirror(before.name).files(sha)
        return any(is_spec_file(path.rpartition("/")[2]) for path in files)

    async def _look_at_pulls(
        self,
        before: RepositoryState,
        pulls: Mapping[int, Pull],
        fresh: Sequence[int],
        commits: dict[str, Commit],
    ) -> dict[int, Pull]:
        """Add the heads of pull requests to `commits`: fresh ones as they are, others as they were.

        One whose turn has not come, or whose commit was pushed over meanwhile, stays as it was.
        """
        mirror = self._repositories.mirror(before.name)
        turn = fresh[:AT_ONCE]
        await mirror.fetch_pulls({number: pulls[number].head for number in turn})
        known = {}
        for number, now in pulls.items():
            pull = before.pulls.get(number) if number in fresh else now
            waits = number in fresh
            commit = Commit(sha=pull.head, pull=pull, waits=waits) if pull else None
            if number in turn:
                try:
                    pull, commit = now, await self._pull(before.name, now)
                except NeedsHuman as failure:
                    log.info("a pull request has moved on", pull=number, reason=str(failure))
            if pull is not None and commit is not None:
                known[number], commits[pull_branch(number)] = pull, commit
        return known

    async def _pull(self, name: str, pull: Pull) -> Commit:
        """The new head of a pull request, compared with where it left its base. Where it left it
        more than once, all of them count: what it merged back may undo what the base did since."""
        mirror = self._repositories.mirror(name)
        after = await self._repositories.specs(name, pull.head)
        points = await mirror.fork_points(pull.base_commit, pull.head)
        befores = [await self._repositories.specs(name, point) for point in points] or [{}]
        changed = {
            code.name
            for before in befores
            for path, code in after.items()
            if changes_pipeline(before.get(path), code)
        }
        # A second spec of a name that is taken comes with the first, so that this is said.
        touched = {path: code for path, code in after.items() if code.name in changed}
        untouched = {path: code for path, code in after.items() if path not in touched}
        had = {pipeline for before in befores for pipeline in _names(before).values()}
        left = had - set(_names(after).values())
        return Commit(
            sha=pull.head,
            subject=pull.title,
            author=pull.author,
            pipelines=_names(touched),
            broken=_broken(touched),
            untouched=tuple(sorted(_names(untouched).values())),
            removed=tuple(sorted(left)),
            pull=pull,
        )

    async def _merge_group(
        self,
        before: RepositoryState,
        group: MergeGroup,
        approved: Mapping[int, str],
        *,
        known: bool,
    ) -> Commit:
        """The head of a merge group. One with a fork's commit that nobody approved waits until
        somebody does, and one that left the queue meanwhile waits to be gone."""
        pull = group.pull
        if known:
            return Commit(sha=pull.head, pull=pull)
        if any(is_held(one.pull, approved) for one in group.members):
            return Commit(sha=pull.head, pull=pull, waits=True)
        try:
            commit = await self._pull(before.name, pull)
            said = await acceptances_of(
                self._repositories, before.name, commit, before.accepted, group
            )
        except NeedsHuman as failure:
            log.info("a merge group cannot be read", branch=pull.branch, reason=str(failure))
            return Commit(sha=pull.head, pull=pull, waits=True)
        return commit.model_copy(update={"accepted": said})


class _Talk(NamedTuple):
    """What GitHub says of a repository."""

    pulls: Mapping[int, Pull]
    asked: tuple[Command, ...]
    last_comment: LastComment | None
    pressed: tuple[ButtonPressed, ...] = ()
    """Buttons that have to be kept, as it could not be asked."""
    unheard: bool = False


def _names(specs: Mapping[str, Code]) -> dict[str, str]:
    return {path: code.name for path, code in specs.items() if code.name}


def _broken(specs: Mapping[str, Code]) -> tuple[str, ...]:
    return tuple(path for path, code in specs.items() if code.spec is None)


def _misnamed(files: Iterable[str]) -> dict[str, str]:
    rights = {path: misnamed(path.rpartition("/")[2]) for path in files}
    return {path: right for path, right in rights.items() if right is not None}


def _admits(globs: Sequence[str], branch: str) -> bool:
    return any(matches(glob, branch) for glob in globs)
