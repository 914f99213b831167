"""The model servers of a place on a cluster: started, dismissed and ended."""

import asyncio
import time
from collections.abc import Container, Mapping
from typing import Any, Final

from deployers.kubernetes.cluster import Cluster, Manifest
from deployers.kubernetes.objects import PlaceObjects
from deployers.kubernetes.place_cluster import PlaceCluster
from deployers.kubernetes.servers import ServingPlace, deployment, secret, service
from deployers.protocol import Desired, Server
from specs.failures import Failure, TryAgain

LEAVING: Final = "headgate.dev/leaving"
"""The annotation that says since when a server is no longer desired, in seconds since the epoch."""
_BETWEEN: Final = 0.1
"""Seconds between looks at pods that end."""
_SLACK: Final = 30.0
"""Seconds, beyond their grace, in which pods that were deleted disappear."""


class ClusterServers:
    """Acts on the servers of one place."""

    def __init__(self, cluster: PlaceCluster, at: ServingPlace) -> None:
        self._cluster = cluster
        self._at = at

    async def objects(self, *, fresh: bool = False) -> PlaceObjects:
        """What there is. Raises `Failure`."""
        return await self._cluster.objects(self._at, fresh=fresh)

    async def start_all(self, desired: Desired) -> Failure | None:
        """Start the servers. Returns the first failure, which must not hold up the others."""
        objects = await self.objects()
        problem: Failure | None = None
        for server in wanted(desired).values():
            try:
                await self._start(server, objects)
            except Failure as failure:
                problem = problem or failure
        return problem

    async def mark(self, objects: PlaceObjects, stay: Container[str]) -> None:
        """Mark the servers that are not to stay as leaving."""
        for name, one in objects.servers().items():
            if name not in stay and leaving_since(one.deployment) is None:
                left = {"metadata": {"annotations": {LEAVING: f"{time.time()}"}}}
                found = one.deployment["metadata"]["name"]
                await self._writes.patch("deployments", found, left)

    async def dismiss(self, objects: PlaceObjects, stay: Container[str]) -> None:
        """End the servers that are not to stay: at once those that have left for as long as their
        requests may take, and mark the others."""
        for name, one in objects.servers().items():
            if name not in stay and has_left(one.deployment):
                await self.delete(one.deployment["metadata"]["name"])
        await self.mark(objects, stay)

    async def delete(self, name: str) -> None:
        """Delete a server's objects, by their name."""
        await self._writes.delete("deployments", name, propagationPolicy="Background")
        await self._writes.delete("services", name)

    async def end_all(self) -> None:
        """End all servers, and wait until their pods are gone. Raises TryAgain."""
        for one in (await self.objects(fresh=True)).servers().values():
            await self.delete(one.deployment["metadata"]["name"])
        await self.until_gone("server")

    async def until_gone(self, role: str) -> None:
        """Wait for the end of the pods of deleted Deployments. Raises TryAgain."""
        began = time.monotonic()
        while pods := (await self.objects(fresh=True)).pods_of(role):
            grace = max(pod["spec"].get("terminationGracePeriodSeconds", 30) for pod in pods)
            if time.monotonic() - began > grace + _SLACK:
                names = ", ".join(pod["metadata"]["name"] for pod in pods)
                why = f"its pods do not end: {names}; is their node lost?"
                raise TryAgain(f"{self._at.place}: {why}")
            await asyncio.sleep(_BETWEEN)

    async def _start(self, server: Server, objects: PlaceObjects) -> None:
        name = self._at.name(server.name)
        live = objects.deployment(name)
        made = await self._put("deployments", deployment(server, self._at), live)
        if leaving_since(made) is not None:
            gone = {"metadata": {"annotations": {LEAVING: None}}}
            await self._writes.patch("deployments", name, gone)
        # After the Deployment, so that it never lacks an owner; its pods fetch first, and wait.
        if (hidden := secret(server, self._at, made)) is not None:
            await self._writes.apply("secrets", hidden)
        # Last: a Service without a Deployment counts as left behind (`KubernetesDeployer.reap`).
        await self._put("services", service(server, self._at), objects.service(name))

    async def _put(self, kind: str, manifest: Manifest, live: Manifest | None) -> Manifest:
        return await self._cluster.put(self._at, kind, manifest, live)

    @property
    def _writes(self) -> Cluster:
        return self._cluster.writes(self._at.place)


def leaving_since(deployment: Mapping[str, Any]) -> float | None:
    """When a server was marked as leaving, in seconds since the epoch; None if it was not."""
    since = (deployment["metadata"].get("annotations") or {}).get(LEAVING)
    return None if since is None else float(since)


def has_left(deployment: Mapping[str, Any]) -> bool:
    """Whether a server has been leaving for as long as its requests may take."""
    since = leaving_since(deployment)
    patience = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    return since is not None and not 0 <= time.time() - since < patience


def wanted(desired: Desired) -> Mapping[str, Server]:
    """The servers of a wish, by name."""
    return {one.name: one for one in (desired.stable, desired.canary) if one is not None}
