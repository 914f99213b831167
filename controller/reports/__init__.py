"""What is said on a commit: the plan while a run goes on, the gates' verdicts at its end."""

from controller.reports.applier import ReportApplier
from controller.reports.by_notes import NotesForge
from controller.reports.protocol import CommitReport, Forge

__all__ = ["CommitReport", "Forge", "NotesForge", "ReportApplier"]
