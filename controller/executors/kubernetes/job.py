"""PURE. The Job of an attempt, and what belongs to it, as manifests.

The pod has three containers, one after the other: `fetch` (an init container with our image) writes
the step's files and inputs, `step` (an init container with the user's image) runs the command, and
`collect` (our image again) stores the outputs. So the pod's status tells apart what failed, nothing
of ours is in the user's image, and the step never sees the credentials of the store.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple

from controller.config.kubernetes import ClusterProfile, KubernetesSettings
from controller.executors.kubernetes.names import (
    ATTEMPT,
    COLLECT,
    FETCH,
    MANAGED_BY,
    NETWORK,
    POLICY,
    QUEUE,
    RUN,
    job_name,
    labels,
)
from controller.machine.runs.attempt import Attempt
from deployers.kubernetes.cluster import Manifest

STEP: Final = PurePosixPath("/headgate/step")
"""The attempt's folder, as the step sees it."""
WHOLE: Final = PurePosixPath("/headgate/whole")
"""The volume, as our own containers see it: that folder is `step` in it."""
PLAN, STORE = "HEADGATE_PLAN", "HEADGATE_STORE"
"""The variables that tell our containers what to do, and where the artifact store is."""
GRACE_SECONDS: Final = 30
"""The most that a step has to end once it is asked to."""
TIME_TO_LIVE: Final = 86_400
"""Seconds for which a Job that ended is kept if no controller takes note of it."""
TRANSFER_SECONDS: Final = 6 * 3600
"""How long inputs and outputs may take altogether, at the most."""
_OWN_LIMITS: Final = {"memory": "2Gi"}
_OWN_REQUESTS: Final = {"cpu": "100m", "memory": "256Mi"}


class StepCommand(NamedTuple):
    """What the step's container runs."""

    argv: Sequence[str]
    folder: str
    environment: Mapping[str, str]
    """Without secrets."""


class TransferCommand(NamedTuple):
    """What our containers are told."""

    plan: str
    """The digest of the plan, which is an artifact."""
    store: str
    """The artifact store, as `plan.StoreAccess` in JSON."""


def job_of(
    attempt: Attempt,
    step: StepCommand,
    transfer: TransferCommand,
    settings: KubernetesSettings,
    owner: str,
) -> Manifest:
    """The Job. The profile that the attempt names must be set."""
    profile = settings.profile(attempt.profile)
    assert profile is not None
    named = labels(owner, attempt)
    queue = attempt.queue or profile.queue
    spec = {
        "backoffLimit": 0,
        "completions": 1,
        "parallelism": 1,
        "activeDeadlineSeconds": deadline_of(attempt, profile),
        "ttlSecondsAfterFinished": TIME_TO_LIVE,
        **({"suspend": True} if queue else {}),
        "template": pod_template_of(attempt, step, transfer, settings, owner),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(owner, attempt.id),
            "namespace": settings.namespace,
            "labels": {**named, **({QUEUE: queue} if queue else {})},
            "annotations": {ATTEMPT: attempt.id},
        },
        "spec": spec,
    }


def deadline_of(attempt: Attempt, profile: ClusterProfile) -> int:
    """Seconds after which the cluster ends it. This controller ends it at its timeout; this is for
    the time when there is none."""
    return math.ceil(attempt.timeout + profile.start_deadline.total_seconds()) + TRANSFER_SECONDS


def pod_template_of(
    attempt: Attempt,
    step: StepCommand,
    transfer: TransferCommand,
    settings: KubernetesSettings,
    owner: str,
) -> Manifest:
    """The pod of a Job, as a template."""
    profile = settings.profile(attempt.profile)
    assert profile is not None
    return {
        "metadata": {
            "labels": {**labels(owner, attempt), NETWORK: "open" if attempt.network else "none"},
            "annotations": {**_annotations(profile), ATTEMPT: attempt.id},
        },
        "spec": _pod(attempt, step, transfer, settings, profile, owner),
    }


def secret_of(attempt: Attempt, values: Mapping[str, str], namespace: str, owner: str) -> Manifest:
    """The Secret with the values that the step asked for; it is to belong to the Job."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": job_name(owner, attempt.id),
            "namespace": namespace,
            "labels": labels(owner, attempt),
        },
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in values.items()},
    }


def owned_by(job: Mapping[str, Any]) -> Manifest:
    """What makes an object belong to a Job or TrainJob, so that it is deleted with it."""
    of = job["metadata"]
    kind = {name: job[name] for name in ("apiVersion", "kind")}
    reference = {**kind, "name": of["name"], "uid": of["uid"]}
    return {"metadata": {"ownerReferences": [{**reference, "blockOwnerDeletion": False}]}}


def network_policy(settings: KubernetesSettings) -> Manifest:
    """What keeps the pods of steps that do not ask for the network off it: they reach the artifact
    store and names, and nothing reaches them. One for the namespace, for all controllers."""
    dns = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    names = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    stores = [_egress(each) for each in settings.store_networks]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": POLICY,
            "namespace": settings.namespace,
            "labels": {MANAGED_BY: "headgate"},
        },
        "spec": {
            "podSelector": {"matchLabels": {MANAGED_BY: "headgate", NETWORK: "none"}},
            "policyTypes": ["Ingress", "Egress"],
            "egress": [{"to": [dns], "ports": names}, *stores],
        },
    }


def _egress(network: str) -> Manifest:
    address, _, port = network.rpartition(":") if network.count(":") == 1 else (network, "", "")
    rule: Manifest = {"to": [{"ipBlock": {"cidr": _cidr(address)}}]}
    return {**rule, "ports": [{"protocol": "TCP", "port": int(port)}]} if port else rule


def _cidr(address: str) -> str:
    if "/" in address:
        return address
    return f"{address}/{128 if ':' in address else 32}"


def _annotations(profile: ClusterProfile) -> dict[str, str]:
    # The identity of an EKS service account is for our containers, and not for the step.
    return {"eks.amazonaws.com/skip-containers": RUN, **profile.annotations}


def _pod(
    attempt: Attempt,
    step: StepCommand,
    transfer: TransferCommand,
    settings: KubernetesSettings,
    profile: ClusterProfile,
    owner: str,
) -> Manifest:
    own = [_own_container(name, transfer, settings, profile) for name in (FETCH, COLLECT)]
    placed = {
        "nodeSelector": dict(profile.node_selector),
        "tolerations": [t.model_dump(exclude_none=True) for t in profile.tolerations],
        "priorityClassName": profile.priority_class,
        "runtimeClassName": profile.runtime_class,
        "serviceAccountName": profile.service_account,
        "imagePullSecrets": [{"name": name} for name in profile.image_pull_secrets],
    }
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "automountServiceAccountToken": profile.token,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": profile.user,
            "runAsGroup": profile.user,
            "fsGroup": profile.user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **{key: value for key, value in placed.items() if value},
        "initContainers": [own[0], _step_container(attempt, step, profile, owner)],
        "containers": [own[1]],
        "volumes": [
            {"name": "work", "emptyDir": _bounded(profile)},
            {"name": "tmp", "emptyDir": _bounded(profile)},
            *(_volume(name, each.claim, each.source) for name, each in profile.volumes.items()),
        ],
    }


def _bounded(profile: ClusterProfile) -> Manifest:
    return {} if profile.disk is None else {"sizeLimit": str(profile.disk)}


def _volume(name: str, claim: str | None, source: Mapping[str, Any] | None) -> Manifest:
    if claim is not None:
        return {"name": _volume_name(name), "persistentVolumeClaim": {"claimName": claim}}
    return {"name": _volume_name(name), **(source or {})}


def _volume_name(name: str) -> str:
    return f"own-{name.lower().replace('_', '-')}"


def _own_container(
    name: str, transfer: TransferCommand, settings: KubernetesSettings, profile: ClusterProfile
) -> Manifest:
    secret = profile.store_secret
    told = {
        PLAN: transfer.plan,
        STORE: transfer.store,
        "HOME": "/tmp",  # noqa: S108 - in the pod, where it is a volume of its own
    }
    return {
        "name": name,
        "image": settings.image,
        # -P: nothing is imported from the working directory.
        "command": ["python", "-P", "-m", f"controller.executors.kubernetes.{name}"],
        "env": _variables(told),
        **({"envFrom": [{"secretRef": {"name": secret}}]} if secret else {}),
        "resources": {"requests": _OWN_REQUESTS, "limits": _OWN_LIMITS},
        "securityContext": _confined(),
        "volumeMounts": [
            {"name": "work", "mountPath": str(WHOLE)},
            {"name": "tmp", "mountPath": "/tmp", "subPath": name},  # noqa: S108 - as above
        ],
    }


def _step_container(
    attempt: Attempt, step: StepCommand, profile: ClusterProfile, owner: str
) -> Manifest:
    secret = job_name(owner, attempt.id)
    revealed = [
        {"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
        for key in attempt.secrets
    ]
    plain = {k: text for k, text in step.environment.items() if k not in attempt.secrets}
    return {
        "name": RUN,
        "image": attempt.image,
        "command": [_literal(word) for word in step.argv],
        "workingDir": step.folder,
        "env": [*_variables(plain), *revealed],
        "resources": resources_of(attempt, profile),
        "securityContext": _confined(),
        "volumeMounts": [
            {"name": "work", "mountPath": str(STEP), "subPath": STEP.name},
            {
                "name": "work",
                "mountPath": f"{STEP}/inputs",
                "subPath": f"{STEP.name}/inputs",
                "readOnly": True,
            },
            {"name": "tmp", "mountPath": "/tmp", "subPath": RUN},  # noqa: S108 - as above
            *(
                {
                    "name": _volume_name(name),
                    "mountPath": each.path,
                    "readOnly": not each.writable,
                }
                for name, each in profile.volumes.items()
            ),
        ],
    }


def resources_of(attempt: Attempt, profile: ClusterProfile) -> Manifest:
    """What the step's container is given."""
    cpu, memory = attempt.cpu or profile.cpu, attempt.memory or profile.memory
    devices = {**profile.devices, **attempt.devices}
    if attempt.gpu is not None:
        devices[profile.gpu] = attempt.gpu
    requests = {
        **({"cpu": f"{round(cpu * 1000)}m"} if cpu else {}),
        **({"memory": str(memory)} if memory else {}),
    }
    own = {"cpu": requests["cpu"]} if attempt.cpu and "cpu" in requests else {}
    limits = {
        **own,
        **({"memory": requests["memory"]} if memory else {}),
        **{name: str(count) for name, count in devices.items() if count},
    }
    asked = {**requests, **{name: str(count) for name, count in devices.items() if count}}
    return {
        **({"requests": asked} if asked else {}),
        **({"limits": limits} if limits else {}),
    }


def _confined() -> Manifest:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _variables(values: Mapping[str, str]) -> list[Manifest]:
    return [{"name": name, "value": _literal(text)} for name, text in values.items()]


def _literal(text: str) -> str:
    """The text so that the kubelet does not put a variable's value for `$(NAME)` in it."""
    return text.replace("$", "$$")


def is_of(job: Mapping[str, Any], attempt: Attempt) -> bool:
    """Whether a Job that has the attempt's name is the attempt's."""
    return bool(job["metadata"].get("annotations", {}).get(ATTEMPT) == attempt.id)
