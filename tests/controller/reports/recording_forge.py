"""A forge for tests of reports."""

from controller.reports.forge import CommitReport


class RecordingForge:
    """A `Forge` that records the reports in order."""

    def __init__(self) -> None:
        self.reports: list[CommitReport] = []

    async def report(self, report: CommitReport) -> None:
        self.reports.append(report)

    @property
    def last(self) -> CommitReport:
        return self.reports[-1]
