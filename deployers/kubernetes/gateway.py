"""Deploy onto a cluster behind any gateway of the Gateway API: an HTTPRoute splits the traffic, and
the gateway's counters tell of it.

A weight is believed once every Gateway has accepted the route as it is; until then, the one before
is told. Nobody takes a canary's traffic away while no controller runs.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from deployers.counting.prometheus import NO_SERVERS, PrometheusServer
from deployers.counting.reader import CounterReader
from deployers.kubernetes.cluster import Manifest
from deployers.kubernetes.cluster_servers import ClusterServers, wanted
from deployers.kubernetes.gateway_place import GatewayPlace
from deployers.kubernetes.objects import PlaceObjects
from deployers.kubernetes.place_cluster import PlaceCluster, anything
from deployers.kubernetes.routes import (
    RouteSplit,
    Wish,
    hostname_of,
    http_route,
    is_in_force,
    refusal_of,
    route_name,
    split_of,
    wish_of,
)
from deployers.kubernetes.servers import ServingPlace, is_as
from deployers.kubernetes.settings import GatewaySettings, ServingCluster
from deployers.kubernetes.status import server_status
from deployers.protocol import Deployed, Desired, Traffic
from specs.failures import Failure, NeedsHuman, TryAgain

UNHEARD: Final = 30.0
"""Seconds after which a route that no Gateway says anything of is told of."""


class _Here(NamedTuple):
    """What is needed to act on one place."""

    at: ServingPlace
    settings: GatewaySettings
    servers: ClusterServers

    def counted(self, split: RouteSplit) -> tuple[str | None, str | None, float]:
        """The split by the names that counters have: those of the Services."""
        stable, canary = (
            None if name is None else self.at.name(name) for name in (split.stable, split.canary)
        )
        return stable, canary, split.weight


class GatewayDeployer:
    """The `Deployer` of a cluster whose gateway splits the traffic."""

    def __init__(
        self,
        home: Path,
        cluster: ServingCluster | None,
        *,
        redact: Callable[[str], str],
        reveal: Callable[[tuple[str, ...]], dict[str, str]],
        prometheus: Mapping[str, PrometheusServer] = NO_SERVERS,
        may: Callable[[str], bool] = anything,
    ) -> None:
        """`may` says whether a place may be changed by this controller, just now."""
        self._home = home
        self._serving = cluster
        self._cluster = PlaceCluster(cluster, may)
        self._redact = redact
        self._counters = CounterReader(home, prometheus, reveal)
        self._locks: dict[str, asyncio.Lock] = {}
        self._unheard: dict[str, tuple[int, float]] = {}

    async def apply(self, place: str, desired: Desired) -> None:
        """Converge on `desired`; see `deployers.protocol.Deployer`. Raises TryAgain that a person
        has to see if a Gateway refuses the route."""
        async with self._locks.setdefault(place, asyncio.Lock()):
            here = self._here(place)
            saved = GatewayPlace.load(self._home, place) or GatewayPlace(place=place)
            saved.save(self._home, place)
            if desired.closed:
                await self._close(here, saved)
                return
            route = await self._cluster.reads.get("httproutes", route_name(here.at))
            now, wish = split_of(route, here.at), Wish(tuple(wanted(desired)), desired.errors)
            # First, so that a canary that is taken out has no traffic whatever else fails, and no
            # server is taken for one that leaves before it began.
            begin = RouteSplit(now.stable) if _takes_canary_out(desired, now) else now
            route = await self._route(here, begin, wish, route)
            now = split_of(route, here.at)
            problem = await here.servers.start_all(desired)
            objects = await here.servers.objects(fresh=True)
            split = self._next(desired, now, objects)
            route = await self._route(here, split, wish, route)
            await self._dismiss(here, objects, route, self._believed(here, saved, route))
            if problem is not None:
                raise problem
            self._check(here, route)

    async def observe(self, place: str) -> Deployed:
        """What runs at the place, according to the cluster and the Gateways."""
        saved = GatewayPlace.load(self._home, place)
        if saved is None and (self._serving is None or self._serving.gateway is None):
            return Deployed()
        here = self._here(place)
        objects = await here.servers.objects()
        route = await self._cluster.reads.get("httproutes", route_name(here.at))
        # Another controller may have deployed it, or this one before it lost its disk.
        saved = saved or GatewayPlace(place=place)
        split = self._believed(here, saved, route)
        if not self._locks.setdefault(place, asyncio.Lock()).locked():
            with contextlib.suppress(Failure):  # the next look tries again
                await self._dismiss(here, objects, route, split)
        seen = objects.servers()
        servers = tuple(
            server_status(one, self._redact, routed=name in split.servers)
            for name, one in seen.items()
        )
        stable, canary = (name if name in seen else None for name in (split.stable, split.canary))
        return Deployed(
            servers=servers,
            address=None if route is None else _address(here),
            stable=stable,
            canary=canary,
            canary_weight=split.weight if canary is not None else 0.0,
        )

    async def traffic(self, place: str, epoch: str | None, after: int) -> Traffic:
        """What the gateway's counters show. Raises TryAgain that names the query."""
        settings, here = self._settings(), self._here(place)
        route = await self._cluster.reads.get("httproutes", route_name(here.at))
        if route is None:
            raise TryAgain(f"{place}: it has no HTTPRoute")
        return await self._counters.traffic(
            place,
            epoch,
            after,
            names=settings.counters.names(),
            errors=wish_of(route).errors,
            split=settings.split,
        )

    async def stop(self, place: str) -> None:
        """Take the route away, then end the servers of the place."""
        async with self._locks.setdefault(place, asyncio.Lock()):
            saved = GatewayPlace.load(self._home, place)
            if saved is None and (self._serving is None or self._serving.gateway is None):
                return
            here = self._here(place)
            await self._take_route(here, saved or GatewayPlace(place=place))
            await here.servers.end_all()

    async def remove(self, place: str) -> None:
        """Remove all that belongs to the place."""
        await self.stop(place)
        async with self._locks.setdefault(place, asyncio.Lock()):
            GatewayPlace.forget(self._home, place)
            self._counters.forget(place)

    async def reap(self) -> int:
        """Nothing: a server's Service goes with it, and its Secret with the Deployment."""
        return 0

    async def forget_logs(self, _before: float) -> int:
        """Nothing: the cluster keeps the logs of its pods."""
        return 0

    async def close(self) -> None:
        """Release this object's resources; all that runs keeps running."""
        await self._cluster.close()

    def _settings(self) -> GatewaySettings:
        if self._serving is None or self._serving.gateway is None:
            raise NeedsHuman(
                "no gateway is set: add `kubernetes.serving.gateway` to headgate.yaml, with its "
                "`parents`, `hostname` and `counters`"
            )
        return self._serving.gateway

    def _here(self, place: str) -> _Here:
        settings, at = self._settings(), self._cluster.at(place)
        return _Here(at, settings, ClusterServers(self._cluster, at))

    def _next(self, desired: Desired, now: RouteSplit, objects: PlaceObjects) -> RouteSplit:
        """The split that follows `now`, to the desired servers as far as they are ready."""
        ready = {
            name
            for name, one in objects.servers().items()
            if server_status(one, self._redact, routed=name in now.servers).ready
        }
        stable = now.stable
        if desired.stable is None or desired.stable.name in ready:
            stable = desired.stable.name if desired.stable is not None else None
        canary = desired.canary.name if desired.canary is not None else None
        # A canary keeps its share even while it is not ready: its failures are the signal.
        if canary not in ready and canary != now.canary:
            canary = None
        return RouteSplit(stable, canary, desired.canary_weight if canary is not None else 0.0)

    async def _route(
        self, here: _Here, split: RouteSplit, wish: Wish, live: Manifest | None
    ) -> Manifest:
        """Apply the route, unless it is so already."""
        manifest = http_route(here.at, split, here.settings, wish)
        as_it_is = live is not None and is_as(manifest, live)
        if live is not None and as_it_is and split_of(live, here.at) == split_of(manifest, here.at):
            return live
        self._counters.changing(here.at.place, here.counted(split_of(manifest, here.at)))
        return await self._cluster.writes(here.at.place).apply("httproutes", manifest)

    async def _dismiss(
        self, here: _Here, objects: PlaceObjects, route: Manifest | None, in_force: RouteSplit
    ) -> None:
        """End the servers that are not wanted and have no traffic, after their last answers."""
        split = split_of(route, here.at)
        stay = {*wish_of(route).servers, *split.servers, *in_force.servers}
        await here.servers.dismiss(objects, stay)

    def _believed(self, here: _Here, saved: GatewayPlace, route: Manifest | None) -> RouteSplit:
        """How the traffic is split: as the route says, once all Gateways have accepted it; until
        then as it was."""
        if route is not None and not is_in_force(route, here.settings):
            return saved.in_force
        split = split_of(route, here.at)
        self._counters.seen(here.at.place, here.counted(split))
        address = None if route is None else _address(here)
        if (split, address) != (saved.in_force, saved.address):
            latest = GatewayPlace.load(self._home, here.at.place) or saved
            latest.model_copy(update={"in_force": split, "address": address}).save(
                self._home, here.at.place
            )
        return split

    def _check(self, here: _Here, route: Manifest) -> None:
        """Raise TryAgain if a Gateway refuses the route, or says nothing of it for a while."""
        refused = refusal_of(route, here.settings)
        if refused:
            raise TryAgain(f"{here.at.place}: {refused}", human=True)
        if is_in_force(route, here.settings):
            self._unheard.pop(here.at.place, None)
            return
        generation, now = int(route["metadata"].get("generation", 0)), time.monotonic()
        known, since = self._unheard.get(here.at.place, (generation, now))
        self._unheard[here.at.place] = (generation, since if known == generation else now)
        if known == generation and now - since > UNHEARD:
            names = " and ".join(parent.shown for parent in here.settings.parents)
            raise TryAgain(
                f"{here.at.place}: no Gateway has said whether it accepts the HTTPRoute "
                f"{route['metadata']['name']}: is there a Gateway {names}, and does its controller "
                "run?",
                human=True,
            )

    async def _close(self, here: _Here, saved: GatewayPlace) -> None:
        """Take the traffic from the servers, end them after their last answers, then take the route
        away; call it again until that is done."""
        route = await self._cluster.reads.get("httproutes", route_name(here.at))
        objects = await here.servers.objects(fresh=True)
        if route is None and not objects.servers():
            return
        route = await self._route(here, RouteSplit(), Wish(), route)
        await self._dismiss(here, objects, route, self._believed(here, saved, route))
        objects = await here.servers.objects(fresh=True)
        if not objects.servers() and not objects.pods_of("server"):
            await self._take_route(here, saved)

    async def _take_route(self, here: _Here, saved: GatewayPlace) -> None:
        self._counters.changing(here.at.place, (None, None, 0.0))
        await self._cluster.writes(here.at.place).delete("httproutes", route_name(here.at))
        if saved.address is not None or saved.in_force != RouteSplit():
            saved.model_copy(update={"address": None, "in_force": RouteSplit()}).save(
                self._home, here.at.place
            )


def _takes_canary_out(desired: Desired, now: RouteSplit) -> bool:
    """Whether it is a rollback: the canary has traffic, and stable shall have all of it."""
    stable = desired.stable.name if desired.stable is not None else None
    return bool(now.canary and desired.canary is None and stable and stable == now.stable)


def _address(here: _Here) -> str:
    return f"{here.settings.scheme}://{hostname_of(here.settings, here.at.place)}"
