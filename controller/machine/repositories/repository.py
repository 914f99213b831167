"""PURE. The machine of git repositories: notices new heads of branches and pull requests, tells the
pipelines concerned, and handles commands.

For pipelines, a pull request is one more branch: `pull request 12`.
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
from specs.model import spec_order, spec_path

ENVIRONMENTS = ("staging", "production")

POLL_INTERVAL = 300.0
"""Seconds between reconciles, if no source hints."""
RETRY_INTERVAL = 10.0
"""Seconds until the next reconcile while the forge cannot be reached."""
MOST_PRESSED = 100
"""How many pressed buttons are kept until the forge can say who pressed them."""


class Commit(Value):
    """The head of a branch, or of a pull request."""

    sha: str
    subject: str = ""
    author: str = ""
    pipelines: Mapping[str, str] = {}
    """Names by the paths of their specs: the pipelines that run for this branch. Empty for a head
    that was seen before."""
    broken: tuple[str, ...] = ()
    """Invalid specs. Such a spec cannot rename its pipeline."""
    misnamed: Mapping[str, str] = {}
    """On the default branch: files that are almost named like specs, with the correct names."""
    beside: tuple[str, ...] = ()
    """On a branch: commits between the head that was seen last and this one; on a new branch, since
    the default branch."""
    covered: Mapping[str, str] = {}
    """On a branch: pipelines for which this head changes nothing, each with the run whose result
    stands (empty: commits start none). They are not told of it."""
    untouched: tuple[str, ...] = ()
    """On a pull request: pipelines that it does not affect."""
    required: tuple[str, ...] | None = None
    """Of the untouched, those of which the forge requires a check to merge; None: it is unknown."""
    removed: tuple[str, ...] = ()
    """On a pull request: pipelines of its base whose spec it removes."""
    pull: Pull | None = None
    accepted: Mapping[str, str] = {}
    """On a merge group: by pipeline, who accepted its changed rules, in its pull requests."""
    waits: bool = False
    """Whether it could not be read yet, so that it is left for the next reconcile."""


class Untold(Value):
    """The pipelines of a pull request that do not run for its head, but have checks there."""

    untouched: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class RepositoryState(Value):
    """The stored facts of a repository."""

    name: str
    default_branch: str | None = None
    heads: Mapping[str, str] = {}
    """The last commit seen of each watched branch and open pull request."""
    environments: str | None = None
    """The last commit seen of the environments branch."""
    pipelines: Mapping[str, Mapping[str, str]] = {}
    """By branch and spec path, the names of the pipelines that are on it."""
    unwatched: Mapping[str, str] | None = None
    """The last commit seen of each unwatched branch that has specs; None: not known yet."""
    untold: Mapping[str, Untold] = {}
    """By pull request."""
    pulls: Mapping[int, Pull] = {}
    """The open pull requests, by number."""
    approved: Mapping[int, str] = {}
    """By number, the commit of a fork's pull request that a maintainer approved."""
    held: tuple[str, ...] = ()
    """The pull requests whose head waits for such an approval."""
    accepted: tuple[Acceptance, ...] = ()
    """The accepted rule changes of open pull requests."""
    last_comment: LastComment | None = None
    pressed: tuple[ButtonPressed, ...] = ()
    """Pressed buttons that wait until the forge can say what their users may do."""
    moves: int = 0
    """Counts changes. Part of message ids, as a branch may return to an earlier commit."""

    @field_validator("pipelines")
    @classmethod
    def _by_folders(cls, known: Mapping[str, Mapping[str, str]]) -> Mapping[str, Mapping[str, str]]:
        """Older controllers stored the folders of specs."""
        return {
            branch: {spec_path(place): name for place, name in names.items()}
            for branch, names in known.items()
        }


class ObservedRepository(Value):
    """The branches and pull requests as they are now."""

    default_branch: str
    heads: Mapping[str, Commit] = {}
    """The heads of watched branches, merge groups and pull requests."""
    unwatched: Mapping[str, str] = {}
    """The heads of unwatched branches that have specs, if nothing else reports on them."""
    environments: str | None = None
    places: frozenset[str] | None = None
    """The environments that have a file on that branch: `flight-delay/staging`; None: unknown."""
    moved: frozenset[str] | None = None
    """Those whose file was committed to since the commit that was seen last. If that is no longer
    on the branch, all that have a file or had one then; None: unknown."""
    pulls: Mapping[int, Pull] = {}
    """The open ones, by number; `heads` has the head of each."""
    asked: tuple[Command, ...] = ()
    """Commands that were given since the last reconcile."""
    last_comment: LastComment | None = None
    pressed: tuple[ButtonPressed, ...] = ()
    """Buttons that could not be handled, as the forge could not be reached."""
    unheard: bool = False
    """Whether the forge could not be reached; pull requests are then as they were before."""
    more: bool = False
    """Whether some pull requests were left for the next reconcile."""
    nudged: bool = False
    """Whether a pull request changed that may be a release's."""


def is_seen(
    repository: RepositoryState | None,
    branch: str,
    sha: str,
    default_branch: str,
    approved: Mapping[int, str],
    pull: Pull | None = None,
) -> bool:
    """Whether that head was handled before, so that nothing about it is new.

    A pull request with another base is new, as other gates judge it. So is a held one that was
    approved, and a branch that became the default one or ceased to be.
    """
    if repository is None or repository.heads.get(branch) != sha:
        return False
    before = repository.pulls.get(pull.number) if pull and not pull.queued else None
    if pull is not None and before is not None and before.base != pull.base:
        return False
    if pull is not None and branch not in repository.untold:
        return False  # an older controller, which compared no rules, handled it
    if branch in repository.held and any(pull_branch(n) == branch for n in approved):
        return False
    was = repository.default_branch or ""
    return scope_of(branch, pull, default_branch) == scope_of(branch, pull, was)


def decide(
    name: str, state: RepositoryState | None, observed: ObservedRepository
) -> Decision[RepositoryState]:
    """Tell pipelines of new commits and of branches that no longer have their spec, tell
    environments that their branch moved, and handle commands."""
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
            environments=observed.environments,
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
    """A hint: the observer has asked git and the forge."""
    return state


def _action_failed(state: RepositoryState, _message: ActionFailed) -> RepositoryState:
    """A report or an answer failed for good. It was logged, and changes nothing here."""
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
    """Reports on new heads of branches that are not watched that nothing runs. Heads that were
    there when the repository was first seen get no report."""
    if before.unwatched is None:
        return
    told = {*before.heads.values(), *(commit.sha for commit in observed.heads.values())}
    for branch, sha in observed.unwatched.items():
        if before.unwatched.get(branch) != sha and sha not in told:
            scope = scope_of(branch, None, observed.default_branch)
            yield reports.unwatched(ReportPlace(before.name, sha, scope), observed.default_branch)


def _outdated_lanes(actions: Iterable[Action]) -> tuple[str, ...]:
    """Lanes of policy reports that are replaced by newer ones, as an acceptance may come and go."""
    return tuple(sorted({one.lane for one in actions if isinstance(one, ReportPolicy)}))


def pipelines_of(before: RepositoryState, branch: str, commit: Commit) -> tuple[str, ...]:
    """The pipelines that have rules at the head of a pull request, now or when last seen."""
    untold = before.untold.get(branch, Untold())
    told = (*before.pipelines.get(branch, {}).values(), *_names(before, branch, commit).values())
    untouched = _with_checks(before, branch, commit)
    beside = (*untold.untouched, *untold.removed, *untouched, *commit.removed)
    return tuple(sorted({*told, *beside}))


def _with_checks(before: RepositoryState, branch: str, commit: Commit) -> tuple[str, ...]:
    """The untouched pipelines that get checks of their own: those that the forge requires, and
    those that were told of an earlier head, which have a section in the comment."""
    if commit.required is None:
        return commit.untouched
    own = {*commit.required, *before.pipelines.get(branch, {}).values()}
    return tuple(name for name in commit.untouched if name in own)


class _Heads:
    """Goes through the observed heads, and gathers what follows."""

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
        """Tell pipelines of the head of a branch, if it is new."""
        before, pull = self.before, commit.pull
        seen = is_seen(before, branch, commit.sha, self.default, self.approved, pull)
        if seen or commit.waits:
            self.heads |= (
                {branch: commit.sha} if seen else {}
            )  # otherwise it is still new next time
            self.pipelines[branch] = before.pipelines.get(branch, {})
            if branch in before.untold:
                self.untold[branch] = before.untold[branch]
            return
        self.heads[branch] = commit.sha
        named = _names(before, branch, commit)
        place = self._place(branch, commit)
        by: Mapping[str, str] = {}
        if pull is not None:
            by = {**acceptance.accepted_by(self.accepted, pull), **commit.accepted}
            self._report_pull(pull, branch, commit, named, by)
        self.pipelines[branch] = {}
        if branch in self.held and pull is not None:
            self.actions += reports.held(place, pull, sorted(set(named.values())))
            return
        self.actions += reports.pushed_together(place, commit.beside)
        self.actions += [*reports.duplicate_names(place, named)] or reports.misnamed(
            place, commit.misnamed
        )
        # A pull request could choose by file name which spec is first, so it gets neither.
        taken = reports.first_of_each_name(named) if pull is None else reports.unique_names(named)
        self.pipelines[branch] = {spec: named[spec] for spec in taken}
        self.actions += reports.covered(place, commit.covered)
        for spec, pipeline in self.pipelines[branch].items():
            if pipeline in commit.covered:
                continue
            self.messages.append(self._commit_seen(pipeline, spec, branch, commit))
            if pull is not None and pipeline in by:
                id_ = f"accepted/{branch}/{commit.sha}/{self.moves}"
                self.messages.append(
                    reports.rules_accepted(id_, place, branch, pull, pipeline, by[pipeline])
                )
        if not commit.pipelines and not commit.misnamed and branch == self.default:
            title = "there is no ml-pipeline.yaml here; `headgate init` writes one"
            self.actions.append(reports.report(place, "", "skipped", title))

    def _place(self, branch: str, commit: Commit) -> ReportPlace:
        scope = scope_of(branch, commit.pull, self.default)
        return ReportPlace(self.before.name, commit.sha, scope, commit.pull)

    def _commit_seen(self, pipeline: str, spec: str, branch: str, commit: Commit) -> Envelope:
        message = CommitSeen(
            pipeline=pipeline,
            repository=self.before.name,
            spec=spec,
            branch=branch,
            commit=commit.sha,
            default_branch=self.default,
            subject=commit.subject,
            author=commit.author,
            pull=commit.pull,
        )
        id_ = f"commit/{branch}/{commit.sha}/{self.moves}"
        return Envelope(to=Key("pipeline", pipeline), id=id_, message=message)

    def _report_pull(
        self,
        pull: Pull,
        branch: str,
        commit: Commit,
        named: Mapping[str, str],
        by: Mapping[str, str],
    ) -> None:
        """Report pipelines that a pull request does not affect or removes, and its rule changes."""
        place = self._place(branch, commit)
        told = set(named.values())
        own = _with_checks(self.before, branch, commit)
        untouched = tuple(name for name in own if name not in told)
        others = [name for name in commit.untouched if name not in (*own, *told)]
        removed = tuple(name for name in commit.removed if name not in told)
        self.untold[branch] = Untold(untouched=untouched, removed=removed)
        self.actions += reports.untouched(place, pull, untouched)
        self.actions += reports.untouched_together(place, dict.fromkeys(others, ""))
        self.actions += [reports.removed(place, pull, name, by.get(name, "")) for name in removed]
        every = sorted({*told, *untouched, *removed})
        self.actions += [reports.policy(place, pull, name, by.get(name, "")) for name in every]
        if not every and not others:
            title = f"nothing to run: #{pull.number} has no ml-pipeline.yaml"
            self.actions.append(reports.report(place._replace(pull=None), "", "skipped", title))


def is_held(pull: Pull, approved: Mapping[int, str]) -> bool:
    """Whether nothing of it may run: it comes from a fork, and this commit was not approved."""
    return pull.fork and approved.get(pull.number) != pull.head


def _targets(observed: ObservedRepository, look: _Heads) -> list[CommandTarget]:
    """The heads that commands can be about."""
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
    """Names by spec. An invalid spec keeps its last name, here or on the default branch."""
    known = {
        **before.pipelines.get(before.default_branch or "", {}),
        **before.pipelines.get(branch, {}),
    }
    return {
        spec: known.get(spec, pipeline) if spec in commit.broken else pipeline
        for spec, pipeline in sorted(commit.pipelines.items(), key=lambda each: spec_order(each[0]))
    }


def _spec_gone(name: str, pipeline: str, branch: str, head: Commit | None, moves: int) -> Envelope:
    """`head` is the branch's, which no longer has the spec; None if the branch is gone."""
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
    """Tell the pipelines whose spec is no longer on a branch."""
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
    """Tell environments that their file, or a release's pull request, changed. Those of a new
    pipeline are told if the branch has their files already."""
    commit = observed.environments
    known = set(before.pipelines.get(observed.default_branch, {}).values())
    for pipeline in sorted({*pipelines.get(observed.default_branch, {}).values()}):
        for environment in ENVIRONMENTS:
            place = f"{pipeline}/{environment}"
            if _is_told(place, before, observed, known=pipeline in known):
                yield Envelope(
                    to=Key("environment", place),
                    id=f"branch/{commit or 'deleted'}/{moves}",
                    message=BranchMoved(repository=before.name),
                )


def _is_told(
    place: str, before: RepositoryState, observed: ObservedRepository, *, known: bool
) -> bool:
    """Whether that environment is told; `known` is whether its pipeline was there before."""
    if observed.environments == before.environments and (known or observed.environments is None):
        return observed.nudged and observed.environments is not None
    concerned = observed.moved if known else observed.places
    return concerned is None or place in concerned or observed.nudged
