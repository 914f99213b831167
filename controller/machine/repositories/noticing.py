"""PURE. The machine of git repositories: notices new heads of branches and pull requests, tells the
pipelines concerned, and handles commands."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from controller.machine.actions import ReportCommit, ReportPolicy
from controller.machine.core import Action, Decision, Envelope, Key, Message
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
    Pull,
    approvals,
    is_pull,
    parse_merge_group,
    pull_branch,
    scope_of,
)
from controller.machine.repositories.reports import ReportPlace
from controller.machine.repositories.repository import (
    ENVIRONMENTS,
    Commit,
    ObservedRepository,
    RepositoryState,
    Untold,
    is_held,
    is_seen,
    names_of,
    with_checks,
)

POLL_INTERVAL = 300.0
"""Seconds between reconciles, if no source hints."""
RETRY_INTERVAL = 10.0
"""Seconds until the next reconcile while the forge cannot be reached."""
MOST_PRESSED = 100
"""How many pressed buttons are kept until the forge can say who pressed them."""


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
        named = names_of(before, branch, commit)
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
        own = with_checks(self.before, branch, commit)
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
        return observed.environments is not None and _concerns(place, observed.nudged)
    moved = observed.moved if known else observed.places
    return _concerns(place, moved) or _concerns(place, observed.nudged)


def _concerns(place: str, places: frozenset[str] | None) -> bool:
    """Whether an environment is among those; None is perhaps all."""
    return places is None or place in places
