"""PURE. A git repository: which commits were seen on its branches and open pull requests, and whom
that concerns.

A pull request is told to its pipelines as one more branch, `pull request 12`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from controller.machine.actions import ReportCommit
from controller.machine.core import Action, Decision, Key, Message, Value
from controller.machine.repositories.asking import Target, heed
from controller.machine.repositories.pull import Command, Heeded, Pull, approvals, is_pull, line

ENVIRONMENTS = ("staging", "production")
LOOK = 300.0
"""Seconds after which it is looked at, should its source have gone silent."""
SOON = 10.0
"""The same while the forge could not be asked."""
MOST_PRESSED = 100
"""Buttons that are remembered until the forge can be asked who pressed them."""


class Commit(Value):
    """The head of a branch, or of a pull request."""

    sha: str
    subject: str = ""
    author: str = ""
    pipelines: Mapping[str, str] = {}
    """Names by folder: the pipelines for which commits of this branch count. Not looked up for a
    head that was seen before."""
    broken: tuple[str, ...] = ()
    """Folders of specs that are invalid; such a spec cannot rename its pipeline."""
    untouched: tuple[str, ...] = ()
    """Of a pull request: pipelines of its base for which it changes nothing."""
    removed: tuple[str, ...] = ()
    """Of a pull request: pipelines of its base whose spec is not in it."""
    pull: Pull | None = None


class Repository(Value):
    """The facts of a repository."""

    name: str
    default_branch: str | None = None
    heads: Mapping[str, str] = {}
    """The last commit seen of each branch that counts."""
    environments: str | None = None
    """The last commit seen of the environments branch."""
    pipelines: Mapping[str, Mapping[str, str]] = {}
    """Names by folder, by branch: the pipelines that were told of its head."""
    pulls: Mapping[int, Pull] = {}
    """The open pull requests, by number."""
    approved: Mapping[int, str] = {}
    """The commit of a fork's pull request that a maintainer approved."""
    held: tuple[str, ...] = ()
    """Pull requests whose head waits for that."""
    heeded: Heeded | None = None
    pressed: tuple[Mapping[str, Any], ...] = ()
    """Buttons, as the webhook told of them once, that wait for the forge to say who may."""
    moves: int = 0
    """How often something was seen to move; a branch may come back to a commit it left."""


class Observed(Value):
    """The branches as they are now."""

    default_branch: str
    heads: Mapping[str, Commit] = {}
    """Of the branches that count: the default one, and what a spec there names."""
    environments: str | None = None
    pulls: Mapping[int, Pull] = {}
    """The open ones that count, by number; each has its head above."""
    asked: tuple[Command, ...] = ()
    """What people asked for since the last look."""
    heeded: Heeded | None = None
    pressed: tuple[Mapping[str, Any], ...] = ()
    """Buttons that could not be heeded, as the forge could not be asked."""
    unheard: bool = False
    """Whether the forge could not be asked; pull requests are as they were then."""
    more: bool = False
    """Whether there are pull requests that were not looked at yet."""
    nudged: bool = False
    """Whether something happened to a pull request that may be a release's."""


def is_seen(
    repository: Repository | None,
    branch: str,
    sha: str,
    default_branch: str,
    approved: Mapping[int, str],
    pull: Pull | None = None,
) -> bool:
    """Whether pipelines were told of that head, and that this is (or is not) the default branch;
    or that it has to be approved, and it still has. A pull request into another base is news, as
    that one's gates judge it."""
    if repository is None or repository.heads.get(branch) != sha:
        return False
    before = repository.pulls.get(pull.number) if pull else None
    if pull is not None and before is not None and before.base != pull.base:
        return False
    if branch in repository.held and any(line(n) == branch for n in approved):
        return False
    return branch != default_branch or repository.default_branch == default_branch


def decide(name: str, state: Repository | None, observed: Observed) -> Decision[Repository]:
    """Tell each pipeline of the commits that are new and of branches that have no spec of it any
    more, and environments of a moved branch; do as people ask in pull requests."""
    before = state or Repository(name=name)
    messages: list[Message] = []
    actions: list[Action] = []
    moves = before.moves + 1
    pipelines: dict[str, Mapping[str, str]] = {}
    approved = approvals(before.approved, observed.pulls, observed.asked)
    held = [line(n) for n, pull in observed.pulls.items() if is_held(pull, approved)]
    for branch, commit in observed.heads.items():
        if is_seen(state, branch, commit.sha, observed.default_branch, approved, commit.pull):
            pipelines[branch] = before.pipelines.get(branch, {})
            continue
        if commit.pull is not None:
            actions += _nothing_to_run(name, commit, commit.pull)
            if branch in held:
                actions += _held(name, commit, commit.pull)
                pipelines[branch] = {}
                continue
        named = _names(before, branch, commit)
        actions += _twice(name, commit.sha, named)
        pipelines[branch] = {folder: named[folder] for folder in _first(named)}
        messages += [
            _seen(name, pipeline, folder, branch, commit, observed.default_branch, moves)
            for folder, pipeline in pipelines[branch].items()
        ]
        if not commit.pipelines and branch == observed.default_branch:
            title = "there is no ml-pipeline.yaml here; `headgate init` writes one"
            actions.append(_report(name, commit.sha, "", "skipped", title))
    messages += _left(before, observed, pipelines, moves)
    targets = _targets(observed, pipelines, held)
    answers, wishes = heed(name, observed.asked, observed.pulls, targets)
    actions += answers
    messages += wishes
    messages += _moved(before, observed, pipelines, moves)
    return Decision(
        state=Repository(
            name=name,
            default_branch=observed.default_branch,
            heads={branch: commit.sha for branch, commit in observed.heads.items()},
            environments=observed.environments or before.environments,
            pipelines=pipelines,
            pulls=observed.pulls,
            approved=approved,
            held=tuple(held),
            heeded=observed.heeded,
            pressed=observed.pressed[-MOST_PRESSED:],
            moves=moves if messages or actions else before.moves,
        ),
        actions=tuple(actions),
        messages=tuple(messages),
        requeue_after=0.0 if observed.more else SOON if observed.unheard else LOOK,
    )


def is_held(pull: Pull, approved: Mapping[int, str]) -> bool:
    """Whether nothing of it may run: it is a fork's, and this commit was not approved."""
    return pull.fork and approved.get(pull.number) != pull.head


def _nothing_to_run(name: str, commit: Commit, pull: Pull) -> Iterator[Action]:
    """Pipelines that a pull request does not concern get their terminal status, too: a branch may
    be protected by all of them."""
    for pipeline in commit.untouched:
        title = f"nothing to run: #{pull.number} changes nothing that {pipeline} reads"
        yield _report(name, commit.sha, pipeline, "skipped", title, pull=pull.number)
    for pipeline in commit.removed:
        title = (
            f"nothing to run: #{pull.number} removes {pipeline}; its environments keep what runs"
        )
        yield _report(name, commit.sha, pipeline, "skipped", title, pull=pull.number)
    if not (commit.untouched or commit.removed or commit.pipelines):
        title = f"nothing to run: #{pull.number} has no ml-pipeline.yaml"
        yield _report(name, commit.sha, "", "skipped", title)


def _held(name: str, commit: Commit, pull: Pull) -> Iterator[Action]:
    """A fork's commit waits; its spec may not even claim a pipeline's name."""
    short = commit.sha[:12]
    for pipeline in sorted(set(commit.pipelines.values())):
        yield _report(
            name,
            commit.sha,
            pipeline,
            "held",
            f"waits for a maintainer to approve {short}",
            text=f"This comes from a fork, so nothing of it runs until somebody who may write here "
            f"has read it and comments\n\n    /headgate approve {short}\n\n"
            "A new push needs a new approval. Its run gets no secrets, and is judged by the gates "
            f"of {pull.base}.",
            pull=pull.number,
        )


def _targets(
    observed: Observed, pipelines: Mapping[str, Mapping[str, str]], held: Sequence[str]
) -> dict[str, Target]:
    """What can be asked for, by branch."""
    return {
        branch: Target(
            branch, commit.sha, tuple(sorted(pipelines[branch].values())), branch in held
        )
        for branch, commit in observed.heads.items()
    }


def _names(before: Repository, branch: str, commit: Commit) -> dict[str, str]:
    """Names by folder; those of invalid specs as they were, here or on the default branch."""
    known = {
        **before.pipelines.get(before.default_branch or "", {}),
        **before.pipelines.get(branch, {}),
    }
    return {
        folder: known.get(folder, pipeline) if folder in commit.broken else pipeline
        for folder, pipeline in sorted(commit.pipelines.items())
    }


def _first(named: Mapping[str, str]) -> list[str]:
    """The folders whose spec is the first of its name."""
    names = list(named.values())
    return [folder for at, folder in enumerate(named) if named[folder] not in names[:at]]


def _twice(name: str, commit: str, named: Mapping[str, str]) -> list[Action]:
    """Says so where a spec has the name of another."""
    first = {named[folder]: folder for folder in _first(named)}
    return [
        _report(
            name,
            commit,
            pipeline,
            "invalid",
            f"two specs are named {pipeline}: {first[pipeline] or '.'} and {folder or '.'}; "
            "give one another `metadata.name`",
        )
        for folder, pipeline in named.items()
        if first[pipeline] != folder
    ]


def _seen(
    name: str,
    pipeline: str,
    folder: str,
    branch: str,
    commit: Commit,
    default_branch: str,
    moves: int,
) -> Message:
    return Message(
        to=Key("pipeline", pipeline),
        id=f"commit/{branch}/{commit.sha}/{moves}",
        type="commit_seen",
        body={
            "pipeline": pipeline,
            "repository": name,
            "folder": folder,
            "branch": branch,
            "commit": commit.sha,
            "default_branch": default_branch,
            "subject": commit.subject,
            "author": commit.author,
            "pull": commit.pull.plain() if commit.pull else None,
        },
    )


def _gone(name: str, pipeline: str, branch: str, head: Commit | None, moves: int) -> Message:
    """`head` is the branch's, which has no such spec; None for a branch that is gone."""
    why, commit = f"its spec is not on {branch} any more", head.sha if head else None
    if head is not None and head.pull is not None:
        why, commit = f"superseded by commit {head.sha[:12]}", None  # which has its report
    elif head is None and is_pull(branch):
        why = f"the {branch} was closed"
    return Message(
        to=Key("pipeline", pipeline),
        id=f"gone/{branch}/{moves}",
        type="spec_gone",
        body={"repository": name, "branch": branch, "commit": commit, "why": why},
    )


def _left(
    before: Repository,
    observed: Observed,
    pipelines: Mapping[str, Mapping[str, str]],
    moves: int,
) -> Iterator[Message]:
    """Tell pipelines that were told of a branch before, and are not any more."""
    for branch, names in before.pipelines.items():
        left = set(names.values()) - set(pipelines.get(branch, {}).values())
        for pipeline in sorted(left):
            yield _gone(before.name, pipeline, branch, observed.heads.get(branch), moves)


def _moved(
    before: Repository,
    observed: Observed,
    pipelines: Mapping[str, Mapping[str, str]],
    moves: int,
) -> Iterator[Message]:
    """Let environments look at their files, or at the pull requests of their releases."""
    commit = observed.environments
    if commit is None or (commit == before.environments and not observed.nudged):
        return
    for pipeline in sorted(set(pipelines.get(observed.default_branch, {}).values())):
        for environment in ENVIRONMENTS:
            yield Message(
                to=Key("environment", f"{pipeline}/{environment}"),
                id=f"branch/{commit}/{moves}",
                type="look",
                body={"repository": before.name},
            )


def _report(
    name: str,
    commit: str,
    pipeline: str,
    state: Literal["invalid", "skipped", "held"],
    title: str,
    *,
    text: str = "",
    pull: int | None = None,
) -> ReportCommit:
    return ReportCommit(
        repository=name,
        commit=commit,
        pipeline=pipeline,
        state=state,
        title=title,
        text=text,
        pull=pull,
    )
