"""What goes wrong for the controller itself while attempts are in a cluster: its disk, its view."""

import asyncio

import pytest

from controller.executors.attempt_folder import write_status
from controller.executors.container import request_stop
from controller.executors.kubernetes.executor import KubernetesExecutor
from controller.executors.kubernetes.names import ATTEMPT, job_name
from controller.machine.runs.attempt import Attempt, AttemptState, Status
from specs.failures import TryAgain
from tests.contracts.executor import becomes, ends, gate, until
from tests.controller.executors.kubernetes_site import OWNER, KubernetesSite
from tests.controller.executors.test_kubernetes import (
    LONG,
    STORED,
    jobs,
    pods,
    running,
    seen,
    waiting,
)
from tests.doubles.kubernetes import Play
from tests.doubles.kubernetes.api.calls import ApiCall
from tests.doubles.kubernetes.base.objects import is_true

pytestmark = pytest.mark.bwrap


def is_of_all_pods(call: ApiCall) -> bool:
    """Whether it watches or lists all pods of the controller, and not those of one attempt."""
    about = call.query.get("labelSelector", "")
    return call.what == "pods" and call.verb in ("watch", "list") and ATTEMPT not in about


async def test_the_job_of_an_attempt_that_cannot_be_followed_is_removed_however_often_that_fails(
    kubernetes_site: KubernetesSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.executors.followed.REMOVE_AFTER", 0.0)
    monkeypatch.setattr("deployers.kubernetes.cluster.LONGEST_PAUSE", 0.0)
    cluster = kubernetes_site.cluster
    cluster.plays.add(LONG)
    cluster.faults.throttle(3, 1, lambda call: (call.verb, call.what) == ("delete", "jobs"))
    attempt = kubernetes_site.attempt("true")
    own = kubernetes_site.workspace.folder(attempt.id)
    (own / "log").mkdir(parents=True)  # so that nothing can be written there
    async with kubernetes_site.open() as executor:
        await executor.start(attempt)
        await seen((own / "status.json").exists)
        (own / "log").rmdir()
        status = await executor.poll(attempt.id)
        await seen(lambda: not jobs(kubernetes_site) and not pods(kubernetes_site))
    assert status.state is AttemptState.FAILED
    assert "Is a directory" in status.message


async def test_a_job_that_outlived_the_end_of_its_attempt_is_removed_by_the_next_controller(
    kubernetes_site: KubernetesSite,
) -> None:
    kubernetes_site.cluster.plays.add(LONG)
    first, second = kubernetes_site.attempt("true"), kubernetes_site.attempt("true", "next")
    async with kubernetes_site.open() as executor:
        await running(kubernetes_site, executor, first)
    own = kubernetes_site.workspace.folder(first.id)
    write_status(own, Status(state=AttemptState.FAILED))  # and then it was killed
    async with kubernetes_site.open() as executor:
        await executor.start(second)
        await becomes(executor, second, AttemptState.ENDING)
        left = job_name(OWNER, first.id)
        await seen(lambda: left not in {job["metadata"]["name"] for job in jobs(kubernetes_site)})
    assert len(jobs(kubernetes_site)) == 1


@pytest.mark.parametrize("file", ["result.json", ".status.json"])
async def test_a_full_disk_is_told_and_fails_no_step_that_ends_meanwhile(
    kubernetes_site: KubernetesSite, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.setattr("controller.executors.followed.FULL_AFTER", 0.05)
    kubernetes_site.cluster.plays.add(STORED)
    attempt = kubernetes_site.attempt("true")
    own = kubernetes_site.workspace.folder(attempt.id)
    own.mkdir(parents=True)
    (own / file).symlink_to("/dev/full")
    async with kubernetes_site.open() as executor:
        await executor.start(attempt)
        status = await waiting(executor, attempt, "Free some space")
        assert not status.state.ended
        assert status.waits is not None
        assert status.waits.human
        (own / file).unlink()
        await seen(lambda: not executor.unfinished())  # then a run starts it again
        await executor.start(attempt)
        assert (await ends(executor, attempt)).state is AttemptState.SUCCEEDED
    assert kubernetes_site.cluster.count.made("create", "jobs") == 1


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits long before it is tried again."""
    monkeypatch.setattr("controller.executors.kubernetes.executor.WAITING", 0.05)
    monkeypatch.setattr("controller.executors.kubernetes.watching.LONGEST", 0.2)
    monkeypatch.setattr("controller.executors.kubernetes.watching.BETWEEN_LISTS", 0.05)


async def heard_of(executor: KubernetesExecutor, attempt: Attempt) -> Status:
    """Its end, whenever the cluster is reached again."""

    async def over() -> bool:
        try:
            return (await executor.poll(attempt.id)).state.ended
        except TryAgain:
            return False

    await until(over)
    return await executor.poll(attempt.id)


@pytest.mark.usefixtures("impatient")
async def test_a_step_that_ended_in_time_while_pods_could_not_be_watched_is_not_stopped(
    kubernetes_site: KubernetesSite,
) -> None:
    cluster = kubernetes_site.cluster
    attempt = kubernetes_site.attempt(gate(kubernetes_site.folder, "a"), timeout=4.0)
    async with kubernetes_site.open() as executor:
        await executor.start(attempt)
        await becomes(executor, attempt, AttemptState.RUNNING)  # its time is counted from here
        whole = asyncio.create_task(asyncio.sleep(attempt.timeout))
        with cluster.faults.failing(is_of_all_pods):
            cluster.watches.cut()
            (kubernetes_site.folder / "a.go").touch()
            await seen(lambda: pods(kubernetes_site)[0]["status"]["phase"] == "Succeeded")
            await whole
            with pytest.raises(TryAgain):
                await executor.poll(attempt.id)
        assert (await heard_of(executor, attempt)).state is AttemptState.SUCCEEDED
    assert not (kubernetes_site.workspace.folder(attempt.id) / "container.stop").exists()


async def test_a_step_that_ended_in_time_before_its_stop_was_noticed_has_succeeded(
    kubernetes_site: KubernetesSite,
) -> None:
    kubernetes_site.cluster.plays.add(Play(runs=60, message=STORED.message))
    attempt = kubernetes_site.attempt("true")
    async with kubernetes_site.open() as executor:
        await running(kubernetes_site, executor, attempt)
    request_stop(kubernetes_site.workspace.folder(attempt.id), "timeout")  # and then it was killed
    kubernetes_site.cluster.advance(60)
    async with kubernetes_site.open() as executor:
        assert (await ends(executor, attempt)).state is AttemptState.SUCCEEDED


@pytest.mark.usefixtures("impatient")
async def test_a_job_that_ended_before_its_pod_was_heard_of_has_succeeded_and_runs_once(
    kubernetes_site: KubernetesSite,
) -> None:
    cluster = kubernetes_site.cluster
    cluster.plays.add(STORED)
    attempt = kubernetes_site.attempt("true")
    async with kubernetes_site.open() as executor:
        with cluster.faults.failing(lambda call: call.what == "pods"):
            await executor.start(attempt)
            await seen(lambda: pods(kubernetes_site))
            cluster.advance(2)
            name = job_name(OWNER, attempt.id)
            await seen(lambda: is_true(cluster.get("Job", name, "headgate") or {}, "Complete"))
            listed = cluster.count.made("list", "jobs")
            await seen(lambda: cluster.count.made("list", "jobs") >= listed + 2)
            own = kubernetes_site.workspace.folder(attempt.id)
            assert not (own / "status.json").exists()
        with cluster.faults.failing(is_of_all_pods):  # those of one attempt can be listed
            assert (await heard_of(executor, attempt)).state is AttemptState.SUCCEEDED
    assert cluster.count.made("create", "jobs") == 1
