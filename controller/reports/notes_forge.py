"""Reports as git notes, for any git server: `git log --notes=headgate`."""

from collections.abc import Mapping

from controller.git import Mirror
from controller.git.notes import Notes
from controller.reports.plain import plain
from controller.reports.protocol import CommitReport
from specs.failures import NeedsHuman
from specs.names import slug

NO_PIPELINE = "headgate"
"""The section of a report that belongs to no pipeline."""


class NotesForge:
    """A `Forge`: one note per commit, a section per pipeline."""

    def __init__(self, mirrors: Mapping[str, Mirror]) -> None:
        self._notes = {name: Notes(mirror) for name, mirror in mirrors.items()}

    async def report(self, report: CommitReport) -> None:
        """Put the report into its section, unless it only tells how far a run is: that is not
        worth a push; or how a pull request changes the rules, which is no run's.

        What another branch's rules say of the commit has a section of its own. Raises what `Mirror`
        raises."""
        if report.step is not None or report.kind == "policy":
            return
        notes = self._notes.get(report.repository)
        if notes is None:
            raise NeedsHuman(f"the repository {report.repository} is in the settings no longer")
        await notes.write(report.commit, {_section(report): plain(report.text)})


def _section(report: CommitReport) -> str:
    name = report.pipeline or NO_PIPELINE
    return slug(f"{name} {report.scope}") if report.scope else name
