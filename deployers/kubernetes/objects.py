"""What serves on a cluster, as it was seen last: a few calls for all places together."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from deployers.kubernetes.cluster import Cluster, Manifest
from deployers.kubernetes.names import PLACE, ROLE, SERVER, label_value, owned, selector
from deployers.kubernetes.status import ServedObjects
from specs.failures import TryAgain

FRESH: Final = 0.5
"""Seconds for which what was seen counts as current, for those who only look."""
STALE: Final = 600.0
"""The same while the API server cannot be reached: what the router says is as it is now, so that a
canary is judged and rolled back all the same."""


class PlaceObjects(NamedTuple):
    """The objects of one place; those that are being deleted still count."""

    deployments: Sequence[Manifest] = ()
    services: Sequence[Manifest] = ()
    pods: Sequence[Manifest] = ()
    probes: Mapping[str, str] = {}
    """What probes of pods last failed with, by pod."""

    def servers(self) -> dict[str, ServedObjects]:
        """Those of each server with a Deployment, by its name."""
        found = {}
        for each in self.deployments:
            if role_of(each) != "server":
                continue
            label = each["metadata"]["labels"].get(SERVER)
            pods = [
                pod
                for pod in self.pods
                if pod["metadata"]["labels"].get(SERVER) == label
                and not pod["metadata"].get("deletionTimestamp")
            ]
            name = each["metadata"]["annotations"][SERVER]
            service = self.service(each["metadata"]["name"])
            found[name] = ServedObjects(each, pods, service, self.probes)
        return found

    def router(self) -> Manifest | None:
        """The router's Deployment."""
        return next((one for one in self.deployments if role_of(one) == "router"), None)

    def service(self, name: str) -> Manifest | None:
        """The Service of that name."""
        return _named(self.services, name)

    def deployment(self, name: str) -> Manifest | None:
        """The Deployment of that name."""
        return _named(self.deployments, name)

    def pods_of(self, role: str) -> list[Manifest]:
        """The pods of servers or of the router."""
        return [pod for pod in self.pods if role_of(pod) == role]


class PlacesView:
    """The objects of an owner in the namespace of servers."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lock = asyncio.Lock()
        self._at = float("-inf")
        self._seen: dict[str, PlaceObjects] = {}

    async def of(self, owner: str, place: str, *, fresh: bool = False) -> PlaceObjects:
        """The objects of a place, as they are now or were a moment ago; while the API server is
        away, as they were last. Raises `Failure`, also for these if they have to be `fresh`."""
        asked = time.monotonic()
        async with self._lock:  # whoever waits for it gets what was read meanwhile
            if self._at < (asked if fresh else asked - FRESH):
                began = time.monotonic()
                try:
                    self._seen = await self._read(owner)
                except TryAgain as failure:
                    if fresh or failure.human or began - self._at > STALE:
                        raise
                else:
                    self._at = began
        return self._seen.get(label_value(place), PlaceObjects())

    async def all(self, owner: str) -> Mapping[str, PlaceObjects]:
        """Those of all places, as they are now, by the places' labels. Raises `Failure`."""
        await self.of(owner, "", fresh=True)
        return self._seen

    async def _read(self, owner: str) -> dict[str, PlaceObjects]:
        ours = selector(owned(owner))
        kinds = ("deployments", "services", "pods")
        lists = await asyncio.gather(
            *(self._cluster.list(kind, labelSelector=ours) for kind in kinds)
        )
        probes = await self._probes() if any(map(_is_unready, lists[2][0])) else {}
        found: dict[str, dict[str, list[Manifest]]] = {}
        for kind, (items, _) in zip(kinds, lists, strict=True):
            for each in items:
                place = each["metadata"]["labels"].get(PLACE)
                if place is not None:
                    found.setdefault(place, {}).setdefault(kind, []).append(each)
        return {place: PlaceObjects(**of, probes=probes) for place, of in found.items()}

    async def _probes(self) -> dict[str, str]:
        """What the probes of pods last failed with."""
        events, _ = await self._cluster.list("events", fieldSelector="reason=Unhealthy")
        events.sort(key=lambda one: one.get("lastTimestamp") or one.get("eventTime") or "")
        return {
            one["involvedObject"]["name"]: str(one.get("message", ""))
            for one in events
            if str(one.get("message", "")).startswith("Readiness")
        }


def role_of(obj: Manifest) -> str | None:
    """What an object is for: `server` or `router`."""
    found = obj["metadata"]["labels"].get(ROLE)
    return None if found is None else str(found)


def _named(objects: Sequence[Manifest], name: str) -> Manifest | None:
    return next((one for one in objects if one["metadata"]["name"] == name), None)


def _is_unready(pod: Manifest) -> bool:
    """Whether it runs and is not ready."""
    status = pod.get("status", {})
    ready = any(
        c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ())
    )
    return status.get("phase") == "Running" and not ready
