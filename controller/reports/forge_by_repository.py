"""Reports go where their repository is looked at."""

from collections.abc import Mapping, Sequence

from controller.reports.protocol import CommitReport, Forge
from specs.failures import NeedsHuman


class ForgeByRepository:
    """A `Forge`: for each repository, the forges that show its reports."""

    def __init__(self, forges: Mapping[str, Sequence[Forge]]) -> None:
        self._forges = forges

    async def report(self, report: CommitReport) -> None:
        """Show it on each in turn. Raises what the first that fails raises."""
        if report.repository not in self._forges:
            raise NeedsHuman(f"the repository {report.repository} is in the settings no longer")
        for forge in self._forges[report.repository]:
            await forge.report(report)
