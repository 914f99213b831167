"""How the double's KServe behaves, in both modes, as the controller's source says."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.kubernetes import Kubernetes, Play
from tests.doubles.kubernetes.base.objects import Obj, dig
from tests.doubles.kubernetes.base.refusals import StatusError

MODE = "serving.kserve.io/deploymentMode"
CONTAINER = {"containers": [{"name": "kserve-container", "image": "own"}]}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Kubernetes]:
    with Kubernetes(folder=tmp_path) as made:
        made.install("gateway-api", "kserve")
        made.plays.add(Play(runs=None, ready_after=10))
        yield made


def isvc(mode: str, **spec: object) -> Obj:
    return {"metadata": {"name": "delay", "annotations": {MODE: mode}}, "spec": spec}


def predictor(version: str, **more: object) -> Obj:
    model = {"modelFormat": {"name": "sklearn"}, "storageUri": f"s3://models/{version}"}
    return {"model": model, **more}


def canary(version: str, percent: int, **more: object) -> Obj:
    return {"trafficPercent": percent, "predictor": predictor(version, name=version, **more)}


def change(cluster: Kubernetes, **spec: object) -> None:
    cluster.update("InferenceService", "delay", lambda i: i.update(spec=spec))
    cluster.settle()


def refs(cluster: Kubernetes, name: str = "delay") -> dict[str, int]:
    found = cluster.get("HTTPRoute", name)
    if found is None:
        return {}
    return {ref["name"]: ref["weight"] for ref in found["spec"]["rules"][0]["backendRefs"]}


def pods(cluster: Kubernetes) -> set[str]:
    return {pod["metadata"]["name"] for pod in cluster.all("Pod")}


def replicas(cluster: Kubernetes, name: str) -> int:
    found = cluster.get("Deployment", name)
    assert found is not None
    return int(found["spec"]["replicas"])


def status(cluster: Kubernetes, *path: str) -> object:
    return dig(cluster.get("InferenceService", "delay"), "status", *path)


def test_only_canaries_that_are_ready_are_routed_to(cluster: Kubernetes) -> None:
    service = isvc("Standard", predictor=predictor("v1", name="v1"))
    cluster.create("InferenceService", service)
    cluster.settle()
    assert refs(cluster) == {}
    cluster.advance(11)
    assert refs(cluster) == {"delay-v1-predictor": 1}  # the API's default
    change(cluster, predictor=predictor("v1", name="v1"), canary=[canary("v2", 10)])
    assert refs(cluster) == {"delay-v1-predictor": 100}
    cluster.advance(11)
    assert refs(cluster) == {"delay-v1-predictor": 90, "delay-v2-predictor": 10}
    assert refs(cluster, "delay-predictor") == refs(cluster)
    assert dig(status(cluster, "canaryStatuses"), 0, "ready") is True


def test_a_canary_is_promoted_by_name_and_its_pods_go_on(cluster: Kubernetes) -> None:
    cluster.create(
        "InferenceService",
        isvc("Standard", predictor=predictor("v1", name="v1"), canary=[canary("v2", 10)]),
    )
    cluster.settle()
    cluster.advance(11)
    before = pods(cluster)
    change(cluster, predictor=predictor("v2", name="v2"))
    assert refs(cluster) == {"delay-v2-predictor": 1}
    assert pods(cluster) < before
    assert status(cluster, "canaryStatuses") is None


def test_a_canary_inherits_what_it_does_not_set(cluster: Kubernetes) -> None:
    stable = predictor("v1", name="v1", nodeSelector={"pool": "a"})
    cluster.create("InferenceService", isvc("Standard", predictor=stable, canary=[canary("v2", 1)]))
    cluster.settle()
    found = cluster.get("Deployment", "delay-v2-predictor")
    assert dig(found, "spec", "template", "spec", "nodeSelector") == {"pool": "a"}


def test_a_canary_at_zero_has_pods_only_if_it_says_how_many(cluster: Kubernetes) -> None:
    dark = [canary("v2", 0), canary("v3", 0, minReplicas=1)]
    cluster.create("InferenceService", isvc("Standard", predictor=predictor("v1"), canary=dark))
    cluster.settle()
    assert replicas(cluster, "delay-v2-predictor") == 0
    assert replicas(cluster, "delay-v3-predictor") == 1


def test_the_stable_predictor_gives_its_pods_to_canaries_that_are_ready(
    cluster: Kubernetes,
) -> None:
    whole = isvc("Standard", predictor=predictor("v1", minReplicas=4), canary=[canary("v2", 25)])
    cluster.create("InferenceService", whole)
    cluster.settle()
    assert replicas(cluster, "delay-predictor") == 4
    cluster.advance(11)
    assert replicas(cluster, "delay-predictor") == 3


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"canary": [canary("a", 60), canary("b", 60)]}, "must be <= 100"),
        ({"canary": [canary("a", 1), canary("a", 1)]}, "is duplicated"),
        ({"canary": [{"trafficPercent": 1, "predictor": predictor("a")}]}, "name is required"),
        ({"canary": [canary("v1", 1)]}, "conflicts with stable"),
        ({"canary": [canary("a", 1, maxReplicas=2)]}, "must not set maxReplicas"),
        ({"canary": [canary("a", 1, minReplicas=2)]}, "must not exceed stable"),
        (
            {
                "canary": [canary("a", 1)],
                "predictor": {"containers": [{"name": "c", "image": "i"}]},
            },
            "requires a stable predictor with a model",
        ),
    ],
)
def test_the_webhook_refuses(cluster: Kubernetes, spec: Obj, said: str) -> None:
    whole = {"predictor": predictor("v1", name="v1"), **spec}
    with pytest.raises(StatusError, match=said):
        cluster.create("InferenceService", isvc("Standard", **whole))


def test_the_webhook_refuses_a_canary_in_knative_mode_and_another_mode(cluster: Kubernetes) -> None:
    whole = {"predictor": predictor("v1"), "canary": [canary("v2", 10)]}
    with pytest.raises(StatusError, match="only supported in Standard"):
        cluster.create("InferenceService", isvc("Knative", **whole))
    cluster.create("InferenceService", isvc("Standard", predictor=predictor("v1")))
    cluster.settle()
    with pytest.raises(StatusError, match="deploymentMode cannot be changed"):
        cluster.update(
            "InferenceService",
            "delay",
            lambda i: i["metadata"]["annotations"].update({MODE: "Knative"}),
        )


def test_the_webhook_refuses_another_name_for_the_same_model(cluster: Kubernetes) -> None:
    cluster.create("InferenceService", isvc("Standard", predictor=predictor("v1", name="v1")))
    cluster.settle()
    with pytest.raises(StatusError, match="requires a model change"):
        change(cluster, predictor=predictor("v1", name="v2"))


def test_a_runtime_that_is_missing_is_told(cluster: Kubernetes) -> None:
    stable = predictor("v1")
    stable["model"]["runtime"] = "mlserver"
    cluster.create("InferenceService", isvc("Standard", predictor=stable))
    cluster.settle()
    assert status(cluster, "modelStatus", "transitionStatus") == "InvalidSpec"
    assert status(cluster, "modelStatus", "lastFailureInfo", "reason") == "RuntimeNotRecognized"


def traffic(cluster: Kubernetes) -> dict[str, int]:
    found = status(cluster, "components", "predictor", "traffic")
    assert isinstance(found, list)
    out: dict[str, int] = {}
    for each in found:
        short = each["revisionName"].removeprefix("delay-predictor-0000")
        out[short] = out.get(short, 0) + each["percent"]
    return out


def test_revisions_split_traffic_in_knative_mode(cluster: Kubernetes) -> None:
    cluster.create("InferenceService", isvc("Knative", predictor=predictor("v1")))
    cluster.settle()
    change(cluster, predictor=predictor("v2", canaryTrafficPercent=10))
    assert traffic(cluster) == {"2": 10, "1": 90}
    assert status(cluster, "components", "predictor", "latestRolledoutRevision") == (
        "delay-predictor-00001"
    )
    change(cluster, predictor=predictor("v2", canaryTrafficPercent=100))
    assert traffic(cluster) == {"2": 100}
    assert len(cluster.all("Revision")) == 2
    change(cluster, predictor=predictor("v2", canaryTrafficPercent=0))  # rolled back
    assert traffic(cluster) == {"2": 0, "1": 100}


def test_the_percentage_is_that_of_the_latest_revision_that_is_ready(cluster: Kubernetes) -> None:
    cluster.create("InferenceService", isvc("Knative", predictor=predictor("v1")))
    cluster.settle()
    change(
        cluster, predictor=predictor("v2", canaryTrafficPercent=0)
    )  # a canary that was withdrawn
    cluster.kserve.set_revision_ready("default", "delay-predictor-00003", ready=False)
    change(cluster, predictor=predictor("v3", canaryTrafficPercent=10))
    assert traffic(cluster) == {"2": 10, "1": 90}
