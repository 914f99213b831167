"""PURE. Who accepted that a commit changes the rules it is judged by, and how long that holds.

An acceptance is for one commit and one base branch. A new push, another base or closing the pull
request ends it. Pull requests with the same head and base share it.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from controller.machine.core import Action, Envelope
from controller.machine.repositories import reports
from controller.machine.repositories.pull import Acceptance, Command, Pull, Right, accepts
from controller.machine.repositories.reports import ReportPlace


class CommandTarget(NamedTuple):
    """The head of a branch or pull request, which commands can be about."""

    branch: str
    commit: str
    pipelines: Sequence[str]
    """Those that run for it."""
    held: bool = False
    scope: str = ""
    """See `pull.scope_of`."""
    pull: Pull | None = None
    untouched: Sequence[str] = ()
    removed: Sequence[str] = ()

    @property
    def everything(self) -> tuple[str, ...]:
        """Every pipeline that has rules there, or had."""
        return tuple(sorted({*self.pipelines, *self.untouched, *self.removed}))

    def place(self, repository: str) -> ReportPlace:
        """Where it is reported on."""
        return ReportPlace(repository, self.commit, self.scope, self.pull)


def still_open(before: Iterable[Acceptance], pulls: Mapping[int, Pull]) -> tuple[Acceptance, ...]:
    """The acceptances that an open pull request still has."""
    is_open = {(pull.head, pull.base) for pull in pulls.values()}
    return tuple(one for one in before if (one.commit, one.base) in is_open)


def accepted_by(accepted: Iterable[Acceptance], pull: Pull) -> dict[str, str]:
    """Who accepted the changed rules of a pull request, by pipeline."""
    of_it = (one for one in accepted if (one.commit, one.base) == (pull.head, pull.base))
    return {one.pipeline: one.by for one in of_it}


def targets_of(command: Command, targets: Collection[CommandTarget]) -> list[CommandTarget]:
    """What a command is about: the pull request of a comment or, for a button, every head that its
    check is on. The button of a commit that is no longer a head does nothing."""
    if command.pull is not None:
        return [one for one in targets if one.pull and one.pull.number == command.pull]
    return [
        one
        for one in targets
        if one.commit == command.commit and (not command.check or one.scope == command.scope)
    ]


def rights(command: Command, target: CommandTarget) -> dict[str, Right]:
    """What a person may accept there, by pipeline: only pipelines that the command is about."""
    return {
        pipeline: command.rights.get(pipeline, Right())
        for pipeline in target.everything
        if command.pipeline in ("", pipeline)
    }


def accept(
    commands: Iterable[Command],
    targets: Collection[CommandTarget],
    before: Sequence[Acceptance],
    default_branch: str,
) -> dict[Acceptance, str]:
    """New acceptances, with the id of the command. Nothing is accepted of a held fork."""
    known = {(one.commit, one.base, one.pipeline) for one in before}
    new: dict[Acceptance, str] = {}
    for command in commands:
        for target in targets:
            if target.pull is None or target.held:
                continue
            if not accepts(command, target.pull, default_branch):
                continue
            for pipeline, right in rights(command, target).items():
                what = (target.commit, target.pull.base, pipeline)
                if right.may and what not in known:
                    known.add(what)
                    commit, base, _ = what
                    one = Acceptance(commit=commit, base=base, pipeline=pipeline, by=command.by)
                    new[one] = command.id
    return new


def announce(
    repository: str, new: Mapping[Acceptance, str], targets: Iterable[CommandTarget]
) -> Iterator[Action | Envelope]:
    """The reports and messages that follow from new acceptances."""
    for target in targets:
        pull = target.pull
        if pull is None or target.held:
            continue
        place = target.place(repository)
        for one, id_ in new.items():
            if (one.commit, one.base) != (pull.head, pull.base):
                continue
            name, by = one.pipeline, one.by
            if name in target.everything:
                yield reports.policy(place, pull, name, by)
            if name in target.removed:
                yield reports.removed(place, pull, name, by)
            if name in target.pipelines:
                told_by = f"{id_}/{target.branch}"
                yield reports.rules_accepted(told_by, place, target.branch, pull, name, by)
