"""The sticky comment of a pull request, with a section for each pipeline that it touches.

The comment is its own store: it is read before it is changed, so a restarted controller continues
with it, and a report on one pipeline keeps the sections of the others. `compose`, `parse` and `cut`
are pure.
"""

import asyncio
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from weakref import WeakValueDictionary

import structlog

from controller.github.client import LONGEST, Client
from controller.github.responses import NotFound
from controller.github.values import Comment
from controller.reports.forge import CommitReport

MARK = "<!-- headgate -->"
"""The first line of the comment."""
LONGEST_VERDICT = 200
"""Characters of one pipeline's line in the overview."""
OVERVIEW = 20_000
"""Characters of all lines of the overview."""
TRIES = 3

_END = "<!-- /headgate -->"
_SECTION = re.compile(
    r"^<!-- headgate: (?P<pipeline>\S+) (?P<commit>[0-9a-f]{40,64}) (?P<run>\S+) -->\n"
    rf"(?P<text>.*?)\n{_END}$",
    re.DOTALL | re.MULTILINE,
)

log = structlog.get_logger("headgate.github")


class Section(NamedTuple):
    """The section of one pipeline."""

    pipeline: str
    """Empty if it belongs to none."""
    commit: str
    run: str | None
    text: str

    @property
    def mark(self) -> str:
        """The first line of the section."""
        return f"<!-- headgate: {self.pipeline or '-'} {self.commit} {self.run or '-'} -->"

    @property
    def verdict(self) -> str:
        """The heading of the section."""
        return self.text.partition("\n")[0].lstrip("# ")


class StickyComment:
    """Writes the sticky comments of pull requests."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._locks: WeakValueDictionary[tuple[str, int], asyncio.Lock] = WeakValueDictionary()

    async def write(self, at: str, pull: int, report: CommitReport) -> None:
        """Write the report into its section; `at` is `owner/name`. Raises what `Client` raises.

        A pipeline that the pull request does not touch gets no section, but keeps one it has.
        """
        lock = self._locks.setdefault((at, pull), asyncio.Lock())
        async with lock:
            ours = await self._ours(at, pull)
            for _ in range(TRIES):
                before = parse(ours[0].body) if ours else ()
                new = _section(report)
                idle = report.state == "skipped" and report.run is None
                if idle and all(one.pipeline != new.pipeline for one in before):
                    return
                if await self._superseded(at, pull, report, before):
                    log.info("a newer commit has been reported", pull=pull, commit=report.commit)
                    return
                body = compose([*(one for one in before if _stays(one, new)), new])
                if ours and await self._updated(at, ours, body):
                    return
                made = (
                    None
                    if ours
                    else await self._client.create_comment(at, pull, body, mark=new.mark)
                )
                ours = await self._ours(at, pull)
                # Another controller may have created one at the same time: the older one is kept.
                if made is not None and (not ours or ours[0].id == made.id):
                    return

    async def _ours(self, at: str, pull: int) -> Sequence[Comment]:
        return await self._client.own_comments(at, pull, MARK)

    async def _updated(self, at: str, ours: Sequence[Comment], body: str) -> bool:
        """Update the oldest and delete the others; False if somebody deleted it meanwhile."""
        try:
            if ours[0].body != body:
                await self._client.update_comment(at, ours[0].id, body)
        except NotFound:
            return False
        for twin in ours[1:]:
            await self._client.delete_comment(at, twin.id)
        return True

    async def _superseded(
        self, at: str, pull: int, report: CommitReport, before: Sequence[Section]
    ) -> bool:
        """Whether the report is late: the pull request's newer head has already been reported."""
        others = {one.commit for one in before} - {report.commit}
        return bool(others) and (await self._client.pull(at, pull)).head_sha in others


def _section(report: CommitReport) -> Section:
    # A step's output must not be taken for a mark.
    text = report.text.replace("<!-- headgate", "<!--headgate").replace(_END, "<!--/headgate-->")
    return Section(report.pipeline, report.commit, report.run, text.rstrip("\n"))


def _stays(old: Section, new: Section) -> bool:
    return old.commit == new.commit and old.pipeline != new.pipeline


def parse(body: str) -> tuple[Section, ...]:
    """The sections of a comment, without any text that somebody added to it."""
    return tuple(
        Section(
            found["pipeline"] if found["pipeline"] != "-" else "",
            found["commit"],
            found["run"] if found["run"] != "-" else None,
            found["text"],
        )
        for found in _SECTION.finditer(body.replace("\r\n", "\n"))  # an edit in a browser adds \r
    )


def compose(sections: Iterable[Section]) -> str:
    """The comment. For several pipelines it starts with one verdict per line. The sections are cut
    if they exceed GitHub's limit together."""
    ordered = sorted(sections)
    head = [MARK]
    titles = [""] * len(ordered)
    if len(ordered) > 1:
        longest = min(LONGEST_VERDICT, OVERVIEW // len(ordered))
        head += [f"- **{one.pipeline or 'headgate'}** {one.verdict[:longest]}" for one in ordered]
        titles = [f"\n---\n**{one.pipeline or 'headgate'}**\n" for one in ordered]
    framed = [f"{title}{one.mark}\n" for title, one in zip(titles, ordered, strict=True)]
    taken = len("\n".join([*head, *framed])) + len(ordered) * (len(_END) + 2)
    rooms = shares([len(one.text) for one in ordered], LONGEST - taken)
    parts = [
        f"{frame}{cut(one.text, room, one.run).rstrip()}\n{_END}"
        for frame, one, room in zip(framed, ordered, rooms, strict=True)
    ]
    return "\n".join([*head, *parts])


def shares(wanted: Sequence[int], room: int) -> list[int]:
    """Divides `room` fairly: small requests are met in full, large ones share what is left."""
    given = [0] * len(wanted)
    for left, index in zip(
        range(len(wanted), 0, -1), sorted(range(len(wanted)), key=wanted.__getitem__), strict=True
    ):
        given[index] = min(wanted[index], max(room, 0) // left)
        room -= given[index]
    return given


def cut(text: str, longest: int, run: str | None) -> str:
    """The text, or as many of its lines as fit, with open blocks closed."""
    if len(text) <= longest:
        return text
    where = f"`headgate show {run}`" if run else "the check of this commit"
    end = f"\n\nTruncated. Full report: {where}\n"
    room = max(longest - len(end) - 200, 0)  # for the closing tags
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
