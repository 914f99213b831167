"""Routes each report to the forges of its repository."""

from collections.abc import Mapping, Sequence

from controller.reports.forge import CommitReport, Forge
from specs.failures import NeedsHuman


class ForgeByRepository:
    """A `Forge` made of the forges that show each repository's reports."""

    def __init__(self, forges: Mapping[str, Sequence[Forge]]) -> None:
        self._forges = forges

    async def report(self, report: CommitReport) -> None:
        """Show it on each forge in order. Raises what the first one to fail raises."""
        if report.repository not in self._forges:
            raise NeedsHuman(f"the repository {report.repository} is no longer in the settings")
        for forge in self._forges[report.repository]:
            await forge.report(report)
