"""Reports as git notes, for any git server: `git log --notes=headgate`."""

from collections.abc import Mapping

from controller.git import Mirror
from controller.git.notes import Notes
from controller.reports.forge import CommitReport
from controller.reports.plain_text import plain
from specs.failures import NeedsHuman
from specs.names import slug

NO_PIPELINE = "headgate"
"""The section for reports that belong to no pipeline."""
UNTOUCHED = "headgate-untouched"
"""The section for the pipelines that a commit does not affect."""


class NotesForge:
    """A `Forge` that writes one note per commit, with a section per pipeline."""

    def __init__(self, mirrors: Mapping[str, Mirror]) -> None:
        self._notes = {name: Notes(mirror) for name, mirror in mirrors.items()}

    async def report(self, report: CommitReport) -> None:
        """Write the report into its section. Each scope has a section of its own.

        Progress reports are not worth a push, and policy reports belong to a pull request; neither
        is written. Raises what `Mirror` raises.
        """
        if report.step is not None or report.kind == "policy":
            return
        notes = self._notes.get(report.repository)
        if notes is None:
            raise NeedsHuman(f"the repository {report.repository} is no longer in the settings")
        await notes.write(report.commit, {_section(report): plain(report.text)})


def _section(report: CommitReport) -> str:
    name = UNTOUCHED if report.kind == "untouched" else report.pipeline or NO_PIPELINE
    return slug(f"{name} {report.scope}") if report.scope else name
