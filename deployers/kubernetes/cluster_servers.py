"""The model servers of a place on a cluster: started, dismissed and ended."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Final

from deployers.kubernetes.cluster import Cluster, Manifest
from deployers.kubernetes.objects import PlaceObjects, PlacesView
from deployers.kubernetes.servers import ServingPlace, deployment, is_as, secret, service
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

    def __init__(self, cluster: Cluster, seen: PlacesView, at: ServingPlace) -> None:
        self._cluster = cluster
        self._seen = seen
        self._at = at

    async def objects(self, *, fresh: bool = False) -> PlaceObjects:
        """What there is. Raises `Failure`."""
        return await self._seen.of(self._at.owner, self._at.place, fresh=fresh)

    async def put(self, kind: str, manifest: Manifest, live: Manifest | None) -> Manifest:
        """Apply it, unless it is as it was applied last."""
        if live is not None and is_as(manifest, live):
            return live
        return await self._cluster.apply(kind, manifest)

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

    async def dismiss(self, objects: PlaceObjects, stay: Iterable[str]) -> None:
        """End the servers that are not to stay: at once those that have left for as long as their
        requests may take, and mark the others."""
        kept = {*stay}
        for name, one in objects.servers().items():
            if name in kept:
                continue
            metadata, spec = one.deployment["metadata"], one.deployment["spec"]
            since = (metadata.get("annotations") or {}).get(LEAVING)
            if since is None:
                left = {"metadata": {"annotations": {LEAVING: f"{time.time()}"}}}
                await self._cluster.patch("deployments", metadata["name"], left)
                continue
            patience = spec["template"]["spec"]["terminationGracePeriodSeconds"]
            if not 0 <= time.time() - float(since) < patience:
                await self._delete(metadata["name"])

    async def end_all(self) -> None:
        """End all servers, and wait until their pods are gone. Raises TryAgain."""
        for one in (await self.objects(fresh=True)).servers().values():
            await self._delete(one.deployment["metadata"]["name"])
        began = time.monotonic()
        while pods := (await self.objects(fresh=True)).pods_of("server"):
            grace = max(pod["spec"].get("terminationGracePeriodSeconds", 30) for pod in pods)
            if time.monotonic() - began > grace + _SLACK:
                names = ", ".join(pod["metadata"]["name"] for pod in pods)
                why = f"its pods do not end: {names}; is their node lost?"
                raise TryAgain(f"{self._at.place}: {why}")
            await asyncio.sleep(_BETWEEN)

    async def _start(self, server: Server, objects: PlaceObjects) -> None:
        name = self._at.name(server.name)
        live = objects.deployment(name)
        made = await self.put("deployments", deployment(server, self._at), live)
        if LEAVING in (made["metadata"].get("annotations") or {}):
            gone = {"metadata": {"annotations": {LEAVING: None}}}
            await self._cluster.patch("deployments", name, gone)
        # After the Deployment, so that it never lacks an owner; its pods fetch first, and wait.
        if (hidden := secret(server, self._at, made)) is not None:
            await self._cluster.apply("secrets", hidden)
        # Last: a Service without a Deployment counts as left behind (`KubernetesDeployer.reap`).
        await self.put("services", service(server, self._at), objects.service(name))

    async def _delete(self, name: str) -> None:
        await self._cluster.delete("deployments", name, propagationPolicy="Background")
        await self._cluster.delete("services", name)


def wanted(desired: Desired) -> Mapping[str, Server]:
    """The servers of a wish, by name."""
    return {one.name: one for one in (desired.stable, desired.canary) if one is not None}
