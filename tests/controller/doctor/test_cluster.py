"""`headgate doctor` looks at the cluster of steps: access, quotas, queues, what is not there."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.config.settings import Settings
from controller.doctor.cluster import examine_cluster
from controller.doctor.findings import Finding
from controller.executors.kubernetes.access import (
    DOCTOR,
    DOCTOR_OF_QUEUES,
    QUEUES,
    RUNTIMES,
    STEPS,
    TRAINING,
)
from deployers.kubernetes.access import SERVING, AccessNeed
from specs.loading.load import load
from specs.model import Pipeline
from tests.doubles.kubernetes import AccessRule, Kubernetes
from tests.doubles.kubernetes.validation.custom import KUEUE

SPEC = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {name: flights}
environment: {image: registry.example/train}
steps:
  train:
    run: python train.py --out {outputs.model}
    outputs: {model: model.json}
    executor: EXECUTOR
model: steps.train.model
"""
ALL = (*STEPS, *QUEUES, *DOCTOR, *DOCTOR_OF_QUEUES)
QUEUED = {"profiles": {"default": {"queue": "research"}}}


@pytest.fixture
def cluster() -> Iterator[Kubernetes]:
    with Kubernetes(nodes=0) as cluster:
        cluster.namespace("headgate")
        yield cluster


def spec(executor: str, environment: str = "") -> Pipeline:
    text = SPEC.replace("EXECUTOR", executor).replace("/train}", f"/train{environment}}}")
    loaded = load(text, "ml-pipeline.yaml")
    assert loaded.pipeline is not None, loaded.problems
    return loaded.pipeline


def rules(*needs: AccessNeed) -> list[AccessRule]:
    return [
        AccessRule(need.verbs, (need.resource,), (need.group,), ("headgate",)) for need in needs
    ]


async def found(
    cluster: Kubernetes, tmp_path: Path, *needs: AccessNeed, **more: Any
) -> dict[str, Finding]:
    """The findings for a user that is allowed these needs, by what they are about."""
    token = cluster.token("headgate", *rules(*needs))
    cluster.write_kubeconfig(tmp_path / "kubeconfig", token)
    return await of(tmp_path, {"kubeconfig": "kubeconfig", **more})


async def of(
    tmp_path: Path, kubernetes: dict[str, Any] | None, *specs: Pipeline
) -> dict[str, Finding]:
    given = {} if kubernetes is None else {"kubernetes": kubernetes}
    whole = Settings.model_validate(
        {"repositories": [{"name": "team", "url": "remote.git"}], **given}
    )
    read = specs or (spec("docker"),)
    return {each.what: each async for each in examine_cluster(whole, tmp_path, read)}


async def test_a_cluster_that_nothing_names_is_not_asked(tmp_path: Path) -> None:
    assert await of(tmp_path, None) == {}


async def test_a_spec_is_enough_to_look(
    tmp_path: Path, cluster: Kubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.write_kubeconfig(tmp_path / "kubeconfig")))
    whole = Settings.model_validate({"repositories": [{"name": "team", "url": "remote.git"}]})
    findings = [each async for each in examine_cluster(whole, tmp_path, [spec("kubernetes")])]
    assert [each.state for each in findings] == ["ok", "ok", "ok"]
    assert findings[0].message.startswith("Kubernetes v1.")


async def test_what_suffices_is_found_good(cluster: Kubernetes, tmp_path: Path) -> None:
    findings = await found(cluster, tmp_path, *STEPS, *DOCTOR)
    assert {what: each.state for what, each in findings.items()} == {
        "cluster": "ok",
        "cluster access headgate": "ok",
        "cluster quotas headgate": "ok",
    }


@pytest.mark.parametrize("need", STEPS, ids=lambda need: need.shown)
async def test_a_missing_right_is_named_with_the_rule_that_gives_it(
    cluster: Kubernetes, tmp_path: Path, need: AccessNeed
) -> None:
    for verb in need.verbs:
        less = need._replace(verbs=tuple(one for one in need.verbs if one != verb))
        others = [one for one in STEPS if one is not need]
        finding = (await found(cluster, tmp_path, *others, less))["cluster access headgate"]
        assert finding.state == "error"
        assert finding.message == f"it may not {verb} {need.shown}"
        group = need.group or '""'
        rule = f"{{apiGroups: [{group}], resources: [{need.resource}], verbs: [{verb}]}}"
        assert finding.fix.endswith(f"bound to the controller: {rule}")


async def test_rights_in_another_namespace_are_of_no_use(
    cluster: Kubernetes, tmp_path: Path
) -> None:
    findings = await found(cluster, tmp_path, *STEPS, namespace="default")
    finding = findings["cluster access default"]
    assert finding.state == "error"
    assert "create, get, list, delete jobs.batch" in finding.message


async def test_a_quota_that_is_nearly_used_up_is_told_of(
    cluster: Kubernetes, tmp_path: Path
) -> None:
    quota = {
        "metadata": {"name": "team"},
        "spec": {"hard": {"secrets": "2", "requests.memory": "10Gi"}},
    }
    cluster.create("ResourceQuota", quota, "headgate")
    cluster.settle()
    assert (await found(cluster, tmp_path, *STEPS, *DOCTOR))[
        "cluster quotas headgate"
    ].message == "1 have room"
    for name in ("first", "second"):
        cluster.create("Secret", {"metadata": {"name": name}}, "headgate")
    cluster.settle()
    finding = (await found(cluster, tmp_path, *STEPS, *DOCTOR))["cluster quotas headgate"]
    assert (finding.state, finding.message) == ("warning", "team: 2 of 2 secrets")
    assert "raise the quota" in finding.fix


async def test_quotas_that_may_not_be_read_are_said_not_to_be_looked_at(
    cluster: Kubernetes, tmp_path: Path
) -> None:
    finding = (await found(cluster, tmp_path, *STEPS))["cluster quotas headgate"]
    assert finding.state == "warning"
    assert finding.message.startswith("not looked at: resourcequotas is forbidden")
    assert "resources: [resourcequotas], verbs: [list]" in finding.fix


async def test_a_queue_needs_kueue(cluster: Kubernetes, tmp_path: Path) -> None:
    """A group that is not there is answered in plain text, and not by a Status."""
    finding = (await found(cluster, tmp_path, *ALL, **QUEUED))["kueue"]
    assert (finding.state, finding.message) == (
        "error",
        "queues are named, but the cluster has none of its kinds",
    )
    assert finding.fix.startswith("install Kueue with kueue.x-k8s.io/v1beta2")


async def test_an_older_kueue_is_told_of(cluster: Kubernetes, tmp_path: Path) -> None:
    for definition in copy.deepcopy(KUEUE):
        definition["spec"]["versions"][0]["name"] = "v1beta1"
        cluster.create("CustomResourceDefinition", definition)
    cluster.service.definitions.refresh()
    finding = (await found(cluster, tmp_path, *ALL, **QUEUED))["kueue"]
    assert (finding.state, finding.message) == (
        "error",
        "queues are named, but the cluster serves only v1beta1 of it",
    )


async def test_a_queue_is_looked_for_in_the_namespace(cluster: Kubernetes, tmp_path: Path) -> None:
    cluster.install("kueue")
    missing = (await found(cluster, tmp_path, *ALL, **QUEUED))["queue research"]
    assert missing.state == "error"
    assert "kubectl -n headgate get localqueues" in missing.fix
    queue = {"metadata": {"name": "research"}, "spec": {"clusterQueue": "ml"}}
    cluster.create("LocalQueue", queue, "headgate")
    cluster.settle()
    there = (await found(cluster, tmp_path, *ALL, **QUEUED))["queue research"]
    assert there.state in ("ok", "warning")
    assert "ml" in there.message


async def test_a_queue_that_a_spec_names_is_looked_for_too(
    cluster: Kubernetes, tmp_path: Path
) -> None:
    cluster.install("kueue")
    cluster.write_kubeconfig(tmp_path / "kubeconfig", cluster.token("headgate", *rules(*ALL)))
    named = spec("kubernetes", ", queue: nights")
    elsewhere = spec("docker", ", queue: days")
    told = await of(tmp_path, {"kubeconfig": "kubeconfig"}, named, elsewhere)
    assert told["queue nights"].state == "error"
    assert "queue days" not in told


async def test_kueues_rights_are_asked_about_only_where_there_are_queues(
    cluster: Kubernetes, tmp_path: Path
) -> None:
    cluster.install("kueue")
    unqueued = await found(cluster, tmp_path, *STEPS, *DOCTOR)
    assert unqueued["cluster access headgate"].state == "ok"
    queued = await found(cluster, tmp_path, *STEPS, *DOCTOR, **QUEUED)
    assert queued["cluster access headgate"].message == ("it may not list workloads.kueue.x-k8s.io")
    assert queued["kueue"].message.startswith("not looked at: ")


def trained() -> Pipeline:
    """A spec whose step runs on two nodes."""
    text = SPEC.replace("EXECUTOR", "kubernetes\n    train: {runtime: torch, nodes: 2}")
    loaded = load(text, "ml-pipeline.yaml")
    assert loaded.pipeline is not None, loaded.problems
    return loaded.pipeline


async def for_training(
    cluster: Kubernetes, tmp_path: Path, *wide: AccessRule, needs: tuple[AccessNeed, ...] = TRAINING
) -> dict[str, Finding]:
    """The findings about `trained`; `wide` are rights in the whole cluster."""
    token = cluster.token("headgate", *rules(*STEPS, *DOCTOR, *needs), *wide)
    cluster.write_kubeconfig(tmp_path / "kubeconfig", token)
    return await of(tmp_path, {"kubeconfig": "kubeconfig"}, trained())


async def test_training_needs_trainer_and_its_rights(cluster: Kubernetes, tmp_path: Path) -> None:
    told = await for_training(cluster, tmp_path, needs=())
    assert "create, get, list, delete trainjobs" in told["cluster access headgate"].message
    assert told["trainer"].state == "error"
    assert told["trainer"].fix.startswith("install Kubeflow Trainer 2")


async def test_the_runtime_of_a_step_is_looked_for_in_the_namespace_and_in_the_cluster(
    cluster: Kubernetes, tmp_path: Path
) -> None:
    cluster.install("trainer")
    get = [AccessRule(need.verbs, (need.resource,), (need.group,)) for need in RUNTIMES]
    unread = (await for_training(cluster, tmp_path))["runtime torch"]
    assert unread.state == "warning"
    assert "clustertrainingruntimes" in unread.fix
    assert "copy the runtime into headgate as a TrainingRuntime" in unread.fix
    missing = (await for_training(cluster, tmp_path, *get))["runtime torch"]
    assert missing.state == "error"
    assert "correct `train.runtime`" in missing.fix
    runtime = {"metadata": {"name": "torch"}, "spec": {"template": {"spec": {}}}}
    cluster.create("ClusterTrainingRuntime", runtime)
    found_ = (await for_training(cluster, tmp_path, *get))["runtime torch"]
    assert (found_.state, found_.message) == ("ok", "the ClusterTrainingRuntime is there")
    cluster.create("TrainingRuntime", runtime, "headgate")
    own = (await for_training(cluster, tmp_path))["runtime torch"]
    assert (own.state, own.message) == ("ok", "the TrainingRuntime is there")


async def test_refused_credentials_are_told_of(cluster: Kubernetes, tmp_path: Path) -> None:
    cluster.write_kubeconfig(tmp_path / "kubeconfig", "token-of-nobody")
    (finding,) = (await of(tmp_path, {"kubeconfig": "kubeconfig"})).values()
    assert finding.state == "error"
    assert "Unauthorized" in finding.message
    assert "kubernetes.kubeconfig" in finding.fix


async def test_a_cluster_that_is_away_and_one_that_is_not_configured(
    cluster: Kubernetes, tmp_path: Path
) -> None:
    text = cluster.write_kubeconfig(tmp_path / "kubeconfig").read_text()
    (tmp_path / "kubeconfig").write_text(text.replace(cluster.url, "http://127.0.0.1:9"))
    (away,) = (await of(tmp_path, {"kubeconfig": "kubeconfig"})).values()
    assert (away.state, away.message.partition(":")[0]) == (
        "error",
        "the cluster's API server cannot be reached",
    )
    (none,) = (await of(tmp_path, {"kubeconfig": "nowhere"})).values()
    assert none.state == "error"
    assert none.message.startswith("no cluster is configured")


def served() -> Pipeline:
    release = "release:\n  serve: {run: serve}\n  production: {deployer: kubernetes}\n"
    loaded = load(SPEC.replace("EXECUTOR", "docker") + release, "ml-pipeline.yaml")
    assert loaded.pipeline is not None, loaded.problems
    return loaded.pipeline


async def test_where_servers_run_is_looked_at_if_a_spec_says_so(
    cluster: Kubernetes, tmp_path: Path
) -> None:
    namespace = ("headgate-serving",)
    allowed = [
        AccessRule(need.verbs, (need.resource,), (need.group,), namespace)
        for need in SERVING
        if need.resource != "services"
    ]
    cluster.write_kubeconfig(tmp_path / "kubeconfig", cluster.token("headgate", *allowed))
    lacks = (await of(tmp_path, {"kubeconfig": "kubeconfig"}, served()))[
        "cluster access headgate-serving"
    ]
    assert lacks.state == "error"
    assert "it may not create, patch, get, list, delete services" in lacks.message
    assert "resources: [services]" in lacks.fix
    services = next(need for need in SERVING if need.resource == "services")
    rule = AccessRule(services.verbs, ("services",), ("",), namespace)
    cluster.write_kubeconfig(tmp_path / "kubeconfig", cluster.token("headgate", *allowed, rule))
    seen = await of(tmp_path, {"kubeconfig": "kubeconfig"}, served())
    assert seen["cluster access headgate-serving"].state == "ok"
