"""PURE. Pull requests, and the commands in their comments and by the buttons of their checks."""

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

from controller.machine.core import Value

SHORTEST = 7
"""How many characters of a commit's id an approval has to give."""

Verb = Literal["plan", "run", "retry", "cancel", "approve", "accept"]
VERBS: tuple[Verb, ...] = ("plan", "run", "retry", "cancel", "approve", "accept")
_COMMAND: Final = re.compile(
    r"(?:[ \t]*(?:\r\n|\r|\n))* {0,3}/headgate(?=\s|\Z)([^\r\n]*)", re.IGNORECASE
)
"""The first line of a comment that is not blank. Indented further, it would be code in Markdown,
which only mentions a command."""

_MERGE_GROUP: Final = re.compile(
    r"gh-readonly-queue/(?P<base>.+)/pr-(?P<number>[1-9]\d{0,17})-(?P<onto>[0-9a-f]{40,64})"
)
"""How GitHub names the temporary branches of its merge queues."""


class Pull(Value):
    """An open pull request."""

    number: int
    head: str
    """The commit that would be merged."""
    branch: str = ""
    """Its head branch, if that is in this repository."""
    base: str
    """The branch that it would be merged into."""
    base_commit: str = ""
    """The head of the base, whose gates and release policy judge the pull request."""
    title: str = ""
    author: str = ""
    fork: bool = False
    """From another repository, so that a maintainer has to approve each commit first."""
    queued: bool = False
    """Whether the head is a merge group: GitHub's merge queue put this pull request, and those
    ahead of it, on top of the base, and merges them if the checks pass. `branch` is the group's."""

    @property
    def told(self) -> int | None:
        """The number of the pull request whose comment reports on it; None for a merge group,
        which only has checks."""
        return None if self.queued else self.number


class LastComment(Value):
    """The last comment that was searched for commands."""

    comment: int
    at: str
    """When it was written, in the forge's own format."""


class Right(Value):
    """Whether a person may accept changed rules of a pipeline, according to the base's spec."""

    may: bool = False
    who: tuple[str, ...] = ()
    """Who may: `@person` or `@organisation/team`. Empty: those who administer the repository."""
    unseen: str = ""
    """Why the members of a team cannot be seen, and how to fix that."""


class Acceptance(Value):
    """An approver accepted the rules that a commit brings into a branch."""

    commit: str
    base: str
    """The branch."""
    pipeline: str
    by: str


class Command(Value):
    """A command that a person gave."""

    id: str
    """Identifies the comment or the press of a button, so that it is handled once."""
    verb: Verb | None
    """None: an unknown command."""
    argument: str = ""
    by: str
    may: bool
    """Whether that person may write to the repository."""
    pull: int | None = None
    """The pull request of the comment; None for a button, which is on a commit."""
    comment: int | None = None
    """The comment, to be answered."""
    edited: bool = False
    """Whether the comment was edited. Anybody with write access can edit the comments of others, so
    an edited one does not prove who approved or accepted."""
    early: bool = False
    """Whether the head was first seen with this command, so that it may have been pushed after the
    comment. Then a prefix of its id does not name it, as a commit with that prefix is easily made.
    """
    commit: str = ""
    """The commit that the button is on."""
    check: Literal["", "gates", "policy", "untouched"] = ""
    """The check that the button is on; empty for all checks of the commit."""
    pipeline: str = ""
    """The pipeline whose check the button is on; empty for all."""
    scope: str = ""
    """The scope of that check; see `scope_of`."""
    rights: Mapping[str, Right] = {}
    """For `accept`: what that person may accept, by pipeline."""


class MergeGroupName(NamedTuple):
    """The parts of a merge group's branch name."""

    base: str
    number: int
    """Its last pull request."""
    onto: str
    """The commit that the group was put on top of."""


def parse_merge_group(branch: str) -> MergeGroupName | None:
    """The parts of a merge group's branch name; None for any other branch."""
    found = _MERGE_GROUP.fullmatch(branch)
    return MergeGroupName(found["base"], int(found["number"]), found["onto"]) if found else None


def pull_branch(number: int) -> str:
    """The name of a pull request among the branches. Names of real branches have no blanks."""
    return f"pull request {number}"


def is_pull(branch: str) -> bool:
    """Whether a name among the branches is that of a pull request."""
    return branch.startswith("pull request ")


def scope_of(branch: str, pull: Pull | None, default_branch: str) -> str:
    """By whose rules a head is judged: empty for those of the default branch, which judge pushes
    there and pull requests into it. Others have reports of their own: `into easy` for a pull
    request, `on trial` for a branch."""
    if pull is not None:
        return "" if pull.base == default_branch else f"into {pull.base}"
    return "" if branch == default_branch else f"on {branch}"


def parse_command(body: str) -> tuple[Verb | None, str]:
    """The verb and the rest of a comment's first line, which begins with `/headgate`."""
    found = _COMMAND.match(body)
    words = found[1].split() if found else []
    said = words[0].lower() if words else ""
    verb = next((verb for verb in VERBS if verb == said), None)
    return verb, " ".join(words[1:])[:100]


def is_command(body: str) -> bool:
    """Whether a comment gives a command: its first line begins with `/headgate`, in upper or lower
    case, and is neither code nor a quotation."""
    return _COMMAND.match(body) is not None


def approvals(
    before: Mapping[int, str], pulls: Mapping[int, Pull], commands: Iterable[Command]
) -> dict[int, str]:
    """By number, the heads that a maintainer approved; a new push needs a new approval."""
    approved = {n: sha for n, sha in before.items() if n in pulls and pulls[n].head == sha}
    for command in commands:
        if command.verb == "approve" and command.may and not command.edited:
            spoken_of = pulls.values() if command.pull is None else _at(command.pull, pulls)
            approved |= {each.number: each.head for each in spoken_of if names_head(command, each)}
    return approved


def _at(number: int, pulls: Mapping[int, Pull]) -> tuple[Pull, ...]:
    return (pulls[number],) if number in pulls else ()


def names_head(command: Command, pull: Pull) -> bool:
    """Whether an approval or acceptance names the current head."""
    if command.commit:
        return command.commit == pull.head
    wanted = command.argument.lower()
    if command.early:
        return wanted == pull.head
    return len(wanted) >= SHORTEST and pull.head.startswith(wanted)


def accepts(command: Command, pull: Pull, default_branch: str) -> bool:
    """Whether a command is to accept the changed rules of that pull request and names its head, in
    a comment there or by the button of one of its checks."""
    if command.verb != "accept" or command.edited or not names_head(command, pull):
        return False
    if command.pull is not None:
        return command.pull == pull.number
    return command.scope == scope_of(pull_branch(pull.number), pull, default_branch)
