"""The artifacts of steps: files and folders, stored by the digest of their content."""

from controller.artifacts.store import Artifact, Artifacts
from controller.blobs.objects import NotStored

__all__ = ["Artifact", "Artifacts", "NotStored"]
