"""What becomes of a Job on the real cluster: the facts that README.md beside this tells."""

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.integration.kubernetes.scene import Scene, until

if TYPE_CHECKING:
    from lightkube.resources.batch_v1 import Job
    from lightkube.resources.core_v1 import Pod

pytestmark = pytest.mark.kubernetes

HANGING = "trap '' TERM; sleep 1000 & wait; sleep 1000"
"""A program that takes no notice of being told to end."""
EAT = "x = bytearray(200_000_000)"
"""A program that needs more memory than it gets."""


def _condition(job: "Job") -> tuple[str, str, str | None]:
    """The type, status and reason of its only condition."""
    assert job.status
    assert job.status.conditions
    (only,) = job.status.conditions
    return only.type, only.status, only.reason


def _phase(pod: "Pod") -> str | None:
    return pod.status.phase if pod.status else None


def test_a_job_runs_to_the_end(scene: Scene) -> None:
    job = scene.ended(scene.job("sh", "-c", "echo done > /dev/termination-log"))

    assert _condition(job) == ("Complete", "True", None)
    assert job.status
    assert (job.status.succeeded, job.status.failed, job.status.active) == (1, None, None)
    assert job.status.completionTime
    container = scene.container()
    assert (container.exitCode, container.reason, container.message) == (0, "Completed", "done\n")


def test_a_job_exits_with_a_code(scene: Scene) -> None:
    job = scene.ended(scene.job("sh", "-c", "exit 3"))

    assert _condition(job) == ("Failed", "True", "BackoffLimitExceeded")
    assert job.status
    assert (job.status.succeeded, job.status.failed) == (None, 1)
    assert job.status.completionTime is None  # only a Job that succeeded has one
    container = scene.container()
    assert (container.exitCode, container.reason) == (3, "Error")
    pod = scene.pod()
    assert pod.status
    assert pod.status.phase == "Failed"


def test_a_job_is_killed_for_memory(scene: Scene) -> None:
    job = scene.ended(scene.job("python3", "-c", EAT, memory="48Mi"))

    assert _condition(job) == ("Failed", "True", "BackoffLimitExceeded")
    container = scene.container()
    assert (container.exitCode, container.reason) == (137, "OOMKilled")


def test_a_child_killed_for_memory_shows_only_in_the_reason(scene: Scene) -> None:
    """The pod succeeded, and yet its reason says that something was killed."""
    job = scene.ended(scene.job("sh", "-c", f"python3 -c '{EAT}'; exit 0", memory="48Mi"))

    assert _condition(job) == ("Complete", "True", None)
    container = scene.container()
    assert (container.exitCode, container.reason) == (0, "OOMKilled")


def test_an_eviction_leaves_nothing_of_the_containers(scene: Scene) -> None:
    """Neither an exit code nor a message; what is known is in the status of the pod."""
    written = "head -c 30000000 /dev/zero > /scratch/rows; sleep 1000"
    job = scene.ended(scene.job("sh", "-c", written, scratch="1Mi"))

    assert _condition(job) == ("Failed", "True", "BackoffLimitExceeded")
    status = scene.pod().status
    assert status
    assert (status.phase, status.reason) == ("Failed", "Evicted")
    assert status.message
    assert status.message.startswith('Usage of EmptyDir volume "scratch" exceeds the limit "1Mi".')
    assert status.containerStatuses is None


def test_a_deadline_takes_the_pod_away(scene: Scene) -> None:
    """With it goes how the container ended and what it wrote, which is to be read before."""
    job = scene.ended(scene.job("sleep", "1000", activeDeadlineSeconds=2))

    assert _condition(job) == ("Failed", "True", "DeadlineExceeded")
    until(lambda: not scene.staying())


def test_a_finished_job_goes_after_its_time_to_live(scene: Scene, http: httpx.Client) -> None:
    job = scene.job("true", ttlSecondsAfterFinished=0)

    path = f"/apis/batch/v1/namespaces/{scene.name}/jobs/{job}"
    until(lambda: http.get(path).status_code == 404)
    until(lambda: not scene.staying())


def test_this_release_does_not_know_suspended_jobs(scene: Scene) -> None:
    """The field is dropped without a word, and the Job runs."""
    job = scene.ended(scene.job("true", suspend=True))

    assert job.spec
    assert job.spec.suspend is None
    assert _condition(job)[0] == "Complete"


def test_a_deleted_pod_is_replaced_while_it_still_runs(scene: Scene) -> None:
    """In spite of `backoffLimit: 0`; a step is then run a second time, and both at once."""
    from lightkube.resources.core_v1 import Pod

    scene.job("sh", "-c", HANGING)
    first = until(lambda: [pod for pod in scene.pods() if _phase(pod) == "Running"])[0]
    assert first.metadata
    assert first.metadata.name
    scene.client.delete(Pod, first.metadata.name, namespace=scene.name, grace_period=30)

    (second,) = until(lambda: [pod for pod in scene.staying() if _phase(pod) == "Running"])

    still = scene.client.get(Pod, first.metadata.name, namespace=scene.name)
    assert _phase(still) == "Running"
    assert second.metadata
    assert second.metadata.uid != first.metadata.uid


def test_an_interrupted_pod_that_exits_with_0_completes_its_job(scene: Scene) -> None:
    """Only the pod's deletion time says that it was not left to finish."""
    from lightkube.resources.core_v1 import Pod

    job = scene.job("sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait")
    first = until(lambda: [pod for pod in scene.pods() if _phase(pod) == "Running"])[0]
    assert first.metadata
    assert first.metadata.name
    scene.client.delete(Pod, first.metadata.name, namespace=scene.name, grace_period=30)

    ended = scene.ended(job)

    assert _condition(ended) == ("Complete", "True", None)
    still = scene.client.get(Pod, first.metadata.name, namespace=scene.name)
    assert _phase(still) == "Succeeded"
    assert still.metadata
    assert still.metadata.deletionTimestamp


def test_an_init_container_that_fails_ends_the_pod(scene: Scene) -> None:
    """The step's own container then never ran; its state is that it waits."""
    from lightkube.models.core_v1 import Container

    fetch = Container(name="fetch", image=scene.kubernetes.image, command=["sh", "-c", "exit 7"])
    job = scene.ended(scene.job("true", before=fetch))

    assert _condition(job) == ("Failed", "True", "BackoffLimitExceeded")
    status = scene.pod().status
    assert status
    assert status.initContainerStatuses
    assert status.initContainerStatuses[0].state
    assert status.initContainerStatuses[0].state.terminated
    assert status.initContainerStatuses[0].state.terminated.exitCode == 7
    assert status.containerStatuses
    assert status.containerStatuses[0].state
    assert status.containerStatuses[0].state.waiting
    assert status.containerStatuses[0].state.waiting.reason == "PodInitializing"


@pytest.mark.parametrize(
    ("policy", "pods"), [("Background", 0), ("Foreground", 0), ("Orphan", 1), (None, 1)]
)
def test_what_is_deleted_with_a_job(
    scene: Scene, http: httpx.Client, policy: str | None, pods: int
) -> None:
    """Without a policy a Job's pods stay, other than those of a Deployment."""
    job = scene.job("sleep", "1000")
    scene.pod()
    path = f"/apis/batch/v1/namespaces/{scene.name}/jobs/{job}"
    params = {"propagationPolicy": policy} if policy else {}

    answer = http.delete(path, params=params).raise_for_status().json()

    if policy == "Background":
        assert answer["kind"] == "Status"
        assert http.get(path).status_code == 404
    else:  # what is answered, and stays until that is done, is the Job
        finalizer = "foregroundDeletion" if policy == "Foreground" else "orphan"
        assert answer["metadata"]["finalizers"] == [finalizer]
        assert answer["metadata"]["deletionTimestamp"]
    until(lambda: len(scene.staying()) == pods)
    until(lambda: not any(pod.metadata and pod.metadata.ownerReferences for pod in scene.staying()))
