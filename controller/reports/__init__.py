"""What is said on a commit: the plan while a run goes on, the gates' verdicts at its end."""

from controller.reports.applier import ReportApplier
from controller.reports.by_notes import NotesForge
from controller.reports.by_repository import ForgeByRepository
from controller.reports.policies import PolicyApplier
from controller.reports.protocol import Annotation, CommitReport, Forge

__all__ = [
    "Annotation",
    "CommitReport",
    "Forge",
    "ForgeByRepository",
    "NotesForge",
    "PolicyApplier",
    "ReportApplier",
]
