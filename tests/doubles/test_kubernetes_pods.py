"""The Kubernetes double's pods that run as processes, confined by bubblewrap."""

import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.doubles.kubernetes import ADMIN, Kubernetes, LocalImage
from tests.doubles.kubernetes.base.objects import Obj, condition, dig, is_true
from tests.doubles.kubernetes.samples import sample_job

pytestmark = [pytest.mark.bwrap, pytest.mark.usefixtures("namespaces")]

PYTHON = LocalImage(
    entrypoint=(str(Path(sys.base_prefix) / "bin" / Path(sys.executable).resolve().name),),
    paths=tuple({Path(sys.base_prefix), Path(sysconfig.get_path("stdlib"))}),
)
SERVER = """
import http.server, os, socketserver
class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'served')
    def log_message(self, *words): pass
http.server.HTTPServer((os.environ['POD_IP'], 8080), Hello).serve_forever()
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Kubernetes]:
    with Kubernetes(tmp_path) as double:
        double.images.add("trainer")
        double.images.add("python", PYTHON)
        yield double


def ended(cluster: Kubernetes, name: str = "train") -> Obj:
    """The Job, once it has ended."""

    def look() -> Obj | None:
        job = cluster.get("Job", name)
        over = job is not None and (is_true(job, "Complete") or is_true(job, "Failed"))
        return job if over else None

    found: Obj = cluster.wait_for(look)
    return found


def the_pod(cluster: Kubernetes) -> Obj:
    (found,) = cluster.all("Pod")
    return found


def log_of(cluster: Kubernetes, container: str = "main", **query: str) -> str:
    meta = the_pod(cluster)["metadata"]
    headers = {"Authorization": f"Bearer {ADMIN}"}
    path = f"/api/v1/namespaces/default/pods/{meta['name']}/log"
    with httpx.Client(base_url=cluster.url, headers=headers, trust_env=False) as http:
        return http.get(path, params={"container": container, **query}).text


def pod_spec(job: Obj) -> Obj:
    spec: Obj = job["spec"]["template"]["spec"]
    return spec


def main_of(job: Obj) -> Obj:
    container: Obj = pod_spec(job)["containers"][0]
    return container


def waits_for(cluster: Kubernetes, reason: str) -> Obj:
    """The main container's state, once it waits for that reason."""

    def look() -> Any:
        for pod in cluster.all("Pod"):
            for each in dig(pod, "status", "containerStatuses", default=[]):
                if dig(each, "state", "waiting", "reason") == reason:
                    return each["state"]["waiting"]
        return None

    found: Obj = cluster.wait_for(look)
    return found


def runs(cluster: Kubernetes, text: str, container: str = "main") -> None:
    """Wait until the container has said something."""

    def look() -> bool:
        found = cluster.all("Pod")
        if not found or dig(found[0], "status", "phase") != "Running":
            return False
        log = cluster.kubelets.log(found[0]["metadata"]["uid"], container, previous=False)
        return log is not None

    cluster.wait_for(look)
    log = cluster.kubelets.log(the_pod(cluster)["metadata"]["uid"], container, previous=False)
    assert log is not None
    with log.changed:
        assert log.changed.wait_for(lambda: any(text.encode() in each for _, each in log.lines), 30)


def test_a_command_runs_and_its_exit_code_is_told(cluster: Kubernetes) -> None:
    cluster.create(
        "Job", sample_job(command="echo trained; echo 0.7 > /dev/termination-log; exit 3")
    )
    assert is_true(ended(cluster), "Failed")
    state = the_pod(cluster)["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (state["exitCode"], state["reason"], state["message"]) == (3, "Error", "0.7\n")
    assert log_of(cluster) == "trained\n"


def test_init_containers_hand_files_to_the_next(cluster: Kubernetes) -> None:
    job = sample_job(command="tr a-z A-Z < /shared/in > /shared/out")
    mount = {"name": "work", "mountPath": "/shared"}
    fetch = {"name": "fetch", "image": "trainer", "command": ["sh", "-c", "echo rows > /shared/in"]}
    collect = {"name": "collect", "image": "trainer", "command": ["cat", "/shared/out"]}
    step = {**main_of(job), "name": "step"}
    spec = pod_spec(job)
    spec["volumes"] = [{"name": "work", "emptyDir": {}}]
    spec["initContainers"] = [{**fetch, "volumeMounts": [mount]}, {**step, "volumeMounts": [mount]}]
    spec["containers"] = [{**collect, "volumeMounts": [mount]}]
    cluster.create("Job", job)
    assert is_true(ended(cluster), "Complete")
    assert log_of(cluster, "collect") == "ROWS\n"


def test_an_init_container_that_fails_ends_the_pod(cluster: Kubernetes) -> None:
    job = sample_job()
    bad = {"name": "fetch", "image": "trainer", "command": ["sh", "-c", "exit 4"]}
    pod_spec(job)["initContainers"] = [bad]
    cluster.create("Job", job)
    ended(cluster)
    status = the_pod(cluster)["status"]
    assert status["phase"] == "Failed"
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 4
    assert status["containerStatuses"][0]["state"]["waiting"]["reason"] == "PodInitializing"


def test_secrets_and_settings_reach_the_container(cluster: Kubernetes) -> None:
    cluster.create("Secret", {"metadata": {"name": "key"}, "stringData": {"token": "s3cret"}})
    cluster.create("ConfigMap", {"metadata": {"name": "conf"}, "data": {"a.txt": "alpha"}})
    job = sample_job(command="echo $TOKEN $POD_NAME; cat /conf/a.txt; touch /conf/x")
    secret = {"secretKeyRef": {"name": "key", "key": "token"}}
    pod_name = {"fieldRef": {"fieldPath": "metadata.name"}}
    main_of(job)["env"] = [
        {"name": "TOKEN", "valueFrom": secret},
        {"name": "POD_NAME", "valueFrom": pod_name},
    ]
    main_of(job)["volumeMounts"] = [{"name": "conf", "mountPath": "/conf", "readOnly": True}]
    pod_spec(job)["volumes"] = [{"name": "conf", "configMap": {"name": "conf"}}]
    cluster.create("Job", job)
    ended(cluster)
    name = the_pod(cluster)["metadata"]["name"]
    assert log_of(cluster).startswith(f"s3cret {name}\nalpha")
    assert "Read-only file system" in log_of(cluster)


def test_a_secret_that_is_not_there_holds_the_container_up(cluster: Kubernetes) -> None:
    job = sample_job()
    main_of(job)["envFrom"] = [{"secretRef": {"name": "key"}}]
    cluster.create("Job", job)
    waiting = waits_for(cluster, "CreateContainerConfigError")
    assert waiting["message"] == 'secret "key" not found'
    cluster.create("Secret", {"metadata": {"name": "key"}, "stringData": {"token": "x"}})
    cluster.clock.advance(10)
    assert is_true(ended(cluster), "Complete")


def test_an_image_that_is_not_there_is_tried_again(cluster: Kubernetes) -> None:
    cluster.create("Job", sample_job(image="no/such"))
    waits_for(cluster, "ErrImagePull")
    cluster.clock.advance(1)
    waits_for(cluster, "ImagePullBackOff")
    cluster.images.add("no/such")
    cluster.clock.advance(10)
    assert is_true(ended(cluster), "Complete")


def test_a_root_that_is_read_only(cluster: Kubernetes) -> None:
    job = sample_job(command="id -u; touch /new || mktemp")
    main_of(job)["securityContext"] = {"readOnlyRootFilesystem": True, "runAsUser": 1000}
    cluster.create("Job", job)
    assert is_true(ended(cluster), "Failed")
    assert log_of(cluster).startswith("1000\n")
    assert log_of(cluster).count("Read-only file system") == 2  # as in a cluster, /tmp is no volume


def test_who_may_not_be_root_is_not_started_as_root(cluster: Kubernetes) -> None:
    job = sample_job()
    pod_spec(job)["securityContext"] = {"runAsNonRoot": True}
    cluster.create("Job", job)
    waiting = waits_for(cluster, "CreateContainerConfigError")
    assert "container has runAsNonRoot and image will run as root" in waiting["message"]


def test_a_command_that_is_not_there(cluster: Kubernetes) -> None:
    job = sample_job()
    main_of(job)["command"] = ["/no/such/program"]
    cluster.create("Job", job)
    ended(cluster)
    state = the_pod(cluster)["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (state["exitCode"], state["reason"]) == (128, "StartError")


def test_a_pod_is_asked_to_end_before_it_is_killed(cluster: Kubernetes) -> None:
    trap = "trap 'echo ending; exit 0' TERM; echo up; while true; do sleep 0.05; done"
    job = sample_job(command=trap)
    cluster.create("Job", job)
    runs(cluster, "up")
    log = cluster.kubelets.log(the_pod(cluster)["metadata"]["uid"], "main", previous=False)
    assert log is not None
    cluster.delete("Job", "train", propagationPolicy="Background")
    cluster.wait_for(lambda: not cluster.all("Pod"))
    assert log.lines[-1][1] == b"ending\n"


def test_who_does_not_end_is_killed_after_the_grace(cluster: Kubernetes) -> None:
    job = sample_job(command="trap '' TERM; echo up; while true; do sleep 0.05; done")
    pod_spec(job)["terminationGracePeriodSeconds"] = 600
    cluster.create("Job", job)
    runs(cluster, "up")
    cluster.delete("Job", "train", propagationPolicy="Background")
    cluster.settle()
    assert the_pod(cluster)["metadata"]["deletionTimestamp"]
    cluster.clock.advance(601)
    cluster.wait_for(lambda: not cluster.all("Pod"))


def test_a_container_is_killed_for_its_memory(cluster: Kubernetes) -> None:
    cluster.create("Job", sample_job(command="echo up; exec sleep 1000"))
    runs(cluster, "up")
    cluster.nodes.oom_kill("default", the_pod(cluster)["metadata"]["name"])
    ended(cluster)
    state = the_pod(cluster)["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (state["exitCode"], state["reason"]) == (137, "OOMKilled")


def test_an_evicted_pod_is_ended(cluster: Kubernetes) -> None:
    cluster.create("Job", sample_job(command="echo up; exec sleep 1000"))
    runs(cluster, "up")
    cluster.nodes.evict(
        "default", the_pod(cluster)["metadata"]["name"], "The node was low on disk."
    )
    ended(cluster)
    status = the_pod(cluster)["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "Evicted")


def test_a_pod_has_a_deadline_of_its_own(cluster: Kubernetes) -> None:
    job = sample_job(command="echo up; exec sleep 1000")
    pod_spec(job)["activeDeadlineSeconds"] = 300
    cluster.create("Job", job)
    runs(cluster, "up")
    cluster.clock.advance(301)
    ended(cluster)
    assert the_pod(cluster)["status"]["reason"] == "DeadlineExceeded"


def test_a_container_is_restarted_where_it_stands(cluster: Kubernetes) -> None:
    job = sample_job(
        command="echo try; test -e /shared/x || { touch /shared/x; exit 1; }", backoffLimit=3
    )
    spec = pod_spec(job)
    spec["restartPolicy"] = "OnFailure"
    spec["volumes"] = [{"name": "work", "emptyDir": {}}]
    main_of(job)["volumeMounts"] = [{"name": "work", "mountPath": "/shared"}]
    cluster.create("Job", job)
    waits_for(cluster, "CrashLoopBackOff")
    cluster.clock.advance(10)
    assert is_true(ended(cluster), "Complete")
    status = the_pod(cluster)["status"]["containerStatuses"][0]
    assert status["restartCount"] == 1
    assert log_of(cluster) == log_of(cluster, previous="true") == "try\n"


def test_a_sidecar_ends_after_the_step(cluster: Kubernetes) -> None:
    job = sample_job(command="until test -e /shared/up; do sleep 0.02; done; echo done")
    spec = pod_spec(job)
    mount = [{"name": "work", "mountPath": "/shared"}]
    spec["volumes"] = [{"name": "work", "emptyDir": {}}]
    main_of(job)["volumeMounts"] = mount
    beside = "trap 'exit 0' TERM; touch /shared/up; while true; do sleep 0.05; done"
    spec["initContainers"] = [
        {"name": "beside", "image": "trainer", "restartPolicy": "Always", "volumeMounts": mount,
         "command": ["sh", "-c", beside]}
    ]  # fmt: skip
    cluster.create("Job", job)
    assert is_true(ended(cluster), "Complete")
    status = the_pod(cluster)["status"]
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0


def test_logs_are_followed_to_the_end(cluster: Kubernetes) -> None:
    job = sample_job(command="echo 1; until test -e /shared/go; do sleep 0.02; done; echo 2")
    pod_spec(job)["volumes"] = [{"name": "work", "persistentVolumeClaim": {"claimName": "data"}}]
    main_of(job)["volumeMounts"] = [{"name": "work", "mountPath": "/shared"}]
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    cluster.create("PersistentVolumeClaim", {"metadata": {"name": "data"}, "spec": claim})
    cluster.create("Job", job)
    runs(cluster, "1")
    name = the_pod(cluster)["metadata"]["name"]
    headers = {"Authorization": f"Bearer {ADMIN}"}
    path = f"/api/v1/namespaces/default/pods/{name}/log?follow=true"
    address = f"{cluster.url}{path}"
    with httpx.stream("GET", address, headers=headers, trust_env=False) as stream:
        lines = stream.iter_lines()
        assert next(lines) == "1"
        (cluster.folder / "claims" / "default" / "data" / "go").touch()
        assert list(lines) == ["2"]


def test_a_server_is_reached_by_its_service_once_it_is_ready(cluster: Kubernetes) -> None:
    ip = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    container = {"name": "main", "image": "python", "args": ["-c", SERVER], "env": [ip],
                 "readinessProbe": probe, "ports": [{"containerPort": 8080}]}  # fmt: skip
    pod = {"containers": [container], "terminationGracePeriodSeconds": 0}
    labels = {"app": "server"}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    cluster.create("Deployment", {"metadata": {"name": "server"}, "spec": spec})
    ports = [{"port": 8081, "targetPort": 8080}]
    service = {"metadata": {"name": "server"}, "spec": {"selector": labels, "ports": ports}}
    address = cluster.create("Service", service)["spec"]["clusterIP"]

    def available() -> bool:
        found = cluster.get("Deployment", "server")
        return bool(dig(found, "status", "availableReplicas") == 2)

    cluster.wait_for(available)
    cluster.settle()
    assert httpx.get(f"http://{address}:8081/", trust_env=False).text == "served"
    unready = [pod for pod in cluster.all("Pod") if not condition(pod, "Ready")]
    assert unready == []
