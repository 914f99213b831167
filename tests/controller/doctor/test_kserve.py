"""`headgate doctor` looks at KServe: whether it is there, splits traffic, and may be used."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.config.settings import Settings
from controller.doctor.findings import Finding
from controller.doctor.kserve import examine_kserve
from deployers.kubernetes.access import KSERVE, AccessNeed
from specs.loading.load import load
from tests.doubles.kubernetes import AccessRule, Kubernetes
from tests.doubles.kubernetes.validation.custom import KSERVE as DEFINITIONS

SPEC = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {name: flights}
environment: {image: "registry.example/train@sha256:1"}
steps:
  train: {run: "python train.py --out {outputs.model}", outputs: {model: model.json}}
model: steps.train.model
release:
  serve: {run: "python serve.py --model {model} --port {port} --host {host}"}
  production: {deployer: DEPLOYER}
"""
SPACE = "headgate-serving"
COUNTERS = {"preset": "istio"}


@pytest.fixture
def cluster() -> Iterator[Kubernetes]:
    with Kubernetes(nodes=0) as made:
        made.namespace(SPACE)
        made.namespace("kserve")
        yield made


async def found(
    cluster: Kubernetes,
    folder: Path,
    *needs: AccessNeed,
    deployer: str = "kserve",
    more: tuple[AccessRule, ...] = (),
    **kserve: Any,
) -> dict[str, Finding]:
    """The findings for a user with these rights, by what they are about."""
    rules = [AccessRule(n.verbs, (n.resource,), (n.group,), (SPACE,)) for n in needs or KSERVE]
    cluster.write_kubeconfig(folder / "kubeconfig", cluster.token("headgate", *rules, *more))
    loaded = load(SPEC.replace("DEPLOYER", deployer), "ml-pipeline.yaml")
    assert loaded.pipeline is not None, loaded.problems
    settings = Settings.model_validate(
        {
            "repositories": [{"name": "team", "url": "remote.git"}],
            "kubernetes": {"kubeconfig": "kubeconfig", "serving": {"kserve": kserve}},
        }
    )
    return {f.what: f async for f in examine_kserve(settings, folder, [loaded.pipeline])}


def configure(cluster: Kubernetes, *, routes: bool) -> AccessRule:
    """KServe's own configuration, and the right to read it."""
    data = {
        "deploy": json.dumps({"defaultDeploymentMode": "Standard"}),
        "ingress": json.dumps({"enableGatewayApi": routes}),
    }
    made = {"metadata": {"name": "inferenceservice-config"}, "data": data}
    cluster.create("ConfigMap", made, "kserve")
    return AccessRule(("get",), ("configmaps",), ("",), ("kserve",))


async def test_nothing_is_asked_where_nothing_is_deployed_by_it(
    cluster: Kubernetes, tmp_path: Path
) -> None:
    assert await found(cluster, tmp_path, deployer="local") == {}
    assert not cluster.count.made("get", "apis")


async def test_a_cluster_that_can_serve_is_said_to(cluster: Kubernetes, tmp_path: Path) -> None:
    cluster.install("gateway-api", "kserve")
    right = configure(cluster, routes=True)
    seen = await found(cluster, tmp_path, more=(right,), counters=COUNTERS)
    assert {finding.state for finding in seen.values()} == {"ok"}
    assert seen[f"kserve {SPACE}"].message == "it takes InferenceServices in Standard mode"
    assert "its default is Standard mode" in seen["kserve configuration"].message
    assert cluster.all("InferenceService", SPACE) == []
    knative = await found(cluster, tmp_path, more=(right,), counters=COUNTERS, mode="Knative")
    assert {finding.state for finding in knative.values()} == {"ok"}


async def test_what_is_not_installed_is_named(cluster: Kubernetes, tmp_path: Path) -> None:
    seen = await found(cluster, tmp_path)
    assert "has none of its kinds" in seen["kserve"].message
    cluster.install("kserve")
    seen = await found(cluster, tmp_path)
    assert "needs Gateway API" in seen["kserve mode"].message


async def test_an_older_kserve_takes_no_canary(cluster: Kubernetes, tmp_path: Path) -> None:
    cluster.install("gateway-api", "kserve")

    def older(definition: dict[str, Any]) -> None:
        schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        spec = schema["properties"]["spec"]
        del spec["properties"]["canary"]
        spec.pop("x-kubernetes-preserve-unknown-fields")

    name = DEFINITIONS[0]["metadata"]["name"]
    cluster.update("CustomResourceDefinition", name, older)
    cluster.service.definitions.refresh()
    seen = await found(cluster, tmp_path)
    finding = seen[f"kserve {SPACE}"]
    assert (finding.state, "it takes no canary" in finding.message) == ("error", True)
    assert "KServe 0.21 or later" in finding.fix


async def test_missing_rights_routes_and_counters_are_told(
    cluster: Kubernetes, tmp_path: Path
) -> None:
    cluster.install("gateway-api", "kserve")
    seen = await found(cluster, tmp_path, *KSERVE[1:])
    rights = seen[f"cluster access {SPACE}"]
    assert "inferenceservices.serving.kserve.io" in rights.message
    assert "verbs: [create, patch, get, delete]" in rights.fix
    assert seen["kserve configuration"].state == "warning"
    assert "none is judged" in seen["kserve evidence"].message
    right = configure(cluster, routes=False)
    seen = await found(cluster, tmp_path, more=(right,))
    assert "a canary would get no traffic" in seen["kserve configuration"].message
