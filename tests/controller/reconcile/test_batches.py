"""What is due at the same time is done together."""

import asyncio
from collections.abc import Sequence

import pytest

from controller.reconcile.batches import LONGEST_REST, Batches
from tests.controller.reconcile.virtual_time import virtually


class Desk:
    """Writes down batches, each once the gate is open for it."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.gate = asyncio.Event()

    async def write(self, items: Sequence[str]) -> None:
        self.batches.append([*items])
        await self.gate.wait()
        if "bad" in items:
            raise ValueError("a bad batch")


async def soon() -> None:
    """Let every task that is ready come to where it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_comes_while_a_batch_is_written_is_the_next_one() -> None:
    desk = Desk()
    batches = Batches(desk.write)
    first = asyncio.create_task(batches.add("a"))
    await soon()
    assert desk.batches == [["a"]], "at once"
    others = [asyncio.create_task(batches.add(name)) for name in "bcd"]
    await soon()
    assert desk.batches == [["a"]]
    desk.gate.set()
    await asyncio.gather(first, *others)
    assert desk.batches == [["a"], ["b", "c", "d"]]
    await batches.add("e")
    assert desk.batches[2:] == [["e"]]


async def test_a_batch_that_fails_fails_for_all_of_its_items_and_for_no_others() -> None:
    desk = Desk()
    batches = Batches(desk.write)
    tasks = [asyncio.create_task(batches.add(name)) for name in ("a", "bad")]
    await soon()
    later = asyncio.create_task(batches.add("b"))
    await soon()
    desk.gate.set()
    ends = await asyncio.gather(*tasks, later, return_exceptions=True)
    assert [type(end) for end in ends] == [ValueError, ValueError, type(None)]


async def test_whoever_stops_waiting_takes_nothing_back_and_disturbs_nobody() -> None:
    desk = Desk()
    batches = Batches(desk.write)
    first, second, third = (asyncio.create_task(batches.add(name)) for name in "abc")
    await soon()
    second.cancel()
    desk.gate.set()
    await asyncio.gather(first, third)
    assert desk.batches == [["a", "b", "c"]]


async def test_closing_cancels_what_is_written_and_whoever_waits_for_it_or_for_the_next() -> None:
    desk = Desk()
    batches = Batches(desk.write)
    waiting = [asyncio.create_task(batches.add("a"))]
    await soon()
    waiting.append(asyncio.create_task(batches.add("b")))
    await soon()
    await batches.close()
    for task in waiting:
        with pytest.raises(asyncio.CancelledError):
            await task
    assert desk.batches == [["a"]]
    desk.gate.set()
    await batches.add("c")
    assert desk.batches == [["a"], ["c"]]


def test_a_writer_that_rests_writes_a_burst_in_few_batches_and_the_first_at_once() -> None:
    batches = virtually(burst(rest=3.0, takes=0.5))
    assert batches[0] == (0.0, 1)
    assert [at for at, _ in batches] == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert sum(many for _, many in batches) == 100


def test_a_slow_writer_rests_no_longer_than_the_limit() -> None:
    first, second, *_ = virtually(burst(rest=3.0, takes=4.0))
    assert second[0] - first[0] == 4.0 + LONGEST_REST


def test_batches_that_are_written_quickly_begin_that_far_apart_and_the_first_at_once() -> None:
    batches = virtually(burst(rest=3.0, takes=0.02, apart=0.5))
    assert batches[0] == (0.0, 1)
    assert [at for at, _ in batches] == [n * 0.5 for n in range(21)]
    assert sum(many for _, many in batches) == 100


def test_closing_is_not_held_by_a_rest_and_whoever_waits_is_told() -> None:
    async def story() -> float:
        desk = Desk()
        desk.gate.set()
        batches = Batches(desk.write, apart=0.5)
        await batches.add("a")
        waiting = asyncio.create_task(batches.add("b"))
        await soon()
        await batches.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await batches.add("c")
        assert desk.batches == [["a"], ["c"]]
        return asyncio.get_running_loop().time()

    assert virtually(story()) == 0.0


async def burst(rest: float, takes: float, apart: float = 0.0) -> list[tuple[float, int]]:
    """When each batch began, and how many of a hundred items it had, of which ten come a second."""
    loop, begun = asyncio.get_running_loop(), list[tuple[float, int]]()

    async def write(items: Sequence[int]) -> None:
        begun.append((round(loop.time(), 6), len(items)))
        await asyncio.sleep(takes)

    batches = Batches(write, rest, apart)
    waiting = []
    for item in range(100):
        waiting.append(asyncio.create_task(batches.add(item)))
        await asyncio.sleep(0.1)
    await asyncio.gather(*waiting)
    await batches.close()
    return begun
