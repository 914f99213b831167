"""Stories of KServe's Knative mode: revisions, split by `canaryTrafficPercent`."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deployers.kserve import knative
from deployers.protocol import Desired
from tests.deployers.kserve.scene import NAME, NAMESPACE, PLACE, Scene, server
from tests.doubles.kubernetes import Kubernetes
from tests.doubles.kubernetes.base.objects import Obj

V1, V2, V3 = server(1), server(2), server(3)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Kubernetes]:
    with Kubernetes(folder=tmp_path) as made:
        made.namespace(NAMESPACE)
        made.install("gateway-api", "kserve")
        yield made


@pytest.fixture
async def scene(cluster: Kubernetes, tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(cluster, tmp_path, "Knative")
    yield made
    await made.close()


def unready(scene: Scene, number: int, ready: bool = False) -> None:
    """A revision does not come to serve, or does after all."""
    name = f"{NAME}-predictor-{number:05}"
    scene.cluster.kserve.set_revision_ready(NAMESPACE, name, ready)
    scene.cluster.settle()


async def share(scene: Scene, name: str) -> float:
    """What a server gets, by KServe's status."""
    return knative.shares(await scene.deployer._objects.look(PLACE)).get(name, 0.0)


async def test_a_first_version_serves_and_nothing_of_it_needs_what_knative_refuses(
    scene: Scene,
) -> None:
    seen = await scene.converge(Desired(stable=V1))
    assert (seen.stable, seen.canary) == (V1.name, None)
    (container,) = scene.predictor["containers"]
    assert container["name"] == "kserve-container"
    assert container["ports"] == [{"containerPort": 8080, "protocol": "TCP"}]
    assert not {"restartPolicy", "terminationGracePeriodSeconds"} & scene.predictor.keys()
    assert "model" not in scene.predictor


async def test_a_canary_grows_and_is_promoted_without_another_revision(scene: Scene) -> None:
    await scene.converge(Desired(stable=V1))
    await scene.converge(Desired(stable=V1, canary=V2))
    for weight in (0.05, 0.25, 0.5):
        seen = await scene.converge(Desired(stable=V1, canary=V2, canary_weight=weight))
        assert (seen.stable, seen.canary_weight) == (V1.name, weight)
        assert await share(scene, V1.name) == 1 - weight
    await scene.converge(Desired(stable=V2))
    assert scene.revisions() == [V1.name, V2.name]
    await scene.converge(Desired(stable=V2, canary=V3, canary_weight=0.1))
    await scene.converge(Desired(stable=V3))
    assert scene.revisions() == [V1.name, V2.name, V3.name]


async def test_a_canary_has_an_address_of_its_own(scene: Scene) -> None:
    await scene.converge(Desired(stable=V1))
    seen = await scene.converge(Desired(stable=V1, canary=V2))
    canary = seen.server(V2.name)
    assert canary is not None
    assert canary.address == f"http://latest-{NAME}-predictor.{NAMESPACE}.example.com"


async def test_a_rollback_takes_the_traffic_at_once_and_the_canary_out_of_the_service(
    scene: Scene,
) -> None:
    await scene.converge(Desired(stable=V1))
    await scene.converge(Desired(stable=V1, canary=V2, canary_weight=0.5))
    unready(scene, 3)  # the stable version's new revision takes its time
    seen = await scene.apply(Desired(stable=V1))
    assert (seen.stable, seen.canary, seen.canary_weight) == (V1.name, None, 0.0)
    assert await share(scene, V1.name) == 1
    assert scene.predictor["annotations"]["headgate.dev/server"] == V1.name
    unready(scene, 3, ready=True)
    assert not (await scene.deployer.observe(PLACE)).configured
    await scene.converge(Desired(stable=V1))
    assert scene.predictor["canaryTrafficPercent"] == 100


async def test_a_canary_that_was_rolled_back_gets_nothing_when_the_next_one_starts(
    scene: Scene,
) -> None:
    await scene.converge(Desired(stable=V1))
    await scene.converge(Desired(stable=V1, canary=V2, canary_weight=0.5))
    unready(scene, 3)
    await scene.apply(Desired(stable=V1))  # the latest that is ready is still the bad one
    unready(scene, 4)
    seen = await scene.apply(Desired(stable=V1, canary=V3, canary_weight=0.25))
    assert await share(scene, V2.name) == 0
    assert seen.canary_weight == 0
    unready(scene, 4, ready=True)
    seen = await scene.converge(Desired(stable=V1, canary=V3, canary_weight=0.25))
    assert await share(scene, V3.name) == 0.25


async def test_a_canary_that_cannot_start_gets_no_traffic_and_says_why(scene: Scene) -> None:
    await scene.converge(Desired(stable=V1))
    unready(scene, 2)
    for _ in range(3):
        seen = await scene.apply(Desired(stable=V1, canary=V2, canary_weight=0.05))
    assert (seen.stable, seen.canary, seen.canary_weight) == (V1.name, V2.name, 0.0)
    status = seen.server(V2.name)
    assert status is not None
    assert not status.ready
    assert "ExitCode1: Container failed with: no model" in status.detail


async def test_a_new_stable_version_takes_over_only_when_it_is_ready(scene: Scene) -> None:
    await scene.converge(Desired(stable=V1))
    unready(scene, 2)
    seen = await scene.apply(Desired(stable=V2))
    assert (seen.stable, await share(scene, V1.name)) == (V1.name, 1)
    unready(scene, 2, ready=True)
    await scene.converge(Desired(stable=V2))
    assert await share(scene, V2.name) == 1


async def test_what_somebody_edits_is_noticed_and_put_right(scene: Scene) -> None:
    await scene.converge(Desired(stable=V1))
    wanted = Desired(stable=V1, canary=V2, canary_weight=0.05)
    await scene.converge(wanted)
    scene.change("spec", "predictor", "canaryTrafficPercent", to=70)
    seen = await scene.deployer.observe(PLACE)
    assert (seen.canary_weight, seen.configured) == (0.7, False)
    assert (await scene.converge(wanted)).canary_weight == 0.05


async def test_a_percentage_that_somebody_takes_away_promotes_nothing_for_long(
    scene: Scene,
) -> None:
    await scene.converge(Desired(stable=V1))
    wanted = Desired(stable=V1, canary=V2, canary_weight=0.05)
    await scene.converge(wanted)

    def without(service: Obj) -> None:
        del service["spec"]["predictor"]["canaryTrafficPercent"]

    scene.edit(without)
    seen = await scene.deployer.observe(PLACE)
    assert not seen.configured
    assert (seen.stable, seen.canary) == (V2.name, None)  # KServe has rolled it out
    await scene.converge(wanted)
    assert await share(scene, V1.name) == 0.95


async def test_a_split_of_the_stable_version_alone_is_put_right(scene: Scene) -> None:
    await scene.converge(Desired(stable=V1))
    await scene.converge(Desired(stable=V2))
    scene.change("spec", "predictor", "canaryTrafficPercent", to=50)
    await scene.converge(Desired(stable=V2))
    assert await share(scene, V2.name) == 1
    assert scene.revisions() == [V1.name, V2.name]


async def test_a_restarted_controller_changes_nothing(scene: Scene, tmp_path: Path) -> None:
    wanted = Desired(stable=V1, canary=V2, canary_weight=0.25)
    await scene.converge(Desired(stable=V1))
    before = await scene.converge(wanted)
    newer = Scene(scene.cluster, tmp_path, "Knative", image="registry.example/headgate@sha256:9")
    assert await newer.apply(wanted) == before
    assert scene.revisions() == [V1.name, V2.name]
    await newer.close()
