"""The queue, in virtual time: every delay is exact, and no test waits."""

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from controller.reconcile.workqueue import Backoff, WorkQueue
from tests.controller.reconcile.virtual_time import VirtualLoop, virtually


def now() -> float:
    """The loop's time."""
    return asyncio.get_running_loop().time()


async def handed_out(queue: WorkQueue[str], seconds: float) -> list[tuple[str, float]]:
    """Handle keys for that long: each with the time at which it came."""
    seen: list[tuple[str, float]] = []
    try:
        async with asyncio.timeout(seconds):
            while True:
                key = await queue.get()
                seen.append((key, round(now(), 6)))
                queue.done(key)
    except TimeoutError:
        return seen


def test_keys_come_in_the_order_in_which_they_were_added_and_once() -> None:
    async def story() -> None:
        queue: WorkQueue[str] = WorkQueue()
        for key in ("b", "a", "b", "c", "a"):
            queue.add(key)
        assert len(queue) == 3
        assert await handed_out(queue, 1) == [("b", 0), ("a", 0), ("c", 0)]

    virtually(story())


def test_a_patient_key_lets_some_that_come_later_go_first_but_not_all() -> None:
    async def story() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("old", behind=2)
        queue.add("older", behind=100)
        for key in ("a", "b", "c", "d"):
            queue.add(key)
        order = [key for key, _ in await handed_out(queue, 1)]
        assert order == ["a", "old", "b", "c", "d", "older"]

    virtually(story())


def test_a_patient_key_that_is_added_again_waits_no_longer_than_others() -> None:
    async def story() -> None:
        queue: WorkQueue[str] = WorkQueue()
        for key in ("a", "b"):
            queue.add(key, behind=100)
        for key in ("b", "c"):
            queue.add(key)
        assert len(queue) == 3
        assert [key for key, _ in await handed_out(queue, 1)] == ["b", "c", "a"]

    virtually(story())


def test_a_key_has_one_handler_at_a_time_and_comes_once_more_if_added_meanwhile() -> None:
    async def story() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("a")
        assert await queue.get() == "a"
        for _ in range(3):
            queue.add("a")
        queue.add("b")
        assert await queue.get() == "b", "a is being handled"
        assert len(queue) == 0
        queue.done("a")
        assert await handed_out(queue, 1) == [("a", 0)]

    virtually(story())


def test_of_several_delays_the_earliest_holds() -> None:
    async def story() -> None:
        queue: WorkQueue[str] = WorkQueue()
        for delay in (5.0, 2.0, 9.0):
            queue.add_after("a", delay)
        queue.add_after("b", 3.0)
        assert await handed_out(queue, 60) == [("a", 2.0), ("b", 3.0)]

    virtually(story())


def test_adding_at_once_does_not_lose_the_delay() -> None:
    async def story() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add_after("a", 5.0)
        queue.add("a")
        queue.add_after("b", 0.0)
        queue.add_after("c", -1.0)
        assert await handed_out(queue, 60) == [("a", 0), ("b", 0), ("c", 0), ("a", 5.0)]

    virtually(story())


def test_a_delay_that_ends_while_the_key_is_handled_brings_it_once_more() -> None:
    async def story() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add("a")
        await queue.get()
        queue.add_after("a", 1.0)
        await asyncio.sleep(4)
        queue.done("a")
        assert await handed_out(queue, 60) == [("a", 4.0)]

    virtually(story())


def test_failures_back_off_exponentially_up_to_a_bound_and_success_forgets_them() -> None:
    async def story() -> None:
        queue: WorkQueue[str] = WorkQueue(Backoff(first=1, most=10), jitter=lambda: 1.0)
        assert [queue.add_failed("a") for _ in range(6)] == [1, 2, 4, 8, 10, 10]
        assert queue.add_failed("b") == 1, "each key counts for itself"
        queue.forget("a")
        assert queue.add_failed("a") == 1
        assert queue.add_failed("a", at_least=99) == 99

    virtually(story())


def test_a_failed_key_comes_back_after_its_delay() -> None:
    async def story() -> None:
        queue: WorkQueue[str] = WorkQueue(Backoff(first=1, most=10), jitter=lambda: 0.5)
        queue.add("a")
        key = await queue.get()
        assert queue.add_failed(key) == 0.75
        queue.done(key)
        assert await handed_out(queue, 60) == [("a", 0.75)]

    virtually(story())


@pytest.mark.parametrize("failures", [1, 7, 64, 10**9])
def test_jitter_keeps_to_the_upper_half(failures: int) -> None:
    backoff = Backoff(first=0.5, most=300)
    assert 0 < backoff.delay(failures, 0.0) == backoff.delay(failures, 1.0) / 2 <= 150


def test_a_closed_queue_brings_nothing_by_itself() -> None:
    async def story() -> None:
        queue: WorkQueue[str] = WorkQueue()
        queue.add_after("a", 1.0)
        queue.close()
        assert await handed_out(queue, 60) == []

    virtually(story())


def test_a_waiting_handler_that_is_cancelled_takes_no_key_with_it() -> None:
    async def story() -> None:
        queue: WorkQueue[str] = WorkQueue()
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert await handed_out(queue, 1) == [("a", 0)]

    virtually(story())


KEYS = st.sampled_from("abc")


class QueueAgainstAModel(RuleBasedStateMachine):
    """The model: when each key is due, which are wanted, in which order, and which are handled."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.queue: WorkQueue[str] = WorkQueue()
        self.due: dict[str, float] = {}
        self.waiting: list[str] = []
        self.handled: dict[str, bool] = {}  # and whether it is wanted again
        self.delays = 0

    def teardown(self) -> None:
        self.queue.close()
        self.runner.close()

    def add_to_model(self, key: str) -> None:
        if key in self.handled:
            self.handled[key] = True
        elif key not in self.waiting:
            self.waiting.append(key)

    @rule(key=KEYS)
    def add(self, key: str) -> None:
        self.queue.add(key)
        self.add_to_model(key)

    @rule(key=KEYS, delay=st.integers(1, 5))
    def add_after(self, key: str, delay: int) -> None:
        self.delays += 1
        exact = delay + self.delays / 1000  # so that no two are due at once

        async def later() -> float:
            self.queue.add_after(key, exact)
            return now() + exact

        due = self.runner.run(later())
        self.due[key] = min(self.due.get(key, due), due)

    @rule(seconds=st.integers(1, 4))
    def time_passes(self, seconds: int) -> None:
        self.runner.run(asyncio.sleep(seconds))
        time = self.runner.get_loop().time()
        for key, due in sorted(self.due.items(), key=lambda item: item[1]):
            if due <= time:
                del self.due[key]
                self.add_to_model(key)

    @precondition(lambda self: self.waiting)
    @rule()
    def get(self) -> None:
        key = self.runner.run(self.queue.get())
        assert key == self.waiting.pop(0)
        self.handled[key] = False

    @precondition(lambda self: self.handled)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.handled)))
        self.queue.done(key)
        if self.handled.pop(key):
            self.waiting.append(key)

    @invariant()
    def as_many_wait_as_should(self) -> None:
        assert len(self.queue) == len(self.waiting)


TestQueueAgainstAModel = QueueAgainstAModel.TestCase
TestQueueAgainstAModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
