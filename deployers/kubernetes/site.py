"""Where deployers of a cluster run servers, and as whom: from the controller's settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from deployers.kubernetes.cluster import ClusterAccess
from deployers.kubernetes.profile import ClusterProfile
from deployers.kubernetes.servers import ServingPlace
from deployers.kubernetes.settings import ServingSettings


def _nobody() -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class ClusterSite:
    """A namespace for servers."""

    access: ClusterAccess = ClusterAccess(namespace=ServingSettings().namespace)
    owner: Callable[[], str] = _nobody
    """The identity of the controller's home."""
    image: str = ""
    """Headgate's own."""
    profiles: Mapping[str, ClusterProfile] = field(default_factory=dict)
    serving: ServingSettings = ServingSettings()

    def at(self, place: str) -> ServingPlace:
        """What is the same for all servers of a place."""
        return ServingPlace(
            owner=self.owner(),
            place=place,
            namespace=self.access.namespace,
            image=self.image,
            profiles=self.profiles,
        )
