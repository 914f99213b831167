"""Deploy onto a Kubernetes cluster: each server as a Deployment with a Service, and our router.

Servers and the router are reached by the addresses of their Services, so the controller runs where
these lead somewhere: in the cluster, or on a network with a route there. All that is known of a
place is in the cluster, under the labels of owner and place; what is saved here is a copy for those
who only look (`window`), and for a rollback while the API server is away.
"""

import asyncio
import base64
import contextlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from deployers import control
from deployers.control import Backend, RouterRefusedError, RouterStatus, Routing
from deployers.kubernetes.cluster import ApiRefusal, Cluster, Manifest, explained
from deployers.kubernetes.names import OWNER, is_of
from deployers.kubernetes.objects import PlaceObjects, SeenObjects, role_of
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
from deployers.kubernetes.servers import ServingPlace, deployment, is_as, secret, service
from deployers.kubernetes.settings import PORT, ServingCluster
from deployers.kubernetes.status import (
    address_of,
    host_of,
    router_problem,
    server_status,
)
from deployers.protocol import Deployed, Desired, Server, Traffic
from deployers.record_reader import traffic_of
from deployers.remote_control import TOKEN
from deployers.traffic_arms import named, next_routing
from specs.failures import Failure, NeedsHuman, TryAgain

LEAVING: Final = "headgate.dev/leaving"
"""The annotation that says since when a server is no longer desired, in seconds since the epoch."""
_BETWEEN: Final = 0.5
"""Seconds between looks at servers that leave."""
_SLACK: Final = 30.0
"""Seconds, beyond their grace, in which pods that were deleted disappear."""


class KubernetesDeployer:
    """The `Deployer` of a cluster. `redact` hides the secrets in a text; `silence` and `trusted`
    are settings of the routers, see `deployers.control.Routing`."""

    def __init__(
        self,
        home: Path,
        cluster: ServingCluster | None,
        *,
        redact: Callable[[str], str],
        silence: float = control.SILENCE,
        trusted: Sequence[str] = control.LOOPBACK,
    ) -> None:
        self._home = home
        self._serving = cluster
        self._redact = redact
        self._common = {"silence": silence, "trusted": tuple(trusted)}
        self._link = RouterLink()
        self._opened: tuple[Cluster, SeenObjects] | None = None
        self._locks: dict[str, asyncio.Lock] = {}
        self._retiring: dict[str, asyncio.Task[None]] = {}

    async def apply(self, place: str, desired: Desired) -> None:
        """Converge on `desired`; see `deployers.protocol.Deployer`."""
        async with self._locks.setdefault(place, asyncio.Lock()):
            await self._take_canary_out(place, desired)
            at = self._at(place)
            if desired.closed:
                await self._close(at)
                return
            saved = await self._start_router(at, desired)
            problem = await self._start_all(at, desired)
            status = await self._link.status(saved)
            objects = await self._objects(at, fresh=True)
            if status is None:
                raise TryAgain(f"{place}: {router_problem(objects.pods_of('router'))}", after=1.0)
            await self._route(at, saved, desired, status, objects)
            await self._dismiss(objects, _wanted(desired))
            if not await self._retire(at):
                self._retire_later(place)
            if problem is not None:
                raise problem

    async def observe(self, place: str) -> Deployed:
        """What runs at the place, according to the cluster and the router."""
        saved = ClusterPlace.load(self._home, place)
        if saved is None:
            return Deployed()
        at = self._at(place)
        objects = await self._objects(at)
        router = await self._link.status(saved) if objects.router() is not None else None
        routing = router.routing if router is not None else Routing()
        seen = objects.servers()
        servers = tuple(
            server_status(one, self._redact, routed=name in set(named(routing)))
            for name, one in seen.items()
        )
        if any(LEAVING in _annotations(one.deployment) for one in seen.values()):
            self._retire_later(place)  # the controller that dismissed them may have been killed
        if router is None:
            return Deployed(servers=servers)
        return Deployed(
            servers=servers,
            address=address_of(objects.service(caller_name(place))),
            stable=_reached(routing.stable, objects),
            canary=_reached(routing.canary, objects),
            canary_weight=routing.weight,
            silence=router.silence,
            configured=routing == routing.model_copy(update=self._common),
        )

    async def traffic(self, place: str, epoch: str | None, after: int) -> Traffic:
        """One page of the records after number `after`. Raises TryAgain without a router.

        A pod has its records in memory: with it they are lost, and the next one has another epoch.
        """
        saved = ClusterPlace.load(self._home, place)
        if saved is None:
            raise TryAgain(f"{place}: nothing was deployed there")
        try:
            return traffic_of(await self._link.ask(saved, "traffic", epoch=epoch, after=after))
        except OSError as error:
            raise TryAgain(f"{place}: {error}", after=1.0) from None

    async def stop(self, place: str) -> None:
        """End the router, then the servers of the place; its Services keep their addresses."""
        async with self._locks.setdefault(place, asyncio.Lock()):
            if ClusterPlace.load(self._home, place) is not None:
                await self._end_all(self._at(place))

    async def remove(self, place: str) -> None:
        """Remove all that belongs to the place."""
        async with self._locks.setdefault(place, asyncio.Lock()):
            if ClusterPlace.load(self._home, place) is None:
                return
            at = self._at(place)
            await self._end_all(at)
            cluster, _ = self._cluster()
            for each in (await self._objects(at, fresh=True)).services:
                await cluster.delete("services", each["metadata"]["name"])
            await cluster.delete("secrets", router_name(at))
            await cluster.delete("configmaps", router_name(at))
            ClusterPlace.forget(self._home, place)

    async def reap(self) -> int:
        """Remove Services of servers without a Deployment; how many."""
        if not ClusterPlace.all(self._home):
            return 0
        cluster, seen = self._cluster()
        owner = self._owner()
        gone = 0
        for objects in (await seen.all(owner)).values():
            there = {one["metadata"]["name"] for one in objects.deployments}
            for each in objects.services:
                name = each["metadata"]["name"]
                if role_of(each) == "server" and name not in there:
                    await cluster.delete("services", name)
                    gone += 1
        return gone

    async def forget_logs(self, _before: float) -> int:
        """Nothing: the cluster keeps the logs of its pods."""
        return 0

    async def close(self) -> None:
        """Release this object's resources; all that runs keeps running."""
        for task in self._retiring.values():
            task.cancel()
        await asyncio.gather(*self._retiring.values(), return_exceptions=True)
        await self._link.close()
        if self._opened is not None:
            await self._opened[0].close()

    # The cluster

    def _cluster(self) -> tuple[Cluster, SeenObjects]:
        if self._opened is None:
            cluster = Cluster(self._known().access)
            self._opened = cluster, SeenObjects(cluster)
        return self._opened

    def _known(self) -> ServingCluster:
        if self._serving is None:
            raise NeedsHuman("no cluster is set: add `kubernetes` to headgate.yaml")
        return self._serving

    def _owner(self) -> str:
        return self._known().owner()

    def _at(self, place: str) -> ServingPlace:
        known = self._known()
        return ServingPlace(
            self._owner(), place, known.access.namespace, known.image, known.profiles
        )

    async def _objects(self, at: ServingPlace, *, fresh: bool = False) -> PlaceObjects:
        return await self._cluster()[1].of(at.owner, at.place, fresh=fresh)

    async def _put(self, kind: str, manifest: Manifest, live: Manifest | None) -> Manifest:
        """Apply it, unless it is as it was applied last."""
        if live is not None and is_as(manifest, live):
            return live
        return await self._cluster()[0].apply(kind, manifest)

    # The router

    async def _start_router(self, at: ServingPlace, desired: Desired) -> ClusterPlace:
        """Make sure of the router's objects; how it is asked."""
        objects = await self._objects(at, fresh=True)
        cluster, _ = self._cluster()
        name, callers = router_name(at), objects.service(caller_name(at.place))
        if callers is None:
            await self._check_free(at)
        token = await self._token(at)
        saved = ClusterPlace.load(self._home, at.place)
        if objects.router() is None and await cluster.get("configmaps", name) is None:
            await cluster.apply("configmaps", first_routing(at, self._begun()))
        callers = await self._put("services", caller_service(at, desired.port), callers)
        orders = await self._put("services", order_service(at), objects.service(name))
        wanted = router_deployment(at, self._known().router)
        await self._put("deployments", wanted, objects.router())
        reached = address_of(orders, "control")
        if reached is None or address_of(callers) is None:
            raise TryAgain(f"{at.place}: its router's Services have no addresses yet", after=1.0)
        now = ClusterPlace(
            place=at.place,
            orders=reached,
            token=token,
            address=address_of(callers),
            first=saved.first if saved is not None else "",
        )
        if now != saved:
            now.save(self._home)
        return now

    def _begun(self) -> Routing:
        return Routing(port=PORT).model_copy(update=self._common)

    async def _check_free(self, at: ServingPlace) -> None:
        """Raise NeedsHuman if the name of the Service for callers is another's."""
        found = await self._cluster()[0].get("services", caller_name(at.place))
        if found is not None and not is_of(found, router_labels(at)):
            owner = (found["metadata"].get("labels") or {}).get(OWNER)
            whose = f"another controller's ({owner})" if owner else "not Headgate's"
            raise NeedsHuman(
                f"{at.place}: the Service {caller_name(at.place)} in {at.namespace} is {whose}, so "
                "it is left alone: delete it, or set another `kubernetes.serving.namespace`"
            )

    async def _token(self, at: ServingPlace) -> str:
        """The token of the router: made once, and kept in its Secret."""
        cluster, _ = self._cluster()
        for _ in range(2):
            found = await cluster.get("secrets", router_name(at))
            if found is not None:
                return base64.b64decode(found["data"][TOKEN]).decode()
            made = token_secret(at, secrets.token_hex(32))
            try:
                await cluster.create("secrets", made)
            except ApiRefusal as refusal:
                if refusal.code != 409:  # else somebody was faster
                    raise explained(refusal, "create secrets") from None
        raise TryAgain(f"{at.place}: the token of its router is being replaced")

    async def _take_canary_out(self, place: str, desired: Desired) -> None:
        """Let a rollback take effect first, whether the API server answers or not."""
        saved = ClusterPlace.load(self._home, place)
        if saved is None or desired.stable is None or desired.canary is not None:
            return
        status = await self._link.status(saved)
        now = status.routing if status is not None else Routing()
        if now.canary is None or now.stable is None or now.stable.name != desired.stable.name:
            return
        alone = now.model_copy(update={"canary": None, "weight": 0.0})
        await self._order(saved, alone)

    async def _route(
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
            await self._order(saved, routing)
        manifest = first_routing(at, routing)
        text = str(next(iter(manifest["data"].values())))
        if text != saved.first:  # after the order, as a rollback must not wait for it
            await self._cluster()[0].apply("configmaps", manifest)
            saved.model_copy(update={"first": text}).save(self._home)

    async def _order(self, saved: ClusterPlace, routing: Routing) -> None:
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
        for server in _wanted(desired).values():
            there = seen.get(server.name)
            host = host_of(there.service) if there is not None else None
            if there is None or host is None:
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

    # Servers

    async def _start_all(self, at: ServingPlace, desired: Desired) -> Failure | None:
        """Start the servers. Returns the first failure, which must not hold up the others."""
        objects = await self._objects(at)
        problem: Failure | None = None
        for server in _wanted(desired).values():
            try:
                await self._start(at, server, objects)
            except Failure as failure:
                problem = problem or failure
        return problem

    async def _start(self, at: ServingPlace, server: Server, objects: PlaceObjects) -> None:
        cluster, name = self._cluster()[0], at.name(server.name)
        live, wanted = objects.deployment(name), deployment(server, at)
        await self._put("services", service(server, at), objects.service(name))
        made = await self._put("deployments", wanted, live)
        if LEAVING in _annotations(made):
            gone = {"metadata": {"annotations": {LEAVING: None}}}
            await cluster.patch("deployments", name, gone)
        # After the Deployment, so that it never lacks an owner; its pods fetch first, and wait.
        if (hidden := secret(server, at, made)) is not None:
            await cluster.apply("secrets", hidden)

    async def _dismiss(self, objects: PlaceObjects, wanted: Mapping[str, Server]) -> None:
        """Mark the servers that are no longer desired."""
        for name, one in objects.servers().items():
            if name not in wanted and LEAVING not in _annotations(one.deployment):
                since = {"metadata": {"annotations": {LEAVING: f"{time.time()}"}}}
                at = one.deployment["metadata"]["name"]
                await self._cluster()[0].patch("deployments", at, since)

    # Leaving

    async def _retire(self, at: ServingPlace) -> bool:
        """End the dismissed servers that have nothing in flight; whether all of them are gone."""
        objects = await self._objects(at, fresh=True)
        leaving = {
            name: one.deployment
            for name, one in objects.servers().items()
            if LEAVING in _annotations(one.deployment)
        }
        if not leaving:
            return True
        saved = ClusterPlace.load(self._home, at.place)
        asked = saved if objects.router() is not None else None
        status = await self._link.status(asked) if asked is not None else None
        left = 0
        for name, each in leaving.items():
            # If a router does not answer, requests may be in flight.
            used = asked is not None and (status is None or name in status.in_flight)
            routed = status is not None and name in named(status.routing)
            patience = each["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
            since = float(_annotations(each)[LEAVING])
            if routed or (used and 0 <= time.time() - since < patience):
                left += 1
            else:
                await self._delete_server(each["metadata"]["name"])
        return not left

    async def _delete_server(self, name: str) -> None:
        cluster, _ = self._cluster()
        await cluster.delete("deployments", name, propagationPolicy="Background")
        await cluster.delete("services", name)

    def _retire_later(self, place: str) -> None:
        """End the dismissed servers in the background."""
        if place not in self._retiring:
            task = asyncio.create_task(self._retire_all(place))
            self._retiring[place] = task
            task.add_done_callback(lambda _: self._retiring.pop(place, None))

    async def _retire_all(self, place: str) -> None:
        gone = False
        while not gone:
            await asyncio.sleep(_BETWEEN)
            async with self._locks.setdefault(place, asyncio.Lock()):
                with contextlib.suppress(Failure):
                    gone = await self._retire(self._at(place))

    async def _close(self, at: ServingPlace) -> None:
        """End each server once its requests in flight are answered, then the router; call it again
        until the place is empty."""
        saved = ClusterPlace.load(self._home, at.place)
        if saved is None:
            return
        objects = await self._objects(at, fresh=True)
        status = await self._link.status(saved) if objects.router() is not None else None
        if status is not None and any(named(status.routing)):
            await self._order(saved, next_routing(Desired(), status.routing, {}, self._common))
        await self._dismiss(objects, {})
        if not await self._retire(at):
            self._retire_later(at.place)
            return
        await self._end_all(at)

    async def _end_all(self, at: ServingPlace) -> None:
        """End the router, which answers what is in flight and needs the servers for it, then the
        servers; and wait until their pods are gone."""
        cluster, _ = self._cluster()
        objects = await self._objects(at, fresh=True)
        if (router := objects.router()) is not None:
            name = router["metadata"]["name"]
            await cluster.delete("deployments", name, propagationPolicy="Background")
        await self._until_gone(at, "router")
        for one in objects.servers().values():
            await self._delete_server(one.deployment["metadata"]["name"])
        await self._until_gone(at, "server")
        saved = ClusterPlace.load(self._home, at.place)
        if saved is not None:
            saved.model_copy(update={"address": None}).save(self._home)

    async def _until_gone(self, at: ServingPlace, role: str) -> None:
        """Wait for the end of the pods of deleted Deployments. Raises TryAgain."""
        began = time.monotonic()
        while pods := (await self._objects(at, fresh=True)).pods_of(role):
            grace = max(pod["spec"].get("terminationGracePeriodSeconds", 30) for pod in pods)
            if time.monotonic() - began > grace + _SLACK:
                names = ", ".join(pod["metadata"]["name"] for pod in pods)
                raise TryAgain(f"{at.place}: its pods do not end: {names}; is their node lost?")
            await asyncio.sleep(_BETWEEN / 5)


def _reached(backend: Backend | None, objects: PlaceObjects) -> str | None:
    """The name of the server that the router sends to; None if it is not there any more."""
    there = objects.servers().get(backend.name) if backend is not None else None
    if there is None or backend is None or host_of(there.service) != backend.host:
        return None
    return backend.name


def _annotations(obj: Mapping[str, object]) -> Mapping[str, str]:
    metadata = obj["metadata"]
    assert isinstance(metadata, Mapping)
    return metadata.get("annotations") or {}


def _wanted(desired: Desired) -> Mapping[str, Server]:
    return {one.name: one for one in (desired.stable, desired.canary) if one is not None}
