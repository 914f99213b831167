"""What the doctor says of the Gateways that split traffic for `deployer: gateway`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.config.settings import Settings
from controller.doctor.cluster import examine_cluster
from controller.doctor.findings import Finding
from deployers.kubernetes.access import DOCTOR_OF_GATEWAYS, GATEWAYS, SERVING, AccessNeed
from specs.loading.load import load
from specs.model import Pipeline
from tests.deployers.kubernetes.data_plane import GATE
from tests.doubles.kubernetes import AccessRule, Kubernetes

SPEC = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {name: flights}
environment: {image: registry.example/train}
steps: {train: {run: "t {outputs.model}", outputs: {model: m.json}, executor: local}}
model: steps.train.model
release:
  serve: {run: "serve {model} {host} {port}"}
  production: {deployer: gateway}
"""
PARENT = {"name": "public", "namespace": "edge", "section": "http"}


@pytest.fixture
def cluster() -> Iterator[Kubernetes]:
    with Kubernetes(nodes=0) as cluster:
        cluster.namespace("headgate-serving")
        cluster.namespace("edge")
        yield cluster


def gateway(**changes: Any) -> dict[str, Any]:
    return {
        "parents": [{**PARENT, **changes}],
        "hostname": "{pipeline}-{environment}.test",
        "counters": {"preset": "envoy"},
    }


async def found(
    cluster: Kubernetes,
    tmp_path: Path,
    settings: dict[str, Any] | None,
    needs: tuple[AccessNeed, ...] = (*SERVING, *GATEWAYS, *DOCTOR_OF_GATEWAYS),
) -> dict[str, Finding]:
    rules = [
        AccessRule(need.verbs, (need.resource,), (need.group,), ("headgate-serving", "edge"))
        for need in needs
    ]
    cluster.write_kubeconfig(tmp_path / "kubeconfig", cluster.token("headgate", *rules))
    serving = {} if settings is None else {"serving": {"gateway": settings}}
    whole = Settings.model_validate(
        {
            "repositories": [{"name": "team", "url": "remote.git"}],
            "kubernetes": {"kubeconfig": "kubeconfig", **serving},
        }
    )
    return {one.what: one async for one in examine_cluster(whole, tmp_path, [spec()])}


def spec() -> Pipeline:
    loaded = load(SPEC, "ml-pipeline.yaml")
    assert loaded.pipeline is not None, loaded.problems
    return loaded.pipeline


async def test_a_gateway_that_is_programmed_is_found_good(
    cluster: Kubernetes, tmp_path: Path
) -> None:
    cluster.install("gateway-api")
    cluster.create("Gateway", GATE, "edge")
    cluster.settle()
    findings = await found(cluster, tmp_path, gateway())
    assert findings["gateway edge/public, http"].message == "it is programmed, at 127.0.0.1"
    assert findings["cluster access headgate-serving"].state == "ok"


async def test_what_is_missing_is_told(cluster: Kubernetes, tmp_path: Path) -> None:
    unset = (await found(cluster, tmp_path, None))["gateway"]
    assert unset.message == "a spec says `deployer: gateway`, but the settings name none"
    absent = (await found(cluster, tmp_path, gateway()))["gateway"]
    assert absent.message == "the cluster has none of its kinds"
    assert "install the Gateway API with gateway.networking.k8s.io/v1" in absent.fix
    cluster.install("gateway-api")
    nowhere = (await found(cluster, tmp_path, gateway()))["gateway edge/public, http"]
    assert nowhere.message == "there is no Gateway public in edge"
    cluster.create("Gateway", GATE, "edge")
    cluster.settle()
    other = (await found(cluster, tmp_path, gateway(section="https")))["gateway edge/public, https"]
    assert other.message == "it has no listener https (there is: http)"


async def test_missing_rights_are_told_with_the_rules_that_give_them(
    cluster: Kubernetes, tmp_path: Path
) -> None:
    cluster.install("gateway-api")
    findings = await found(cluster, tmp_path, gateway(), SERVING)
    access = findings["cluster access headgate-serving"]
    shown = "httproutes.gateway.networking.k8s.io"
    assert access.message == f"it may not create, patch, get, delete {shown}"
    unread = findings["gateway edge/public, http"]
    assert unread.state == "warning"
    assert unread.fix.startswith("to have it looked at, add to a Role in edge: {apiGroups: [gat")
