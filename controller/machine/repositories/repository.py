"""PURE. A git repository: which commits were seen on its branches and open pull requests, and whom
that concerns.

A pull request is told to its pipelines as one more branch, `pull request 12`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import field_validator

from controller.machine.actions import ReportCommit, ReportPolicy
from controller.machine.core import Action, Decision, Envelope, Key, Message, Value
from controller.machine.messages import (
    ActionFailed,
    BranchMoved,
    ButtonPressed,
    CommitSeen,
    ForgeMoved,
    SpecGone,
)
from controller.machine.pipelines.code import spec_at
from controller.machine.repositories import acceptance, reports
from controller.machine.repositories.acceptance import CommandTarget
from controller.machine.repositories.commands import handle_commands
from controller.machine.repositories.pull import (
    Acceptance,
    Command,
    LastComment,
    Pull,
    approvals,
    is_pull,
    parse_merge_group,
    pull_branch,
    scope_of,
)
from controller.machine.repositories.reports import ReportPlace
from specs.model import spec_order

ENVIRONMENTS = ("staging", "production")

POLL_INTERVAL = 300.0
"""Seconds after which it is looked at, should its source have gone silent."""
RETRY_INTERVAL = 10.0
"""The same while the forge could not be asked."""
MOST_PRESSED = 100
"""Buttons that are remembered until the forge can be asked who pressed them."""


class Commit(Value):
    """The head of a branch, or of a pull request."""

    sha: str
    subject: str = ""
    author: str = ""
    pipelines: Mapping[str, str] = {}
    """Names by the paths of their specs: the pipelines for which commits of this branch count. Not
    looked up for a head that was seen before."""
    broken: tuple[str, ...] = ()
    """Specs that are invalid; such a spec cannot rename its pipeline."""
    misnamed: Mapping[str, str] = {}
    """Of the default branch: files that are no specs for the letter of their names, with the names
    that specs have."""
    beside: tuple[str, ...] = ()
    """Of a branch: commits that came to it since the head that was seen before, and are none; of a
    new one, since the default branch."""
    untouched: tuple[str, ...] = ()
    """Of a pull request: pipelines of its base for which it changes nothing."""
    removed: tuple[str, ...] = ()
    """Of a pull request: pipelines of its base whose spec is not in it."""
    pull: Pull | None = None
    accepted: Mapping[str, str] = {}
    """Of a merge group: by pipeline, who accepted all that it does to rules, in pull requests."""
    waits: bool = False
    """Whether it could not be read yet, so that nothing is said of it in this look."""


class Untold(Value):
    """The pipelines that a pull request has, or had, and that were not told of its head."""

    untouched: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class RepositoryState(Value):
    """The facts of a repository."""

    name: str
    default_branch: str | None = None
    heads: Mapping[str, str] = {}
    """The last commit seen of each branch that counts."""
    environments: str | None = None
    """The last commit seen of the environments branch."""
    pipelines: Mapping[str, Mapping[str, str]] = {}
    """Names by the paths of their specs, by branch: the pipelines that were told of its head."""
    unwatched: Mapping[str, str] | None = None
    """The last commit seen of each branch that has specs and is not watched; None: not looked for
    yet."""
    untold: Mapping[str, Untold] = {}
    """By branch, of pull requests."""
    pulls: Mapping[int, Pull] = {}
    """The open pull requests, by number."""
    approved: Mapping[int, str] = {}
    """The commit of a fork's pull request that a maintainer approved."""
    held: tuple[str, ...] = ()
    """Pull requests whose head waits for that."""
    accepted: tuple[Acceptance, ...] = ()
    """What open pull requests do to rules with the word of somebody who has the right."""
    last_comment: LastComment | None = None
    pressed: tuple[ButtonPressed, ...] = ()
    """Buttons, as the webhook told of them once, that wait for the forge to say who may."""
    moves: int = 0
    """How often something was seen to move; a branch may come back to a commit it left."""

    @field_validator("pipelines")
    @classmethod
    def _by_folders(cls, known: Mapping[str, Mapping[str, str]]) -> Mapping[str, Mapping[str, str]]:
        """Older controllers knew a spec by its folder."""
        return {
            branch: {spec_at(place): name for place, name in names.items()}
            for branch, names in known.items()
        }


class ObservedRepository(Value):
    """The branches as they are now."""

    default_branch: str
    heads: Mapping[str, Commit] = {}
    """Of the branches that count: the default one, and what a spec there names."""
    unwatched: Mapping[str, str] = {}
    """The heads of branches that have specs and do not count, if nothing else tells of them."""
    environments: str | None = None
    pulls: Mapping[int, Pull] = {}
    """The open ones that count, by number; each has its head above."""
    asked: tuple[Command, ...] = ()
    """What people asked for since the last look."""
    last_comment: LastComment | None = None
    pressed: tuple[ButtonPressed, ...] = ()
    """Buttons that could not be heeded, as the forge could not be asked."""
    unheard: bool = False
    """Whether the forge could not be asked; pull requests are as they were then."""
    more: bool = False
    """Whether there are pull requests that were not looked at yet."""
    nudged: bool = False
    """Whether something happened to a pull request that may be a release's."""


def is_seen(
    repository: RepositoryState | None,
    branch: str,
    sha: str,
    default_branch: str,
    approved: Mapping[int, str],
    pull: Pull | None = None,
) -> bool:
    """Whether pipelines were told of that head, and by whose rules it is judged; or that it has to
    be approved, and it still has. A pull request into another base is news, as that one's gates
    judge it, and so is a branch that is (or is not) the default one now."""
    if repository is None or repository.heads.get(branch) != sha:
        return False
    before = repository.pulls.get(pull.number) if pull and not pull.queued else None
    if pull is not None and before is not None and before.base != pull.base:
        return False
    if pull is not None and branch not in repository.untold:
        return False  # it was told by a Headgate that compared no rules
    if branch in repository.held and any(pull_branch(n) == branch for n in approved):
        return False
    was = repository.default_branch or ""
    return scope_of(branch, pull, default_branch) == scope_of(branch, pull, was)


def decide(
    name: str, state: RepositoryState | None, observed: ObservedRepository
) -> Decision[RepositoryState]:
    """Tell each pipeline of the commits that are new and of branches that have no spec of it any
    more, and environments of a moved branch; do as people ask in pull requests."""
    before = state or RepositoryState(name=name)
    approved = approvals(before.approved, observed.pulls, observed.asked)
    held = [pull_branch(n) for n, pull in observed.pulls.items() if is_held(pull, approved)]
    accepted = acceptance.still_open(before.accepted, observed.pulls)
    look = _Heads(before, observed, held, accepted, approved)
    for branch, commit in observed.heads.items():
        look.at(branch, commit)
    look.actions += _report_unwatched(before, observed)
    look.messages += _spec_gone_messages(before, observed, look.pipelines, look.moves)
    targets = _targets(observed, look)
    new = acceptance.accept(observed.asked, targets, accepted, observed.default_branch)
    accepted = (*accepted, *new)
    for said in acceptance.announce(name, new, targets):
        look.messages += [said] if isinstance(said, Envelope) else []
        look.actions += [said] if isinstance(said, Action) else []
    by = {
        pull_branch(n): acceptance.accepted_by(accepted, pull) for n, pull in observed.pulls.items()
    }
    heard = handle_commands(name, observed.asked, targets, by)
    look.actions += [*heard.policies, *heard.answers]
    look.messages += heard.messages
    look.messages += _branch_moved_messages(before, observed, look.pipelines, look.moves)
    return Decision(
        state=RepositoryState(
            name=name,
            default_branch=observed.default_branch,
            heads=look.heads,
            environments=observed.environments or before.environments,
            pipelines=look.pipelines,
            unwatched=observed.unwatched,
            untold=look.untold,
            pulls=observed.pulls,
            approved=approved,
            held=tuple(held),
            accepted=accepted,
            last_comment=observed.last_comment,
            pressed=observed.pressed[-MOST_PRESSED:],
            moves=look.moves if look.messages or look.actions else before.moves,
        ),
        actions=tuple(look.actions),
        messages=tuple(look.messages),
        withdraw=_outdated_lanes(look.actions),
        requeue_after=0.0
        if observed.more
        else RETRY_INTERVAL
        if observed.unheard
        else POLL_INTERVAL,
    )


def _observe_again(state: RepositoryState, _hint: ForgeMoved | ButtonPressed) -> RepositoryState:
    """A hint: its observer asks git and the forge."""
    return state


def _action_failed(state: RepositoryState, _message: ActionFailed) -> RepositoryState:
    """A report or an answer that nobody gets: the log has said why, and nothing changes."""
    return state


HANDLERS: Mapping[type[Message], Callable[[RepositoryState, Any], RepositoryState]] = {
    ForgeMoved: _observe_again,
    ButtonPressed: _observe_again,
    ActionFailed: _action_failed,
}
"""Every class of messages that a repository handles."""


def _report_unwatched(
    before: RepositoryState, observed: ObservedRepository
) -> Iterator[ReportCommit]:
    """Says on new heads of branches that are not watched that nothing runs. What was there before
    anybody looked is nobody's news."""
    if before.unwatched is None:
        return
    told = {*before.heads.values(), *(commit.sha for commit in observed.heads.values())}
    for branch, sha in observed.unwatched.items():
        if before.unwatched.get(branch) != sha and sha not in told:
            scope = scope_of(branch, None, observed.default_branch)
            yield reports.unwatched(ReportPlace(before.name, sha, scope), observed.default_branch)


def _outdated_lanes(actions: Iterable[Action]) -> tuple[str, ...]:
    """Lanes whose older words on rules are not wanted any more: an acceptance comes and goes."""
    return tuple(sorted({one.lane for one in actions if isinstance(one, ReportPolicy)}))


def pipelines_of(before: RepositoryState, branch: str, commit: Commit) -> tuple[str, ...]:
    """The pipelines that may have rules at the head of a pull request, or had: as it was told
    before, and as it is now."""
    untold = before.untold.get(branch, Untold())
    told = (*before.pipelines.get(branch, {}).values(), *_names(before, branch, commit).values())
    beside = (*untold.untouched, *untold.removed, *commit.untouched, *commit.removed)
    return tuple(sorted({*told, *beside}))


class _Heads:
    """What one look at the heads gathers."""

    def __init__(
        self,
        before: RepositoryState,
        observed: ObservedRepository,
        held: Sequence[str],
        accepted: Sequence[Acceptance],
        approved: Mapping[int, str],
    ) -> None:
        self.before = before
        self.default = observed.default_branch
        self.held = held
        self.accepted = accepted
        self.approved = approved
        self.moves = before.moves + 1
        self.messages: list[Envelope] = []
        self.actions: list[Action] = []
        self.heads: dict[str, str] = {}
        self.pipelines: dict[str, Mapping[str, str]] = {}
        self.untold: dict[str, Untold] = {}

    def at(self, branch: str, commit: Commit) -> None:
        """Tell pipelines of the head of a branch, if it is news."""
        before, pull = self.before, commit.pull
        seen = is_seen(before, branch, commit.sha, self.default, self.approved, pull)
        if seen or commit.waits:
            self.heads |= {branch: commit.sha} if seen else {}  # else it is still news next time
            self.pipelines[branch] = before.pipelines.get(branch, {})
            if branch in before.untold:
                self.untold[branch] = before.untold[branch]
            return
        self.heads[branch] = commit.sha
        named = _names(before, branch, commit)
        place = ReportPlace(before.name, commit.sha, scope_of(branch, pull, self.default), pull)
        by: Mapping[str, str] = {}
        if pull is not None:
            by = {**acceptance.accepted_by(self.accepted, pull), **commit.accepted}
            self._beside(place, branch, commit, pull, named, by)
        self.pipelines[branch] = {}
        if branch in self.held and pull is not None:
            self.actions += reports.held(place, pull, sorted(set(named.values())))
            return
        self.actions += reports.pushed_together(place, commit.beside)
        self.actions += [*reports.duplicate_names(place, named)] or reports.misnamed(
            place, commit.misnamed
        )
        # Of a pull request neither: it could choose by a file's name whose rules are its own.
        taken = reports.first_of_each_name(named) if pull is None else reports.unique_names(named)
        self.pipelines[branch] = {spec: named[spec] for spec in taken}
        for spec, pipeline in self.pipelines[branch].items():
            self.messages.append(
                _commit_seen(before.name, pipeline, spec, branch, commit, self.default, self.moves)
            )
            if pull is not None and pipeline in by:
                id_ = f"accepted/{branch}/{commit.sha}/{self.moves}"
                self.messages.append(
                    reports.rules_accepted(id_, place, branch, pull, pipeline, by[pipeline])
                )
        if not commit.pipelines and not commit.misnamed and branch == self.default:
            title = "there is no ml-pipeline.yaml here; `headgate init` writes one"
            self.actions.append(reports.report(place, "", "skipped", title))

    def _beside(
        self,
        place: ReportPlace,
        branch: str,
        commit: Commit,
        pull: Pull,
        named: Mapping[str, str],
        by: Mapping[str, str],
    ) -> None:
        """What is said of a pull request whether anything of it runs or not."""
        told = set(named.values())
        untouched = tuple(name for name in commit.untouched if name not in told)
        removed = tuple(name for name in commit.removed if name not in told)
        self.untold[branch] = Untold(untouched=untouched, removed=removed)
        self.actions += reports.untouched(place, pull, untouched)
        self.actions += [reports.removed(place, pull, name, by.get(name, "")) for name in removed]
        every = sorted({*told, *untouched, *removed})
        self.actions += [reports.policy(place, pull, name, by.get(name, "")) for name in every]
        if not every:
            title = f"nothing to run: #{pull.number} has no ml-pipeline.yaml"
            self.actions.append(reports.report(place._replace(pull=None), "", "skipped", title))


def is_held(pull: Pull, approved: Mapping[int, str]) -> bool:
    """Whether nothing of it may run: it is a fork's, and this commit was not approved."""
    return pull.fork and approved.get(pull.number) != pull.head


def _targets(observed: ObservedRepository, look: _Heads) -> list[CommandTarget]:
    """What can be asked for."""
    targets = []
    pulls = {pull_branch(n): pull for n, pull in observed.pulls.items()}
    for branch, commit in observed.heads.items():
        pull = pulls.get(branch)
        untold = look.untold.get(branch, Untold())
        targets.append(
            CommandTarget(
                branch,
                commit.sha,
                tuple(sorted(look.pipelines[branch].values())),
                branch in look.held,
                scope_of(branch, pull or commit.pull, observed.default_branch),
                pull,
                untold.untouched,
                untold.removed,
            )
        )
    return targets


def _names(before: RepositoryState, branch: str, commit: Commit) -> dict[str, str]:
    """Names by spec; those of invalid specs as they were, here or on the default branch."""
    known = {
        **before.pipelines.get(before.default_branch or "", {}),
        **before.pipelines.get(branch, {}),
    }
    return {
        spec: known.get(spec, pipeline) if spec in commit.broken else pipeline
        for spec, pipeline in sorted(commit.pipelines.items(), key=lambda each: spec_order(each[0]))
    }


def _commit_seen(
    name: str,
    pipeline: str,
    spec: str,
    branch: str,
    commit: Commit,
    default_branch: str,
    moves: int,
) -> Envelope:
    message = CommitSeen(
        pipeline=pipeline,
        repository=name,
        spec=spec,
        branch=branch,
        commit=commit.sha,
        default_branch=default_branch,
        subject=commit.subject,
        author=commit.author,
        pull=commit.pull,
    )
    id_ = f"commit/{branch}/{commit.sha}/{moves}"
    return Envelope(to=Key("pipeline", pipeline), id=id_, message=message)


def _spec_gone(name: str, pipeline: str, branch: str, head: Commit | None, moves: int) -> Envelope:
    """`head` is the branch's, which has no such spec; None for a branch that is gone."""
    why, commit = f"its spec is not on {branch} any more", head.sha if head else None
    if head is not None and head.pull is not None:
        why, commit = f"superseded by commit {head.sha[:12]}", None  # which has its report
    elif head is None and is_pull(branch):
        why = f"the {branch} was closed"
    elif head is None and parse_merge_group(branch):
        why = "the merge group left the queue"
    message = SpecGone(repository=name, branch=branch, commit=commit, why=why)
    return Envelope(to=Key("pipeline", pipeline), id=f"gone/{branch}/{moves}", message=message)


def _spec_gone_messages(
    before: RepositoryState,
    observed: ObservedRepository,
    pipelines: Mapping[str, Mapping[str, str]],
    moves: int,
) -> Iterator[Envelope]:
    """Tell pipelines that were told of a branch before, and are not any more."""
    for branch, names in before.pipelines.items():
        left = set(names.values()) - set(pipelines.get(branch, {}).values())
        for pipeline in sorted(left):
            yield _spec_gone(before.name, pipeline, branch, observed.heads.get(branch), moves)


def _branch_moved_messages(
    before: RepositoryState,
    observed: ObservedRepository,
    pipelines: Mapping[str, Mapping[str, str]],
    moves: int,
) -> Iterator[Envelope]:
    """Let environments look at their files, or at the pull requests of their releases; those of a
    pipeline that is new there in any case, as the branch may know more of it than the state."""
    commit = observed.environments
    if commit is None:
        return
    concerned = set(pipelines.get(observed.default_branch, {}).values())
    if commit == before.environments and not observed.nudged:
        concerned -= set(before.pipelines.get(observed.default_branch, {}).values())
    for pipeline in sorted(concerned):
        for environment in ENVIRONMENTS:
            yield Envelope(
                to=Key("environment", f"{pipeline}/{environment}"),
                id=f"branch/{commit}/{moves}",
                message=BranchMoved(repository=before.name),
            )
