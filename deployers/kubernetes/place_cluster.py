"""The cluster of a controller's places: what may be changed there, and what is seen."""

from collections.abc import Callable

from deployers.kubernetes.cluster import Cluster, Manifest
from deployers.kubernetes.objects import PlaceObjects, PlacesView
from deployers.kubernetes.servers import ServingPlace, is_as
from deployers.kubernetes.settings import ServingCluster
from specs.failures import NeedsHuman, TryAgain


def anything(_place: str) -> bool:
    """For a controller that has all places."""
    return True


class PlaceCluster:
    """The cluster. `may` says whether a place may be changed by this controller, just now."""

    def __init__(self, serving: ServingCluster | None, may: Callable[[str], bool]) -> None:
        self.may = may
        self._serving = serving
        self._opened: tuple[Cluster, PlacesView] | None = None

    @property
    def known(self) -> ServingCluster:
        """What is set. Raises NeedsHuman if nothing is."""
        if self._serving is None:
            raise NeedsHuman("no cluster is set: add `kubernetes` to headgate.yaml")
        return self._serving

    @property
    def reads(self) -> Cluster:
        """The cluster, for what changes nothing."""
        return self._open()[0]

    @property
    def seen(self) -> PlacesView:
        """What is there."""
        return self._open()[1]

    def writes(self, place: str) -> Cluster:
        """The cluster, for what changes a place."""
        return self.reads.permitted(lambda: self.check(place))

    def check(self, place: str) -> None:
        """Raise TryAgain if another controller may have the place: what that wants counts."""
        if not self.may(place):
            raise TryAgain(f"another controller may have {place}")

    def at(self, place: str) -> ServingPlace:
        """The place as manifests know it."""
        known = self.known
        return ServingPlace(known.owner, place, known.access.namespace, known.image, known.profiles)

    async def objects(self, at: ServingPlace, *, fresh: bool = False) -> PlaceObjects:
        """What is there of a place. Raises `Failure`."""
        return await self.seen.of(at.owner, at.place, fresh=fresh)

    async def put(
        self, at: ServingPlace, kind: str, manifest: Manifest, live: Manifest | None
    ) -> Manifest:
        """Apply it, unless it is as it was applied last; what is there. Raises `Failure`."""
        if live is not None and is_as(manifest, live):
            return live
        return await self.writes(at.place).apply(kind, manifest)

    async def close(self) -> None:
        """Close its connections."""
        if self._opened is not None:
            await self._opened[0].close()

    def _open(self) -> tuple[Cluster, PlacesView]:
        if self._opened is None:
            cluster = Cluster(self.known.access)
            self._opened = cluster, PlacesView(cluster)
        return self._opened
