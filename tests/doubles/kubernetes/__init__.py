"""A Kubernetes for tests: HTTP, state, controllers and nodes, by the published schemas of 1.37."""

from tests.doubles.kubernetes.api.access import AccessRule
from tests.doubles.kubernetes.double import ADMIN, Kubernetes
from tests.doubles.kubernetes.kubelet.images import LocalImage
from tests.doubles.kubernetes.kubelet.plays import (
    OOM_KILLED,
    SERVES,
    Play,
    image_pull_failure,
    labelled,
)

__all__ = [
    "ADMIN",
    "OOM_KILLED",
    "SERVES",
    "AccessRule",
    "Kubernetes",
    "LocalImage",
    "Play",
    "image_pull_failure",
    "labelled",
]
