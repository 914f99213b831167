"""A place where commits are looked at, for stories of what is said there."""

from controller.reports.protocol import CommitReport


class RecordingForge:
    """A `Forge` that keeps what it is told, in order."""

    def __init__(self) -> None:
        self.reports: list[CommitReport] = []

    async def report(self, report: CommitReport) -> None:
        self.reports.append(report)

    @property
    def last(self) -> CommitReport:
        return self.reports[-1]
