"""Several controllers with one identity on one cluster; one that comes back without its disk."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from controller.executors.kubernetes.names import job_name
from controller.machine.core import Key
from controller.machine.runs.attempt import AttemptState
from controller.store.protocol import LostLease
from controller.store.shards import LeaseToken
from tests.contracts.executor import announced, becomes, ends, run, until
from tests.controller.executors.kubernetes_site import OWNER, KubernetesSite
from tests.controller.executors.test_kubernetes import LONG, STORED, jobs, running, seen

pytestmark = pytest.mark.bwrap


class Lease:
    """A `Tenure` of all work or none, which changes as a test says."""

    def __init__(self, held: bool = True) -> None:
        self.held = held
        self.number = 1

    leads = True

    def begins(self, _: Key) -> bool:
        return self.held

    def holds(self, _: Key) -> bool:
        return self.held

    def token(self, _: Key) -> LeaseToken:
        if not self.held:
            raise LostLease("another has it")
        return LeaseToken(1, self.number)

    @contextmanager
    def working(self, _: Key) -> Iterator[None]:
        yield


def writes(site: KubernetesSite) -> int:
    """How often Jobs, their pods and their Secrets were made, changed or deleted by controllers."""
    count = site.cluster.count.made
    verbs, kinds = ("create", "patch", "delete"), ("jobs", "pods", "secrets")
    return sum(count(verb, kind) for verb in verbs for kind in kinds)


async def test_who_loses_a_lease_lets_go_of_its_jobs_and_the_next_finds_them(
    kubernetes_site: KubernetesSite, tmp_path: Path
) -> None:
    first, second = kubernetes_site, kubernetes_site.beside(tmp_path / "second")
    ours, theirs = Lease(), Lease(held=False)
    first.tenure, second.tenure = ours, theirs
    first.cluster.plays.add(LONG)
    attempt = first.attempt("true", secrets=("KEY",))
    async with first.open() as former, second.open() as latter:
        await running(first, former, attempt)
        let_go = announced(former)
        before = writes(first)
        ours.held, theirs.held = False, True
        former._live[attempt.id].changed.set()  # or in half a minute
        assert await let_go.get() == attempt.id
        assert former.unfinished() == []
        assert writes(first) == before, "nothing was stopped or removed"
        assert (await latter.poll(attempt.id)).state is AttemptState.UNKNOWN
        await latter.start(attempt)
        await becomes(latter, attempt, AttemptState.ENDING)
        assert len(jobs(first)) == 1
        await former.reap()
        assert len(jobs(first)) == 1, "it is the other's to remove"
        ours.held, theirs.held = True, False
        assert (await becomes(former, attempt, AttemptState.ENDING)).state.ended is False
        await former.cancel(attempt.id, 0.1)
        assert (await ends(former, attempt)).state is AttemptState.CANCELLED
        await seen(lambda: not jobs(first))
    assert not (second.workspace.folder(attempt.id) / "status.json").exists()


async def test_who_has_lost_its_lease_creates_nothing_and_deletes_nothing(
    kubernetes_site: KubernetesSite,
) -> None:
    site, lease = kubernetes_site, Lease()
    site.tenure = lease
    site.cluster.plays.add(LONG)
    on_its_way = site.attempt("true", "on-its-way", secrets=("KEY",))
    runs, ended = site.attempt("true", "runs"), site.attempt("true", "ended")
    async with site.open(settles=0.0) as executor:
        for attempt in (runs, ended):
            await executor.start(attempt)
            await becomes(executor, attempt, AttemptState.ENDING)
        await executor.cancel(ended.id, 0.1)
        await ends(executor, ended)
        await seen(lambda: site.cluster.count.made("delete", "jobs") == 2)  # ended, and removed
        let_go = announced(executor)
        lease.held = False
        before = writes(site)
        await executor.start(on_its_way)  # as by a turn that a pause came into
        await executor.cancel(runs.id, 0.1)
        await executor.disown(ended.id)
        assert {await let_go.get(), await let_go.get()} == {on_its_way.id, runs.id}
        assert await executor.reap() == 0
        assert writes(site) == before
        assert (await executor.poll(on_its_way.id)).state is AttemptState.UNKNOWN


async def test_a_job_counts_as_nobodys_only_after_a_while_under_one_lease(
    kubernetes_site: KubernetesSite, tmp_path: Path
) -> None:
    first, second = kubernetes_site, kubernetes_site.beside(tmp_path / "second")
    first.cluster.plays.add(LONG)
    attempt = first.attempt("true")
    async with first.open() as executor:
        await running(first, executor, attempt)
    lease = Lease()
    second.tenure = lease
    async with second.open(stray=0.05) as executor:
        reaper = executor._reaper  # without its rhythm
        assert await reaper.reap(()) == 0, "its run may come for it"
        await asyncio.sleep(0.1)
        lease.number += 1
        assert await reaper.reap(()) == 0, "another may have had it in between"

        async def reaped() -> bool:
            return await reaper.reap(()) == 1

        await until(reaped)
        await seen(lambda: not jobs(first))


async def test_without_its_disk_a_controller_finds_how_an_attempt_ended_that_nobody_recorded(
    kubernetes_site: KubernetesSite, tmp_path: Path
) -> None:
    kubernetes_site.cluster.plays.add(STORED)
    attempt = kubernetes_site.attempt("true")
    async with kubernetes_site.open(settles=3600.0) as executor:
        assert (await run(executor, attempt)).state is AttemptState.SUCCEEDED
        assert await executor.collect(attempt) == {}
    anew = kubernetes_site.beside(tmp_path / "anew")
    async with anew.open() as executor:
        assert (await run(executor, attempt)).state is AttemptState.SUCCEEDED
    assert anew.cluster.count.made("create", "jobs") == 1
    assert len({job["metadata"]["uid"] for job in jobs(anew)}) == 1, "it was there already"
    assert len(anew.cluster.all("Pod", "headgate")) == 1


async def test_without_its_disk_a_controller_ends_what_its_run_does_not_want_any_more(
    kubernetes_site: KubernetesSite, tmp_path: Path
) -> None:
    kubernetes_site.cluster.plays.add(LONG)
    attempt = kubernetes_site.attempt("true")
    async with kubernetes_site.open() as executor:
        await running(kubernetes_site, executor, attempt)
    anew = kubernetes_site.beside(tmp_path / "anew")
    async with anew.open() as executor:
        await executor.disown(attempt.id)
        await seen(lambda: not jobs(anew))


async def test_a_job_of_a_history_that_was_lost_is_not_taken_for_ones_own(
    kubernetes_site: KubernetesSite, tmp_path: Path
) -> None:
    kubernetes_site.cluster.plays.add(LONG)
    lost = kubernetes_site.attempt("true").model_copy(update={"at": 1.0})
    async with kubernetes_site.open() as executor:
        await running(kubernetes_site, executor, lost)
    (former,) = jobs(kubernetes_site)
    anew = kubernetes_site.beside(tmp_path / "anew")
    attempt = lost.model_copy(update={"at": 2.0})
    async with anew.open() as executor:

        async def follows() -> bool:
            if (await executor.poll(attempt.id)).state is AttemptState.UNKNOWN:
                await executor.start(attempt)  # as its run does
            return (await executor.poll(attempt.id)).state is AttemptState.ENDING

        await until(follows)
    (job,) = jobs(anew)
    assert job["metadata"]["uid"] != former["metadata"]["uid"]
    assert job["metadata"]["name"] == former["metadata"]["name"] == job_name(OWNER, attempt.id)


async def test_whoever_creates_a_job_creates_the_same(
    kubernetes_site: KubernetesSite, tmp_path: Path
) -> None:
    first, second = kubernetes_site, kubernetes_site.beside(tmp_path / "second")
    attempt = first.attempt("true", secrets=("KEY",))
    made = []
    for site in (first, second):
        own = site.workspace.folder(attempt.id)
        own.mkdir(parents=True)
        async with site.open() as executor:
            made.append(json.dumps(await executor._launcher.prepare(attempt, own), sort_keys=True))
    assert made[0] == made[1]
