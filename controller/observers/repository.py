"""Observes repositories: the heads of branches and pull requests, and the specs of new heads."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import structlog

from controller.git.environments import BRANCH, Environments, proposed_place
from controller.git.repositories import Repositories
from controller.github.pulls import Pulls, begin
from controller.machine.core import InboxMessage, Key
from controller.machine.messages import ButtonPressed, ForgeMoved
from controller.machine.pipelines.code import Code
from controller.machine.pipelines.touched import touched
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
from controller.observers.untouched import covered_at
from controller.reports.forge import Kind, name_of
from controller.store.protocol import StoreReader
from specs.failures import Ignore, NeedsHuman, TryAgain
from specs.globs import matches
from specs.model import is_spec_file, misnamed

AT_ONCE = 25
"""How many new heads of pull requests one observation reads."""
BESIDE = 20
"""How many commits that were pushed along with a new head get a report."""

log = structlog.get_logger("headgate.repository")


class RepositoryObserver:
    """An `Observer`: reads branches from the remote and pull requests from GitHub, and the specs of
    new heads. `pulls` is None without GitHub."""

    def __init__(
        self,
        repositories: Repositories,
        branches: Mapping[str, Environments],
        store: StoreReader,
        pulls: Pulls | None = None,
    ) -> None:
        self._repositories = repositories
        self._branches = branches
        self._store = store
        self._pulls = pulls

    async def observe(
        self, key: Key, state: RepositoryState | None, inbox: Sequence[InboxMessage]
    ) -> ObservedRepository:
        mirror = self._repositories.mirror(key.name)
        before = state or RepositoryState(name=key.name)
        heads = await mirror.heads()
        default = await mirror.default_branch()
        if default is None or default not in heads:
            # The first push brings a hint.
            log.info("a repository has no commit on its default branch yet", name=key.name)
            raise Ignore(f"the repository {key.name} has no commit on its default branch")
        await mirror.fetch()
        view = await self._view_of_github(before, heads, default, inbox)
        approved = approvals(before.approved, view.pulls, view.asked)

        def seen(branch: str, sha: str, pull: Pull | None = None) -> bool:
            return is_seen(state, branch, sha, default, approved, pull)

        reported = {BRANCH, *(pull.branch for pull in view.pulls.values())}
        commits: dict[str, Commit] = {}
        unwatched: dict[str, str] = {}
        for branch in heads.keys() - reported:
            sha = heads[branch]
            found = None
            if group := group_of(branch, heads, view.pulls):
                known = seen(branch, sha, group.pull)
                commits[branch] = await self._merge_group(before, group, approved, known=known)
                continue
            if not seen(branch, sha):
                found = await self._branch(before, branch, sha, default, heads[default])
            if found is not None or seen(branch, sha):
                commits[branch] = found or Commit(sha=sha)
            elif await self._is_unwatched(before, branch, sha):
                unwatched[branch] = sha
        fresh = [n for n, pull in view.pulls.items() if not seen(pull_branch(n), pull.head, pull)]
        pulls = await self._read_pulls(before, view.pulls, fresh, commits)
        turn = fresh[:AT_ONCE]
        unread = [n for n in turn if n not in pulls or commits[pull_branch(n)].waits]
        asked = await self._with_rights(before, view, pulls, commits, default)
        return ObservedRepository(
            default_branch=default,
            heads=commits,
            unwatched=unwatched,
            environments=heads.get(BRANCH),
            places=await self._places(before, default, heads),
            moved=await self._moved(before, heads.get(BRANCH)),
            pulls=pulls,
            asked=asked,
            last_comment=view.last_comment,
            pressed=view.pressed,
            unheard=view.unheard or bool(unread),
            more=len(fresh) > AT_ONCE,
            nudged=_nudged(inbox),
        )

    async def _places(
        self, before: RepositoryState, default: str, heads: Mapping[str, str]
    ) -> frozenset[str]:
        """The environments that have a file, if a pipeline may be new for which that counts."""
        tip = heads.get(BRANCH)
        if tip is None or (before.default_branch, before.heads.get(default)) == (
            default,
            heads[default],
        ):
            return frozenset()
        return await self._branches[before.name].places(tip)

    async def _moved(self, before: RepositoryState, tip: str | None) -> frozenset[str] | None:
        """The environments whose file changed."""
        if tip == before.environments:
            return frozenset()
        return await self._branches[before.name].moved(before.environments, tip)

    async def _view_of_github(
        self,
        before: RepositoryState,
        heads: Mapping[str, str],
        default: str,
        inbox: Sequence[InboxMessage],
    ) -> "_GitHubView":
        """What GitHub has. While it cannot be reached, branches are still observed, and pressed
        buttons are kept, as they are not reported again."""
        if self._pulls is None or not self._pulls.on_github(before.name):
            return _GitHubView({}, (), None)
        told = (x.message for x in inbox if isinstance(x.message, ButtonPressed))
        pressed = (*before.pressed, *told)
        try:
            pulls = await self._pulls.open(before.name)
            asked, last_comment = await self._pulls.asked(before.name, before.last_comment, pressed)
        except (TryAgain, NeedsHuman) as failure:
            log.warning("pull requests cannot be read", reason=str(failure))
            last_comment = before.last_comment or begin(time.time())
            return _GitHubView(before.pulls, (), last_comment, pressed, unheard=True)
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
        return _GitHubView(ours, asked, last_comment)

    async def _with_rights(
        self,
        before: RepositoryState,
        view: "_GitHubView",
        pulls: Mapping[int, Pull],
        commits: Mapping[str, Commit],
        default: str,
    ) -> tuple[Command, ...]:
        """The commands, with what their authors may accept.

        Raises what GitHub's client raises. Then nothing of this observation may be kept, or its
        comments would be applied to heads that were pushed after them.
        """
        approved = approvals(before.approved, pulls, view.asked)
        asked = []
        for command in view.asked:
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
        """What a person may accept of a pull request, by pipeline. The base names the approvers,
        whatever the pull request's own spec says."""
        assert self._pulls is not None, "commands come from GitHub"
        found = {}
        for pipeline in pipelines:
            if command.pipeline in ("", pipeline):
                rules = await self._repositories.rules(name, pull.base_commit, pipeline)
                who = rules.spec.policy.approvers if rules and rules.spec else ()
                found[pipeline] = await self._pulls.right(name, command.by, who)
        return found

    async def _watched(self, name: str, head: str) -> dict[str, tuple[str, ...]]:
        """Globs of the watched branches, by pipeline. Only the default branch's spec counts, since
        runs of a watched branch get the secrets that its spec asks for."""
        specs = await self._repositories.specs(name, head)
        return {code.name: code.branches for code in specs.values() if code.name}

    async def _branch(
        self, before: RepositoryState, branch: str, sha: str, default: str, head: str
    ) -> Commit | None:
        """The new head of a watched branch, else None; `head` is the default branch's."""
        told = before.pipelines.get(branch, {})
        watched = {} if branch == default else await self._watched(before.name, head)
        specs = {
            spec: code
            for spec, code in (await self._repositories.specs(before.name, sha)).items()
            if branch == default
            or _matches_any(watched.get(code.name or "", ()), branch)
            or (code.spec is None and spec in told)  # an invalid spec does not say its name
        }
        if not specs and branch != default:
            return None
        mirror = self._repositories.mirror(before.name)
        info = await mirror.commit_info(sha)
        known = branch in before.heads or branch in (before.unwatched or {})
        old = before.heads.get(branch if known else default)
        at = (before, branch, sha, specs)
        same = before.default_branch == default
        covered = await covered_at(self._repositories, self._store, *at) if same else {}
        return Commit(
            sha=sha,
            subject=info.subject[:200],
            author=info.author,
            pipelines=_names(specs),
            broken=_broken(specs),
            beside=await mirror.between(old, sha, BESIDE) if old and specs else (),
            covered=covered,
            misnamed=_misnamed(await mirror.files(sha)) if branch == default else {},
        )

    async def _is_unwatched(self, before: RepositoryState, branch: str, sha: str) -> bool:
        """Whether a branch that is not watched has specs. On GitHub this is always False, as pull
        requests report on such branches."""
        if self._pulls is not None and self._pulls.on_github(before.name):
            return False
        if (before.unwatched or {}).get(branch) == sha:
            return True
        files = await self._repositories.mirror(before.name).files(sha)
        return any(is_spec_file(path.rpartition("/")[2]) for path in files)

    async def _read_pulls(
        self,
        before: RepositoryState,
        pulls: Mapping[int, Pull],
        fresh: Sequence[int],
        commits: dict[str, Commit],
    ) -> dict[int, Pull]:
        """Add the heads of pull requests to `commits`, and read the first `AT_ONCE` fresh ones.

        A fresh one that is not read yet, or was force-pushed meanwhile, stays as it was.
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
        """The new head of a pull request, compared with its fork points. There may be several, and
        all count: merging the base back may undo what the base changed since."""
        mirror = self._repositories.mirror(name)
        after = await self._repositories.specs(name, pull.head)
        points = await mirror.fork_points(pull.base_commit, pull.head)
        befores = [await self._repositories.specs(name, point) for point in points] or [{}]
        changed = {after[path].name for before in befores for path in touched(before, after)}
        # Specs of one name are reported together, so that the duplicate is noticed.
        concerned = {path: code for path, code in after.items() if code.name in changed}
        untouched = [name for name in _names(after).values() if name not in changed]
        had = {pipeline for before in befores for pipeline in _names(before).values()}
        left = had - set(_names(after).values())
        return Commit(
            sha=pull.head,
            subject=pull.title,
            author=pull.author,
            pipelines=_names(concerned),
            broken=_broken(concerned),
            untouched=tuple(sorted(untouched)),
            required=await self._required(name, pull, untouched),
            removed=tuple(sorted(left)),
            pull=pull,
        )

    async def _required(
        self, name: str, pull: Pull, pipelines: Sequence[str]
    ) -> tuple[str, ...] | None:
        """The pipelines of which the base requires a check; None if that cannot be known."""
        assert self._pulls is not None, "pull requests come from GitHub"
        checks = await self._pulls.required(name, pull.base) if pipelines else frozenset()
        if checks is None:
            return None
        # Whether that is the default branch does not matter here: only one of the names is used.
        scopes = ("", f"into {pull.base}")
        kinds: tuple[Kind, ...] = ("gates", "policy")
        return tuple(
            one
            for one in pipelines
            if any(name_of(one, kind, scope) in checks for kind in kinds for scope in scopes)
        )

    async def _merge_group(
        self,
        before: RepositoryState,
        group: MergeGroup,
        approved: Mapping[int, str],
        *,
        known: bool,
    ) -> Commit:
        """The head of a merge group. It waits while it has a fork's commit that nobody approved,
        and once it has left the queue."""
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


class _GitHubView(NamedTuple):
    """What GitHub has for a repository."""

    pulls: Mapping[int, Pull]
    asked: tuple[Command, ...]
    last_comment: LastComment | None
    pressed: tuple[ButtonPressed, ...] = ()
    """Buttons that have to be kept, as GitHub could not be reached."""
    unheard: bool = False


def _names(specs: Mapping[str, Code]) -> dict[str, str]:
    return {path: code.name for path, code in specs.items() if code.name}


def _broken(specs: Mapping[str, Code]) -> tuple[str, ...]:
    return tuple(path for path, code in specs.items() if code.spec is None)


def _misnamed(files: Iterable[str]) -> dict[str, str]:
    rights = {path: misnamed(path.rpartition("/")[2]) for path in files}
    return {path: right for path, right in rights.items() if right is not None}


def _matches_any(globs: Sequence[str], branch: str) -> bool:
    return any(matches(glob, branch) for glob in globs)


def _nudged(inbox: Sequence[InboxMessage]) -> frozenset[str] | None:
    """The environments of which a release's pull request changed; None: perhaps any, as the forge
    did not say which pull request it was."""
    hints = [x.message for x in inbox if isinstance(x.message, ForgeMoved) and x.message.pull]
    if not all(hint.head for hint in hints):
        return None
    places = (proposed_place(hint.head) for hint in hints)
    return frozenset(place for place in places if place is not None)
