"""A source that fails is restarted, and people are notified if that does not help."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from controller.machine.core import Envelope, Key
from controller.machine.messages import Recovered, Stalled
from controller.reconcile.outbox import RuntimePolicy
from controller.reconcile.workqueue import Backoff
from controller.sources.bucket import WatchedDataset
from controller.sources.watch import KINDS, Watcher, WatchRequest
from specs.failures import NeedsHuman
from specs.schedule import ScheduleTrigger

QUICK = RuntimePolicy(backoff=Backoff(first=0.001, most=0.002), bears=0.0)
MEAN = Key("pipeline", "mean")


class Unsteady:
    """Fails so many times in one way, and then hints once and waits."""

    def __init__(self, times: int, fail: Callable[[], None]) -> None:
        self.problem: str | None = None
        self._times = times
        self._fail = fail

    async def keys(self) -> AsyncIterator[Key]:
        if self._times:
            self._times -= 1
            self._fail()
            return
        yield MEAN
        await asyncio.Event().wait()


async def look(dataset: WatchedDataset) -> None:
    """No dataset is watched here."""
    raise AssertionError(dataset)


def fault() -> None:
    raise KeyError("a fault of ours")


def refusal() -> None:
    raise NeedsHuman("the line cannot be read: write another")


def end() -> None:
    """Nothing is raised."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("fail", "why"),
    [
        (fault, "internal error (KeyError)"),
        (refusal, "the line cannot be read: write another"),
        (end, "it ended by itself"),
    ],
)
async def test_a_source_that_ends_is_run_anew_and_told_of_once_as_is_its_end(
    kind: str, fail: Callable[[], None], why: str
) -> None:
    sent: list[Envelope] = []

    async def send(envelope: Envelope) -> None:
        sent.append(envelope)

    watch = Watcher(send, look, 3600.0, QUICK)
    watch.add(kind, "mean", Unsteady(3, fail))
    stall = Key("stall", f"{kind}/mean")
    async with asyncio.timeout(30):
        assert await watch.hint() == stall
        (problem,) = watch.problems
        assert why in problem
        assert await watch.hint() == MEAN, "it goes on"
        assert await watch.hint() == stall
    assert [each.to for each in sent] == [stall, stall]
    stalled, recovered = (each.message for each in sent)
    assert isinstance(stalled, Stalled)
    assert why in stalled.reason
    assert recovered == Recovered()
    assert not watch.problems
    await watch.close()


async def test_a_source_that_is_not_wanted_any_more_is_no_stall_any_more() -> None:
    sent: list[Envelope] = []

    async def send(envelope: Envelope) -> None:
        sent.append(envelope)

    watch = Watcher(send, look, 3600.0, QUICK)
    watch.restore([Key("stall", "schedule/mean"), Key("stall", "queue/of-others")])
    watch.add("schedule", "mean", Unsteady(10**9, fault))
    async with asyncio.timeout(30):
        while not watch.problems:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)
    watch.add("schedule", "mean", Unsteady(0, fault))
    async with asyncio.timeout(30):
        assert await watch.hint() in (MEAN, Key("stall", "schedule/mean"))
        await watch.hint()
    assert [(each.to.name, each.message) for each in sent] == [("schedule/mean", Recovered())]
    await watch.close()


async def test_a_look_that_raises_is_told_of_by_its_pipeline_as_is_its_end() -> None:
    sent: list[Envelope] = []
    repaired = asyncio.Event()

    async def send(envelope: Envelope) -> None:
        sent.append(envelope)

    async def look(dataset: WatchedDataset) -> str:
        if dataset.uri == "s3://bad/*" and not repaired.is_set():
            raise OSError("the disk is at fault")
        return "what it holds"

    watch = Watcher(send, look, 0.01, QUICK)
    watch.follow("mean", WatchRequest((WatchedDataset("s3://bad/*"),)), None)
    watch.follow("others", WatchRequest((WatchedDataset("s3://good/*"),)), None)
    stall = Key("stall", "bucket/mean")
    async with asyncio.timeout(30):
        hinted = {await watch.hint(), await watch.hint()}
        (problem,) = watch.problems
        repaired.set()
        back = {await watch.hint(), await watch.hint()}
    assert hinted == {Key("pipeline", "others"), stall}
    assert problem == (
        "A dataset of mean cannot be looked at: s3://bad/*: internal error (OSError); see "
        "Headgate's log. It is tried again."
    )
    assert back == {MEAN, stall}
    assert [each.to for each in sent] == [stall, stall]
    stalled, recovered = (each.message for each in sent)
    assert isinstance(stalled, Stalled)
    assert stalled.reason == problem
    assert recovered == Recovered()
    assert not watch.problems
    await watch.close()


async def test_a_dataset_that_failed_before_a_restart_is_a_stall_until_it_is_looked_at() -> None:
    sent: list[Envelope] = []

    async def send(envelope: Envelope) -> None:
        sent.append(envelope)

    reached = asyncio.Event()

    async def look(dataset: WatchedDataset) -> str:
        await reached.wait()
        return "what it holds"

    stall = Key("stall", "bucket/mean")
    watch = Watcher(send, look, 3600.0, QUICK)
    watch.restore([stall])
    watch.follow("mean", WatchRequest((WatchedDataset("s3://mended/*"),)), None)
    for _ in range(20):  # what follow tells of ends
        await asyncio.sleep(0)
    assert not sent
    reached.set()
    async with asyncio.timeout(30):
        assert {await watch.hint(), await watch.hint()} == {MEAN, stall}
    assert [(each.to, each.message) for each in sent] == [(stall, Recovered())]
    await watch.close()


async def test_a_thousand_schedules_are_one_task() -> None:
    async def send(envelope: Envelope) -> None:
        raise AssertionError(envelope)

    watch = Watcher(send, look, 3600.0, QUICK)
    before = asyncio.all_tasks()
    nightly = WatchRequest(schedule=ScheduleTrigger(cron="0 4 * * *"))
    for number in range(1000):
        watch.follow(f"p{number}", nightly, None)
    for _ in range(20):  # what follow tells of ends
        await asyncio.sleep(0)
    tasks = asyncio.all_tasks() - before
    assert len(tasks) == 2, "the source, and what it waits for"
    await watch.close()
    assert all(task.done() for task in tasks)
