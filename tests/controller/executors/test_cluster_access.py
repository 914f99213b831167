"""The chart's role: what the executor really asks of a cluster, no less and no more."""

import asyncio
from collections.abc import Iterable
from typing import Any

from controller.executors.kubernetes.access import (
    DOCTOR,
    DOCTOR_OF_QUEUES,
    QUEUES,
    STEPS,
    TRAINING,
)
from controller.executors.kubernetes.names import labels
from controller.machine.runs.attempt import AttemptState
from deployers.kubernetes.access import AccessNeed
from tests.contracts.executor import becomes, ends, run, until
from tests.controller.executors.kubernetes_site import OWNER, KubernetesSite
from tests.controller.executors.test_kubernetes_training import TORCH, attempt_of
from tests.deploy.chart import Manifest, manifests

ACCOUNT = "system:serviceaccount:platform:headgate"


def installed(**steps: Any) -> list[Manifest]:
    """The chart with its steps in the namespace `headgate`."""
    given = {
        "settings": {
            "repositories": [{"name": "flights", "url": "flights.git"}],
            "artifacts": "s3://company-ml/headgate",
        },
        "steps": {"namespace": "headgate", **steps},
    }
    return manifests(given, "platform")


def of_role(parts: Iterable[Manifest]) -> set[tuple[str, str]]:
    """Verbs and resources."""
    return {
        (verb, resource)
        for part in parts
        if part["kind"] == "Role"
        for rule in part["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def of_needs(needs: Iterable[AccessNeed]) -> set[tuple[str, str]]:
    return {(verb, need.resource) for need in needs for verb in need.verbs}


def test_the_role_is_what_the_code_says_that_it_needs() -> None:
    assert of_role(installed()) == of_needs((*STEPS, *DOCTOR))
    assert of_role(installed(queues=True)) == of_needs(
        (*STEPS, *DOCTOR, *QUEUES, *DOCTOR_OF_QUEUES)
    )
    assert of_role(installed(training=True)) == of_needs((*STEPS, *DOCTOR, *TRAINING))
    (role,) = (part for part in installed(queues=True) if part["kind"] == "Role")
    groups = {rule["resources"][0]: rule["apiGroups"] for rule in role["rules"]}
    assert groups == {
        need.resource: [need.group] for need in (*STEPS, *DOCTOR, *QUEUES, *DOCTOR_OF_QUEUES)
    }


async def test_an_executor_needs_every_verb_of_the_role_and_no_other(
    kubernetes_site: KubernetesSite,
) -> None:
    """A step with a secret, one that is cancelled, one that the quota holds back, and what is left
    of another: all with the token of the chart's service account."""
    site, cluster = kubernetes_site, kubernetes_site.cluster
    for part in installed():
        if part["kind"] in ("Role", "RoleBinding"):
            cluster.create(part["kind"], part, "headgate")
    cluster.write_kubeconfig(site.kubeconfig, cluster.token(ACCOUNT))
    cluster.count.reset()

    async with site.open(stray=0.0) as executor:
        told = site.attempt("sh -c 'echo $KEY'", name="told", secrets=("KEY",))
        assert (await run(executor, told)).state is AttemptState.SUCCEEDED
        long = site.attempt("sleep 1000", name="long")
        await executor.start(long)
        await becomes(executor, long, AttemptState.RUNNING)
        await executor.cancel(long.id, 20.0)
        await executor.cancel(long.id, 0.1)
        assert (await ends(executor, long)).state is AttemptState.CANCELLED
        quota = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
        cluster.create("ResourceQuota", quota, "headgate")
        held = site.attempt("true", name="held")
        await executor.start(held)

        async def told_of_quota() -> bool:
            waits = (await executor.poll(held.id)).waits
            return waits is not None and "exceeded quota" in waits.reason

        await until(told_of_quota)
        await executor.cancel(held.id, 0.1)
        assert (await ends(executor, held)).state is AttemptState.CANCELLED
        left = site.attempt("true", name="left")
        about = {"metadata": {"name": "left", "labels": labels(OWNER, left)}}
        cluster.create("Secret", about, "headgate")
        assert await executor.reap() > 0
    await asyncio.to_thread(cluster.settle)
    made = set(cluster.count.by_call())
    # Applying what is not there yet is creating it, too.
    made |= {("create", what) for verb, what in made if verb == "patch"}
    assert made == of_needs(STEPS)


async def test_what_is_left_of_jobs_is_removed_without_the_rights_for_training(
    kubernetes_site: KubernetesSite,
) -> None:
    """Trainer is in the cluster, for others."""
    site, cluster = kubernetes_site, kubernetes_site.cluster
    cluster.install("trainer")
    for part in installed():
        if part["kind"] in ("Role", "RoleBinding"):
            cluster.create(part["kind"], part, "headgate")
    cluster.write_kubeconfig(site.kubeconfig, cluster.token(ACCOUNT))
    left = {"metadata": {"name": "left", "labels": labels(OWNER, site.attempt("true"))}}
    cluster.create("Secret", left, "headgate")
    async with site.open(stray=0.0) as executor:
        executor.resume()

        async def gone() -> bool:
            return cluster.get("Secret", "left", "headgate") is None

        await until(gone)


async def test_training_needs_every_verb_of_its_rules_and_no_other(
    kubernetes_site: KubernetesSite,
) -> None:
    """An attempt on two nodes, one that is cancelled, and what is left of another."""
    site, cluster = kubernetes_site, kubernetes_site.cluster
    cluster.install("trainer")
    cluster.create("TrainingRuntime", TORCH, "headgate")
    for part in installed(training=True):
        if part["kind"] in ("Role", "RoleBinding"):
            cluster.create(part["kind"], part, "headgate")
    cluster.write_kubeconfig(site.kubeconfig, cluster.token(ACCOUNT))
    cluster.count.reset()

    async with site.open(stray=0.0) as executor:
        told = attempt_of(site, "sh -c 'echo $KEY'", name="told", secrets=("KEY",))
        assert (await run(executor, told)).state is AttemptState.SUCCEEDED
        long = attempt_of(site, "sleep 1000", name="long")
        await executor.start(long)
        await becomes(executor, long, AttemptState.RUNNING)
        await executor.cancel(long.id, 0.1)
        assert (await ends(executor, long)).state is AttemptState.CANCELLED
        left = {"metadata": {"name": "left", "labels": labels(OWNER, attempt_of(site, "true"))}}
        for kind, spec in (
            ("TrainingRuntime", TORCH["spec"]),
            ("NetworkPolicy", {"podSelector": {}}),
        ):
            cluster.create(kind, {**left, "spec": spec}, "headgate")
        assert await executor.reap() > 0
    await asyncio.to_thread(cluster.settle)
    made = set(cluster.count.by_call())
    made |= {("create", what) for verb, what in made if verb == "patch"}
    assert of_needs(TRAINING) <= made
    of_jobs = {(verb, "jobs") for verb in ("create", "get", "delete")}
    assert made | of_jobs <= of_needs((*STEPS, *TRAINING)), "it asks for nothing else"
