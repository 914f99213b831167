"""Stories of KServe's Standard mode: canaries beside a stable predictor, split by an HTTPRoute."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deployers.kserve import standard
from deployers.protocol import Deployed, Desired
from specs.failures import NeedsHuman, TryAgain
from tests.deployers.kserve.scene import NAME, NAMESPACE, PLACE, Scene, server
from tests.doubles.kubernetes import Kubernetes, Play
from tests.doubles.kubernetes.base.objects import Obj, dig
from tests.doubles.kubernetes.kubelet.plays import PodTest, image_pull_failure

V1, V2, V3 = server(1), server(2), server(3)


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


def split(scene: Scene) -> dict[str, float]:
    """What the HTTPRoute says, by the predictors' names."""
    found = standard.shares(scene.cluster.get("HTTPRoute", NAME, NAMESPACE))
    return {k.removeprefix(f"{NAME}-").removesuffix("-predictor"): v for k, v in found.items()}


async def test_nothing_is_seen_where_nothing_was_deployed(scene: Scene) -> None:
    assert await scene.deployer.observe(PLACE) == Deployed()


async def test_a_first_version_serves_once_it_is_ready(scene: Scene) -> None:
    first = await scene.apply(Desired(stable=V1))
    assert (first.stable, first.address) == (None, None)
    (status,) = first.servers
    assert (status.ready, status.detail) == (False, "it runs; /healthz has not answered yet")
    seen = await scene.converge(Desired(stable=V1))
    assert (seen.stable, seen.canary, seen.canary_weight) == (V1.name, None, 0.0)
    assert seen.address == f"http://{NAME}-{NAMESPACE}.example.com"
    assert scene.predictor["model"]["storageUri"] == "s3://ml/artifacts/files/01/plan"


async def test_a_canary_grows_is_promoted_and_no_pod_restarts(scene: Scene) -> None:
    await scene.converge(Desired(stable=V1))
    stable_pods = scene.pods(V1.name)
    assert len(stable_pods) == 1
    await scene.converge(Desired(stable=V1, canary=V2))  # a dark launch, to have it ready
    assert split(scene) == {"v1-0f5a8c21d9e1": 1.0, "v2-0f5a8c21d9e2": 0.0}
    canary_pods = scene.pods(V2.name)
    assert len(canary_pods) == 1
    for weight in (0.05, 0.25, 0.5, 1.0):
        seen = await scene.converge(Desired(stable=V1, canary=V2, canary_weight=weight))
        assert (seen.stable, seen.canary_weight) == (V1.name, weight)
        assert (scene.pods(V1.name), scene.pods(V2.name)) == (stable_pods, canary_pods)
    seen = await scene.converge(Desired(stable=V2))
    assert split(scene) == {"v2-0f5a8c21d9e2": 1.0}
    assert scene.pods(V2.name) == canary_pods
    assert scene.pods(V1.name) == set()
    await scene.converge(Desired(stable=V2, canary=V3, canary_weight=0.1))
    await scene.converge(Desired(stable=V3))
    assert split(scene) == {"v3-0f5a8c21d9e3": 1.0}


async def test_replicas_are_kept_while_a_canary_is_there_and_after_its_promotion(
    scene: Scene,
) -> None:
    one, two = server(1, replicas=3), server(2, replicas=3)
    await scene.converge(Desired(stable=one))
    before = scene.pods(one.name)
    seen = await scene.converge(Desired(stable=one, canary=two, canary_weight=0.1))
    assert (len(before), len(scene.pods(two.name)), seen.canary_weight) == (3, 3, 0.1)
    assert len(scene.pods(one.name)) == 3
    pods = scene.pods(two.name)
    await scene.converge(Desired(stable=two))
    assert scene.pods(two.name) == pods


async def test_a_rollback_does_not_wait_for_pods_that_do_not_become_ready(scene: Scene) -> None:
    await scene.converge(Desired(stable=V1))
    await scene.converge(Desired(stable=V1, canary=V2, canary_weight=0.5))
    scene.cluster.plays.add(Play(runs=None, ready_after=None), of(V2.name))
    scene.cluster.delete("Pod", pod_of(scene, V2.name), NAMESPACE)
    scene.cluster.settle()
    assert (await scene.deployer.observe(PLACE)).canary_weight == 0  # KServe sends it none
    seen = await scene.apply(Desired(stable=V1))
    assert split(scene) == {"v1-0f5a8c21d9e1": 1.0}
    assert (seen.stable, seen.canary, seen.canary_weight) == (V1.name, None, 0.0)
    assert scene.service["spec"]["canary"] == []


async def test_a_canary_that_cannot_start_gets_no_traffic_and_says_why(scene: Scene) -> None:
    await scene.converge(Desired(stable=V1))
    scene.cluster.plays.add(image_pull_failure("registry.example/serve@sha256:4"), of(V2.name))
    seen = await scene.apply(Desired(stable=V1, canary=V2, canary_weight=0.05))
    assert (seen.canary, seen.canary_weight) == (V2.name, 0.0)
    status = seen.server(V2.name)
    assert status is not None
    assert not status.ready
    assert "cannot be pulled" in status.detail
    assert "correct `image`" in status.detail
    assert (await scene.apply(Desired(stable=V1))).canary is None
    assert scene.pods(V2.name) == set()


async def test_a_new_stable_version_takes_over_only_when_it_is_ready(scene: Scene) -> None:
    await scene.converge(Desired(stable=V1))
    seen = await scene.apply(Desired(stable=V2))
    assert (seen.stable, split(scene)["v1-0f5a8c21d9e1"]) == (V1.name, 1.0)
    assert scene.service["spec"]["canary"][0]["trafficPercent"] == 0
    seen = await scene.converge(Desired(stable=V2))
    assert split(scene) == {"v2-0f5a8c21d9e2": 1.0}


async def test_stable_and_canary_swap_in_one_step(scene: Scene) -> None:
    await scene.converge(Desired(stable=V1, canary=V2, canary_weight=0.5))
    pods = scene.pods(V1.name), scene.pods(V2.name)
    await scene.converge(Desired(stable=V2, canary=V1))
    assert (scene.pods(V1.name), scene.pods(V2.name)) == pods


async def test_what_somebody_edits_is_noticed_and_put_right(scene: Scene) -> None:
    wanted = Desired(stable=V1, canary=V2, canary_weight=0.05)
    await scene.converge(Desired(stable=V1))
    await scene.converge(wanted)

    def more(service: Obj) -> None:
        service["spec"]["canary"][0]["trafficPercent"] = 60

    scene.edit(more)
    seen = await scene.deployer.observe(PLACE)
    assert (seen.canary_weight, seen.configured) == (0.6, False)
    assert (await scene.converge(wanted)).canary_weight == 0.05

    def other_image(service: Obj) -> None:
        service["spec"]["predictor"]["model"]["image"] = "somebody/else:latest"

    scene.edit(other_image)
    assert not (await scene.deployer.observe(PLACE)).configured
    await scene.converge(wanted)
    assert scene.predictor["model"]["image"] == "registry.example/serve@sha256:4"


async def test_a_canary_that_somebody_adds_is_taken_out(scene: Scene) -> None:
    await scene.converge(Desired(stable=V1))

    def add(service: Obj) -> None:
        model = {"modelFormat": {"name": "sklearn"}, "storageUri": "s3://elsewhere"}
        predictor = {"name": "own", "model": model, "minReplicas": 1}
        service["spec"]["canary"] = [{"trafficPercent": 50, "predictor": predictor}]

    scene.edit(add)
    assert not (await scene.deployer.observe(PLACE)).configured
    await scene.converge(Desired(stable=V1))
    assert scene.service["spec"]["canary"] == []


async def test_what_others_add_beside_is_left(scene: Scene) -> None:
    await scene.converge(Desired(stable=V1))
    scene.change("spec", "predictor", "containerConcurrency", to=8)
    assert (await scene.deployer.observe(PLACE)).configured


async def test_a_conflict_is_tried_again(scene: Scene) -> None:
    scene.cluster.faults.conflict(2)
    await scene.converge(Desired(stable=V1))


async def test_who_deletes_it_gets_it_back(scene: Scene) -> None:
    await scene.converge(Desired(stable=V1))
    scene.cluster.delete("InferenceService", NAME, NAMESPACE)
    scene.cluster.settle()
    assert await scene.deployer.observe(PLACE) == Deployed()
    assert (await scene.converge(Desired(stable=V1))).stable == V1.name


async def test_another_controller_s_service_is_left_alone(scene: Scene) -> None:
    await scene.converge(Desired(stable=V1))
    scene.change("metadata", "labels", to={})
    with pytest.raises(NeedsHuman, match="is not this controller's"):
        await scene.deployer.apply(PLACE, Desired(stable=V1))


async def test_a_kserve_that_does_not_split_is_told(scene: Scene) -> None:
    scene.cluster.kserve.splits = False  # 0.20: canaries, and no route to them
    await scene.converge(Desired(stable=V1))
    await scene.apply(Desired(stable=V1, canary=V2, canary_weight=0.05))
    scene.cluster.advance(11)
    seen = await scene.deployer.observe(PLACE)
    status = seen.server(V2.name)
    assert status is not None
    assert seen.canary_weight == 0
    assert "from KServe 0.21 on" in status.detail
    with pytest.raises(TryAgain, match="enableGatewayApi") as told:
        await scene.deployer.apply(PLACE, Desired(stable=V1, canary=V2, canary_weight=0.05))
    assert told.value.human


async def test_a_service_in_the_other_mode_is_told(scene: Scene, tmp_path: Path) -> None:
    await scene.converge(Desired(stable=V1))
    other = Scene(scene.cluster, tmp_path, "Knative")
    with pytest.raises(NeedsHuman, match=r"runs the InferenceService .* in Standard mode"):
        await other.deployer.apply(PLACE, Desired(stable=V1))
    await other.close()


async def test_a_model_that_is_the_same_is_refused_before_it_gets_traffic(scene: Scene) -> None:
    same = server(2, shipment=V1.shipment)
    await scene.converge(Desired(stable=V1))
    with pytest.raises(NeedsHuman, match="have the same model address"):
        await scene.deployer.apply(PLACE, Desired(stable=V1, canary=same, canary_weight=0.05))


async def test_half_a_percent_is_refused(scene: Scene) -> None:
    with pytest.raises(NeedsHuman, match=r"0\.5% is none.*canary\.steps"):
        await scene.deployer.apply(PLACE, Desired(stable=V1, canary=V2, canary_weight=0.005))


async def test_a_new_image_of_headgate_restarts_nothing(scene: Scene, tmp_path: Path) -> None:
    await scene.converge(Desired(stable=V1, canary=V2, canary_weight=0.1))
    pods = scene.pods(V1.name), scene.pods(V2.name)
    newer = Scene(scene.cluster, tmp_path, "Standard", image="registry.example/headgate@sha256:9")
    await newer.converge(Desired(stable=V1, canary=V2, canary_weight=0.2))
    await newer.close()
    assert (scene.pods(V1.name), scene.pods(V2.name)) == pods


async def test_secrets_are_in_a_secret_that_goes_with_its_server(scene: Scene) -> None:
    await scene.converge(Desired(stable=V1, canary=V2, canary_weight=0.1))
    assert "hush" not in str(scene.service)
    assert len(scene.cluster.all("Secret", NAMESPACE)) == 2
    await scene.converge(Desired(stable=V2))
    await scene.apply(Desired(stable=V2))
    (left,) = scene.cluster.all("Secret", NAMESPACE)
    assert left["metadata"]["labels"]["headgate.dev/server"] == V2.name


async def test_removing_leaves_nothing_and_stopping_keeps_the_address(scene: Scene) -> None:
    before = (await scene.converge(Desired(stable=V1))).address
    await scene.deployer.stop(PLACE)
    assert await scene.deployer.observe(PLACE) == Deployed()
    assert (await scene.converge(Desired(stable=V1))).address == before
    for _ in range(2):
        await scene.deployer.remove(PLACE)
        scene.cluster.settle()
    for kind in ("InferenceService", "Deployment", "HTTPRoute", "Secret"):
        assert scene.cluster.all(kind, NAMESPACE) == []
    assert scene.cluster.get("ConfigMap", NAME, NAMESPACE) is None


def pod_of(scene: Scene, name: str) -> str:
    found = (pod for pod in scene.cluster.all("Pod", NAMESPACE) if of(name)(pod))
    return str(next(found)["metadata"]["name"])


def of(name: str) -> PodTest:
    """Pods of a server."""
    return lambda pod: dig(pod, "metadata", "annotations", "headgate.dev/server") == name


async def test_a_controller_that_has_lost_a_place_changes_nothing_there(scene: Scene) -> None:
    await scene.converge(Desired(stable=V1))
    scene.holds = False
    scene.cluster.count.reset()
    for wish in (Desired(stable=V1, canary=V2), Desired(stable=V2), Desired(closed=True)):
        with pytest.raises(TryAgain, match=f"another controller may have {PLACE}"):
            await scene.deployer.apply(PLACE, wish)
    with pytest.raises(TryAgain):
        await scene.deployer.remove(PLACE)
    assert (await scene.deployer.observe(PLACE)).stable == V1.name
    assert {verb for verb, _ in scene.cluster.count.by_call()} <= {"get", "list"}
