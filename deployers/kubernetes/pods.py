"""PURE. What pods of steps and of model servers have in common, as manifests."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from deployers.kubernetes.cluster import Manifest
from deployers.kubernetes.profile import ClusterProfile

WHOLE: Final = PurePosixPath("/headgate/whole")
"""The volume `work`, as our own containers see it."""
FETCHED: Final = "step"
"""The folder of that volume with what was fetched for the user's container."""
FETCH: Final = "fetch"
"""The container that fetches."""
PLAN, STORE = "HEADGATE_PLAN", "HEADGATE_STORE"
"""The variables that tell our containers what to do, and where the artifact store is."""
_OWN_LIMITS: Final = {"memory": "2Gi"}
_OWN_REQUESTS: Final = {"cpu": "100m", "memory": "256Mi"}


def placed(profile: ClusterProfile) -> Manifest:
    """The part of a pod's spec that says where it runs, and as whom."""
    where = {
        "nodeSelector": dict(profile.node_selector),
        "tolerations": [t.model_dump(exclude_none=True) for t in profile.tolerations],
        "priorityClassName": profile.priority_class,
        "runtimeClassName": profile.runtime_class,
        "serviceAccountName": profile.service_account,
        "imagePullSecrets": [{"name": name} for name in profile.image_pull_secrets],
    }
    return {
        "automountServiceAccountToken": profile.token,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": profile.user,
            "runAsGroup": profile.user,
            "fsGroup": profile.user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **{key: value for key, value in where.items() if value},
    }


def annotations(profile: ClusterProfile, user_container: str) -> dict[str, str]:
    """The annotations of a pod. The identity of an EKS service account is for our containers, and
    not for the user's."""
    return {"eks.amazonaws.com/skip-containers": user_container, **profile.annotations}


def volumes(profile: ClusterProfile) -> list[Manifest]:
    """The volumes of a pod: `work`, `tmp`, and the profile's."""
    own = (_volume(name, each.claim, each.source) for name, each in profile.volumes.items())
    return [
        {"name": "work", "emptyDir": _bounded(profile)},
        {"name": "tmp", "emptyDir": _bounded(profile)},
        *own,
    ]


def mounts(profile: ClusterProfile) -> list[Manifest]:
    """The profile's volumes, in the user's container."""
    return [
        {"name": _volume_name(name), "mountPath": each.path, "readOnly": not each.writable}
        for name, each in profile.volumes.items()
    ]


def scratch(container: str) -> Manifest:
    """The folder for temporary files of a container."""
    return {"name": "tmp", "mountPath": "/tmp", "subPath": container}  # noqa: S108 - in the pod


def own_container(
    name: str,
    command: Sequence[str],
    told: Mapping[str, str],
    image: str,
    profile: ClusterProfile,
) -> Manifest:
    """A container of ours, which has the credentials of the artifact store."""
    secret = profile.store_secret
    home = {"HOME": "/tmp"}  # noqa: S108 - in the pod, where it is a volume of its own
    return {
        "name": name,
        "image": image,
        "command": list(command),
        "env": variables({**told, **home}),
        **({"envFrom": [{"secretRef": {"name": secret}}]} if secret else {}),
        "resources": {"requests": _OWN_REQUESTS, "limits": _OWN_LIMITS},
        "securityContext": confined(),
        "volumeMounts": [{"name": "work", "mountPath": str(WHOLE)}, scratch(name)],
    }


def resources(
    profile: ClusterProfile,
    *,
    cpu: float | None,
    memory: int | None,
    gpu: int | None,
    devices: Mapping[str, int],
) -> Manifest:
    """What a container may use; what is None is as the profile says."""
    asked_cpu, asked_memory = cpu or profile.cpu, memory or profile.memory
    extended = {**profile.devices, **devices}
    if gpu is not None:
        extended[profile.gpu] = gpu
    counted = {name: str(count) for name, count in extended.items() if count}
    requests = {
        **({"cpu": f"{round(asked_cpu * 1000)}m"} if asked_cpu else {}),
        **({"memory": str(asked_memory)} if asked_memory else {}),
        **counted,
    }
    limits = {
        **({"cpu": requests["cpu"]} if cpu and "cpu" in requests else {}),
        **({"memory": requests["memory"]} if asked_memory else {}),
        **counted,
    }
    return {
        **({"requests": requests} if requests else {}),
        **({"limits": limits} if limits else {}),
    }


def confined() -> Manifest:
    """What keeps a container from what it does not need."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    }


def variables(values: Mapping[str, str]) -> list[Manifest]:
    """Environment variables."""
    return [{"name": name, "value": literal(text)} for name, text in values.items()]


def secret_variables(secret: str, names: Sequence[str]) -> list[Manifest]:
    """Environment variables whose values a Secret has."""
    return [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}}
        for name in names
    ]


def literal(text: str) -> str:
    """The text so that the kubelet does not put a variable's value for `$(NAME)` in it."""
    return text.replace("$", "$$")


def _bounded(profile: ClusterProfile) -> Manifest:
    return {} if profile.disk is None else {"sizeLimit": str(profile.disk)}


def _volume(name: str, claim: str | None, source: Mapping[str, Any] | None) -> Manifest:
    if claim is not None:
        return {"name": _volume_name(name), "persistentVolumeClaim": {"claimName": claim}}
    return {"name": _volume_name(name), **(source or {})}


def _volume_name(name: str) -> str:
    return f"own-{name.lower().replace('_', '-')}"
