"""What the Kubernetes double plays of Kueue, Trainer, Gateway API and KServe."""

from collections.abc import Iterator

import pytest

from tests.doubles.kubernetes import Kubernetes, Play
from tests.doubles.kubernetes.base.objects import Obj, condition, is_true
from tests.doubles.kubernetes.base.refusals import StatusError
from tests.doubles.kubernetes.samples import sample_job
from tests.doubles.kubernetes_kit import failure, job_of, made


@pytest.fixture
def cluster() -> Iterator[Kubernetes]:
    with Kubernetes() as double:
        double.plays.add(Play(runs=5))
        yield double


def test_kueue_lets_as_many_jobs_run_as_its_queue_has_room_for(cluster: Kubernetes) -> None:
    cluster.install("kueue")
    cluster.kueue.add("default", "gpus", room=1)
    for name in ("a", "b"):
        job = sample_job(name)
        job["metadata"]["labels"] = {"kueue.x-k8s.io/queue-name": "gpus"}
        made(cluster, job)
    assert [job["spec"]["suspend"] for job in cluster.all("Job")] == [False, True]
    waiting = condition(cluster.all("Workload")[1], "QuotaReserved")
    assert waiting is not None
    assert waiting["reason"] == "WaitingForQuota"
    cluster.advance(6)
    assert job_of(cluster, "b")["spec"]["suspend"] is False
    assert is_true(cluster.all("Workload")[0], "Finished")


def test_kueue_preempts_a_job_and_lets_it_run_again(cluster: Kubernetes) -> None:
    cluster.install("kueue")
    cluster.kueue.add("default", "gpus", room=1)
    job = sample_job()
    job["metadata"]["labels"] = {"kueue.x-k8s.io/queue-name": "gpus"}
    made(cluster, job)
    cluster.kueue.resize("default", "gpus", 0)
    cluster.settle()
    assert is_true(cluster.all("Workload")[0], "Preempted")
    assert cluster.all("Pod") == []
    assert failure(job_of(cluster)) == ""
    cluster.kueue.resize("default", "gpus", 1)
    cluster.settle()
    cluster.advance(6)
    assert is_true(job_of(cluster), "Complete")


def test_a_queue_that_is_not_there(cluster: Kubernetes) -> None:
    cluster.install("kueue")
    job = sample_job()
    job["metadata"]["labels"] = {"kueue.x-k8s.io/queue-name": "none"}
    made(cluster, job)
    waiting = condition(cluster.all("Workload")[0], "QuotaReserved")
    assert waiting is not None
    assert (waiting["reason"], waiting["message"]) == (
        "Inadmissible",
        "LocalQueue none doesn't exist",
    )


def test_a_train_job_runs_a_pod_per_node(cluster: Kubernetes) -> None:
    cluster.install("trainer")
    node = {"name": "node", "image": "torch"}
    pod = {"template": {"spec": {"template": {"spec": {"containers": [node]}}}}, "name": "node"}
    runtime = {
        "metadata": {"name": "torch-distributed"},
        "spec": {"template": {"spec": {"replicatedJobs": [pod]}}},
    }
    body = {
        "metadata": {"name": "big"},
        "spec": {"runtimeRef": {"name": "torch-distributed"}, "trainer": {"numNodes": 4}},
    }
    with pytest.raises(StatusError, match="must be created before the TrainJob"):
        cluster.create("TrainJob", body)
    cluster.create("ClusterTrainingRuntime", runtime)
    cluster.create("TrainJob", body)
    cluster.settle()
    assert len(cluster.all("Pod")) == 4
    cluster.advance(6)
    train = cluster.get("TrainJob", "big")
    assert train is not None
    assert is_true(train, "Complete")


def route(**backends: int) -> Obj:
    refs = [{"name": name, "port": 80, "weight": weight} for name, weight in backends.items()]
    return {
        "metadata": {"name": "split"},
        "spec": {"parentRefs": [{"name": "gate"}], "rules": [{"backendRefs": refs}]},
    }


def test_a_route_says_whether_its_backends_are_there(cluster: Kubernetes) -> None:
    cluster.install("gateway-api")
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    gateway = {"gatewayClassName": "any", "listeners": [listener]}
    cluster.create("Gateway", {"metadata": {"name": "gate"}, "spec": gateway})
    cluster.create("HTTPRoute", route(old=90, new=10))
    cluster.settle()
    assert resolved(cluster)["reason"] == "BackendNotFound"
    for name in ("old", "new"):
        cluster.create("Service", {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}})
    cluster.settle()
    assert (resolved(cluster)["status"], resolved(cluster)["observedGeneration"]) == ("True", 1)
    with pytest.raises(StatusError, match="weight"):
        cluster.create("HTTPRoute", {**route(old=-1), "metadata": {"name": "bad"}})


def resolved(cluster: Kubernetes) -> Obj:
    found = cluster.get("HTTPRoute", "split")
    assert found is not None
    (parent,) = found["status"]["parents"]
    return next(c for c in parent["conditions"] if c["type"] == "ResolvedRefs")
