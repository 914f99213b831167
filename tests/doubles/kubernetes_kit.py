"""What stories about a cluster of the Kubernetes double do and look at."""

from tests.doubles.kubernetes import Kubernetes
from tests.doubles.kubernetes.base.objects import Obj, condition


def made(cluster: Kubernetes, job: Obj) -> None:
    cluster.create("Job", job)
    cluster.settle()


def job_of(cluster: Kubernetes, name: str = "train") -> Obj:
    found = cluster.get("Job", name)
    assert found is not None
    return found


def the_pod(cluster: Kubernetes) -> Obj:
    (found,) = cluster.all("Pod")
    return found


def name_of(obj: Obj) -> str:
    return str(obj["metadata"]["name"])


def failure(job: Obj) -> str:
    found = condition(job, "Failed")
    return str(found["reason"]) if found else ""


def reasons(cluster: Kubernetes) -> set[str]:
    return {str(event["reason"]) for event in cluster.all("Event")}
