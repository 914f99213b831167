"""Deploy onto a Kubernetes cluster: each server as a Deployment with a Service, and our router.

Servers and the router are reached by the addresses of their Services, so the controller runs where
these lead somewhere: in the cluster, or on a network with a route there. All that is known of a
place is in the cluster, under the labels of owner and place; what is saved here is a copy for those
who only look (`window`), and for a rollback while the API server is away.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog

from deployers import control
from deployers.control import Backend, RouterRefusedError, RouterStatus, Routing
from deployers.kubernetes.cluster_servers import ClusterServers, has_left, leaving_since, wanted
from deployers.kubernetes.hangs import PodHangs
from deployers.kubernetes.names import PLACE
from deployers.kubernetes.objects import PlaceObjects, role_of
from deployers.kubernetes.place_cluster import PlaceCluster, anything
from deployers.kubernetes.router_link import ClusterPlace, RouterLink
from deployers.kubernetes.router_pods import RouterPods
from deployers.kubernetes.routers import caller_name, router_name
from deployers.kubernetes.servers import ServingPlace
from deployers.kubernetes.settings import ServingCluster
from deployers.kubernetes.status import (
    ServedObjects,
    address_of,
    host_of,
    router_problem,
    server_status,
)
from deployers.protocol import Deployed, Desired, Server, Traffic
from deployers.record_reader import traffic_of
from deployers.traffic_arms import named
from specs.failures import Failure, TryAgain

_HUNG: Final = 1
"""The grace in seconds of a pod that hangs: short, as its callers are waiting."""
_BETWEEN: Final = 0.5
"""Seconds between looks at servers that leave."""

log = structlog.get_logger("headgate.deployer")


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
        may: Callable[[str], bool] = anything,
    ) -> None:
        """`may` says whether a place may be changed by this controller, just now."""
        self._home = home
        self._redact = redact
        self._cluster = PlaceCluster(cluster, may)
        self._link = RouterLink()
        common = {"silence": silence, "trusted": tuple(trusted)}
        self._routers = RouterPods(home, self._cluster, self._link, redact, common)
        self._hangs = PodHangs()
        self._locks: dict[str, asyncio.Lock] = {}
        self._retiring: dict[str, asyncio.Task[None]] = {}

    async def apply(self, place: str, desired: Desired) -> None:
        """Converge on `desired`; see `deployers.protocol.Deployer`."""
        async with self._locks.setdefault(place, asyncio.Lock()):
            await self._routers.take_canary_out(place, desired)
            at = self._cluster.at(place)
            if desired.closed:
                await self._close(at)
                return
            saved = await self._routers.start(at, desired)
            problem = await self._end_hung(at, desired.stable) if desired.stable else None
            servers = self._servers(at)
            problem = await servers.start_all(desired) or problem
            status = await self._link.status(saved)
            objects = await self._cluster.objects(at, fresh=True)
            if status is None:
                raise TryAgain(f"{place}: {router_problem(objects.pods_of('router'))}", after=1.0)
            await self._routers.route(at, saved, desired, status, objects)
            await servers.mark(objects, wanted(desired))
            if not await self._retire(at):
                self._retire_later(place)
            if problem is not None:
                raise problem

    async def observe(self, place: str) -> Deployed:
        """What runs at the place, according to the cluster and the router."""
        at = self._cluster.at(place)
        objects = await self._cluster.objects(at)
        router = await self._router_status(at, objects)
        routing = router.routing if router is not None else Routing()
        seen = objects.servers()
        servers = tuple(
            server_status(
                one,
                self._redact,
                routed=name in set(named(routing)),
                hung=self._look(name, one, router),
            )
            for name, one in seen.items()
        )
        if any(leaving_since(one.deployment) is not None for one in seen.values()):
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
            configured=self._routers.is_configured(routing),
        )

    async def traffic(self, place: str, epoch: str | None, after: int) -> Traffic:
        """One page of the records after number `after`. Raises TryAgain without a router.

        A pod has its records in memory: with it they are lost, and the next one has another epoch.
        """
        at = self._cluster.at(place)
        saved = ClusterPlace.load(self._home, place)
        saved = saved or await self._routers.find(at, await self._cluster.objects(at))
        if saved is None:
            raise TryAgain(f"{place}: nothing was deployed there")
        try:
            return traffic_of(await self._link.ask(saved, "traffic", epoch=epoch, after=after))
        except (OSError, RouterRefusedError) as error:
            raise TryAgain(f"{place}: {error}", after=1.0) from None

    async def stop(self, place: str) -> None:
        """End the router, then the servers of the place; its Services keep their addresses."""
        async with self._locks.setdefault(place, asyncio.Lock()):
            await self._end_all(self._cluster.at(place))

    async def remove(self, place: str) -> None:
        """Remove all that belongs to the place."""
        async with self._locks.setdefault(place, asyncio.Lock()):
            at = self._cluster.at(place)
            await self._end_all(at)
            cluster = self._cluster.writes(place)
            left = (await self._cluster.objects(at, fresh=True)).services
            for each in left:
                await cluster.delete("services", each["metadata"]["name"])
            if left:
                await cluster.delete("secrets", router_name(at))
                await cluster.delete("configmaps", router_name(at))
            ClusterPlace.forget(self._home, place)

    async def reap(self) -> int:
        """Remove Services of servers without a Deployment; how many."""
        if not ClusterPlace.all(self._home):
            return 0
        gone = 0
        for objects in (await self._cluster.seen.all(self._cluster.known.owner)).values():
            there = {one["metadata"]["name"] for one in objects.deployments}
            for each in objects.services:
                name, place = each["metadata"]["name"], _annotations(each).get(PLACE, "")
                if role_of(each) != "server" or name in there or not self._cluster.may(place):
                    continue
                await self._cluster.writes(place).delete("services", name)
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
        await self._cluster.close()

    def _servers(self, at: ServingPlace) -> ClusterServers:
        return ClusterServers(self._cluster, at)

    def _look(self, name: str, one: ServedObjects, router: RouterStatus | None) -> str:
        """Why a stable server counts as hung; nothing if it does not, and for any other."""
        if router is None or router.routing.stable is None or router.routing.stable.name != name:
            return ""
        return self._hangs.look(name, one, router.heard.get(name, 0))

    async def _router_status(self, at: ServingPlace, objects: PlaceObjects) -> RouterStatus | None:
        """What the router says; None if there is none, or it does not answer."""
        if objects.router() is None:
            return None
        saved = await self._routers.find(at, objects)
        return None if saved is None else await self._link.status(saved)

    async def _end_hung(self, at: ServingPlace, server: Server) -> Failure | None:
        """Delete the pods that were observed to hang; the cluster makes others. Returns a failure,
        which must not hold up the servers."""
        try:
            for pod in self._hangs.take(server.name):
                log.warning("a server hangs and is restarted", server=server.name, pod=pod)
                await self._cluster.writes(at.place).delete("pods", pod, gracePeriodSeconds=_HUNG)
        except Failure as failure:
            return failure
        return None

    async def _retire(self, at: ServingPlace) -> bool:
        """End the dismissed servers that have nothing in flight; whether all of them are gone."""
        objects = await self._cluster.objects(at, fresh=True)
        leaving = {
            name: one.deployment
            for name, one in objects.servers().items()
            if leaving_since(one.deployment) is not None
        }
        if not leaving:
            return True
        status = await self._router_status(at, objects)
        left = 0
        for name, each in leaving.items():
            # If a router does not answer, requests may be in flight.
            there = objects.router() is not None
            used = there and (status is None or name in status.in_flight)
            routed = status is not None and name in named(status.routing)
            if routed or (used and not has_left(each)):
                left += 1
            else:
                await self._servers(at).delete(each["metadata"]["name"])
        return not left

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
            if not self._cluster.may(place):
                return  # whoever has it looks at it
            async with self._locks.setdefault(place, asyncio.Lock()):
                with contextlib.suppress(Failure):
                    gone = await self._retire(self._cluster.at(place))

    async def _close(self, at: ServingPlace) -> None:
        """End each server once its requests in flight are answered, then the router; call it again
        until the place is empty."""
        objects = await self._cluster.objects(at, fresh=True)
        status = await self._router_status(at, objects)
        if status is not None and any(named(status.routing)):
            await self._routers.empty(at, objects, status.routing)
        await self._servers(at).mark(objects, ())
        if not await self._retire(at):
            self._retire_later(at.place)
            return
        await self._end_all(at)

    async def _end_all(self, at: ServingPlace) -> None:
        """End the router, which answers what is in flight and needs the servers for it, then the
        servers; and wait until their pods are gone."""
        cluster = self._cluster.writes(at.place)
        objects = await self._cluster.objects(at, fresh=True)
        if (router := objects.router()) is not None:
            name = router["metadata"]["name"]
            await cluster.delete("deployments", name, propagationPolicy="Background")
        servers = self._servers(at)
        await servers.until_gone("router")
        await servers.end_all()
        saved = ClusterPlace.load(self._home, at.place)
        if saved is not None:
            saved.model_copy(update={"address": None}).save(self._home, at.place)


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
