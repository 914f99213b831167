"""Git: a bare mirror of each remote, through which it is read and written."""

from controller.git.command import Rejected, redact
from controller.git.commit_info import Author, CommitInfo
from controller.git.mirror import Mirror

__all__ = ["Author", "CommitInfo", "Mirror", "Rejected", "redact"]
