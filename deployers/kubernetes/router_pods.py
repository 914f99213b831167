"""Runs and directs the routers of places on a cluster."""

import base64
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deployers.control import Backend, RouterRefusedError, RouterStatus, Routing
from deployers.kubernetes.cluster import ApiRefusal, Manifest, explained
from deployers.kubernetes.names import OWNER, is_of
from deployers.kubernetes.objects import PlaceObjects
from deployers.kubernetes.place_cluster import PlaceCluster
from deployers.kubernetes.router_link import ClusterPlace, RouterLink
from deployers.kubernetes.routers import (
    caller_name,
    caller_service,
    first_routing,
    order_service,
    router_deployment,
    router_labels,
    router_name,
    token_secret,
)
from deployers.kubernetes.servers import ServingPlace
from deployers.kubernetes.settings import PORT
from deployers.kubernetes.status import address_of, host_of, server_status
from deployers.protocol import Desired
from deployers.remote_control import TOKEN
from deployers.traffic_arms import next_routing
from specs.failures import NeedsHuman, TryAgain


class RouterPods:
    """The routers of one home. `common` are the fields of `Routing` that are the same for all."""

    def __init__(
        self,
        home: Path,
        cluster: PlaceCluster,
        link: RouterLink,
        redact: Callable[[str], str],
        common: Mapping[str, Any],
    ) -> None:
        self._home = home
        self._cluster = cluster
        self._link = link
        self._redact = redact
        self._common = common

    def is_configured(self, routing: Routing) -> bool:
        """Whether a router has the settings that are the same for all."""
        return routing == routing.model_copy(update=self._common)

    async def start(self, at: ServingPlace, desired: Desired) -> ClusterPlace:
        """Make sure of the router's objects; how it is asked."""
        objects = await self._cluster.objects(at, fresh=True)
        cluster = self._cluster.writes(at.place)
        name, callers = router_name(at), objects.service(caller_name(at.place))
        if callers is None:
            await self._check_free(at)
        token = await self._token(at)
        saved = ClusterPlace.load(self._home, at.place)
        if objects.router() is None and await cluster.get("configmaps", name) is None:
            begun = Routing(port=PORT).model_copy(update=self._common)
            await cluster.apply("configmaps", first_routing(at, begun))
        callers = await self._cluster.put(at, "services", caller_service(at, desired.port), callers)
        orders = await self._cluster.put(at, "services", order_service(at), objects.service(name))
        wanted = router_deployment(at, self._cluster.known.router)
        await self._cluster.put(at, "deployments", wanted, objects.router())
        reached = address_of(orders, "control")
        if reached is None or address_of(callers) is None:
            raise TryAgain(f"{at.place}: its router's Services have no addresses yet", after=1.0)
        now = ClusterPlace(
            place=at.place,
            orders=reached,
            token=token,
            address=address_of(callers),
        )
        if now != saved:
            now.save(self._home, now.place)
        return now

    async def _check_free(self, at: ServingPlace) -> None:
        """Raise NeedsHuman if the name of the Service for callers is another's."""
        found = await self._cluster.reads.get("services", caller_name(at.place))
        if found is not None and not is_of(found, router_labels(at)):
            owner = (found["metadata"].get("labels") or {}).get(OWNER)
            whose = f"another controller's ({owner})" if owner else "not Headgate's"
            raise NeedsHuman(
                f"{at.place}: the Service {caller_name(at.place)} in {at.namespace} is {whose}, so "
                "it is left alone: delete it, or set another `kubernetes.serving.namespace`"
            )

    async def _token(self, at: ServingPlace) -> str:
        """The token of the router: made once, and kept in its Secret."""
        cluster = self._cluster.writes(at.place)
        for _ in range(2):
            found = await cluster.get("secrets", router_name(at))
            if found is not None:
                return _token_in(found)
            made = token_secret(at, secrets.token_hex(32))
            try:
                await cluster.create("secrets", made)
            except ApiRefusal as refusal:
                if refusal.code != 409:  # else somebody was faster
                    raise explained(refusal, "create secrets") from None
        raise TryAgain(f"{at.place}: the token of its router is being replaced")

    async def take_canary_out(self, place: str, desired: Desired) -> None:
        """Let a rollback take effect first, whether the API server answers or not."""
        saved = ClusterPlace.load(self._home, place)
        if saved is None or desired.stable is None or desired.canary is not None:
            return
        status = await self._link.status(saved)
        now = status.routing if status is not None else Routing()
        if now.canary is None or now.stable is None or now.stable.name != desired.stable.name:
            return
        alone = now.model_copy(update={"canary": None, "weight": 0.0})
        await self.order(saved, alone)

    async def route(
        self,
        at: ServingPlace,
        saved: ClusterPlace,
        desired: Desired,
        status: RouterStatus,
        objects: PlaceObjects,
    ) -> None:
        """Split the traffic among the desired servers, as far as they are ready."""
        now = status.routing
        ready = self._ready(desired, now, objects)
        routing = next_routing(desired, now, ready, self._common)
        if routing != now:
            await self.order(saved, routing)
        first = first_routing(at, routing)  # after the order, as a rollback must not wait for it
        live = await self._cluster.reads.get("configmaps", router_name(at))
        if live is None or live.get("data") != first["data"]:
            await self._cluster.writes(at.place).apply("configmaps", first)

    async def find(self, at: ServingPlace, objects: PlaceObjects) -> ClusterPlace | None:
        """How the place's router is asked: as it is saved here or, where this home has not deployed
        it, as the cluster has it. None if there is none."""
        saved = ClusterPlace.load(self._home, at.place)
        orders = address_of(objects.service(router_name(at)), "control")
        if orders is None:
            return None
        if saved is not None and saved.orders == orders:
            return saved
        found = await self._cluster.reads.get("secrets", router_name(at))
        if found is None:
            return None
        callers = objects.service(caller_name(at.place))
        saved = ClusterPlace(
            place=at.place, orders=orders, token=_token_in(found), address=address_of(callers)
        )
        saved.save(self._home, saved.place)
        return saved

    async def empty(self, at: ServingPlace, objects: PlaceObjects, now: Routing) -> None:
        """Send no requests to any server."""
        saved = await self.find(at, objects)
        assert saved is not None  # it told what `now` is
        await self.order(saved, next_routing(Desired(), now, {}, self._common))

    async def order(self, saved: ClusterPlace, routing: Routing) -> None:
        self._cluster.check(saved.place)
        try:
            # Defaults are left out, so that a running router of an older Headgate accepts it.
            order = routing.model_dump(exclude_defaults=True)
            await self._link.ask(saved, "route", routing=order)
        except RouterRefusedError as error:
            raise NeedsHuman(f"{saved.place}: the router refused its routing: {error}") from error
        except OSError as error:
            raise TryAgain(f"{saved.place}: {error}", after=1.0) from None

    def _ready(
        self, desired: Desired, now: Routing, objects: PlaceObjects
    ) -> Mapping[str, Backend]:
        """The desired servers that can take requests. Those that have traffic keep it."""
        seen, routed = objects.servers(), {now.stable, now.canary}
        found = {}
        for server in (desired.stable, desired.canary):
            there = seen.get(server.name) if server is not None else None
            host = host_of(there.service) if there is not None else None
            if server is None or there is None or host is None:
                continue
            backend = Backend(
                name=server.name,
                host=host,
                port=PORT,
                predict=server.predict,
                bounds=server.bounds,
            )
            if backend in routed or server_status(there, self._redact).ready:
                found[server.name] = backend
        return found


def _token_in(secret: Manifest) -> str:
    return base64.b64decode(secret["data"][TOKEN]).decode()
