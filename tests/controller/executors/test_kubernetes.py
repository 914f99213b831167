"""What is special about a cluster, and what goes wrong there; `test_contract` has the contract."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from controller.executors.kubernetes.executor import KubernetesExecutor
from controller.executors.kubernetes.names import job_name
from controller.machine.runs.attempt import Attempt, AttemptState, Status
from specs.failures import TryAgain
from tests.contracts.executor import (
    becomes,
    ends,
    run,
    until,
)
from tests.controller.executors.kubernetes_site import IMAGE, OWNER, KubernetesSite
from tests.doubles.kubernetes import ADMIN, Play, image_pull_failure
from tests.doubles.kubernetes.base.objects import Obj

pytestmark = pytest.mark.bwrap
STORED = Play(message=json.dumps({"outputs": {}}))
"""A pod that ends well, one of the cluster's seconds after its start."""
LONG = Play(runs=None)
"""A pod that goes on."""


def pods(site: KubernetesSite) -> list[Obj]:
    return site.cluster.all("Pod", "headgate")


def jobs(site: KubernetesSite) -> list[Obj]:
    return site.cluster.all("Job", "headgate")


async def seen(look: Callable[[], object]) -> None:
    """Wait for something to be true of the cluster."""

    async def there() -> bool:
        return bool(look())

    await until(there)


async def running(
    site: KubernetesSite, executor: KubernetesExecutor, attempt: Attempt
) -> tuple[str, str]:
    """Start it and wait until its pod is there and runs; the pod."""
    await executor.start(attempt)
    await becomes(executor, attempt, AttemptState.RUNNING, AttemptState.ENDING)
    (pod,) = pods(site)
    return "headgate", pod["metadata"]["name"]


async def test_an_image_that_cannot_be_pulled_is_told_before_any_deadline(
    kubernetes_site: KubernetesSite,
) -> None:
    kubernetes_site.changes = {"image_deadline": "1s"}
    kubernetes_site.cluster.plays.add(image_pull_failure(IMAGE))
    async with kubernetes_site.open() as executor:
        status = await run(executor, kubernetes_site.attempt("true"))
        await seen(lambda: not jobs(kubernetes_site))
    assert status.state is AttemptState.FAILED
    assert "cannot be pulled (ImagePullBackOff" in status.message


async def waiting(executor: KubernetesExecutor, attempt: Attempt, words: str) -> Status:
    """Wait until it says what it waits for."""

    async def told() -> bool:
        waits = (await executor.poll(attempt.id)).waits
        return waits is not None and words in waits.reason

    await until(told)
    return await executor.poll(attempt.id)


async def test_a_step_for_which_no_node_has_room_says_what_it_waits_for(
    kubernetes_site: KubernetesSite,
) -> None:
    kubernetes_site.cluster.plays.add(STORED)
    attempt = kubernetes_site.attempt("true", gpu=1)
    async with kubernetes_site.open() as executor:
        await executor.start(attempt)
        status = await waiting(executor, attempt, "Insufficient nvidia.com/gpu")
        assert status.state is AttemptState.PREPARING
        kubernetes_site.cluster.nodes.add("gpu-1", {"nvidia.com/gpu": 1})
        assert (await ends(executor, attempt)).state is AttemptState.SUCCEEDED


async def test_a_queue_without_quota_is_waited_for_and_named(
    kubernetes_site: KubernetesSite,
) -> None:
    cluster = kubernetes_site.cluster
    cluster.install("kueue")
    cluster.kueue.add("headgate", "nights", 0)
    cluster.plays.add(STORED)
    attempt = kubernetes_site.attempt("true", queue="nights")
    async with kubernetes_site.open() as executor:
        await executor.start(attempt)
        status = await waiting(
            executor, attempt, "waiting for quota in queue nights: WaitingForQuota"
        )
        assert status.state is AttemptState.PREPARING
        cluster.kueue.resize("headgate", "nights", 1)
        assert (await ends(executor, attempt)).state is AttemptState.SUCCEEDED


async def test_a_step_that_its_queue_preempts_is_lost(kubernetes_site: KubernetesSite) -> None:
    cluster = kubernetes_site.cluster
    cluster.install("kueue")
    cluster.kueue.add("headgate", "nights", 1)
    cluster.plays.add(LONG)
    attempt = kubernetes_site.attempt("true", queue="nights")
    async with kubernetes_site.open() as executor:
        await running(kubernetes_site, executor, attempt)
        cluster.kueue.resize("headgate", "nights", 0)
        assert (await ends(executor, attempt)).state is AttemptState.LOST
        await seen(lambda: not jobs(kubernetes_site))


async def test_a_namespace_without_quota_is_waited_for_with_its_reason(
    kubernetes_site: KubernetesSite,
) -> None:
    kubernetes_site.cluster.create(
        "ResourceQuota",
        {"metadata": {"name": "team"}, "spec": {"hard": {"pods": "0"}}},
        "headgate",
    )
    kubernetes_site.cluster.plays.add(STORED)
    attempt = kubernetes_site.attempt("true")
    async with kubernetes_site.open() as executor:
        await executor.start(attempt)
        status = await waiting(executor, attempt, "exceeded quota: team")
        assert status.state is AttemptState.PREPARING


@pytest.mark.parametrize(
    ("befalls", "words"),
    [
        ("evict", "low on resource"),
        ("preempt", "PreemptionByScheduler"),
        ("drain", "EvictionByEvictionAPI"),
        ("delete", "deleted"),
    ],
)
async def test_what_the_cluster_ends_is_lost_and_blames_nobody(
    kubernetes_site: KubernetesSite, befalls: str, words: str
) -> None:
    kubernetes_site.cluster.plays.add(LONG)
    attempt = kubernetes_site.attempt("true")
    nodes = kubernetes_site.cluster.nodes
    async with kubernetes_site.open() as executor:
        pod = await running(kubernetes_site, executor, attempt)
        does: dict[str, Callable[[], object]] = {
            "evict": lambda: nodes.evict(*pod),
            "preempt": lambda: nodes.preempt(*pod),
            "drain": lambda: nodes.drain("node-1"),
            "delete": lambda: kubernetes_site.cluster.delete("Pod", pod[1], pod[0]),
        }
        does[befalls]()
        status = await ends(executor, attempt)
    assert status.state is AttemptState.LOST
    assert words in status.message


async def test_a_step_whose_node_is_lost_is_lost_once_the_cluster_gives_the_node_up(
    kubernetes_site: KubernetesSite,
) -> None:
    kubernetes_site.cluster.plays.add(LONG)
    attempt = kubernetes_site.attempt("true")
    async with kubernetes_site.open() as executor:
        await running(kubernetes_site, executor, attempt)
        kubernetes_site.cluster.nodes.lose("node-1")
        kubernetes_site.cluster.advance(60)
        assert not (await executor.poll(attempt.id)).state.ended
        kubernetes_site.cluster.advance(400)
        assert (await ends(executor, attempt)).state is AttemptState.LOST


async def test_a_watch_that_is_cut_all_the_time_loses_nothing(
    kubernetes_site: KubernetesSite,
) -> None:
    kubernetes_site.cluster.plays.add(STORED)
    kubernetes_site.cluster.faults.cut_watch_after = 1
    attempts = [kubernetes_site.attempt("true", name=f"s{n}") for n in range(8)]
    async with kubernetes_site.open(slots=8) as executor:
        for attempt in attempts:
            await executor.start(attempt)
        for attempt in attempts:
            assert (await ends(executor, attempt)).state is AttemptState.SUCCEEDED


async def test_a_version_that_etcd_forgot_is_listed_anew(kubernetes_site: KubernetesSite) -> None:
    kubernetes_site.cluster.plays.add(LONG)
    attempt = kubernetes_site.attempt("true")
    cluster = kubernetes_site.cluster
    async with kubernetes_site.open() as executor:
        pod = await running(kubernetes_site, executor, attempt)
        with cluster.faults.unreachable():
            cluster.watches.cut()
            for number in range(3):
                cluster.create("ConfigMap", {"metadata": {"name": f"c{number}"}})
            cluster.nodes.evict(*pod)
            cluster.settle()
            cluster.store.compact()
        await seen(lambda: cluster.count.watches("pods"))
        assert (await ends(executor, attempt)).state is AttemptState.LOST
    assert cluster.count.made("list", "pods") >= 2


async def test_an_api_server_that_is_away_ends_nothing_and_the_state_is_unknown_meanwhile(
    kubernetes_site: KubernetesSite,
) -> None:
    kubernetes_site.cluster.plays.add(Play(runs=None))
    attempt = kubernetes_site.attempt("true")
    async with kubernetes_site.open() as executor:
        await running(kubernetes_site, executor, attempt)
        with kubernetes_site.cluster.faults.unreachable():
            kubernetes_site.cluster.watches.cut()

            async def says() -> bool:
                try:
                    await executor.poll(attempt.id)
                except TryAgain as failure:
                    return "cannot be reached" in str(failure)
                return False

            await until(says)

        async def known() -> bool:
            try:
                return (await executor.poll(attempt.id)).state is AttemptState.ENDING
            except TryAgain:
                return False

        await until(known)
    assert len(pods(kubernetes_site)) == 1


async def test_a_throttled_client_waits_as_long_as_it_is_told(
    kubernetes_site: KubernetesSite,
) -> None:
    kubernetes_site.cluster.plays.add(STORED)
    kubernetes_site.cluster.faults.throttle(3, retry_after=1)
    async with kubernetes_site.open() as executor:
        status = await run(executor, kubernetes_site.attempt("true"))
    assert status.state is AttemptState.SUCCEEDED


async def test_a_job_whose_creation_was_never_answered_is_found_and_not_made_twice(
    kubernetes_site: KubernetesSite,
) -> None:
    cluster = kubernetes_site.cluster
    cluster.plays.add(STORED)
    cluster.faults.lose_answers(1, lambda call: (call.verb, call.what) == ("create", "jobs"))
    attempt = kubernetes_site.attempt("true")
    async with kubernetes_site.open() as executor:
        assert (await run(executor, attempt)).state is AttemptState.SUCCEEDED
        assert len(jobs(kubernetes_site)) == 1
    assert cluster.count.made("create", "jobs") == 2


async def test_a_job_whose_creation_was_answered_by_a_proxy_may_be_there(
    kubernetes_site: KubernetesSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a proxy that answers 429 or 504 for a call that the server carries out."""
    monkeypatch.setattr("deployers.kubernetes.cluster.LONGEST_PAUSE", 0.0)
    cluster = kubernetes_site.cluster
    cluster.plays.add(STORED)
    cluster.faults.throttle(1, 1, lambda call: (call.verb, call.what) == ("create", "jobs"))
    attempt = kubernetes_site.attempt("true")
    recorded = kubernetes_site.workspace.folder(attempt.id) / "job.json"
    told: list[str] = []
    async with kubernetes_site.open() as executor:
        await executor.start(attempt)

        async def over() -> bool:
            try:
                return (await executor.poll(attempt.id)).state.ended
            except TryAgain as failure:
                told.append(str(failure))
                assert recorded.exists()
                return False

        await until(over)
        assert (await executor.poll(attempt.id)).state is AttemptState.SUCCEEDED
    assert "create jobs" in told[0]
    assert len(pods(kubernetes_site)) == 1


async def test_two_controllers_that_start_one_attempt_make_one_job(
    kubernetes_site: KubernetesSite,
) -> None:
    kubernetes_site.cluster.plays.add(STORED)
    attempt = kubernetes_site.attempt("true")
    async with kubernetes_site.open() as one, kubernetes_site.open() as other:
        await asyncio.gather(one.start(attempt), other.start(attempt))
        first, second = await ends(one, attempt), await ends(other, attempt)
    assert first.state is second.state is AttemptState.SUCCEEDED
    assert len(pods(kubernetes_site)) == 1


async def test_what_was_recorded_and_never_created_is_started_again(
    kubernetes_site: KubernetesSite,
) -> None:
    attempt = kubernetes_site.attempt("true")
    own = kubernetes_site.workspace.folder(attempt.id)
    own.mkdir(parents=True)
    (own / "job.json").write_text(attempt.model_dump_json())  # and then its controller was killed
    kubernetes_site.cluster.plays.add(STORED)
    async with kubernetes_site.open() as executor:
        assert list(executor.unfinished()) == [attempt.id]
        await executor.start(attempt)
        assert (await ends(executor, attempt)).state is AttemptState.SUCCEEDED


async def test_a_job_that_was_created_by_a_controller_that_died_then_is_found(
    kubernetes_site: KubernetesSite,
) -> None:
    kubernetes_site.cluster.plays.add(LONG)
    attempt = kubernetes_site.attempt("true")
    async with kubernetes_site.open() as executor:
        await running(kubernetes_site, executor, attempt)
    own = kubernetes_site.workspace.folder(attempt.id)
    for mark in ("job.created", "job.started"):  # as if it had been killed before it wrote these
        (own / mark).unlink()
    async with kubernetes_site.open() as executor:
        await executor.start(attempt)
        await becomes(executor, attempt, AttemptState.ENDING)
    assert kubernetes_site.cluster.count.made("create", "jobs") == 1


async def test_a_job_that_vanished_is_lost(kubernetes_site: KubernetesSite) -> None:
    kubernetes_site.cluster.plays.add(LONG)
    attempt = kubernetes_site.attempt("true")
    async with kubernetes_site.open() as executor:
        await running(kubernetes_site, executor, attempt)
    name = job_name(OWNER, attempt.id)
    kubernetes_site.cluster.delete("Job", name, "headgate", propagationPolicy="Background")
    await seen(lambda: not pods(kubernetes_site))
    async with kubernetes_site.open() as executor:
        status = await ends(executor, attempt)
    assert status.state is AttemptState.LOST
    assert "deleted" in status.message


async def test_what_nobody_owns_is_reaped_after_a_while(kubernetes_site: KubernetesSite) -> None:
    kubernetes_site.cluster.plays.add(LONG)
    stray, kept = kubernetes_site.attempt("true", "stray"), kubernetes_site.attempt("true", "kept")
    async with kubernetes_site.open() as executor:
        for attempt in (stray, kept):
            await executor.start(attempt)
            await becomes(executor, attempt, AttemptState.ENDING)
    (kubernetes_site.workspace.folder(stray.id) / "job.json").unlink()
    async with kubernetes_site.open() as executor:
        assert await executor.reap() == 0, "its run may come for it"
    async with kubernetes_site.open(stray=0.0) as executor:
        executor.resume()
        await seen(lambda: len(jobs(kubernetes_site)) == 1)
        assert (await executor.poll(kept.id)).state is not AttemptState.LOST


async def test_credentials_that_are_refused_are_waited_for_and_called_a_humans_task(
    kubernetes_site: KubernetesSite, tmp_path: Path
) -> None:
    kubernetes_site.kubeconfig = kubernetes_site.cluster.write_kubeconfig(
        tmp_path / "stranger.json", "token-of-nobody"
    )
    attempt = kubernetes_site.attempt("true")
    async with kubernetes_site.open() as executor:
        await executor.start(attempt)
        status = await waiting(executor, attempt, "renew its credentials")
    assert status.waits is not None
    assert status.waits.human
    assert ADMIN not in status.waits.reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image": None}, "give it an `image`"),
        ({"image": None, "build": {"context": ".", "digest": "0"}}, "pushed to a registry"),
        ({"profile": "huge"}, "no profile huge in `kubernetes.profiles`.*there is: default"),
        ({"program": "data_gate"}, "run locally"),
    ],
)
async def test_what_cannot_run_on_a_cluster_fails_with_the_fix(
    kubernetes_site: KubernetesSite, changes: dict[str, Any], words: str
) -> None:
    attempt = kubernetes_site.attempt("true")
    attempt = Attempt.model_validate({**attempt.model_dump(), **changes})
    async with kubernetes_site.open() as executor:
        status = await run(executor, attempt)
    assert status.state is AttemptState.FAILED
    assert re.search(words, status.message)


async def test_a_profile_may_be_kept_from_pull_requests(kubernetes_site: KubernetesSite) -> None:
    kubernetes_site.changes = {"trusted": True}
    kubernetes_site.cluster.plays.add(STORED)
    proposed, merged = kubernetes_site.attempt("true", "a"), kubernetes_site.attempt("true", "b")
    async with kubernetes_site.open() as executor:
        status = await run(executor, proposed)
        assert "the profile default is for runs of a branch that may release" in status.message
        status = await run(executor, merged.model_copy(update={"trusted": True}))
        assert status.state is AttemptState.SUCCEEDED


async def test_a_policy_without_the_address_of_the_store_is_refused_with_the_fix(
    kubernetes_site: KubernetesSite,
) -> None:
    kubernetes_site.more = {"store_networks": []}
    async with kubernetes_site.open() as executor:
        status = await run(executor, kubernetes_site.attempt("true"))
    assert "kubernetes.store_networks" in status.message


async def test_a_hundred_attempts_are_one_watch_and_few_calls(
    kubernetes_site: KubernetesSite,
) -> None:
    cluster = kubernetes_site.cluster
    cluster.plays.add(LONG)
    attempts = [kubernetes_site.attempt("true", name=f"s{n}") for n in range(100)]
    async with kubernetes_site.open(slots=100) as executor:
        for attempt in attempts:
            await executor.start(attempt)
        for attempt in attempts:
            await becomes(executor, attempt, AttemptState.ENDING)
        assert cluster.count.watches() == 1
        assert cluster.count.made("create", "jobs") == 100
        assert cluster.count.made("get", "jobs") == 0
        assert cluster.count.made("list") < 100
        assert cluster.count.made() < 350
