"""PURE. A pull request: its facts, and what people ask for in its comments and by its buttons."""

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

from controller.machine.core import Value

SHORTEST = 7
"""Characters of a commit's id that name it in an approval."""

Verb = Literal["plan", "run", "retry", "cancel", "approve", "accept"]
VERBS: tuple[Verb, ...] = ("plan", "run", "retry", "cancel", "approve", "accept")
_COMMAND: Final = re.compile(
    r"(?:[ \t]*(?:\r\n|\r|\n))* {0,3}/headgate(?=\s|\Z)([^\r\n]*)", re.IGNORECASE
)
"""The first line of a comment that is not blank. Indented further it is code, as Markdown has it,
and what speaks of a command does not give it."""

_MERGE_GROUP: Final = re.compile(
    r"gh-readonly-queue/(?P<base>.+)/pr-(?P<number>[1-9]\d{0,17})-(?P<onto>[0-9a-f]{40,64})"
)
"""As GitHub names the temporary branches of its merge queues."""


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
    queued: bool = False
    """Whether the head is a merge group: what GitHub's merge queue made of this pull request and
    of those before it, on top of the base, and merges if its checks pass. `branch` is its own."""

    @property
    def told(self) -> int | None:
        """The number of the pull request whose comment tells of it; None for a merge group, of
        which only the checks do."""
        return None if self.queued else self.number


class LastComment(Value):
    """The last comment that was looked at for commands."""

    comment: int
    at: str
    """When it was written, as the forge says it."""


class Right(Value):
    """Whether a person may accept changed rules of a pipeline, by what the base's spec says."""

    may: bool = False
    who: tuple[str, ...] = ()
    """Who may, `@person` or `@organisation/team`; none: those who administer the repository."""
    unseen: str = ""
    """Why it is not known of a team, and the mend."""


class Acceptance(Value):
    """Somebody with the right accepted the rules that a commit brings into a branch."""

    commit: str
    base: str
    """The branch."""
    pipeline: str
    by: str


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
    edited: bool = False
    """Whether the comment is not as it was written. Who may write to a repository may edit the
    comments of others there, so it is nobody's word that somebody was read or agreed."""
    early: bool = False
    """Whether no look before this one saw the head, so that it may have been pushed after the
    comment. Then a few characters name nothing: another commit that begins with them is soon
    made."""
    commit: str = ""
    """The commit that the button is on."""
    check: Literal["", "gates", "policy"] = ""
    """What the check says that the button is on; empty for all checks of the commit."""
    pipeline: str = ""
    """The pipeline whose check the button is on; empty for all."""
    scope: str = ""
    """By whose rules that check is; see `scope_of`."""
    rights: Mapping[str, Right] = {}
    """Of `accept`: what that person may accept, by pipeline."""


class MergeGroupName(NamedTuple):
    """What the name of a merge group's branch says."""

    base: str
    number: int
    """Its last pull request."""
    onto: str
    """The commit that this was put on top of."""


def parse_merge_group(branch: str) -> MergeGroupName | None:
    """The merge group that a branch of that name is."""
    found = _MERGE_GROUP.fullmatch(branch)
    return MergeGroupName(found["base"], int(found["number"]), found["onto"]) if found else None


def pull_branch(number: int) -> str:
    """What a pull request is among a pipeline's branches. No branch has a blank in its name."""
    return f"pull request {number}"


def is_pull(branch: str) -> bool:
    """Whether that branch is a pull request."""
    return branch.startswith("pull request ")


def scope_of(branch: str, pull: Pull | None, default_branch: str) -> str:
    """By whose rules a head is judged: empty for those of the default branch, which judge pushes
    there and pull requests into it. What others let through is said apart: `into easy` of a pull
    request, `on trial` of a branch."""
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
    """Whether a comment speaks to Headgate, and not of it: its first line does, in any case of
    letters, and is neither code nor a quotation."""
    return _COMMAND.match(body) is not None


def approvals(
    before: Mapping[int, str], pulls: Mapping[int, Pull], commands: Iterable[Command]
) -> dict[int, str]:
    """By number, the heads that a maintainer has approved; a new push needs a new word."""
    approved = {n: sha for n, sha in before.items() if n in pulls and pulls[n].head == sha}
    for command in commands:
        if command.verb == "approve" and command.may and not command.edited:
            spoken_of = pulls.values() if command.pull is None else _at(command.pull, pulls)
            approved |= {each.number: each.head for each in spoken_of if names_head(command, each)}
    return approved


def _at(number: int, pulls: Mapping[int, Pull]) -> tuple[Pull, ...]:
    return (pulls[number],) if number in pulls else ()


def names_head(command: Command, pull: Pull) -> bool:
    """Whether an approval, or an acceptance, names the very commit that is the head now."""
    if command.commit:
        return command.commit == pull.head
    wanted = command.argument.lower()
    if command.early:
        return wanted == pull.head
    return len(wanted) >= SHORTEST and pull.head.startswith(wanted)


def accepts(command: Command, pull: Pull, default_branch: str) -> bool:
    """Whether somebody wants to accept what that pull request does to rules, and names its very
    head: on itself, or by a button of a check that is about it."""
    if command.verb != "accept" or command.edited or not names_head(command, pull):
        return False
    if command.pull is not None:
        return command.pull == pull.number
    return command.scope == scope_of(pull_branch(pull.number), pull, default_branch)
