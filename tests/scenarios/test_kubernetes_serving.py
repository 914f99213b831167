"""Models on a cluster behind a whole controller: the double's nodes run servers and routers."""

from pathlib import Path

import pytest

from tests.deployers.kubernetes.site import (
    IMAGE,
    NAMESPACE,
    OURS,
    SECRET,
    SPEED,
    prepare_serving,
)
from tests.doubles.kubernetes import Kubernetes
from tests.scenarios.test_object_stores import keep_artifacts_in
from tests.scenarios.world import World
from tests.servers.moto import Moto

pytestmark = [pytest.mark.bwrap, pytest.mark.usefixtures("aws", "namespaces")]


def serve_on_cluster(world: World, kubeconfig: Path) -> None:
    """Let staging and production be on the cluster; steps run here."""
    world.configure(
        kubernetes={
            "kubeconfig": str(kubeconfig),
            "image": OURS,
            "calls": 500,
            "profiles": {"default": {"store_secret": SECRET}},
        }
    )
    spec = world.work / "ml-pipeline.yaml"
    text = spec.read_text()
    for old, new in (
        (
            "params: {shift",
            f"environment: {{executor: kubernetes, image: {IMAGE}}}\n\nparams: {{shift",
        ),
        ("    reads: [train.py]\n", "    reads: [train.py]\n    executor: local\n"),
        ("--port {port}", "--port {port} --host {host}"),
        ("  staging:\n", "  staging:\n    deployer: kubernetes\n"),
        ("  production:\n", "  production:\n    deployer: kubernetes\n"),
    ):
        assert old in text
        text = text.replace(old, new)
    spec.write_text(text)


async def test_a_canary_on_the_cluster_that_fails_is_rolled_back(
    world: World, moto: Moto, tmp_path: Path
) -> None:
    keep_artifacts_in(world, moto)
    with Kubernetes(tmp_path / "cluster", speed=SPEED) as cluster:
        prepare_serving(cluster)
        serve_on_cluster(world, cluster.write_kubeconfig(tmp_path / "kubeconfig.json"))
        world.push("Add the pipeline")
        async with world.controller():
            await world.serves(1)
            service = cluster.get("Service", "mean-production", NAMESPACE)
            assert service is not None
            address = service["spec"]["clusterIP"]
            assert await world.address() == f"http://{address}:8080"
            async with world.traffic() as statuses:
                world.push("Be faster", serve__py=("FAULTY = 0", "FAULTY = 3"))

                async def rolled_back() -> bool:
                    env = await world.environment("production")
                    return bool(env and env.quarantine and env.rollout is None)

                await world.until(rolled_back, "the rollback")
                before = len(statuses)

                async def goes_on() -> bool:
                    return len(statuses) > before + 20

                await world.until(goes_on, "traffic after the rollback")
            env = await world.serves(1)

            async def canary_is_gone() -> bool:
                names = [one["metadata"]["name"] for one in cluster.all("Deployment", NAMESPACE)]
                return not any("production-v2" in name for name in names)

            await world.until(canary_is_gone, "the end of the canary's Deployment")
    assert [one.version for one in env.quarantine] == [2]
    assert 500 in statuses
    assert set(statuses[before + 5 :]) == {200}
    assert world.releases()[0] == "mean: roll back v2 in production"
