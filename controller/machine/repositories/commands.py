"""PURE. Handles the commands that people give in comments and with the buttons of checks."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from controller.machine.actions import AnswerCommand, ReportPolicy
from controller.machine.core import Envelope, Key
from controller.machine.messages import CancelRun, RunRequested
from controller.machine.repositories import reports
from controller.machine.repositories.acceptance import CommandTarget, rights, targets_of
from controller.machine.repositories.pull import VERBS, Command, Pull, Right, names_head

_SAYS = {
    "plan": "what a run would do, and why",
    "run": "run its pipelines again; what has not changed comes from the cache, unless "
    "`--no-cache` is added",
    "retry": "run the pipelines again that did not pass",
    "cancel": "stop its runs",
    "approve": "let the named commit of a fork run",
    "accept": "let the named commit change its pipelines' rules",
}
NO_CACHE = "--no-cache"
"""An option of `/headgate run`: ignore the cache."""
MOST_NAMED = 20
"""How many approvers a refusal names."""


class CommandEffects(NamedTuple):
    """What follows from commands."""

    answers: list[AnswerCommand]
    messages: list[Envelope]
    """Requests to pipelines."""
    policies: list[ReportPolicy]
    """Rules to compare again: the base may have changed its own by now."""


def handle_commands(
    repository: str,
    commands: Sequence[Command],
    targets: Collection[CommandTarget],
    accepted: Mapping[str, Mapping[str, str]],
) -> CommandEffects:
    """Answer commands and send the requests that follow. Approvals and acceptances are part of the
    state, and handled apart. `accepted` says who accepted, by branch and pipeline."""
    heard = CommandEffects([], [], [])
    for command in commands:
        found = targets_of(command, targets)
        said = _refusal(command, found)
        if not said:
            for target in found:
                said = said or _handle(repository, command, target, heard, accepted)
        if command.comment is not None and command.pull is not None:
            heard.answers.append(
                AnswerCommand(
                    repository=repository,
                    pull=command.pull,
                    comment=command.comment,
                    text=said,
                    plan=command.verb == "plan" and not said,
                )
            )
    return heard


def _refusal(command: Command, found: Sequence[CommandTarget]) -> str:
    """Why the command is not carried out for any target; empty if it may be."""
    if not command.may and command.verb != "accept":
        return f"Sorry @{command.by}, only people who may write to this repository can ask."
    if command.verb is None:
        return _help()
    if not found:
        return "This pull request is closed, or Headgate does not watch it."
    if command.edited and command.verb in ("approve", "accept"):
        return (
            "That comment was edited after it was written, perhaps by somebody else. Write a new "
            f"one: `/headgate {command.verb} {found[0].commit[:12]}`"
        )
    return ""


def _handle(
    repository: str,
    command: Command,
    target: CommandTarget,
    heard: CommandEffects,
    accepted: Mapping[str, Mapping[str, str]],
) -> str:
    """The answer; empty if the command was simply carried out."""
    if command.verb == "approve":
        return _approve(command, target.pull)
    if target.held:
        asked = f"`/headgate approve {target.commit[:12]}`"
        return f"This comes from a fork: read it, then approve that very commit first: {asked}"
    if command.verb == "accept":
        return _accept(command, target)
    if command.verb == "plan":
        return ""
    if command.check == "untouched":
        return ""  # nothing ran, and GitHub's button is no reason to run them all
    if command.verb in ("run", "retry"):
        by = accepted.get(target.branch, {})
        heard.policies.extend(_compare_rules(repository, command, target, by))
    if command.check == "policy":
        return ""
    asked_of = [p for p in target.pipelines if command.pipeline in ("", p)]
    if not asked_of:
        return f"{target.commit[:12]} changes nothing that a pipeline reads."
    heard.messages.extend(_requests(command, target, asked_of))
    return ""


def _approve(command: Command, pull: Pull | None) -> str:
    if pull is None or not pull.fork:
        return "Nothing waits for an approval here."
    return _ask_for_commit(command, pull)


def _accept(command: Command, target: CommandTarget) -> str:
    if target.pull is None:
        return "Nothing waits to be accepted here."
    if said := _ask_for_commit(command, target.pull):
        return said
    found = rights(command, target)
    if not found:
        return f"{target.commit[:12]} changes nothing that a pipeline reads."
    lines = [
        _who_may(command, pipeline, right) for pipeline, right in found.items() if not right.may
    ]
    return "\n".join(lines)


def _who_may(command: Command, pipeline: str, right: Right) -> str:
    """Who may accept, without notifying them: a stranger may have asked."""
    who = ", ".join(f"`{each}`" for each in right.who[:MOST_NAMED])
    if len(right.who) > MOST_NAMED:
        who += f" and {len(right.who) - MOST_NAMED} more"
    may = who or "those who administer the repository"
    said = f"Sorry @{command.by}, the rules of {pipeline} may be accepted by {may}."
    return f"{said} {right.unseen}".rstrip()


def _ask_for_commit(command: Command, pull: Pull) -> str:
    """The answer to a command that does not name the head; empty if it does."""
    if names_head(command, pull):
        return ""
    asked = f"`/headgate {command.verb} {pull.head[:12]}`"
    if command.early and pull.head.startswith(command.argument.lower() or "-"):
        asked = f"`/headgate {command.verb} {pull.head}`"
        return f"{pull.head[:12]} was pushed just now. If it is what you have read: {asked}"
    if command.argument:
        what = "may run" if command.verb == "approve" else "may change the rules"
        return f"{command.argument} is not the head any more; if {pull.head[:12]} {what}: {asked}"
    return f"Say which commit you have read. The head is {pull.head[:12]}: {asked}"


def _compare_rules(
    repository: str, command: Command, target: CommandTarget, by: Mapping[str, str]
) -> Iterator[ReportPolicy]:
    if target.pull is None:
        return
    place = target.place(repository)
    for pipeline in target.everything:
        if command.pipeline in ("", pipeline):
            yield reports.policy(place, target.pull, pipeline, by.get(pipeline, ""))


def _requests(
    command: Command, target: CommandTarget, pipelines: Sequence[str]
) -> Iterator[Envelope]:
    """Requests to pipelines. Each has the pull request as it is now, as its base may have moved."""
    by_comment = command.comment is not None
    how = f"`/headgate {command.verb}`" if by_comment else "GitHub's button"
    id_ = command.id if by_comment else f"{command.id}/{target.branch}"
    why = f"{command.by} asked for it ({how})"
    for pipeline in pipelines:
        to = Key("pipeline", pipeline)
        if command.verb == "cancel":
            cancel = CancelRun(branch=target.branch, by=command.by, reason=f"cancelled: {why}")
            yield Envelope(to=to, id=id_, message=cancel)
        else:
            again = command.verb == "retry"
            request = RunRequested(
                kind="retry" if again else "manual",
                why=why,
                by=command.by,
                branch=target.branch,
                force=True,
                fresh=command.verb == "run" and command.argument == NO_CACHE,
                unless_passed=again,
                pull=target.pull,
            )
            yield Envelope(to=to, id=id_, message=request)


def _help() -> str:
    lines = [f"- `/headgate {verb}`: {_SAYS[verb]}" for verb in VERBS]
    return "\n".join(["That is not a Headgate command. The commands are:", "", *lines])
