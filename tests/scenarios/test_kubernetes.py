"""Steps on a cluster behind a whole controller: the double's nodes really run them."""

import re
import sys
from pathlib import Path

import pytest

from tests.controller.executors.kubernetes_site import (
    IMAGE,
    OURS,
    SECRET,
    prepare_cluster,
    python_paths,
)
from tests.doubles.kubernetes import Kubernetes, LocalImage
from tests.scenarios.test_object_stores import keep_artifacts_in
from tests.scenarios.world import World
from tests.servers.moto import Moto

pytestmark = [pytest.mark.bwrap, pytest.mark.usefixtures("aws", "namespaces")]


def on_cluster(world: World, kubeconfig: Path) -> None:
    """Let the controller have the cluster, and every step run there."""
    world.configure(
        kubernetes={
            "kubeconfig": str(kubeconfig),
            "image": OURS,
            "store_networks": ["127.0.0.1/32"],
            "profiles": {"default": {"store_secret": SECRET}},
        }
    )
    spec = world.work / "ml-pipeline.yaml"
    placed = rf"\g<0>    executor: kubernetes\n    image: {IMAGE}\n"
    steps, found = re.subn(r"^    run: python .*\n", placed, spec.read_text(), flags=re.MULTILINE)
    assert found
    spec.write_text(steps)


async def test_a_commit_is_trained_on_the_cluster_judged_here_and_released(
    world: World, moto: Moto, tmp_path: Path
) -> None:
    keep_artifacts_in(world, moto)
    with Kubernetes(tmp_path / "cluster") as cluster:
        prepare_cluster(cluster)
        python = LocalImage(env={"PATH": f"{sys.prefix}/bin:/usr/bin:/bin"}, paths=python_paths())
        cluster.images.add(IMAGE, python)
        on_cluster(world, cluster.write_kubeconfig(tmp_path / "kubeconfig.json"))
        world.push("Add the pipeline")
        async with world.controller():
            run = await world.ended(1)
            await world.serves(1)
        made = cluster.count.made("create", "jobs")
    assert run.outcome == "passed"
    facts = [path.parent.name for path in (world.root / "home" / "attempts").glob("*/job.json")]
    assert any(".train." in name for name in facts)
    assert made == len(facts)
