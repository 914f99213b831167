"""Checks the Kubernetes cluster: access, the APIs that are served, queues and quotas."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from controller.config.settings import Settings
from controller.doctor.findings import Finding, bad, ok, warn
from controller.doctor.gateways import examine_gateways
from controller.executors.kubernetes.access import (
    DOCTOR,
    DOCTOR_OF_QUEUES,
    QUEUES,
    RUNTIMES,
    STEPS,
    TRAINING,
)
from deployers.kubernetes.access import GATEWAYS, SERVING, AccessNeed
from deployers.kubernetes.cluster import ApiRefusal, Cluster
from specs.failures import Failure
from specs.figures import duration
from specs.model import Pipeline
from specs.release import Release

PATIENCE: Final = 30.0
"""Timeout of all questions to the cluster, in seconds."""
NEAR: Final = 0.9
"""The part of a quota above which it is told of."""
QUEUE_VERSION: Final = "v1beta2"
"""The version of Kueue's API that the executor reads."""
TRAINER_VERSION: Final = "v1alpha1"
"""The version of Kubeflow Trainer's API by which it trains."""
_KUEUE: Final = "kueue.x-k8s.io"
_TRAINER: Final = "trainer.kubeflow.org"
_REVIEWS: Final = "apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
FIX: Final = "correct `kubernetes` in the settings; see docs/install.md"


async def examine_cluster(
    settings: Settings, base: Path, specs: Sequence[Pipeline]
) -> AsyncIterator[Finding]:
    """Findings about the cluster, if a spec or the settings name one. `base` is the folder of the
    settings' file."""
    executors = {spec.executor_of(step) for spec in specs for step in (None, *spec.commands)}
    serve = any(spec.release is not None and _runs_servers(spec.release) for spec in specs)
    steps = "kubernetes" in executors or "kubernetes" in settings.model_fields_set
    if not steps and not serve:
        return
    queues = sorted({*_of_profiles(settings), *_of_specs(specs)})
    runtimes = sorted(set(_runtimes(specs)))
    kubernetes = settings.kubernetes
    cluster = Cluster(kubernetes.access(base))
    serving = Cluster(kubernetes.access(base, kubernetes.serving.namespace))
    try:
        async with asyncio.timeout(PATIENCE):
            about = await cluster.ask("GET", "version")
            yield ok("cluster", f"Kubernetes {about.get('gitVersion', '')} answers")
            if steps:
                async for finding in _examined(cluster, queues, runtimes):
                    yield finding
            if serve:
                behind = any(_is_behind_gateway(spec) for spec in specs)
                needs = (*SERVING, *(GATEWAYS if behind else ()))
                yield await access(serving, needs, "servers")
                if behind:
                    async for finding in examine_gateways(serving, kubernetes.serving.gateway):
                        yield finding
    except TimeoutError:
        yield bad("cluster", f"it did not answer within {duration(PATIENCE)}", FIX)
    except Failure as failure:
        yield bad("cluster", str(failure), FIX)
    except ApiRefusal as refusal:
        fix = "renew the credentials, or correct `kubernetes.kubeconfig`"
        yield bad("cluster", f"the API server refuses: {refusal.message}", fix)
    finally:
        await cluster.close()
        await serving.close()


def _is_behind_gateway(spec: Pipeline) -> bool:
    release = spec.release
    named = ("staging", "production") if release is not None else ()
    return release is not None and any(release.deployer_for(one) == "gateway" for one in named)


def _of_profiles(settings: Settings) -> Iterable[str]:
    return (each.queue for each in settings.kubernetes.profiles.values() if each.queue)


def _of_specs(specs: Sequence[Pipeline]) -> Iterable[str]:
    for spec in specs:
        for name, step in spec.commands.items():
            queue = step.queue or spec.environment.queue
            if queue and spec.executor_of(name) == "kubernetes":
                yield queue


def _runtimes(specs: Sequence[Pipeline]) -> Iterable[str]:
    """The runtimes of steps that run on several nodes of a cluster."""
    for spec in specs:
        for name, step in spec.commands.items():
            if step.train is not None and spec.executor_of(name) == "kubernetes":
                yield step.train.runtime


def _runs_servers(release: Release) -> bool:
    """Whether Headgate itself makes the pods of a release."""
    return release.is_by("kubernetes") or release.is_by("gateway")


async def _examined(
    cluster: Cluster, queues: Sequence[str], runtimes: Sequence[str]
) -> AsyncIterator[Finding]:
    besides = (*(QUEUES if queues else ()), *(TRAINING if runtimes else ()))
    yield await access(cluster, (*STEPS, *besides), "steps")
    async for finding in _quotas(cluster):
        yield finding
    if queues:
        async for finding in _kueue(cluster, queues):
            yield finding
    if runtimes:
        async for finding in _trainer(cluster, runtimes):
            yield finding


# Access


async def access(cluster: Cluster, needs: Iterable[AccessNeed], of: str) -> Finding:
    """Whether the controller may do all that it needs to, in the cluster's namespace."""
    lacking = [(need, await _lacking(cluster, need)) for need in needs]
    said = [f"{', '.join(verbs)} {need.shown}" for need, verbs in lacking if verbs]
    what = f"cluster access {cluster.namespace}"
    if not said:
        return ok(what, f"it may do all that {of} need")
    rules = "; ".join(need.rule(verbs) for need, verbs in lacking if verbs)
    fix = f"add to a Role in the namespace {cluster.namespace}, bound to the controller: {rules}"
    return bad(what, f"it may not {'; '.join(said)}", fix)


async def _lacking(cluster: Cluster, need: AccessNeed) -> list[str]:
    """The verbs that are not allowed."""
    resource, _, subresource = need.resource.partition("/")
    lacking = []
    for verb in need.verbs:
        asked = {
            "namespace": cluster.namespace,
            "verb": verb,
            "group": need.group,
            "resource": resource,
            "subresource": subresource,
        }
        review = await cluster.ask(
            "POST",
            _REVIEWS,
            {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": asked},
            },
        )
        if not review["status"].get("allowed"):
            lacking.append(verb)
    return lacking


def _unread(what: str, need: AccessNeed, refusal: ApiRefusal) -> Finding:
    """That something is not looked at, as a check that is skipped is not one that passed."""
    fix = f"to have it looked at, add to the Role: {need.rule(need.verbs)}"
    return warn(what, f"not looked at: {refusal.message}", fix)


# Quotas


async def _quotas(cluster: Cluster) -> AsyncIterator[Finding]:
    what = f"cluster quotas {cluster.namespace}"
    try:
        listed = await _listed(cluster, "api/v1", "resourcequotas")
    except ApiRefusal as refusal:
        if refusal.code != 403:
            raise
        yield _unread(what, DOCTOR[0], refusal)
        return
    near = [said for quota in listed for said in _near(quota)]
    if near:
        fix = "raise the quota, or lower `kubernetes.slots`; steps wait meanwhile"
        yield warn(what, "; ".join(near), fix)
    else:
        count = f"{len(listed)} have room" if listed else "there are none"
        yield ok(what, count)


def _near(quota: Mapping[str, Any]) -> Iterable[str]:
    from lightkube.utils.quantity import parse_quantity

    status = quota.get("status", {})
    used = status.get("used", {})
    for resource, limit in status.get("hard", {}).items():
        most, now = parse_quantity(limit), parse_quantity(used.get(resource, "0"))
        if most is not None and now is not None and float(now) >= NEAR * float(most):
            yield f"{quota['metadata']['name']}: {used.get(resource, '0')} of {limit} {resource}"


# Kueue


async def _kueue(cluster: Cluster, queues: Sequence[str]) -> AsyncIterator[Finding]:
    versions = await served(cluster, _KUEUE)
    if QUEUE_VERSION not in versions:
        has = f"serves only {', '.join(versions)} of it" if versions else "has none of its kinds"
        fix = f"install Kueue with {_KUEUE}/{QUEUE_VERSION}, or remove `queue`"
        yield bad("kueue", f"queues are named, but the cluster {has}", fix)
        return
    try:
        listed = await _listed(cluster, f"apis/{_KUEUE}/{QUEUE_VERSION}", "localqueues")
    except ApiRefusal as refusal:
        if refusal.code != 403:
            raise
        yield _unread("kueue", DOCTOR_OF_QUEUES[0], refusal)
        return
    there = {each["metadata"]["name"]: each for each in listed}
    for name in queues:
        yield _queue(name, there.get(name), cluster.namespace)


def _queue(name: str, found: Mapping[str, Any] | None, namespace: str) -> Finding:
    what = f"queue {name}"
    if found is None:
        fix = f"create it, or correct `queue`: kubectl -n {namespace} get localqueues"
        return bad(what, f"there is no LocalQueue of that name in {namespace}", fix)
    for condition in found.get("status", {}).get("conditions", ()):
        if condition["type"] == "Active" and condition["status"] == "False":
            fix = f"kubectl -n {namespace} describe localqueue {name}"
            return warn(what, f"it is not active: {condition.get('message', '')}", fix)
    cluster_queue = found.get("spec", {}).get("clusterQueue", "")
    return ok(what, f"it is there, with quota of the ClusterQueue {cluster_queue}")


# Kubeflow Trainer


async def _trainer(cluster: Cluster, runtimes: Sequence[str]) -> AsyncIterator[Finding]:
    versions = await served(cluster, _TRAINER)
    if TRAINER_VERSION not in versions:
        has = f"serves only {', '.join(versions)} of it" if versions else "has none of its kinds"
        fix = f"install Kubeflow Trainer 2 with {_TRAINER}/{TRAINER_VERSION}, or remove `train`"
        yield bad("trainer", f"steps have `train`, but the cluster {has}", fix)
        return
    for name in runtimes:
        yield await _runtime(cluster, name)


async def _runtime(cluster: Cluster, name: str) -> Finding:
    what, api = f"runtime {name}", f"apis/{_TRAINER}/{TRAINER_VERSION}"
    namespaced = f"{api}/namespaces/{cluster.namespace}/trainingruntimes/{name}"
    kinds = {
        "TrainingRuntime": (namespaced, TRAINING[1]),
        "ClusterTrainingRuntime": (f"{api}/clustertrainingruntimes/{name}", RUNTIMES[0]),
    }
    for kind, (path, need) in kinds.items():
        try:
            await cluster.ask("GET", path)
        except ApiRefusal as refusal:
            if refusal.code == 403:
                fix = f"to have it read, add {need.rule(['get'])}, or copy the runtime into "
                fix += f"{cluster.namespace} as a TrainingRuntime"
                whose = "a ClusterRole" if need in RUNTIMES else "the Role"
                return warn(what, f"not looked at: {refusal.message}", f"{fix} ({whose})")
            if refusal.code != 404:
                raise
        else:
            return ok(what, f"the {kind} is there")
    fix = "create it, or correct `train.runtime`: kubectl get clustertrainingruntimes"
    return bad(what, f"there is none of that name, neither in {cluster.namespace} nor for all", fix)


async def served(cluster: Cluster, group: str) -> list[str]:
    """The versions of an API group that the cluster serves; none if it is not installed."""
    try:
        found = await cluster.ask("GET", f"apis/{group}")
    except ApiRefusal as refusal:
        if refusal.code == 404:  # as plain text, and not as a Status
            return []
        raise
    return [each["version"] for each in found.get("versions", ())]


async def _listed(cluster: Cluster, api: str, resource: str) -> list[Mapping[str, Any]]:
    found = await cluster.ask("GET", f"{api}/namespaces/{cluster.namespace}/{resource}")
    return list(found.get("items") or ())
