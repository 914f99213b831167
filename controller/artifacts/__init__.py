"""The artifacts of steps: files and folders, stored by the digest of their content."""

from controller.artifacts.objects import Lost
from controller.artifacts.store import Artifact, Artifacts

__all__ = ["Artifact", "Artifacts", "Lost"]
