"""PURE. A model server on a cluster, as manifests: a Deployment, its Service, and its Secret.

A pod has an init container with Headgate's image that writes model and code, and one with the
user's image that runs the server. All names are derived from owner, place and server, so that
whoever looks for a server finds it, and nobody else's.
"""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from deployers.kubernetes import pods
from deployers.kubernetes.cluster import Manifest
from deployers.kubernetes.names import (
    OWNER,
    PLACE,
    ROLE,
    SERVER,
    label_value,
    object_name,
    place_labels,
)
from deployers.kubernetes.pods import FETCH, FETCHED, PLAN, STORE
from deployers.kubernetes.profile import ClusterProfile, profile_named
from deployers.kubernetes.settings import PORT
from deployers.protocol import Server, Shipment
from specs.digests import digest
from specs.failures import NeedsHuman
from specs.references import TemplateError, render, render_env

RUN: Final = "server"
"""The container with the user's image."""
HERE: Final = PurePosixPath("/headgate/server")
"""Where it finds what was fetched, read-only."""
FORM: Final = "headgate.dev/form"
"""The annotation with a digest of what was applied. What is as it was is not applied again, and
another version of Headgate's own image alone restarts no server."""
PATIENCE: Final = "headgate.dev/patience"
"""The annotation with the seconds that the server may be silent, and until its first answer."""
DRAIN: Final = 5
"""Seconds, beyond `answer_within`, that the requests in flight of a server that ends may take."""
_HOST: Final = "HEADGATE_HOST"
"""The variable with the pod's address: a server listens there, and not on all addresses, as on a
cluster with IPv6 only it could not know which these are."""
_PROBE_SECONDS: Final = 2


class ServingPlace(NamedTuple):
    """Where a server runs, and what is the same for all servers there."""

    owner: str
    """The identity of the controller's home."""
    place: str
    namespace: str
    image: str
    """Headgate's own."""
    profiles: Mapping[str, ClusterProfile]

    def labels(self, server: str) -> dict[str, str]:
        """The labels of all that is made for the server of that name."""
        return {**place_labels(self.owner, self.place), SERVER: label_value(server), ROLE: "server"}

    def name(self, server: str) -> str:
        """The name of its objects."""
        return object_name(self.owner, self.place, server)

    def profile(self, server: Server) -> ClusterProfile:
        """The server's profile. Raises NeedsHuman if the settings do not have it."""
        found = profile_named(self.profiles, server.profile)
        if found is None:
            known = ", ".join(sorted(self.profiles)) or "none"
            raise NeedsHuman(
                f"there is no profile {server.profile} in `kubernetes.profiles` of the settings "
                f"(there is: {known}); name one of these in `release.serve`, or have it added"
            )
        return found


def deployment(server: Server, at: ServingPlace) -> Manifest:
    """The server's Deployment. Raises NeedsHuman if it cannot run there."""
    profile, labels = at.profile(server), at.labels(server.name)
    chosen = {key: labels[key] for key in (OWNER, PLACE, SERVER, ROLE)}
    said = {PLACE: at.place, SERVER: server.name}
    return formed(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": at.name(server.name),
                "namespace": at.namespace,
                "labels": labels,
                "annotations": {**said, PATIENCE: f"{server.hung_after:g} {server.startup:g}"},
            },
            "spec": {
                "replicas": server.replicas,
                "selector": {"matchLabels": chosen},
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
                },
                "progressDeadlineSeconds": max(1, math.ceil(server.startup)),
                "revisionHistoryLimit": 1,
                "template": {
                    "metadata": {
                        "labels": labels,
                        "annotations": {**pods.annotations(profile, RUN), **said},
                    },
                    "spec": _pod(server, at, profile),
                },
            },
        },
        at.image,
    )


def service(server: Server, at: ServingPlace) -> Manifest:
    """The Service by which the router, and smoke requests, reach the server."""
    labels = at.labels(server.name)
    made = service_of(
        at.name(server.name),
        at.namespace,
        labels,
        {key: labels[key] for key in (OWNER, PLACE, SERVER, ROLE)},
        {"http": (PORT, PORT)},
    )
    made["metadata"]["annotations"] = {PLACE: at.place, SERVER: server.name}
    return formed(made)


def service_of(
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    chosen: Mapping[str, str],
    ports: Mapping[str, tuple[int, int]],
) -> Manifest:
    """A Service of pods with the labels `chosen`. `ports` has its port and that of the pods, by
    name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": {
            "type": "ClusterIP",
            "selector": dict(chosen),
            "ports": [
                {"name": each, "protocol": "TCP", "port": port, "targetPort": target}
                for each, (port, target) in ports.items()
            ],
        },
    }


def secret(server: Server, at: ServingPlace, owner: Manifest) -> Manifest | None:
    """The Secret with the values of the server's secrets; None if it has none. It is deleted with
    `owner`, the Deployment."""
    if not server.secrets:
        return None
    values = {name: server.environment[name] for name in server.secrets}
    return secret_of(at.name(server.name), at.namespace, at.labels(server.name), values, owner)


def secret_of(
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    values: Mapping[str, str],
    owner: Manifest | None = None,
) -> Manifest:
    """A Secret, which belongs to the Deployment `owner` if there is one."""
    metadata: Manifest = {"name": name, "namespace": namespace, "labels": dict(labels)}
    if owner is not None:
        of = {"apiVersion": "apps/v1", "kind": "Deployment", "name": owner["metadata"]["name"]}
        reference = {**of, "uid": owner["metadata"]["uid"], "blockOwnerDeletion": False}
        metadata["ownerReferences"] = [reference]
    data = {key: base64.b64encode(text.encode()).decode() for key, text in values.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": metadata,
        "data": data,
    }


def formed(manifest: Manifest, own_image: str = "") -> Manifest:
    """The manifest with a digest of itself, in which Headgate's own image does not count."""
    about = digest(json.dumps(_without(manifest, own_image), sort_keys=True).encode())
    metadata = manifest["metadata"]
    said = {**metadata.get("annotations", {}), FORM: about}
    return {**manifest, "metadata": {**metadata, "annotations": said}}


def is_as(manifest: Manifest, live: Manifest) -> bool:
    """Whether a live object is what was applied of the same manifest."""
    wanted = manifest["metadata"]["annotations"][FORM]
    return bool((live["metadata"].get("annotations") or {}).get(FORM) == wanted)


def _without(part: object, image: str) -> object:
    if isinstance(part, Mapping):
        return {
            key: _without(each, image)
            for key, each in part.items()
            if not (key == "image" and each == image and part.get("name") == FETCH)
        }
    return [_without(each, image) for each in part] if isinstance(part, list) else part


def _pod(server: Server, at: ServingPlace, profile: ClusterProfile) -> Manifest:
    shipment = server.shipment
    if shipment is None:
        raise NeedsHuman(
            f"server {server.name}: pods reach no artifact store: set `artifacts` in "
            "headgate.yaml to s3://, gs:// or az:// with a prefix"
        )
    told = {PLAN: shipment.plan, STORE: shipment.store}
    return {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": math.ceil(server.bounds.answer_within) + DRAIN,
        **pods.placed(profile),
        **({"topologySpreadConstraints": [_spread(at, server)]} if server.replicas > 1 else {}),
        "initContainers": [
            pods.own_container(FETCH, shipment.command, told, at.image, profile),
        ],
        "containers": [_container(server, shipment, at, profile)],
        "volumes": pods.volumes(profile),
    }


def _spread(at: ServingPlace, server: Server) -> Manifest:
    """Replicas on several nodes, where there are some."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {SERVER: at.labels(server.name)[SERVER]}},
    }


def _container(
    server: Server, shipment: Shipment, at: ServingPlace, profile: ClusterProfile
) -> Manifest:
    if server.image is None:
        raise NeedsHuman(f"server {server.name} has no image: add `environment.image`")
    values = {
        **{f"params.{name}": value for name, value in server.params.items()},
        "model": str(HERE / shipment.model),
        "root": str(HERE / shipment.root),
        "host": f"$({_HOST})",
        "port": str(PORT),
    }
    return {
        "name": RUN,
        "image": server.image,
        "command": _argv(server, values),
        "workingDir": str(HERE / shipment.folder),
        "env": _variables(server, values, at),
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": {
            "httpGet": {"path": server.ready, "port": PORT, "scheme": "HTTP"},
            "periodSeconds": _PROBE_SECONDS,
            "timeoutSeconds": _PROBE_SECONDS,
            "failureThreshold": 3,
            "successThreshold": 1,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": pods.resources(
            profile,
            cpu=server.resources.cpu,
            memory=server.resources.memory,
            gpu=server.resources.gpu,
            devices=server.resources.devices,
        ),
        "securityContext": pods.confined(),
        "volumeMounts": [
            {"name": "work", "mountPath": str(HERE), "subPath": FETCHED, "readOnly": True},
            pods.scratch(RUN),
            *pods.mounts(profile),
        ],
    }


def _argv(server: Server, values: Mapping[str, str]) -> list[str]:
    try:
        return [_literal(word) for word in render(server.run, values)]
    except TemplateError as error:
        raise NeedsHuman(f"server {server.name}: {error}") from error


def _variables(server: Server, values: Mapping[str, str], at: ServingPlace) -> Sequence[Manifest]:
    filled = {
        name: _literal(text)
        for name, text in render_env(server.templates, values).items()
        if name not in server.secrets
    }
    plain = {
        name: pods.literal(text)
        for name, text in server.environment.items()
        if name not in server.secrets and name not in filled
    }
    scratch = {"HOME": "/tmp", "TMPDIR": "/tmp"}  # noqa: S108 - in the pod, a volume of its own
    return [
        {"name": _HOST, "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        *({"name": name, "value": text} for name, text in {**scratch, **plain, **filled}.items()),
        *pods.secret_variables(at.name(server.name), server.secrets),
    ]


def _literal(text: str) -> str:
    """The text so that the kubelet puts in the pod's address, and nothing else."""
    return pods.literal(text).replace(f"$$({_HOST})", f"$({_HOST})")
