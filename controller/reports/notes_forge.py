"""Reports as git notes, for any git server: `git log --notes=headgate`."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from controller.git import Mirror
from controller.git.notes import UNTOUCHED, Notes, NoteSection
from controller.reconcile.batches import Batches
from controller.reports.forge import CommitReport
from controller.reports.plain_text import plain
from specs.failures import NeedsHuman
from specs.names import slug

NO_PIPELINE = "headgate"
"""The section for reports that belong to no pipeline."""

REST = 3.0
"""How many times as long as a push took the writer of a repository rests after it: it pushes for
at most a quarter of the time. A push costs a dozen processes of git, with one report or a hundred.
"""
APART = 0.5
"""Seconds from the beginning of one push to that of the next, at least: `REST` is next to nothing
where a remote is quick, and each push is a commit that stays. Nobody waits for a note so short a
time."""


class NotesForge:
    """A `Forge` that writes one note per commit, with a section per pipeline.

    A repository has one writer: what is reported while it pushes or rests is pushed together.
    `close` it at the end.
    """

    def __init__(self, mirrors: Mapping[str, Mirror]) -> None:
        self._writers = {
            name: Batches(_writer(mirror), REST, APART) for name, mirror in mirrors.items()
        }

    async def close(self) -> None:
        """Cancel what is being written. It is reported again, as nobody was told that it was."""
        await asyncio.gather(*(writer.close() for writer in self._writers.values()))

    async def report(self, report: CommitReport) -> None:
        """Write the report into its section. Each scope has a section of its own.

        Progress reports are not worth a push, and policy reports belong to a pull request; neither
        is written. Raises what `Mirror` raises.
        """
        if report.step is not None or report.kind == "policy":
            return
        writer = self._writers.get(report.repository)
        if writer is None:
            raise NeedsHuman(f"the repository {report.repository} is no longer in the settings")
        await writer.add(NoteSection.checked(report.commit, _section(report), plain(report.text)))


def _writer(mirror: Mirror) -> Callable[[Sequence[NoteSection]], Awaitable[None]]:
    notes = Notes(mirror)

    async def write(sections: Sequence[NoteSection]) -> None:
        await notes.write(sections)

    return write


def _section(report: CommitReport) -> str:
    name = UNTOUCHED if report.kind == "untouched" else report.pipeline or NO_PIPELINE
    return slug(f"{name} {report.scope}") if report.scope else name
