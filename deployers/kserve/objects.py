"""The objects of an InferenceService in the cluster: read, written and deleted."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from deployers.kserve.manifests import SERVICE, inference_service, record, recorded, server_of
from deployers.kserve.naming import service_name
from deployers.kserve.predictors import OWNER, RUNTIME, runtime, secret, service_labels
from deployers.kserve.seen import Seen
from deployers.kubernetes.cluster import Manifest
from deployers.kubernetes.names import SERVER, label_value, selector
from deployers.kubernetes.place_cluster import PlaceCluster
from deployers.protocol import Server

_SERVICES: Final = "inferenceservices"


class KServeObjects:
    """The objects of places in one namespace."""

    def __init__(self, cluster: PlaceCluster) -> None:
        self._cluster = cluster

    def name(self, place: str) -> str:
        """The name of a place's InferenceService."""
        return service_name(self._cluster.known.owner, place)

    def is_ours(self, service: Manifest) -> bool:
        """Whether an InferenceService is this controller's."""
        labels = service["metadata"].get("labels") or {}
        return bool(labels.get(OWNER) == label_value(self._cluster.known.owner))

    async def look(self, place: str) -> Seen:
        """All that tells what runs."""
        name = self.name(place)
        service, noted = await asyncio.gather(
            self._cluster.reads.get(_SERVICES, name), self._cluster.reads.get("configmaps", name)
        )
        if service is None:
            return Seen(name=name)
        applied = recorded(noted)
        if self._cluster.known.kserve.mode == "Knative":
            of = f"serving.knative.dev/service={name}-predictor"
            revisions = await self._list("revisions", of)
            return Seen(name=name, service=service, applied=applied, revisions=revisions)
        of = f"{SERVICE}={name}"
        route, deployments, services, pods = await asyncio.gather(
            self._cluster.reads.get("httproutes", name),
            self._list("deployments", of),
            self._list("services", of),
            self._list("pods", of),
        )
        return Seen(
            name=name,
            service=service,
            applied=applied,
            route=route,
            deployments=deployments,
            services=services,
            pods=pods,
        )

    async def write(self, place: str, spec: Manifest, servers: Sequence[Server]) -> None:
        """Apply a specification, and before it what it refers to.

        It is noted first: if this ends in between, the note differs from what is, and it is
        applied again.
        """
        cluster, serving = self._cluster.writes(place), self._cluster.known
        namespace = serving.access.namespace
        for server in servers:
            hidden = secret(server, self._cluster.at(place))
            if hidden is not None:
                await cluster.apply("secrets", hidden)
        name, labels = self.name(place), service_labels(self._cluster.known.owner, place)
        if any(_runtime(each) == RUNTIME for each in _predictors(spec)):
            mine = {OWNER: labels[OWNER]}
            made = runtime(namespace, serving.image, mine)
            await cluster.apply("servingruntimes", made)
        await cluster.apply("configmaps", record(name, namespace, labels, spec))
        service = inference_service(name, namespace, serving.kserve.mode, labels, spec)
        await cluster.apply(_SERVICES, service)

    async def forget_secrets(self, place: str, spec: Manifest, servers: Sequence[Server]) -> None:
        """Delete the secrets of servers that neither run nor should."""
        kept = {server_of(each) for each in _predictors(spec)}
        kept |= {server.name for server in servers}
        labels = {label_value(name) for name in kept if name is not None}
        for each in await self._secrets(place):
            if each["metadata"]["labels"].get(SERVER) not in labels:
                await self._cluster.writes(place).delete("secrets", each["metadata"]["name"])

    async def end(self, place: str) -> None:
        """Delete the InferenceService, and with it what KServe made of it."""
        await self._cluster.writes(place).delete(
            _SERVICES, self.name(place), propagationPolicy="Background"
        )

    async def has_pods(self, place: str) -> bool:
        """Whether pods of it are left."""
        return bool(await self._list("pods", f"{SERVICE}={self.name(place)}"))

    async def remove(self, place: str) -> None:
        """Delete all of the place."""
        await self.end(place)
        await self._cluster.writes(place).delete("configmaps", self.name(place))
        for found in await self._secrets(place):
            await self._cluster.writes(place).delete("secrets", found["metadata"]["name"])

    async def _secrets(self, place: str) -> Sequence[Manifest]:
        return await self._list(
            "secrets", selector(service_labels(self._cluster.known.owner, place))
        )

    async def _list(self, kind: str, labels: str) -> Sequence[Manifest]:
        return (await self._cluster.reads.list(kind, labelSelector=labels))[0]


def _predictors(spec: Manifest) -> list[Manifest]:
    return [spec["predictor"], *(each["predictor"] for each in spec.get("canary") or ())]


def _runtime(predictor: Mapping[str, object]) -> object:
    model = predictor.get("model")
    return model.get("runtime") if isinstance(model, Mapping) else None
