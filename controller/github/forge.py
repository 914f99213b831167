"""Reports on GitHub: a check run per pipeline and commit, and one comment per pull request."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import structlog

from controller.github.answers import Missing
from controller.github.client import ANNOTATIONS, LONGEST, Client, Conclusion, StatusState
from controller.github.values import Check, Comment, Pull
from controller.reports.protocol import Annotation, CommitReport
from specs.failures import NeedsHuman

LONGEST_TITLE = 255

_STATUSES: Mapping[str | None, StatusState] = {
    None: "pending",
    "success": "success",
    "neutral": "success",
    "failure": "failure",
    "cancelled": "error",
    "action_required": "pending",
}

log = structlog.get_logger("headgate.github")


class GitHubForge:
    """A `Forge`. `names` has the `owner/name` on GitHub of each repository.

    One check run per pipeline and commit goes from queued to its conclusion; a further run of the
    same commit gets its own, which GitHub then shows instead. After a crash it is found again by
    its external id. A personal token may not create check runs and makes commit statuses.
    """

    def __init__(self, client: Client, names: Mapping[str, str]) -> None:
        self._client = client
        self._names = names
        self._open: dict[tuple[str, str, str], Check] = {}
        self._comments: dict[tuple[str, int, str], int] = {}
        self._turns: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def report(self, report: CommitReport) -> None:
        """See `Forge.report`. Raises what `Client` raises."""
        at = self._names.get(report.repository)
        if at is None:
            raise NeedsHuman(f"the repository {report.repository} is in the settings no longer")
        # A pipeline and its run may both have something to say at one time.
        async with self._turns[report.repository, report.pipeline]:
            if self._client.can_check:
                await self._check(at, report)
            else:
                await self._status(at, report)
            for pull in await self._client.open_pulls(at):
                if pull.head_sha == report.commit:
                    await self._comment(at, pull, report)

    async def _check(self, at: str, report: CommitReport) -> None:
        key = (at, report.commit, report.pipeline)
        check = self._open.get(key) or await self._found(at, report)
        mine = check is not None and check.external_id == external_id(report)
        # GitHub adds annotations to those that are there, so what it has is not said again.
        rest = report.annotations[check.annotations if check and mine else 0 :]
        batches = [rest[n : n + ANNOTATIONS] for n in range(0, len(rest), ANNOTATIONS)] or [()]
        for number, batch in enumerate(batches, 1):
            said = _said(report, batch, concluded=number == len(batches))
            if check is None:
                name = name_of(report.pipeline)
                check = await self._client.create_check(at, name=name, sha=report.commit, **said)
            else:
                check = await self._client.update_check(at, check.id, **said)
        self._open.pop(key, None)
        if report.conclusion is None and check is not None:
            self._open[key] = check

    async def _found(self, at: str, report: CommitReport) -> Check | None:
        """The check run to go on with: this report's own, or one that nobody has concluded."""
        prefix = external_id(report.model_copy(update={"run": None}))
        checks = await self._client.list_checks(at, report.commit, prefix)
        own = (check for check in checks if check.external_id == external_id(report))
        still_open = (check for check in checks if check.status != "completed")
        return next(own, None) or next(still_open, None)

    async def _status(self, at: str, report: CommitReport) -> None:
        await self._client.create_status(
            at,
            report.commit,
            state=_STATUSES[report.conclusion],
            context=name_of(report.pipeline),
            description=report.title,
        )

    async def _comment(self, at: str, pull: Pull, report: CommitReport) -> None:
        """The pipeline's one comment on a pull request says this now."""
        key = (at, pull.number, report.pipeline)
        mark = f"<!-- headgate: {report.pipeline} -->"
        body = f"{mark}\n{cut(report.text, LONGEST - len(mark) - 1, report.run)}"
        number = self._comments.get(key) or await self._said_before(at, pull, mark)
        if number is not None:
            try:
                await self._client.update_comment(at, number, body)
            except Missing:
                log.info("somebody deleted the comment; there is a new one", pull=pull.number)
                number = None
        if number is None:
            number = (await self._client.create_comment(at, pull.number, body, mark=mark)).id
        self._comments[key] = number

    async def _said_before(self, at: str, pull: Pull, mark: str) -> int | None:
        comments = await self._client.comments(at, pull.number)
        return next((one.id for one in comments if self._ours(one, mark)), None)

    def _ours(self, comment: Comment, mark: str) -> bool:
        """Anybody may write the mark; only an app's comments are a bot's."""
        kind = "Bot" if self._client.can_check else "User"
        return comment.kind == kind and comment.body.startswith(mark)


def name_of(pipeline: str) -> str:
    """What a pipeline's check is called; branch protection asks for it by this name."""
    return f"headgate / {pipeline}" if pipeline else "headgate"


def external_id(report: CommitReport) -> str:
    """What a check run is known by; that of no run begins that of every run."""
    return f"{report.commit}/{report.pipeline}/{report.run or ''}"


def cut(text: str, longest: int, run: str | None) -> str:
    """The text, or as many of its lines as fit, with what they leave open closed."""
    if len(text) <= longest:
        return text
    where = f"`headgate show {run}`" if run else "the check of this commit"
    end = f"\n\nThe rest is cut; the whole: {where}\n"
    room = longest - len(end) - 200  # for what is closed
    kept = text[:room].rpartition("\n")[0]
    fence = ""
    for line in kept.splitlines():
        ticks = line[: len(line) - len(line.lstrip("`"))]
        if fence:
            fence = "" if line.strip() == fence else fence
        elif len(ticks) >= 3:
            fence = ticks
    details = kept.count("<details>") - kept.count("</details>")
    closed = [*([fence[:100]] if fence else []), *["</details>"] * min(max(details, 0), 5)]
    return "\n".join([kept, *closed]) + end


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
    said = {"external_id": external_id(report), "status": status, "output": output}
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
