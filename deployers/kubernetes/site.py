"""Where deployers of a cluster run servers, and as whom: from the controller's settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from deployers.kubernetes.cluster import ClusterAccess
from deployers.kubernetes.profile import ClusterProfile
from deployers.kubernetes.servers import ServingPlace
from deployers.kubernetes.settings import ServingSettings


@dataclass(frozen=True, kw_only=True)
class ClusterSite:
    """A namespace for servers."""

    access: ClusterAccess
    owner: Callable[[], str]
    """The identity of the controller's home."""
    image: str
    """Headgate's own."""
    profiles: Mapping[str, ClusterProfile]
    serving: ServingSettings

    def at(self, place: str) -> ServingPlace:
        """What is the same for all servers of a place."""
        return ServingPlace(
            owner=self.owner(),
            place=place,
            namespace=self.access.namespace,
            image=self.image,
            profiles=self.profiles,
        )


NO_CLUSTER: Final = ClusterSite(
    access=ClusterAccess(namespace=ServingSettings().namespace),
    owner=str,
    image="",
    profiles={},
    serving=ServingSettings(),
)
"""As without settings: for those who deploy to no cluster."""
