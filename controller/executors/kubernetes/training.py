"""PURE. The TrainJob of an attempt that runs on several nodes at once, and what belongs to it.

Kubeflow Trainer makes the pods, by a runtime: a template in which the platform team says how nodes
find each other. A TrainJob may change little of it, so an attempt has a TrainingRuntime of its own:
a copy of the one that the step names, with our containers in it. In each pod `fetch` writes the
inputs; `node`, as Trainer calls it, is the user's image and runs the command; and `collect` is a
sidecar, which the kubelet asks to end once `node` has: the first node's stores the outputs.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from controller.config.kubernetes import KubernetesSettings
from controller.executors.kubernetes.job import annotations_of, deadline_of, resources_of
from controller.executors.kubernetes.names import (
    ATTEMPT,
    BESIDE,
    NODE,
    QUEUE,
    READY,
    job_name,
    labels,
)
from controller.machine.runs.attempt import Attempt
from deployers.kubernetes.cluster import Manifest
from specs.failures import NeedsHuman

VERSION: Final = "trainer.kubeflow.org/v1alpha1"
ANCESTOR: Final = "trainer.kubeflow.org/trainjob-ancestor-step"
"""The label by which Trainer knows the pods that train."""
INITIALIZERS: Final = ("dataset-initializer", "model-initializer")
OUTPUT_SECONDS: Final = 3600
"""How long storing the outputs may take, at the most: pods are given it to end."""
START_SECONDS: Final = 600
"""How long `collect` may take to start, at the most."""


def train_job_of(attempt: Attempt, settings: KubernetesSettings, owner: str) -> Manifest:
    """The TrainJob. Its runtime has the same name, and must be there before."""
    profile = settings.profile(attempt.profile)
    assert profile is not None
    assert attempt.train is not None
    resources = resources_of(attempt, profile)
    queue = attempt.queue or profile.queue
    name = job_name(owner, attempt.id)
    return {
        "apiVersion": VERSION,
        "kind": "TrainJob",
        "metadata": {
            "name": name,
            "namespace": settings.namespace,
            "labels": {**labels(owner, attempt), **({QUEUE: queue} if queue else {})},
            "annotations": annotations_of(attempt),
        },
        "spec": {
            "runtimeRef": {"kind": "TrainingRuntime", "name": name},
            "trainer": {
                "numNodes": attempt.train.nodes,
                # Of these, Trainer tells how many processes a node is for.
                **({"resourcesPerNode": resources} if resources else {}),
            },
            **({"suspend": True} if queue else {}),
        },
    }


def runtime_of(
    found: Mapping[str, Any],
    template: Manifest,
    attempt: Attempt,
    settings: KubernetesSettings,
    owner: str,
) -> Manifest:
    """The attempt's runtime: a copy of the one that was found, whose pods are as `template`, that
    of a Job, wants them.

    Raises `NeedsHuman` for a runtime that has other pods than nodes.
    """
    profile = settings.profile(attempt.profile)
    assert profile is not None
    spec = found["spec"]
    whole = spec["template"].get("spec", {})
    theirs = _nodes_of(found["metadata"]["name"], spec, whole.get("replicatedJobs", ()))
    job = theirs["template"]
    nodes = {
        "name": theirs["name"],
        "replicas": 1,
        "template": {
            **job,
            "spec": {
                **job["spec"],
                "backoffLimit": 0,  # retries are ours
                "podReplacementPolicy": "Failed",
                "activeDeadlineSeconds": deadline_of(attempt, profile),
                "template": _pods(job["spec"]["template"], template),
            },
        },
    }
    kept = {name: part for name, part in whole.items() if name in ("network", "coordinator")}
    return {
        "apiVersion": VERSION,
        "kind": "TrainingRuntime",
        "metadata": {
            "name": job_name(owner, attempt.id),
            "namespace": settings.namespace,
            "labels": {**found["metadata"].get("labels", {}), **labels(owner, attempt)},
            "annotations": annotations_of(attempt),
        },
        "spec": {
            **spec,
            "template": {
                **spec["template"],
                "spec": {
                    **kept,
                    "failurePolicy": {"maxRestarts": 0},
                    "replicatedJobs": [nodes],
                },
            },
        },
    }


def peers_policy(attempt: Attempt, settings: KubernetesSettings, owner: str) -> Manifest:
    """What lets the nodes of an attempt reach each other, besides what all steps may reach."""
    each_other = [{"podSelector": {"matchLabels": {ATTEMPT: job_name(owner, attempt.id)}}}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": job_name(owner, attempt.id),
            "namespace": settings.namespace,
            "labels": labels(owner, attempt),
            "annotations": {ATTEMPT: attempt.id},
        },
        "spec": {
            "podSelector": each_other[0]["podSelector"],
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": each_other}],
            "egress": [{"to": each_other}],
        },
    }


def _nodes_of(name: str, spec: Mapping[str, Any], jobs: Sequence[Mapping[str, Any]]) -> Any:
    """The pods of a runtime that train. Its initializers are left out: `fetch` does their work."""
    steps = [(job, job["template"].get("metadata", {}).get("labels", {})) for job in jobs]
    left = [(job, given.get(ANCESTOR)) for job, given in steps]
    left = [(job, step) for job, step in left if step not in INITIALIZERS]
    if len(left) == 1 and left[0][1] == "trainer" and "mpi" not in (spec.get("mlPolicy") or {}):
        return left[0][0]
    has = ", ".join(job["name"] for job, _ in left) or "none"
    raise NeedsHuman(
        f"the runtime {name} has other pods than nodes (its jobs are: {has}): name one in "
        f"`train.runtime` whose nodes all run the command, with the label {ANCESTOR}: trainer, "
        "such as torch-distributed; MPI with its launcher is not supported"
    )


def _pods(theirs: Mapping[str, Any], template: Manifest) -> Manifest:
    """The pods' template of a runtime, with our containers; what both say is as we say."""
    old, new = theirs.get("spec", {}), template["spec"]
    meta = theirs.get("metadata", {})
    fetch, step = new["initContainers"]
    (collect,) = new["containers"]
    others = [one for one in old.get("containers", ()) if one["name"] != NODE]
    node: Mapping[str, Any] = next(
        (one for one in old.get("containers", ()) if one["name"] == NODE), {}
    )
    return {
        "metadata": {
            "labels": {**meta.get("labels", {}), **template["metadata"]["labels"]},
            "annotations": {**meta.get("annotations", {}), **template["metadata"]["annotations"]},
        },
        "spec": {
            **old,
            **new,
            "nodeSelector": {**old.get("nodeSelector", {}), **new.get("nodeSelector", {})},
            "tolerations": [*old.get("tolerations", ()), *new.get("tolerations", ())],
            "terminationGracePeriodSeconds": OUTPUT_SECONDS,
            "initContainers": [*old.get("initContainers", ()), fetch, _sidecar(collect)],
            "containers": [_node(node, step), *others],
            "volumes": _merged(old.get("volumes", ()), new["volumes"]),
        },
    }


def _sidecar(collect: Manifest) -> Manifest:
    """`collect` as what runs beside the step. Asked to end before it listens, it would not notice
    it: so the step begins once it does."""
    probe = {"exec": {"command": ["test", "-e", READY]}, "periodSeconds": 1}
    return {
        **collect,
        "command": [*collect["command"], BESIDE],
        "restartPolicy": "Always",
        "startupProbe": {**probe, "failureThreshold": START_SECONDS},
    }


def _node(theirs: Mapping[str, Any], step: Manifest) -> Manifest:
    kept = {name: part for name, part in theirs.items() if name not in ("args", "resources")}
    resources = step["resources"] or theirs.get("resources", {})
    return {
        **kept,
        **step,
        "name": NODE,
        "resources": resources,
        "env": _merged(theirs.get("env", ()), step["env"]),
        "volumeMounts": _merged(
            theirs.get("volumeMounts", ()), step["volumeMounts"], key="mountPath"
        ),
    }


def _merged(
    theirs: Sequence[Mapping[str, Any]], ours: Sequence[Mapping[str, Any]], key: str = "name"
) -> list[Mapping[str, Any]]:
    known = {each[key] for each in ours}
    return [*(each for each in theirs if each[key] not in known), *ours]
