"""Reports on GitHub: a check run per run of a pipeline, and one comment per pull request."""

import asyncio
from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

from controller.github.check_ids import mark_of
from controller.github.client import ANNOTATIONS, LONGEST, Client, Conclusion, StatusState
from controller.github.comment import StickyComment, cut
from controller.github.values import CheckRun
from controller.reports.forge import Annotation, CommitReport, name_of
from controller.reports.forge import Conclusion as ReportConclusion
from specs.failures import NeedsHuman

LONGEST_TITLE = 255
BUTTONS: Mapping[str, Mapping[str, str]] = {
    "approve": {
        "label": "Approve this commit",
        "description": "Let Headgate run this fork's commit",
        "identifier": "approve",
    },
    "accept": {
        "label": "Accept these rules",
        "description": "Let this commit change the rules",
        "identifier": "accept",
    },
}
"""The buttons of a check, by what a report asks for. A re-run is GitHub's own button."""


def _status_of(conclusion: ReportConclusion | None) -> StatusState:
    """The commit status that says the same as a check's conclusion."""
    match conclusion:
        case None | "action_required":
            return "pending"
        case "success" | "neutral":
            return "success"
        case "failure":
            return "failure"
        case "cancelled":
            return "error"


class GitHubForge:
    """A `Forge`. `names` has the `owner/name` on GitHub of each repository.

    There is one check run per pipeline, scope and commit, from queued to its conclusion. A further
    run of the same commit continues an open check run or gets a new one, which GitHub then shows
    instead. Check runs are identified by their external id, so a controller continues with them
    after a crash, and two controllers with the same report share one. A personal token may not
    create check runs, so it sets commit statuses.

    A policy report is concluded at once, so each one is a new check run, created with one request;
    GitHub shows the newest.
    """

    def __init__(self, client: Client, names: Mapping[str, str]) -> None:
        self._client = client
        self._names = names
        self._comment = StickyComment(client)
        self._open: dict[tuple[str, str], CheckRun] = {}
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def report(self, report: CommitReport) -> None:
        """See `Forge.report`. Raises what `Client` raises."""
        at = self._names.get(report.repository)
        if at is None:
            raise NeedsHuman(f"the repository {report.repository} is no longer in the settings")
        # A pipeline and its run may report at the same time.
        lock = self._locks.setdefault((at, mark_of(report).prefix), asyncio.Lock())
        async with lock:
            if self._client.can_create_checks:
                await self._check(at, report)
            else:
                await self._status(at, report)
            if report.pull is not None and report.step is None and report.kind == "gates":
                await self._comment.write(at, report.pull, report)

    async def _check(self, at: str, report: CommitReport) -> None:
        mark = mark_of(report)
        mine, waiting = str(mark), mark.prefix
        # Removed until the report is complete: after a failure, GitHub is asked for the check.
        check = self._open.pop((at, waiting), None)
        if report.kind == "gates" and (check is None or check.external_id not in (mine, waiting)):
            check = await self._found(at, report)
        if check is not None and check.conclusion and report.conclusion is None:
            return  # another controller has concluded it
        # GitHub adds annotations to the existing ones, so those it has are not sent again.
        rest = report.annotations[check.annotations if check and check.external_id == mine else 0 :]
        batches = [rest[n : n + ANNOTATIONS] for n in range(0, len(rest), ANNOTATIONS)] or [()]
        for number, batch in enumerate(batches, 1):
            said = _said(report, batch, concluded=number == len(batches))
            if check is None:
                name = name_of(report.pipeline, report.kind, report.scope)
                check = await self._client.create_check(at, name=name, sha=report.commit, **said)
            else:
                check = await self._client.update_check(at, check.id, **said)
        if report.conclusion is None and check is not None:
            self._open[at, waiting] = check

    async def _found(self, at: str, report: CommitReport) -> CheckRun | None:
        """The check run to continue: this report's own, or an open one."""
        mark = mark_of(report)
        checks = await self._client.list_checks(at, report.commit, mark.prefix)
        still_open = [check for check in checks if check.status != "completed"]
        own = [check for check in checks if check.external_id == str(mark)]
        if report.run is None and report.conclusion is None:
            own = still_open  # a concluded one belongs to an earlier wait
        return max(own or still_open, key=lambda check: check.id, default=None)

    async def _status(self, at: str, report: CommitReport) -> None:
        await self._client.create_status(
            at,
            report.commit,
            state=_status_of(report.conclusion),
            context=name_of(report.pipeline, report.kind, report.scope),
            description=report.title,
        )


def _said(
    report: CommitReport, annotations: tuple[Annotation, ...], *, concluded: bool
) -> dict[str, Any]:
    """The fields of a request. The conclusion is sent with the last annotations."""
    conclusion: Conclusion | None = report.conclusion if concluded else None
    waits = report.conclusion is None and report.run is None
    status = "completed" if conclusion else "queued" if waits else "in_progress"
    output: dict[str, Any] = {
        "title": report.title[:LONGEST_TITLE],
        "summary": cut(report.text, LONGEST, report.run),
    }
    if annotations:
        output["annotations"] = [_annotation(one) for one in annotations]
    buttons = [BUTTONS[report.asks]] if conclusion and report.asks else []
    said = {
        "external_id": str(mark_of(report)),
        "status": status,
        "output": output,
        "actions": buttons,  # also if empty: a held check that continues loses its button
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
