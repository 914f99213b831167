"""The one comment that a pull request has: a section for each pipeline that it touches.

The comment is its own store: what is in it is read before it is changed, so a restarted controller
goes on with it, and a section of one pipeline survives the report of another. `compose`, `parse`
and `cut` are pure.
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
from controller.reports.protocol import CommitReport

MARK = "<!-- headgate -->"
"""What the comment begins with."""
LONGEST_VERDICT = 200
"""Characters of a pipeline's line in the overview."""
OVERVIEW = 20_000
"""Characters of all those lines."""
TRIES = 3

_END = "<!-- /headgate -->"
_SECTION = re.compile(
    r"^<!-- headgate: (?P<pipeline>\S+) (?P<commit>[0-9a-f]{40,64}) (?P<run>\S+) -->\n"
    rf"(?P<text>.*?)\n{_END}$",
    re.DOTALL | re.MULTILINE,
)

log = structlog.get_logger("headgate.github")


class Section(NamedTuple):
    """What is said of one pipeline."""

    pipeline: str
    """Empty where it is said of none."""
    commit: str
    run: str | None
    text: str

    @property
    def mark(self) -> str:
        """The line that it begins with."""
        return f"<!-- headgate: {self.pipeline or '-'} {self.commit} {self.run or '-'} -->"

    @property
    def verdict(self) -> str:
        """Its heading."""
        return self.text.partition("\n")[0].lstrip("# ")


class StickyComment:
    """Writes the comments of pull requests."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._turns: WeakValueDictionary[tuple[str, int], asyncio.Lock] = WeakValueDictionary()

    async def say(self, at: str, pull: int, report: CommitReport) -> None:
        """Put the report into its section; `at` is `owner/name`. Raises what `Client` raises.

        A pipeline that the pull request does not touch has a section only if it had one.
        """
        turn = self._turns.setdefault((at, pull), asyncio.Lock())
        async with turn:
            ours = await self._ours(at, pull)
            for _ in range(TRIES):
                before = parse(ours[0].body) if ours else ()
                new = _section(report)
                idle = report.state == "skipped" and report.run is None
                if idle and all(one.pipeline != new.pipeline for one in before):
                    return
                if await self._overtaken(at, pull, report, before):
                    log.info("a newer commit is reported on", pull=pull, commit=report.commit)
                    return
                body = compose([*(one for one in before if _stays(one, new)), new])
                if ours and await self._written(at, ours, body):
                    return
                made = (
                    None
                    if ours
                    else await self._client.create_comment(at, pull, body, mark=new.mark)
                )
                ours = await self._ours(at, pull)
                # Another controller may have made one at the same time: the older is kept.
                if made is not None and (not ours or ours[0].id == made.id):
                    return

    async def _ours(self, at: str, pull: int) -> Sequence[Comment]:
        return await self._client.own_comments(at, pull, MARK)

    async def _written(self, at: str, ours: Sequence[Comment], body: str) -> bool:
        """The oldest says it, and is the only one; False if somebody deleted it meanwhile."""
        try:
            if ours[0].body != body:
                await self._client.update_comment(at, ours[0].id, body)
        except NotFound:
            return False
        for twin in ours[1:]:
            await self._client.delete_comment(at, twin.id)
        return True

    async def _overtaken(
        self, at: str, pull: int, report: CommitReport, before: Sequence[Section]
    ) -> bool:
        """A late word on a commit whose successor has been reported on already."""
        others = {one.commit for one in before} - {report.commit}
        return bool(others) and (await self._client.pull(at, pull)).head_sha in others


def _section(report: CommitReport) -> Section:
    # What a step printed cannot pose as a mark.
    text = report.text.replace("<!-- headgate", "<!--headgate").replace(_END, "<!--/headgate-->")
    return Section(report.pipeline, report.commit, report.run, text.rstrip("\n"))


def _stays(old: Section, new: Section) -> bool:
    return old.commit == new.commit and old.pipeline != new.pipeline


def parse(body: str) -> tuple[Section, ...]:
    """The sections of a comment; whatever else somebody wrote into it is left out."""
    return tuple(
        Section(
            found["pipeline"] if found["pipeline"] != "-" else "",
            found["commit"],
            found["run"] if found["run"] != "-" else None,
            found["text"],
        )
        for found in _SECTION.finditer(body.replace("\r\n", "\n"))  # after an edit in a browser
    )


def compose(sections: Iterable[Section]) -> str:
    """The comment: of several pipelines, first a line of each verdict; then each in full, cut
    where together they are longer than GitHub takes."""
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
    """How much of `room` each gets: what it wants, as long as nobody who wants less goes short."""
    given = [0] * len(wanted)
    for left, index in zip(
        range(len(wanted), 0, -1), sorted(range(len(wanted)), key=wanted.__getitem__), strict=True
    ):
        given[index] = min(wanted[index], max(room, 0) // left)
        room -= given[index]
    return given


def cut(text: str, longest: int, run: str | None) -> str:
    """The text, or as many of its lines as fit, with what they leave open closed."""
    if len(text) <= longest:
        return text
    where = f"`headgate show {run}`" if run else "the check of this commit"
    end = f"\n\nThe rest is cut; the whole: {where}\n"
    room = max(longest - len(end) - 200, 0)  # for what is closed
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
