"""The cluster that serves, from the settings."""

from pathlib import Path

from controller.config.settings import Settings
from deployers.kubernetes.settings import ServingCluster


def serving_cluster(settings: Settings, base: Path, identity: str) -> ServingCluster:
    """The cluster; it is not contacted before something is deployed to it. `base` is the folder of
    the settings' file, and `identity` the installation's."""
    kubernetes = settings.kubernetes
    return ServingCluster(
        access=kubernetes.access(base, kubernetes.serving.namespace),
        owner=identity,
        image=kubernetes.image,
        profiles=kubernetes.profiles,
        router=kubernetes.serving.router,
        kserve=kubernetes.serving.kserve,
        gateway=kubernetes.serving.gateway,
    )
