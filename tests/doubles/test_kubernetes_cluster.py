"""The Kubernetes double's controllers and nodes, with pods that are played."""

from collections.abc import Iterator

import pytest

from tests.doubles.kubernetes import OOM_KILLED, SERVES, Kubernetes, Play, labelled
from tests.doubles.kubernetes.base.objects import Obj, condition, dig, is_true
from tests.doubles.kubernetes.samples import sample_deployment, sample_job
from tests.doubles.kubernetes_kit import failure, job_of, made, name_of, reasons, the_pod


@pytest.fixture
def cluster() -> Iterator[Kubernetes]:
    with Kubernetes() as double:
        double.plays.add(Play(runs=5))
        yield double


# Jobs


def test_a_job_runs_to_its_end_and_is_forgotten(cluster: Kubernetes) -> None:
    made(cluster, sample_job(ttlSecondsAfterFinished=60))
    assert job_of(cluster)["status"]["active"] == 1
    assert the_pod(cluster)["status"]["phase"] == "Running"
    cluster.advance(5)
    job = job_of(cluster)
    assert is_true(job, "Complete")
    assert job["status"]["succeeded"] == 1
    assert "finalizers" not in the_pod(cluster)["metadata"]
    cluster.advance(61)
    assert cluster.all("Job") == cluster.all("Pod") == []


def test_a_failed_pod_fails_a_job_that_allows_none(cluster: Kubernetes) -> None:
    cluster.plays.add(OOM_KILLED)
    made(cluster, sample_job())
    cluster.advance(1)
    assert failure(job_of(cluster)) == "BackoffLimitExceeded"
    state = the_pod(cluster)["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (state["exitCode"], state["reason"]) == (137, "OOMKilled")


def test_a_job_tries_again_later_and_later(cluster: Kubernetes) -> None:
    cluster.plays.add(Play(runs=0, exit_code=1))
    made(cluster, sample_job(backoffLimit=2))
    counts = [len(cluster.all("Pod"))]
    for seconds in (11, 22):
        cluster.advance(seconds)
        counts.append(len(cluster.all("Pod")))
    assert counts == [1, 2, 3]
    assert job_of(cluster)["status"]["failed"] == 3
    assert failure(job_of(cluster)) == "BackoffLimitExceeded"


def test_a_job_has_a_deadline(cluster: Kubernetes) -> None:
    cluster.plays.add(Play(runs=None))
    made(cluster, sample_job(activeDeadlineSeconds=100))
    cluster.advance(99)
    assert failure(job_of(cluster)) == ""
    cluster.advance(2)
    assert failure(job_of(cluster)) == "DeadlineExceeded"
    assert cluster.all("Pod") == []


def test_a_suspended_job_has_no_pods(cluster: Kubernetes) -> None:
    made(cluster, sample_job(suspend=True))
    assert is_true(job_of(cluster), "Suspended")
    assert cluster.all("Pod") == []


@pytest.mark.parametrize(("policy", "left"), [("Background", 0), ("Foreground", 0), ("Orphan", 1)])
def test_pods_follow_their_job_unless_it_lets_go_of_them(
    cluster: Kubernetes, policy: str, left: int
) -> None:
    cluster.plays.add(SERVES)
    made(cluster, sample_job())
    cluster.delete("Job", "train", propagationPolicy=policy)
    cluster.settle()
    assert cluster.all("Job") == []
    assert len(cluster.all("Pod")) == left
    if left:
        assert "ownerReferences" not in the_pod(cluster)["metadata"]


def test_a_name_that_is_used_again_gets_a_pod_of_its_own(cluster: Kubernetes) -> None:
    made(cluster, sample_job())
    first = name_of(the_pod(cluster))
    cluster.delete("Job", "train", propagationPolicy="Background")
    made(cluster, sample_job())
    assert name_of(the_pod(cluster)) != first


def test_a_thousand_jobs(cluster: Kubernetes) -> None:
    for number in range(1000):
        cluster.create("Job", sample_job(f"j{number}"))
    cluster.settle()
    cluster.advance(10)
    assert sum(is_true(job, "Complete") for job in cluster.all("Job")) == 1000


# Nodes


def test_what_no_node_has_is_told(cluster: Kubernetes) -> None:
    job = sample_job()
    main = job["spec"]["template"]["spec"]["containers"][0]
    main["resources"] = {"limits": {"nvidia.com/gpu": 1}}
    made(cluster, job)
    scheduled = condition(the_pod(cluster), "PodScheduled")
    assert scheduled is not None
    assert scheduled["reason"] == "Unschedulable"
    assert scheduled["message"].startswith(
        "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    )
    assert "FailedScheduling" in reasons(cluster)
    cluster.nodes.add("gpu", {"nvidia.com/gpu": 1})
    cluster.settle()
    assert the_pod(cluster)["spec"]["nodeName"] == "gpu"


def test_one_gpu_is_used_by_one_pod_at_a_time(cluster: Kubernetes) -> None:
    cluster.nodes.add("gpu", {"nvidia.com/gpu": 1})
    for name in ("a", "b"):
        job = sample_job(name)
        main = job["spec"]["template"]["spec"]["containers"][0]
        main["resources"] = {"limits": {"nvidia.com/gpu": 1}}
        made(cluster, job)
    placed = [dig(pod, "spec", "nodeName") for pod in cluster.all("Pod")]
    assert sorted(placed, key=str) == [None, "gpu"]
    cluster.advance(6)
    assert [dig(pod, "spec", "nodeName") for pod in cluster.all("Pod")] == ["gpu", "gpu"]


def test_an_evicted_pod(cluster: Kubernetes) -> None:
    made(cluster, sample_job())
    cluster.nodes.evict("default", name_of(the_pod(cluster)))
    cluster.settle()
    pod = the_pod(cluster)
    assert (pod["status"]["phase"], pod["status"]["reason"]) == ("Failed", "Evicted")
    disrupted = condition(pod, "DisruptionTarget")
    assert disrupted is not None
    assert disrupted["reason"] == "TerminationByKubelet"
    assert failure(job_of(cluster)) == "BackoffLimitExceeded"


def test_a_pod_gives_way_to_one_of_higher_priority(cluster: Kubernetes) -> None:
    cluster.create("PriorityClass", {"metadata": {"name": "urgent"}, "value": 1000})
    cluster.nodes.add("gpu", {"nvidia.com/gpu": 1})
    for name, priority in (("low", None), ("high", "urgent")):
        job = sample_job(name)
        pod = job["spec"]["template"]["spec"]
        pod["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": 1}}
        if priority:
            pod["priorityClassName"] = priority
        made(cluster, job)
    assert failure(job_of(cluster, "low")) == "BackoffLimitExceeded"
    assert "Preempted" in reasons(cluster)
    assert job_of(cluster, "high")["status"]["ready"] == 1


def test_a_drained_node_loses_its_pods_and_gets_no_new_ones(cluster: Kubernetes) -> None:
    made(cluster, sample_job())
    cluster.nodes.drain("node-1")
    cluster.settle()
    assert failure(job_of(cluster)) == "BackoffLimitExceeded"
    made(cluster, sample_job("next"))
    assert dig(cluster.all("Pod")[-1], "spec", "nodeName") is None


def test_a_lost_node_is_noticed_and_its_pods_are_given_up(cluster: Kubernetes) -> None:
    cluster.plays.add(Play(runs=10_000))
    made(cluster, sample_job())
    cluster.nodes.lose("node-1")
    cluster.advance(41)
    node = cluster.get("Node", "node-1")
    assert node is not None
    assert condition(node, "Ready")["status"] == "Unknown"  # type: ignore[index]
    pod = the_pod(cluster)
    assert pod["status"]["phase"] == "Running"
    assert not is_true(pod, "Ready")
    cluster.advance(301)
    pod = the_pod(cluster)
    assert pod["metadata"]["deletionTimestamp"]
    disrupted = condition(pod, "DisruptionTarget")
    assert disrupted is not None
    assert disrupted["reason"] == "DeletionByTaintManager"
    job = job_of(cluster)
    assert is_true(job, "FailureTarget")  # counted, and no other pod is made
    assert failure(job) == ""  # its pod may still run for all that is known
    assert len(cluster.all("Pod")) == 1
    cluster.nodes.remove("node-1")
    cluster.settle()
    assert failure(job_of(cluster)) == "BackoffLimitExceeded"
    assert cluster.all("Pod") == []


def test_a_node_that_comes_back_does_what_it_was_told(cluster: Kubernetes) -> None:
    cluster.plays.add(SERVES)
    made(cluster, sample_job())
    cluster.nodes.lose("node-1")
    cluster.delete("Job", "train", propagationPolicy="Background")
    cluster.settle()
    assert the_pod(cluster)["metadata"]["deletionTimestamp"]
    cluster.nodes.recover("node-1")
    cluster.settle()
    assert cluster.all("Pod") == []


def test_an_image_that_cannot_be_pulled(cluster: Kubernetes) -> None:
    cluster.plays.add(Play(waiting=("ImagePullBackOff", 'Back-off pulling image "no"')))
    made(cluster, sample_job())
    waiting = the_pod(cluster)["status"]["containerStatuses"][0]["state"]["waiting"]
    assert waiting["reason"] == "ImagePullBackOff"


# Deployments and Services


def deployed(cluster: Kubernetes, name: str = "server") -> Obj:
    found = cluster.get("Deployment", name)
    assert found is not None
    return found


def progress(cluster: Kubernetes) -> str:
    found = condition(deployed(cluster), "Progressing")
    return str(found["reason"]) if found else ""


def test_a_deployment_is_rolled_out_and_over(cluster: Kubernetes) -> None:
    cluster.plays.add(SERVES)
    cluster.create("Deployment", sample_deployment(replicas=4))
    cluster.settle()
    status = deployed(cluster)["status"]
    assert (status["availableReplicas"], status["observedGeneration"]) == (4, 1)
    assert progress(cluster) == "NewReplicaSetAvailable"
    cluster.update("Deployment", "server", _with_image("server:2"))
    cluster.settle()
    status = deployed(cluster)["status"]
    assert (status["updatedReplicas"], status["replicas"]) == (4, 4)
    assert status["observedGeneration"] == 2
    images = {pod["spec"]["containers"][0]["image"] for pod in cluster.all("Pod")}
    assert images == {"server:2"}


def _with_image(image: str):  # type: ignore[no-untyped-def]
    def change(obj: Obj) -> None:
        obj["spec"]["template"]["spec"]["containers"][0]["image"] = image

    return change


def test_bad_pods_do_not_take_the_place_of_good_ones(cluster: Kubernetes) -> None:
    cluster.plays.add(SERVES)
    cluster.create("Deployment", sample_deployment(replicas=4, progressDeadlineSeconds=60))
    cluster.settle()
    cluster.plays.add(Play(runs=None, ready_after=None), lambda pod: _image(pod) == "bad")
    cluster.update("Deployment", "server", _with_image("bad"))
    cluster.settle()
    status = deployed(cluster)["status"]
    assert status["availableReplicas"] >= 3
    assert is_true(deployed(cluster), "Available")
    cluster.advance(61)
    assert progress(cluster) == "ProgressDeadlineExceeded"
    cluster.update("Deployment", "server", _with_image("server"))  # back, without waiting for them
    cluster.settle()
    assert progress(cluster) == "NewReplicaSetAvailable"
    assert {_image(pod) for pod in cluster.all("Pod")} == {"server"}


def _image(pod: Obj) -> str:
    return str(pod["spec"]["containers"][0]["image"])


def test_the_observed_generation_lags_while_the_controller_rests(cluster: Kubernetes) -> None:
    cluster.plays.add(SERVES)
    cluster.create("Deployment", sample_deployment())
    cluster.settle()
    cluster.manager.paused = True
    cluster.update("Deployment", "server", _with_image("server:2"))
    found = deployed(cluster)
    assert (found["metadata"]["generation"], found["status"]["observedGeneration"]) == (2, 1)
    cluster.manager.paused = False
    cluster.settle()
    assert deployed(cluster)["status"]["observedGeneration"] == 2


def test_only_ready_pods_are_endpoints(cluster: Kubernetes) -> None:
    cluster.plays.add(Play(runs=None, ready_after=10))
    cluster.create("Deployment", sample_deployment())
    ports = [{"port": 8080}]
    service = {"metadata": {"name": "s"}, "spec": {"selector": {"app": "server"}, "ports": ports}}
    cluster.create("Service", service)
    cluster.settle()
    endpoint = cluster.all("EndpointSlice")[0]["endpoints"][0]
    assert endpoint["conditions"]["ready"] is False
    cluster.advance(11)
    endpoint = cluster.all("EndpointSlice")[0]["endpoints"][0]
    assert endpoint["conditions"]["ready"] is True
    assert endpoint["addresses"] == [the_pod(cluster)["status"]["podIP"]]


def test_plays_are_chosen_by_labels(cluster: Kubernetes) -> None:
    cluster.plays.add(Play(runs=0, exit_code=3), labelled(step="train"))
    job = sample_job()
    job["spec"]["template"]["metadata"] = {"labels": {"step": "train"}}
    made(cluster, job)
    made(cluster, sample_job("other"))
    cluster.advance(6)
    assert failure(job_of(cluster)) == "BackoffLimitExceeded"
    assert is_true(job_of(cluster, "other"), "Complete")
