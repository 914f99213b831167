"""PURE. What becomes of what people ask for in comments and by the buttons of checks."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from controller.machine.actions import Answer
from controller.machine.core import Key, Message
from controller.machine.repositories.pull import VERBS, Command, Pull, line, names, pull_of

_SAYS = {
    "plan": "what a run would do, and why",
    "run": "run its pipelines again; what has not changed comes from the cache",
    "retry": "run those again that did not pass",
    "cancel": "stop what runs",
    "approve": "let the commit that is named run, of a fork",
}


class Target(NamedTuple):
    """The head of a branch or pull request, and what runs for it."""

    branch: str
    commit: str
    pipelines: Sequence[str]
    held: bool


def heed(
    repository: str,
    commands: Sequence[Command],
    pulls: Mapping[int, Pull],
    targets: Mapping[str, Target],
) -> tuple[list[Answer], list[Message]]:
    """The answers to commands, and what pipelines are asked for."""
    answers: list[Answer] = []
    messages: list[Message] = []
    for command in commands:
        said, wishes = _heed(repository, command, pulls, targets)
        messages += wishes
        if command.comment is not None and command.pull is not None:
            number, comment = command.pull, command.comment
            answers.append(
                Answer(
                    repository=repository,
                    pull=number,
                    comment=comment,
                    text=said,
                    plan=command.verb == "plan" and not said,
                )
            )
    return answers, messages


def _heed(
    repository: str,
    command: Command,
    pulls: Mapping[int, Pull],
    targets: Mapping[str, Target],
) -> tuple[str, list[Message]]:
    """What to answer, nothing where it is simply done; and what to ask pipelines for."""
    if not command.may:
        return f"Sorry @{command.by}, only people who may write to this repository can ask.", []
    if command.verb is None:
        return _help(), []
    pull = pull_of(command, pulls)
    target = _target(command, pull, targets)
    if target is None:
        return "This pull request is closed, or not one that Headgate looks at.", []
    if command.verb == "approve":
        return _approve(command, pull), []
    if target.held:
        asked = f"`/headgate approve {target.commit[:12]}`"
        return f"It comes from a fork: read it, and approve that very commit first: {asked}", []
    if command.verb == "plan":
        return "", []
    asked_of = [p for p in target.pipelines if command.pipeline in ("", p)]
    if not asked_of:
        return f"{target.commit[:12]} changes nothing that a pipeline reads.", []
    return "", list(_wishes(repository, command, target, asked_of))


def _target(command: Command, pull: Pull | None, targets: Mapping[str, Target]) -> Target | None:
    """What is spoken of. The button of a commit that was left long ago does nothing."""
    commit = pull.head if pull else command.commit
    on_pull = [t for t in targets.values() if t.branch == (pull and line(pull.number))]
    return next((t for t in (*on_pull, *targets.values()) if t.commit == commit), None)


def _approve(command: Command, pull: Pull | None) -> str:
    if pull is None or not pull.fork:
        return "Nothing waits for an approval here."
    if names(command, pull):
        return ""
    asked = f"`/headgate approve {pull.head[:12]}`"
    if command.argument:
        return f"{command.argument} is not the head any more; if {pull.head[:12]} may run: {asked}"
    return f"Say which commit you have read. The head is {pull.head[:12]}: {asked}"


def _wishes(
    repository: str, command: Command, target: Target, pipelines: Sequence[str]
) -> Iterator[Message]:
    how = f"`/headgate {command.verb}`" if command.comment is not None else "GitHub's button"
    why = f"{command.by} asked for it ({how})"
    body = {"repository": repository, "branch": target.branch, "by": command.by}
    for pipeline in pipelines:
        to = Key("pipeline", pipeline)
        if command.verb == "cancel":
            yield Message(
                to=to, id=command.id, type="cancel", body={**body, "reason": f"cancelled: {why}"}
            )
        else:
            again = command.verb == "retry"
            kind = {"kind": "retry" if again else "manual", "force": True, "unless_passed": again}
            yield Message(to=to, id=command.id, type="trigger", body={**body, **kind, "why": why})


def _help() -> str:
    lines = [f"- `/headgate {verb}`: {_SAYS[verb]}" for verb in VERBS]
    return "\n".join(["That is no command of Headgate. These are:", "", *lines])
