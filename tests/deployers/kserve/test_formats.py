"""Models that a runtime of KServe's loads by their format, without a command."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from deployers.kserve.predictors import predictor
from deployers.kubernetes.settings import KServeMode
from deployers.protocol import Desired, Server
from specs.failures import NeedsHuman
from specs.model_format import ModelFormat
from specs.resources import Resources
from tests.deployers.kserve.scene import NAME, NAMESPACE, PLACE, Scene, server
from tests.deployers.kubernetes.builders import AT
from tests.doubles.kubernetes import Kubernetes, Play
from tests.doubles.kubernetes.base.objects import dig


def by_format(version: int, **more: Any) -> Server:
    made = server(version)
    assert made.shipment is not None
    address = f"s3://ml/artifacts/served/{version:02}"
    about: dict[str, Any] = {
        "run": "",
        "image": None,
        "format": ModelFormat(name="sklearn", version="1"),
        "shipment": made.shipment.model_copy(update={"address": address}),
        **more,
    }
    return made.model_copy(update=about)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Kubernetes]:
    with Kubernetes(folder=tmp_path) as made:
        made.namespace(NAMESPACE)
        made.install("gateway-api", "kserve")
        made.plays.add(Play(runs=None, ready_after=10))
        yield made


@pytest.fixture
async def scene(cluster: Kubernetes, tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(cluster, tmp_path, "Standard")
    yield made
    await made.close()


@pytest.mark.parametrize("mode", ["Standard", "Knative"])
def test_the_predictor_names_format_runtime_and_address(mode: KServeMode) -> None:
    given = by_format(
        1,
        profile="gpu",
        resources=Resources(memory=1 << 30),
        format=ModelFormat(name="sklearn", runtime="kserve-mlserver"),
    )
    body = predictor(given, AT, mode).body
    model = body["model"]
    assert model["modelFormat"] == {"name": "sklearn"}
    assert (model["runtime"], model["storageUri"]) == (
        "kserve-mlserver",
        "s3://ml/artifacts/served/01",
    )
    assert model["resources"]["limits"] == {"memory": str(1 << 30)}
    assert "hush" not in str(body)
    assert body["serviceAccountName"] == "server"
    assert not {"initContainers", "containers", "securityContext"} & body.keys()


async def test_a_canary_by_format_is_promoted_without_a_restart(scene: Scene) -> None:
    one, two = by_format(1), by_format(2)
    await scene.converge(Desired(stable=one))
    await scene.converge(Desired(stable=one, canary=two, canary_weight=0.25))
    pods = scene.pods(two.name)
    await scene.converge(Desired(stable=two))
    assert scene.pods(two.name) == pods
    found = scene.cluster.get("Deployment", f"{NAME}-v2-0f5a8c21d9e2-predictor", NAMESPACE)
    told = dig(found, "spec", "template", "metadata", "annotations")
    assert told["internal.serving.kserve.io/storage-initializer-sourceuri"] == (
        "s3://ml/artifacts/served/02"
    )
    assert scene.cluster.all("ServingRuntime", NAMESPACE) == []


async def test_a_runtime_that_is_not_there_is_told(scene: Scene) -> None:
    wrong = by_format(1, format=ModelFormat(name="sklearn", runtime="mlserver"))
    seen = await scene.apply(Desired(stable=wrong))
    (status,) = seen.servers
    assert not status.alive
    assert "KServe says InvalidSpec: RuntimeNotRecognized" in status.detail


async def test_a_runtime_without_a_probe_of_its_own_is_waited_for(scene: Scene) -> None:
    (status,) = (await scene.apply(Desired(stable=by_format(1)))).servers
    assert status.detail == "it runs; its readiness probe has not answered yet"


async def test_a_command_does_not_become_the_canary_of_a_format_or_the_reverse(
    scene: Scene,
) -> None:
    await scene.converge(Desired(stable=server(1)))
    with pytest.raises(NeedsHuman, match=r"would run .*v2.* with `model\.runtime`.*`initContain"):
        await scene.deployer.apply(PLACE, Desired(stable=server(1), canary=by_format(2)))
