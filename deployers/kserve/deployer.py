"""Deploy by KServe: write what should be, read what is."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from deployers.kserve import knative, standard
from deployers.kserve.manifests import (
    SERVICE,
    Arms,
    Mode,
    Predictor,
    inference_service,
    percent_of,
    record,
    recorded,
    server_of,
)
from deployers.kserve.naming import service_name
from deployers.kserve.predictors import (
    OWNER,
    as_it_runs,
    predictor,
    runtime,
    secret,
    service_labels,
)
from deployers.kserve.seen import Seen
from deployers.kubernetes.cluster import Cluster, Manifest
from deployers.kubernetes.names import SERVER, label_value, selector
from deployers.kubernetes.profile import ClusterProfile
from deployers.kubernetes.servers import ServingPlace
from deployers.protocol import Deployed, Desired, Server, Traffic
from specs.failures import NeedsHuman, TryAgain

_SERVICES: Final = "inferenceservices"
_LOOKS_TO_STOP: Final = 60
_BETWEEN: Final = 0.5
"""Seconds between these looks."""
_SOON: Final = 1.0
"""Seconds until it is looked again whether a canary has lost its traffic."""


@dataclass(frozen=True, kw_only=True)
class KServeSite:
    """Where, and as whom, InferenceServices are made."""

    owner: str
    """The identity of the controller's home."""
    namespace: str
    image: str
    """Headgate's own."""
    profiles: Mapping[str, ClusterProfile]
    mode: Mode = "Standard"


class KServeDeployer:
    """A `Deployer` by InferenceServices."""

    def __init__(self, cluster: Cluster, site: KServeSite, redact: Callable[[str], str]) -> None:
        self._cluster = cluster
        self._site = site
        self._redact = redact
        self._locks: dict[str, asyncio.Lock] = {}

    async def apply(self, place: str, desired: Desired) -> None:
        """Write the next specification on the way to what is desired."""
        async with self._locks.setdefault(place, asyncio.Lock()):
            if desired.stable is None:
                if desired.canary is not None:
                    raise NeedsHuman(f"{place}: KServe serves no canary without a stable version")
                await self._end(place)
                return
            seen = await self._look(place)
            self._check(place, seen)
            want = self._arms(place, desired, desired.stable, seen)
            for server in filter(None, (desired.stable, desired.canary)):
                await self._prepare(place, server)
            spec = (standard if self._site.mode == "Standard" else knative).plan(want, seen)
            await self._write(place, spec)
            await self._forget_secrets(place, desired, spec)
            await self._confirm(place, desired, spec)

    async def observe(self, place: str) -> Deployed:
        """What runs. Raises TryAgain while the cluster cannot be asked."""
        seen = await self._look(place)
        if seen.service is None:
            return Deployed()
        return self._read(seen)

    async def traffic(self, place: str, epoch: str | None, after: int) -> Traffic:
        """Nothing is counted without Prometheus."""
        raise TryAgain(f"{place}: no evidence is configured ({epoch}, {after})")

    async def stop(self, place: str) -> None:
        """Delete the InferenceService, whose address comes back with its name, and wait for it."""
        await self._end(place)
        for _ in range(_LOOKS_TO_STOP):
            if not await self._has_pods(place):
                return
            await asyncio.sleep(_BETWEEN)
        raise TryAgain(f"{place}: pods still run although the InferenceService is deleted")

    async def remove(self, place: str) -> None:
        """Delete all of the place."""
        name = service_name(self._site.owner, place)
        await self._end(place)
        await self._cluster.delete("configmaps", name)
        for found in await self._secrets(place):
            await self._cluster.delete("secrets", found["metadata"]["name"])

    async def reap(self) -> int:
        """Nothing: KServe removes what belongs to no InferenceService."""
        return 0

    async def forget_logs(self, _before: float) -> int:
        """Nothing: the cluster keeps the logs."""
        return 0

    async def close(self) -> None:
        """Close the connections to the cluster."""
        await self._cluster.close()

    async def _look(self, place: str) -> Seen:
        name = service_name(self._site.owner, place)
        service = await self._cluster.get(_SERVICES, name)
        if service is None:
            return Seen(name=name)
        noted = await self._cluster.get("configmaps", name)
        applied = recorded(noted)
        if self._site.mode == "Knative":
            of = f"serving.knative.dev/service={name}-predictor"
            return Seen(
                name=name,
                service=service,
                applied=applied,
                revisions=await self._list("revisions", of),
            )
        of = f"{SERVICE}={name}"
        return Seen(
            name=name,
            service=service,
            applied=applied,
            route=await self._cluster.get("httproutes", name),
            deployments=await self._list("deployments", of),
            services=await self._list("services", of),
            pods=await self._list("pods", of),
        )

    def _read(self, seen: Seen) -> Deployed:
        read = standard.deployed if self._site.mode == "Standard" else knative.deployed
        return read(seen, self._redact)

    async def _list(self, kind: str, labels: str) -> Sequence[Manifest]:
        return (await self._cluster.list(kind, labelSelector=labels))[0]

    def _check(self, place: str, seen: Seen) -> None:
        """Raises a failure if the InferenceService of that name is not as Headgate made it."""
        if seen.service is None:
            return
        meta = seen.service["metadata"]
        if (meta.get("labels") or {}).get(OWNER) != label_value(self._site.owner):
            raise NeedsHuman(
                f"{place}: the InferenceService {seen.name} in {self._site.namespace} is not this "
                "controller's; delete it, or give the controller another namespace"
            )
        if meta.get("deletionTimestamp"):
            raise TryAgain(f"{place}: the InferenceService {seen.name} is still being deleted")
        if seen.mode not in (None, self._site.mode):
            pipeline = place.partition("/")[0]
            raise NeedsHuman(
                f"{place}: KServe runs the InferenceService {seen.name} in {seen.mode} mode, and "
                f"`kubernetes.serving.kserve.mode` says {self._site.mode}: correct the setting, "
                f"or, with an interruption, `headgate down {pipeline}` and `headgate up`"
            )

    def _at(self, place: str) -> ServingPlace:
        site = self._site
        return ServingPlace(
            owner=site.owner,
            place=place,
            namespace=site.namespace,
            image=site.image,
            profiles=site.profiles,
        )

    def _arms(self, place: str, desired: Desired, stable: Server, seen: Seen) -> Arms:
        canary = desired.canary
        return Arms(
            stable=self._predictor(place, stable, seen),
            canary=self._predictor(place, canary, seen) if canary is not None else None,
            percent=percent_of(desired.canary_weight),
        )

    def _predictor(self, place: str, server: Server, seen: Seen) -> Predictor:
        made = predictor(server, self._at(place), self._site.mode)
        every = (seen.predictor, *(each["predictor"] for each in seen.spec.get("canary") or ()))
        live = next((each for each in every if server_of(each) == server.name), None)
        return as_it_runs(made, live, self._site.image) if live is not None else made

    async def _prepare(self, place: str, server: Server) -> None:
        """Make what a predictor refers to."""
        hidden = secret(server, self._at(place))
        if hidden is not None:
            await self._cluster.apply("secrets", hidden)

    async def _write(self, place: str, spec: Manifest) -> None:
        """Noted first: if it ends in between, the note differs from what is, and it is applied
        again."""
        site = self._site
        name, labels = service_name(site.owner, place), service_labels(site.owner, place)
        if site.mode == "Standard":
            mine = {OWNER: labels[OWNER]}
            await self._cluster.apply("servingruntimes", runtime(site.namespace, site.image, mine))
        await self._cluster.apply("configmaps", record(name, site.namespace, labels, spec))
        await self._cluster.apply(
            _SERVICES, inference_service(name, site.namespace, site.mode, labels, spec)
        )

    async def _confirm(self, place: str, desired: Desired, spec: Manifest) -> None:
        """Look whether the cluster took it, and whether a canary that should have no traffic, or
        some, has it. Raises a failure if not."""
        seen = await self._look(place)
        if spec.get("canary") and not seen.spec.get("canary"):
            raise NeedsHuman(
                f"{place}: this KServe knows no `spec.canary`: install 0.21 or later, or set "
                "`kubernetes.serving.kserve.mode: Knative` if Knative is installed"
            )
        if self._site.mode == "Standard" and standard.is_unrouted(seen):
            raise TryAgain(f"{place}: the canary is ready, but {standard.NOT_SPLIT}", human=True)
        if desired.canary_weight or desired.stable is None:
            return
        left = self._read(seen)
        if left.canary_weight and left.canary != desired.stable.name:
            raise TryAgain(
                f"{place}: the canary still has {left.canary_weight:.0%} of the traffic instead "
                "of none",
                after=_SOON,
            )

    async def _forget_secrets(self, place: str, desired: Desired, spec: Manifest) -> None:
        """Delete the secrets of servers that neither run nor should."""
        found = await self._secrets(place)
        if not found:
            return
        every = (spec["predictor"], *(each["predictor"] for each in spec.get("canary") or ()))
        kept = {server_of(each) for each in every}
        kept |= {server.name for server in (desired.stable, desired.canary) if server}
        labels = {label_value(name) for name in kept if name is not None}
        for each in found:
            if each["metadata"]["labels"].get(SERVER) not in labels:
                await self._cluster.delete("secrets", each["metadata"]["name"])

    async def _secrets(self, place: str) -> Sequence[Manifest]:
        return await self._list("secrets", selector(service_labels(self._site.owner, place)))

    async def _end(self, place: str) -> None:
        name = service_name(self._site.owner, place)
        await self._cluster.delete(_SERVICES, name, propagationPolicy="Background")

    async def _has_pods(self, place: str) -> bool:
        name = service_name(self._site.owner, place)
        return bool(await self._list("pods", f"{SERVICE}={name}"))
