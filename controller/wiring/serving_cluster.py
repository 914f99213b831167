"""The cluster that serves, from the settings."""

from pathlib import Path

from controller.artifacts.opening import identity_of
from controller.config.settings import Settings
from deployers.kubernetes.settings import ServingCluster


def serving_cluster(settings: Settings, base: Path) -> ServingCluster:
    """The cluster; it is not contacted before something is deployed to it. `base` is the folder of
    the settings' file."""
    kubernetes, home = settings.kubernetes, settings.path(base)
    return ServingCluster(
        access=kubernetes.access(base, kubernetes.serving.namespace),
        owner=lambda: identity_of(home),
        image=kubernetes.image,
        profiles=kubernetes.profiles,
        router=kubernetes.serving.router,
        kserve=kubernetes.serving.kserve,
        gateway=kubernetes.serving.gateway,
    )
