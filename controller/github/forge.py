"""Reports on GitHub: a check run per run of a pipeline, and one comment per pull request."""

import asyncio
from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

from controller.github.client import ANNOTATIONS, LONGEST, Client, Conclusion, StatusState
from controller.github.comment import Sticky, cut
from controller.github.values import Check
from controller.reports.protocol import Annotation, CommitReport
from specs.failures import NeedsHuman

LONGEST_TITLE = 255
APPROVE = {
    "label": "Approve this commit",
    "description": "Let Headgate run this fork's commit",
    "identifier": "approve",
}
"""The button of a held commit. A run again is GitHub's own button."""

_STATUSES: Mapping[str | None, StatusState] = {
    None: "pending",
    "success": "success",
    "neutral": "success",
    "failure": "failure",
    "cancelled": "error",
    "action_required": "pending",
}


class GitHubForge:
    """A `Forge`. `names` has the `owner/name` on GitHub of each repository.

    One check run per pipeline and commit goes from queued to its conclusion; a further run of the
    same commit gets its own, which GitHub then shows instead, or goes on with one that is open
    still. It is known by its external id, so whoever comes after a crash goes on with it, and two
    controllers that have the same to say share it. A personal token may not create check runs and
    makes commit statuses.
    """

    def __init__(self, client: Client, names: Mapping[str, str]) -> None:
        self._client = client
        self._names = names
        self._sticky = Sticky(client)
        self._open: dict[tuple[str, str], Check] = {}
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def report(self, report: CommitReport) -> None:
        """See `Forge.report`. Raises what `Client` raises."""
        at = self._names.get(report.repository)
        if at is None:
            raise NeedsHuman(f"the repository {report.repository} is in the settings no longer")
        # A pipeline and its run may both have something to say at one time.
        turn = self._turns.setdefault((at, _waiting_id(report)), asyncio.Lock())
        async with turn:
            if self._client.can_check:
                await self._check(at, report)
            else:
                await self._status(at, report)
            if report.pull is not None and report.step is None:
                await self._sticky.say(at, report.pull, report)

    async def _check(self, at: str, report: CommitReport) -> None:
        mine, waiting = external_id(report), _waiting_id(report)
        # Taken out until all is said: after a failure, what GitHub has is looked up.
        check = self._open.pop((at, waiting), None)
        if check is None or check.external_id not in (mine, waiting):
            check = await self._found(at, report)
        if check is not None and check.conclusion and report.conclusion is None:
            return  # another controller has concluded it
        # GitHub adds annotations to those that are there, so what it has is not said again.
        rest = report.annotations[check.annotations if check and check.external_id == mine else 0 :]
        batches = [rest[n : n + ANNOTATIONS] for n in range(0, len(rest), ANNOTATIONS)] or [()]
        for number, batch in enumerate(batches, 1):
            said = _said(report, batch, concluded=number == len(batches))
            if check is None:
                name = name_of(report.pipeline)
                check = await self._client.create_check(at, name=name, sha=report.commit, **said)
            else:
                check = await self._client.update_check(at, check.id, **said)
        if report.conclusion is None and check is not None:
            self._open[at, waiting] = check

    async def _found(self, at: str, report: CommitReport) -> Check | None:
        """The check run to go on with: this report's own, or one that nobody has concluded."""
        checks = await self._client.list_checks(at, report.commit, _waiting_id(report))
        still_open = [check for check in checks if check.status != "completed"]
        own = [check for check in checks if check.external_id == external_id(report)]
        if report.run is None and report.conclusion is None:
            own = still_open  # what waited before has its own, with how that ended
        return max(own or still_open, key=lambda check: check.id, default=None)

    async def _status(self, at: str, report: CommitReport) -> None:
        await self._client.create_status(
            at,
            report.commit,
            state=_STATUSES[report.conclusion],
            context=name_of(report.pipeline),
            description=report.title,
        )


def name_of(pipeline: str) -> str:
    """What a pipeline's check is called; branch protection asks for it by this name."""
    return f"headgate / {pipeline}" if pipeline else "headgate"


def external_id(report: CommitReport) -> str:
    """What a check run is known by; that of no run begins that of every run."""
    return f"{report.commit}/{report.pipeline}/{report.run or ''}"


def _waiting_id(report: CommitReport) -> str:
    return external_id(report.model_copy(update={"run": None}))


def _said(
    report: CommitReport, annotations: tuple[Annotation, ...], *, concluded: bool
) -> dict[str, Any]:
    """What a request says of a check run. Its conclusion comes with the last annotations."""
    conclusion: Conclusion | None = report.conclusion if concluded else None
    waits = report.conclusion is None and report.run is None
    status = "completed" if conclusion else "queued" if waits else "in_progress"
    output: dict[str, Any] = {
        "title": report.title[:LONGEST_TITLE],
        "summary": cut(report.text, LONGEST, report.run),
    }
    if annotations:
        output["annotations"] = [_annotation(one) for one in annotations]
    buttons = [APPROVE] if conclusion == "action_required" else []
    said = {
        "external_id": external_id(report),
        "status": status,
        "output": output,
        "actions": buttons,  # also none: of a held check that goes on, the button goes
    }
    return said | ({"conclusion": conclusion} if conclusion else {})


def _annotation(one: Annotation) -> dict[str, Any]:
    return {
        "path": one.file,
        "start_line": one.line,
        "end_line": one.line,
        "annotation_level": one.level,
        "title": one.title,
        "message": one.message,
    }
