"""PURE. A git repository: which commits were seen on its branches, and whom that concerns."""

from collections.abc import Mapping
from typing import Literal

from controller.machine.actions import ReportCommit
from controller.machine.core import Action, Decision, Key, Message, Value

ENVIRONMENTS = ("staging", "production")
LOOK = 300.0
"""Seconds after which it is looked at, should its source have gone silent."""


class Commit(Value):
    """The head of a branch."""

    sha: str
    subject: str = ""
    author: str = ""
    pipelines: Mapping[str, str] = {}
    """Names by folder: the pipelines for which commits of this branch count. Not looked up for a
    head that was seen before."""
    broken: tuple[str, ...] = ()
    """Folders of specs that are invalid; such a spec cannot rename its pipeline."""


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
    moves: int = 0
    """How often something was seen to move; a branch may come back to a commit it left."""


class Observed(Value):
    """The branches as they are now."""

    default_branch: str
    heads: Mapping[str, Commit] = {}
    """Of the branches that count: the default one, and what a spec there names."""
    environments: str | None = None


def is_seen(repository: Repository | None, branch: str, sha: str, default_branch: str) -> bool:
    """Whether pipelines were told of that head, and that this is (or is not) the default branch."""
    if repository is None or repository.heads.get(branch) != sha:
        return False
    return branch != default_branch or repository.default_branch == default_branch


def decide(name: str, state: Repository | None, observed: Observed) -> Decision[Repository]:
    """Tell each pipeline of the commits that are new and of branches that have no spec of it any
    more, and environments of a moved branch."""
    before = state or Repository(name=name)
    messages: list[Message] = []
    actions: list[Action] = []
    moves = before.moves + 1
    pipelines: dict[str, Mapping[str, str]] = {}
    for branch, commit in observed.heads.items():
        if is_seen(state, branch, commit.sha, observed.default_branch):
            pipelines[branch] = before.pipelines.get(branch, {})
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
    for branch, names in before.pipelines.items():
        left = set(names.values()) - set(pipelines.get(branch, {}).values())
        head = observed.heads.get(branch)
        sha = head.sha if head else None
        messages += [_gone(name, pipeline, branch, sha, moves) for pipeline in sorted(left)]
    if observed.environments is not None and observed.environments != before.environments:
        current = set(pipelines.get(observed.default_branch, {}).values())
        messages += _moved(name, observed.environments, current, moves)
    return Decision(
        state=Repository(
            name=name,
            default_branch=observed.default_branch,
            heads={branch: commit.sha for branch, commit in observed.heads.items()},
            environments=observed.environments or before.environments,
            pipelines=pipelines,
            moves=moves if messages or actions else before.moves,
        ),
        actions=tuple(actions),
        messages=tuple(messages),
        requeue_after=LOOK,
    )


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
        },
    )


def _gone(name: str, pipeline: str, branch: str, commit: str | None, moves: int) -> Message:
    """`commit` is the branch's head that has no such spec; None for a branch that is gone."""
    return Message(
        to=Key("pipeline", pipeline),
        id=f"gone/{branch}/{moves}",
        type="spec_gone",
        body={"repository": name, "branch": branch, "commit": commit},
    )


def _moved(name: str, commit: str, pipelines: set[str], moves: int) -> list[Message]:
    return [
        Message(
            to=Key("environment", f"{pipeline}/{environment}"),
            id=f"branch/{commit}/{moves}",
            type="look",
            body={"repository": name},
        )
        for pipeline in sorted(pipelines)
        for environment in ENVIRONMENTS
    ]


def _report(
    name: str, commit: str, pipeline: str, state: Literal["invalid", "skipped"], title: str
) -> ReportCommit:
    return ReportCommit(repository=name, commit=commit, pipeline=pipeline, state=state, title=title)
