"""Git: one bare mirror per remote, and what is read from it and written to it."""

from controller.git.command import Rejected, redact
from controller.git.mirror import Mirror
from controller.git.values import Author, CommitInfo

__all__ = ["Author", "CommitInfo", "Mirror", "Rejected", "redact"]
