"""Servers and routers on a real API server: accepted to the last field, told of, and removed."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployers.control import Routing
from deployers.kubernetes.cluster import ClusterAccess
from deployers.kubernetes.deployer import KubernetesDeployer
from deployers.kubernetes.profile import ClusterProfile
from deployers.kubernetes.routers import (
    caller_service,
    first_routing,
    order_service,
    router_deployment,
    token_secret,
)
from deployers.kubernetes.servers import deployment, secret, service
from deployers.kubernetes.settings import RouterPod, ServingCluster
from deployers.protocol import Deployed, Desired
from specs.failures import TryAgain
from specs.resources import Resources
from tests.contracts.deployer import PLACE
from tests.deployers.kubernetes.builders import AT, SERVER
from tests.deployers.world import eventually
from tests.integration.kubernetes.scene import Scene
from tests.integration.kubernetes.test_install import apply

pytestmark = [
    pytest.mark.kubernetes,
    # asyncio closes a TLS connection once the other side has answered, which a test's loop does not
    # live to see.
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. .function _SelectorTransport:"
        "pytest.PytestUnraisableExceptionWarning"
    ),
]


def test_every_manifest_is_accepted_to_the_last_field_and_applying_it_again_changes_nothing(
    scene: Scene, http: httpx.Client
) -> None:
    at = AT._replace(namespace=scene.name)
    made = apply(http, deployment(SERVER, at))
    hidden = secret(SERVER, at, made)
    assert hidden is not None
    parts = [
        deployment(SERVER, at),
        service(SERVER, at),
        hidden,
        router_deployment(at, RouterPod(profile="gpu")),
        caller_service(at, 9000),
        order_service(at),
        token_secret(at, "t"),
        first_routing(at, Routing()),
    ]
    for part in parts:
        first = apply(http, part)
        again = apply(http, part)
        for each in (first, again):
            each["metadata"].pop("managedFields")
        assert unchanged(first) == unchanged(again)


def unchanged(obj: dict[str, Any]) -> dict[str, Any]:
    """What an administrator gave, and how often that changed."""
    about = {key: obj["metadata"].get(key) for key in ("generation", "labels", "annotations")}
    about["annotations"] = {
        key: text
        for key, text in (about["annotations"] or {}).items()
        if key.startswith("headgate.dev/")
    }
    return {"metadata": about, "spec": obj.get("spec"), "data": obj.get("data")}


async def test_a_server_that_cannot_start_is_told_of_and_removed_with_all_that_is_its(
    scene: Scene, tmp_path: Path, http: httpx.Client
) -> None:
    cluster = ServingCluster(
        access=ClusterAccess(
            namespace=scene.name, kubeconfig=Path(scene.kubernetes.kubeconfig), calls=500
        ),
        owner=AT.owner,
        image="registry.invalid/headgate:1",
        profiles={"default": ClusterProfile()},
        router=RouterPod(),
    )
    server = SERVER.model_copy(
        update={"profile": None, "resources": Resources(gpu=1), "replicas": 1}
    )
    deployer = KubernetesDeployer(tmp_path, cluster, redact=str)

    async def told() -> bool:
        with suppress(TryAgain):
            await deployer.apply(PLACE, Desired(stable=server))
        seen = (await deployer.observe(PLACE)).server(server.name)
        return seen is not None and "nvidia.com/gpu" in seen.detail

    try:
        await eventually(told, 60.0)
        seen = (await deployer.observe(PLACE)).server(server.name)
        assert seen is not None
        assert (seen.alive, seen.ready) == (False, False)
        assert "it waits for a node" in seen.detail
        await deployer.remove(PLACE)
        assert await deployer.observe(PLACE) == Deployed()
    finally:
        await deployer.close()

    async def nothing_is_left() -> bool:
        return not await asyncio.to_thread(left, http, scene.name)

    await eventually(nothing_is_left)


def left(http: httpx.Client, namespace: str) -> list[str]:
    """What is there of the place."""
    kinds = ("services", "secrets", "configmaps", "pods")
    answers = [http.get(f"/api/v1/namespaces/{namespace}/{kind}").json() for kind in kinds]
    names = [one["metadata"]["name"] for answer in answers for one in answer["items"]]
    return [name for name in names if "flight-delay" in name]
