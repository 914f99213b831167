"""PURE. A pull request: its facts, and what people ask for in its comments and by its buttons."""

from collections.abc import Iterable, Mapping
from typing import Literal

from controller.machine.core import Value

SHORTEST = 7
"""Characters of a commit's id that name it in an approval."""

Verb = Literal["plan", "run", "retry", "cancel", "approve"]
VERBS: tuple[Verb, ...] = ("plan", "run", "retry", "cancel", "approve")
COMMAND = "/headgate"


class Pull(Value):
    """An open pull request."""

    number: int
    head: str
    """The commit that would be merged."""
    branch: str = ""
    """The branch that it is of, in this repository."""
    base: str
    """The branch that it would be merged into."""
    base_commit: str = ""
    """Where that branch is: its gates and release policy judge the pull request."""
    title: str = ""
    author: str = ""
    fork: bool = False
    """From another repository, so that a maintainer has to approve each commit first."""


class Heeded(Value):
    """The last comment that was looked at for commands."""

    comment: int
    at: str
    """When it was written, as the forge says it."""


class Command(Value):
    """What a person asked for."""

    id: str
    """Of the comment or the button, so that it is heeded once."""
    verb: Verb | None
    """None: a word that is no command."""
    argument: str = ""
    by: str
    may: bool
    """Whether that person may write to the repository."""
    pull: int | None = None
    """The pull request that it was said on; None for a button, which is on a commit."""
    comment: int | None = None
    """The comment, to be answered."""
    commit: str = ""
    """The commit that the button is on."""
    pipeline: str = ""
    """The pipeline whose check the button is on; empty for all."""


def line(number: int) -> str:
    """What a pull request is among a pipeline's branches. No branch has a blank in its name."""
    return f"pull request {number}"


def scope_of(branch: str, pull: Pull | None, default_branch: str) -> str:
    """By whose rules the head of a branch or pull request is judged: nothing for those of the
    default branch. What one branch lets through says nothing to another."""
    if pull is not None:
        return "" if pull.base == default_branch else f"into {pull.base}"
    return "" if branch == default_branch else f"on {branch}"


def is_pull(branch: str) -> bool:
    """Whether that branch is a pull request."""
    return branch.startswith("pull request ")


def parse(body: str) -> tuple[Verb | None, str]:
    """The verb and the rest of a comment's first line, which begins with `/headgate`."""
    words = body.strip().partition("\n")[0].split()
    said = words[1].lower() if len(words) > 1 else ""
    verb = next((verb for verb in VERBS if verb == said), None)
    return verb, " ".join(words[2:])[:100]


def is_command(body: str) -> bool:
    """Whether a comment speaks to Headgate, and not of it."""
    return body.lstrip().split(maxsplit=1)[:1] == [COMMAND]


def approvals(
    before: Mapping[int, str], pulls: Mapping[int, Pull], commands: Iterable[Command]
) -> dict[int, str]:
    """By number, the heads that a maintainer has approved; a new push needs a new word."""
    approved = {n: sha for n, sha in before.items() if n in pulls and pulls[n].head == sha}
    for command in commands:
        if command.verb == "approve" and command.may:
            spoken_of = pulls.values() if command.pull is None else _at(command.pull, pulls)
            approved |= {each.number: each.head for each in spoken_of if names(command, each)}
    return approved


def _at(number: int, pulls: Mapping[int, Pull]) -> tuple[Pull, ...]:
    return (pulls[number],) if number in pulls else ()


def names(command: Command, pull: Pull) -> bool:
    """Whether an approval names the very commit that is the head now."""
    if command.commit:
        return command.commit == pull.head
    wanted = command.argument.lower()
    return len(wanted) >= SHORTEST and pull.head.startswith(wanted)


def pull_of(command: Command, pulls: Mapping[int, Pull]) -> Pull | None:
    """The open pull request that is spoken of: by its number, or by the commit of a button."""
    if command.pull is not None:
        return pulls.get(command.pull)
    return next((pull for pull in pulls.values() if pull.head == command.commit), None)
