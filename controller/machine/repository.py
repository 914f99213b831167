"""PURE. A git repository: which commits were seen on its branches, and whom that concerns."""

from collections.abc import Mapping

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
    """Names by folder: the pipelines for which commits of this branch count."""


class Repository(Value):
    """The facts of a repository."""

    name: str
    heads: Mapping[str, str] = {}
    """The last commit seen of each branch that counts."""
    environments: str | None = None
    """The last commit seen of the environments branch."""
    pipelines: Mapping[str, str] = {}
    """Names by folder, on the default branch."""
    moves: int = 0
    """How often something was seen to move; a branch may come back to a commit it left."""


class Observed(Value):
    """The branches as they are now."""

    default_branch: str
    heads: Mapping[str, Commit] = {}
    """Of the branches that count: the default one, and what a spec there names."""
    environments: str | None = None


def decide(name: str, state: Repository | None, observed: Observed) -> Decision[Repository]:
    """Tell each pipeline of the commits that are new, and environments of a moved branch."""
    repository = state or Repository(name=name)
    messages: list[Message] = []
    actions: list[Action] = []
    moves = repository.moves + 1
    for branch, commit in observed.heads.items():
        if repository.heads.get(branch) == commit.sha:
            continue
        tell, owe = _see(name, branch, commit, observed.default_branch, moves)
        messages += tell
        actions += owe
    default = observed.heads.get(observed.default_branch)
    pipelines = default.pipelines if default else repository.pipelines
    if observed.environments is not None and observed.environments != repository.environments:
        messages += [
            Message(
                to=Key("environment", f"{pipeline}/{environment}"),
                id=f"branch/{observed.environments}/{moves}",
                type="look",
                body={"repository": name},
            )
            for pipeline in sorted(set(pipelines.values()))
            for environment in ENVIRONMENTS
        ]
    return Decision(
        state=Repository(
            name=name,
            heads={branch: commit.sha for branch, commit in observed.heads.items()},
            environments=observed.environments or repository.environments,
            pipelines=pipelines,
            moves=moves if messages or actions else repository.moves,
        ),
        actions=tuple(actions),
        messages=tuple(messages),
        requeue_after=LOOK,
    )


def _see(
    name: str, branch: str, commit: Commit, default_branch: str, moves: int
) -> tuple[list[Message], list[Action]]:
    messages: list[Message] = []
    actions: list[Action] = []
    folders: dict[str, str] = {}
    for folder, pipeline in sorted(commit.pipelines.items()):
        if pipeline in folders:
            title = (
                f"two specs are named {pipeline}: {folders[pipeline] or '.'} and {folder or '.'}; "
                "give one another `metadata.name`"
            )
            actions.append(_report(name, commit.sha, pipeline, "invalid", title))
            continue
        folders[pipeline] = folder
        messages.append(
            Message(
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
        )
    if not commit.pipelines and branch == default_branch:
        title = "there is no ml-pipeline.yaml here; `headgate init` writes one"
        actions.append(_report(name, commit.sha, "", "skipped", title))
    return messages, actions


def _report(name: str, commit: str, pipeline: str, state: str, title: str) -> ReportCommit:
    return ReportCommit.model_validate(
        {
            "repository": name,
            "commit": commit,
            "pipeline": pipeline,
            "state": state,
            "title": title,
        }
    )
