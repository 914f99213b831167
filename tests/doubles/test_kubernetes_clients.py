"""The Kubernetes double as clients meet it: lightkube unchanged, rights, faults and logs."""

import json
from collections.abc import Iterator

import httpx
import pytest
from lightkube import ApiError, Client, KubeConfig
from lightkube.core.exceptions import ApiError as WatchError
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import ConfigMap, Pod
from lightkube.types import CascadeType

from tests.doubles.kubernetes import ADMIN, AccessRule, Kubernetes, Play
from tests.doubles.kubernetes.samples import sample_job


@pytest.fixture
def cluster() -> Iterator[Kubernetes]:
    with Kubernetes() as double:
        double.plays.add(Play(runs=None, log=["epoch 1", "epoch 2", "epoch 3"]))
        yield double


@pytest.fixture
def client(cluster: Kubernetes) -> Iterator[Client]:
    yield from lightkube_client(cluster)


def lightkube_client(cluster: Kubernetes, token: str = ADMIN) -> Iterator[Client]:
    it = Client(config=KubeConfig.from_dict(cluster.kubeconfig(token)), trust_env=False)
    yield it
    it.close()


@pytest.fixture
def http(cluster: Kubernetes) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {ADMIN}"}
    with httpx.Client(base_url=cluster.url, headers=headers, trust_env=False) as it:
        yield it


def settings(**data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name="settings"), data=data)


def name_of(obj: Job) -> str | None:
    return obj.metadata.name if obj.metadata else None


def pod_of(cluster: Kubernetes, job: str = "train") -> str:
    """The name of the Job's pod, once it runs."""
    cluster.settle()
    found = [p for p in cluster.all("Pod") if p["metadata"]["labels"]["job-name"] == job]
    return str(found[0]["metadata"]["name"])


def test_lightkube_applies_and_meets_a_conflict(client: Client) -> None:
    client.apply(settings(a="1"), field_manager="headgate")
    with pytest.raises(ApiError) as refused:
        client.apply(settings(a="2"), field_manager="other")
    assert refused.value.status.code == 409
    status = refused.value.status.to_dict()
    assert [each["field"] for each in status["details"]["causes"]] == [".data.a"]
    forced = client.apply(settings(a="2"), field_manager="other", force=True)
    assert forced.data == {"a": "2"}


def test_lightkube_lists_in_parts_and_watches_on(cluster: Kubernetes, client: Client) -> None:
    for number in range(5):
        cluster.create("Job", sample_job(f"j{number}", suspend=True))
    cluster.settle()
    found = client.list(Job, chunk_size=2)
    assert [name_of(job) for job in found] == [f"j{number}" for number in range(5)]
    events = client.watch(Job, resource_version=found.resourceVersion)
    client.delete(Job, "j3", cascade=CascadeType.BACKGROUND)
    kind, job = next(iter(events))
    assert (kind, name_of(job)) == ("DELETED", "j3")


def test_lightkube_is_told_of_a_forgotten_version(cluster: Kubernetes, client: Client) -> None:
    client.create(settings(a="1"))
    cluster.store.compact()
    with pytest.raises(WatchError) as gone:
        next(iter(client.watch(ConfigMap, resource_version="1")))
    assert gone.value.status.code == 410


def test_a_bookmark_brings_the_version_forward(cluster: Kubernetes, http: httpx.Client) -> None:
    version = str(cluster.store.revision)
    cluster.create("ConfigMap", {"metadata": {"name": "elsewhere"}}, "kube-system")
    query = {"watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true"}
    path = "/apis/batch/v1/namespaces/default/jobs"
    with http.stream("GET", path, params=query) as stream:
        cluster.watches.bookmark()
        event = json.loads(next(stream.iter_lines()))
    assert event["type"] == "BOOKMARK"
    # An empty Job as Go writes it, which lightkube's own decoder refuses for its null.
    assert event["object"]["spec"] == {"template": {"metadata": {}, "spec": {"containers": None}}}
    assert int(event["object"]["metadata"]["resourceVersion"]) > int(version)


def test_a_watch_may_begin_as_a_list_does(cluster: Kubernetes, http: httpx.Client) -> None:
    """The streaming list of newer clients: all there is, then a bookmark that says so."""
    cluster.create("Job", sample_job(suspend=True))
    query = {"watch": "1", "sendInitialEvents": "true", "allowWatchBookmarks": "true",
             "resourceVersionMatch": "NotOlderThan"}  # fmt: skip
    with http.stream("GET", "/apis/batch/v1/jobs", params=query) as stream:
        lines = stream.iter_lines()
        first, second = json.loads(next(lines)), json.loads(next(lines))
    assert first["type"] == "ADDED"
    assert second["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_who_has_no_right_is_refused_and_may_ask_before(cluster: Kubernetes) -> None:
    rule = AccessRule(("get", "list"), ("jobs",), ("batch",), ("default",))
    token = cluster.token("reader", rule)
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=cluster.url, headers=headers, trust_env=False) as http:
        assert http.get("/apis/batch/v1/namespaces/default/jobs").status_code == 200
        refused = http.post("/apis/batch/v1/namespaces/default/jobs", json=sample_job())
        assert refused.status_code == 403
        assert refused.json()["message"] == (
            'jobs.batch is forbidden: User "reader" cannot create resource "jobs" in API group '
            '"batch" in the namespace "default"'
        )
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        for verb, allowed in (("list", True), ("create", False)):
            asked = {"verb": verb, "group": "batch", "resource": "jobs", "namespace": "default"}
            review = http.post(path, json={"spec": {"resourceAttributes": asked}})
            assert review.json()["status"]["allowed"] is allowed


def test_roles_and_bindings_of_the_cluster_give_rights(cluster: Kubernetes) -> None:
    token = cluster.token("system:serviceaccount:default:headgate")
    rules = [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]}]
    cluster.create("Role", {"metadata": {"name": "steps"}, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": "headgate", "namespace": "default"}
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "steps"}
    binding = {"metadata": {"name": "steps"}, "subjects": [subject], "roleRef": ref}
    cluster.create("RoleBinding", binding)
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=cluster.url, headers=headers, trust_env=False) as http:
        path = "/apis/batch/v1/namespaces/{}/jobs"
        assert http.post(path.format("default"), json=sample_job()).status_code == 201
        assert http.post(path.format("kube-system"), json=sample_job()).status_code == 403


def test_a_busy_server_says_when_to_come_again(cluster: Kubernetes, http: httpx.Client) -> None:
    cluster.faults.throttle(1, retry_after=3)
    leases = http.get("/apis/coordination.k8s.io/v1/leases")
    assert leases.status_code == 200  # which have a priority of their own
    busy = http.get("/api/v1/pods")
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "3")
    assert busy.headers["content-type"].startswith("text/plain")  # no Status, as from the real one
    assert http.get("/api/v1/pods").status_code == 200


def test_a_server_that_is_away_answers_nobody(cluster: Kubernetes, http: httpx.Client) -> None:
    with cluster.faults.unreachable(), pytest.raises(httpx.TransportError):
        http.get("/api/v1/pods")
    assert http.get("/api/v1/pods").status_code == 200


def test_a_lost_answer_leaves_the_object_made(cluster: Kubernetes, http: httpx.Client) -> None:
    cluster.faults.lose_answers(1, lambda call: call.verb == "create")
    path = "/apis/batch/v1/namespaces/default/jobs"
    with pytest.raises(httpx.TransportError):
        http.post(path, json=sample_job(suspend=True))
    again = http.post(path, json=sample_job(suspend=True))
    assert again.json()["reason"] == "AlreadyExists"


def test_conflicts_can_be_had(cluster: Kubernetes, http: httpx.Client) -> None:
    cluster.create("ConfigMap", {"metadata": {"name": "a"}})
    cluster.faults.conflict(1)
    path = "/api/v1/namespaces/default/configmaps/a"
    body = {"metadata": {"name": "a"}, "data": {"x": "1"}}
    assert http.put(path, json=body).json()["reason"] == "Conflict"
    assert http.put(path, json=body).status_code == 200


def test_watches_are_cut_in_the_midst_of_a_line(cluster: Kubernetes, http: httpx.Client) -> None:
    for number in range(3):
        cluster.create("Job", sample_job(f"j{number}", suspend=True))
    cluster.settle()
    cluster.faults.cut_watch_after = 2
    whole: list[str] = []
    path = "/apis/batch/v1/jobs?watch=1"
    with pytest.raises(httpx.TransportError), http.stream("GET", path) as stream:
        whole.extend(stream.iter_lines())
    assert len(whole) <= 2  # and half of a third, that nobody can read


def test_all_watches_are_cut_when_a_test_says_so(cluster: Kubernetes, http: httpx.Client) -> None:
    cluster.create("Job", sample_job(suspend=True))
    with http.stream("GET", "/apis/batch/v1/jobs?watch=1") as stream:
        lines = stream.iter_lines()
        assert json.loads(next(lines))["type"] == "ADDED"
        assert cluster.count.watches("jobs") == 1
        cluster.watches.cut()
        with pytest.raises(httpx.TransportError):
            list(lines)


def test_calls_are_counted_by_verb_and_resource(cluster: Kubernetes, client: Client) -> None:
    cluster.count.reset()
    client.create(settings(a="1"))
    list(client.list(ConfigMap))
    list(client.list(ConfigMap))
    assert cluster.count.by_call() == {("create", "configmaps"): 1, ("list", "configmaps"): 2}
    assert cluster.count.made("list") == 2


def test_unknown_fields_are_remembered(cluster: Kubernetes, http: httpx.Client) -> None:
    """The server drops them in silence, so a test can ask whether any was ever sent."""
    job = sample_job(suspend=True, backOffLimit=0)
    http.post("/apis/batch/v1/namespaces/default/jobs", json=job)
    assert cluster.verbs.unknown_fields == ["Job.spec.backOffLimit"]


def test_logs_are_cut_to_what_is_asked_for(cluster: Kubernetes, client: Client) -> None:
    cluster.create("Job", sample_job())
    pod = pod_of(cluster)
    assert list(client.log(pod)) == ["epoch 1\n", "epoch 2\n", "epoch 3\n"]
    assert list(client.log(pod, tail_lines=1)) == ["epoch 3\n"]
    stamped = next(iter(client.log(pod, timestamps=True)))
    assert stamped.endswith("Z epoch 1\n")


def test_logs_are_bounded_in_bytes(cluster: Kubernetes, http: httpx.Client) -> None:
    cluster.create("Job", sample_job())
    path = f"/api/v1/namespaces/default/pods/{pod_of(cluster)}/log"
    assert http.get(path, params={"limitBytes": "10"}).text == "epoch 1\nep"
    previous = http.get(path, params={"previous": "true"})
    assert "previous terminated container" in previous.json()["message"]
    later = cluster.clock.stamp(cluster.clock.seconds() + 60)
    assert http.get(path, params={"sinceTime": later}).text == ""


def test_a_container_that_waits_has_no_log(cluster: Kubernetes, client: Client) -> None:
    cluster.plays.add(Play(waiting=("ImagePullBackOff", "Back-off pulling image")))
    cluster.create("Job", sample_job())
    pod = pod_of(cluster)
    with pytest.raises(ApiError, match="is waiting to start: ImagePullBackOff"):
        list(client.log(pod))
    assert client.get(Pod, pod).to_dict()["status"]["phase"] == "Pending"


def test_a_quota_refuses_pods_and_the_job_says_so(cluster: Kubernetes) -> None:
    cluster.create("ResourceQuota", {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "1"}}})
    cluster.create("Job", sample_job("a"))
    cluster.settle()
    cluster.create("Job", sample_job("b"))
    cluster.settle()
    assert len(cluster.all("Pod")) == 1
    messages = [event["message"] for event in cluster.all("Event")]
    assert any("exceeded quota: q, requested: pods=1, used: pods=1" in each for each in messages)
    quota = cluster.get("ResourceQuota", "q")
    assert quota is not None
    assert quota["status"]["used"] == {"pods": "1"}
