"""Git: a bare mirror of each remote, through which it is read and written."""

from controller.git.command import Rejected, redact
from controller.git.mirror import Mirror
from controller.git.values import Author, CommitInfo

__all__ = ["Author", "CommitInfo", "Mirror", "Rejected", "redact"]
