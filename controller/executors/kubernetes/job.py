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

from controller.config.kubernetes import KubernetesSettings
from controller.executors.kubernetes.names import (
    ATTEMPT,
    COLLECT,
    CONTENT,
    NETWORK,
    POLICY,
    QUEUE,
    RUN,
    job_name,
    labels,
)
from controller.machine.runs.attempt import Attempt
from deployers.kubernetes import pods
from deployers.kubernetes.cluster import Manifest
from deployers.kubernetes.names import MANAGED_BY
from deployers.kubernetes.pods import FETCH, FETCHED, PLAN, STORE
from deployers.kubernetes.profile import ClusterProfile
from specs.digests import digest

STEP: Final = PurePosixPath("/headgate") / FETCHED
"""The attempt's folder, as the step sees it."""
GRACE_SECONDS: Final = 30
"""The most that a step has to end once it is asked to."""
TIME_TO_LIVE: Final = 86_400
"""Seconds for which a Job that ended is kept if no controller takes note of it."""
TRANSFER_SECONDS: Final = 6 * 3600
"""How long inputs and outputs may take altogether, at the most."""


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
            "annotations": annotations_of(attempt),
        },
        "spec": spec,
    }


def annotations_of(attempt: Attempt) -> dict[str, str]:
    """What says which attempt a Job is of; see `is_of`."""
    return {ATTEMPT: attempt.id, CONTENT: _content(attempt)}


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
            "annotations": {**pods.annotations(profile, RUN), ATTEMPT: attempt.id},
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
            "annotations": {ATTEMPT: attempt.id},
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


def _pod(
    attempt: Attempt,
    step: StepCommand,
    transfer: TransferCommand,
    settings: KubernetesSettings,
    profile: ClusterProfile,
    owner: str,
) -> Manifest:
    own = [_own_container(name, transfer, settings, profile) for name in (FETCH, COLLECT)]
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        **pods.placed(profile),
        "initContainers": [own[0], _step_container(attempt, step, profile, owner)],
        "containers": [own[1]],
        "volumes": pods.volumes(profile),
    }


def _own_container(
    name: str, transfer: TransferCommand, settings: KubernetesSettings, profile: ClusterProfile
) -> Manifest:
    # -P: nothing is imported from the working directory.
    command = ("python", "-P", "-m", f"controller.executors.kubernetes.{name}")
    told = {PLAN: transfer.plan, STORE: transfer.store}
    return pods.own_container(name, command, told, settings.image, profile)


def _step_container(
    attempt: Attempt, step: StepCommand, profile: ClusterProfile, owner: str
) -> Manifest:
    revealed = pods.secret_variables(job_name(owner, attempt.id), attempt.secrets)
    plain = {k: text for k, text in step.environment.items() if k not in attempt.secrets}
    return {
        "name": RUN,
        "image": attempt.image,
        "command": [pods.literal(word) for word in step.argv],
        "workingDir": step.folder,
        "env": [*pods.variables(plain), *revealed],
        "resources": resources_of(attempt, profile),
        "securityContext": pods.confined(),
        "volumeMounts": [
            {"name": "work", "mountPath": str(STEP), "subPath": STEP.name},
            {
                "name": "work",
                "mountPath": f"{STEP}/inputs",
                "subPath": f"{STEP.name}/inputs",
                "readOnly": True,
            },
            pods.scratch(RUN),
            *pods.mounts(profile),
        ],
    }


def resources_of(attempt: Attempt, profile: ClusterProfile) -> Manifest:
    """What the step's container is given."""
    return pods.resources(
        profile,
        cpu=attempt.cpu,
        memory=attempt.memory,
        gpu=attempt.gpu,
        devices=attempt.devices,
    )


def is_of(job: Mapping[str, Any], attempt: Attempt) -> bool:
    """Whether a Job that has the attempt's name is the attempt's, and not one of a run that had the
    same number before the state was lost. One of an older controller does not say."""
    told = job["metadata"].get("annotations", {})
    content = _content(attempt)
    return bool(told.get(ATTEMPT) == attempt.id and told.get(CONTENT, content) == content)


def _content(attempt: Attempt) -> str:
    about = (attempt.at, attempt.repository, attempt.commit, attempt.command)
    return digest([*about])[7:39]
