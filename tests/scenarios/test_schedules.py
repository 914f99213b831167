"""Runs by the clock, through the whole controller; and a clock that is set."""

import time
from datetime import UTC, datetime

import pytest

from controller.reconcile.outbox import RuntimePolicy
from tests.scenarios.world import World

TRIGGER = "  data: {datasets: [numbers], quiet: 200ms}"
NIGHTLY = "  schedule: {cron: '0 4 * * *'}"


class Clock:
    """A wall clock that can be set, in UTC."""

    def __init__(self, text: str) -> None:
        self.set(text)

    def set(self, text: str) -> None:
        wanted = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
        self._ahead = wanted - time.monotonic()

    def ways(self) -> RuntimePolicy:
        return RuntimePolicy(clock=self.now, wall=self.now, wake_every=0.05)

    def now(self) -> float:
        return self._ahead + time.monotonic()


@pytest.fixture
def clock() -> Clock:
    return Clock("2026-03-01 03:00")


async def test_a_schedule_fires_once_for_all_that_was_missed_and_never_twice(
    world: World, clock: Clock
) -> None:
    world.push("Run by the clock", ml_pipeline__yaml=(TRIGGER, NIGHTLY))
    async with world.controller(clock.ways()):
        await world.ended(1)
    # Down before the schedule ever fired: its first three nights are missed.
    clock.set("2026-03-04 12:00")
    world.drop("b.csv", [4, 5, 6])
    async with world.controller(clock.ways()):
        second = await world.ended(2)
    assert second.trigger.kind == "schedule"
    assert second.trigger.why == "the schedule was due at 2026-03-04T04:00:00+00:00"
    world.drop("c.csv", [7, 8, 9])
    async with world.controller(clock.ways()):
        await world.serves(2, "staging")
        clock.set("2026-03-05 04:00")
        third = await world.ended(3)
    assert third.trigger.why == "the schedule was due at 2026-03-05T04:00:00+00:00"
    assert await world.run(4) is None


async def test_a_clock_that_is_set_forwards_and_back_strands_neither_run_nor_schedule(
    world: World, clock: Clock
) -> None:
    world.push("Run by the clock", ml_pipeline__yaml=(TRIGGER, NIGHTLY))
    world.push("Take longer", ml_pipeline__yaml=("wait: 0.0", "wait: 0.5"))
    async with world.controller(clock.ways()):
        await started(world, "mean-1.train.1")
        clock.set("2026-02-01 03:00")  # a month back, in the middle of a run
        assert (await world.ended(1)).outcome == "passed"
        world.drop("b.csv", [4, 5, 6])
        clock.set("2027-03-01 04:00")  # a year forwards
        second = await world.ended(2)
        world.drop("c.csv", [7, 8, 9])
        clock.set("2026-03-02 04:00")  # and right again, as a night's run is due
        third = await world.ended(3)
    assert {second.outcome, third.outcome} == {"passed"}
    assert second.trigger.why == "the schedule was due at 2027-03-01T04:00:00+00:00"
    assert third.trigger.why == "the schedule was due at 2026-03-02T04:00:00+00:00"


async def started(world: World, attempt: str) -> None:
    """Wait until an attempt runs."""
    attempts = world.root / "home" / "attempts"

    async def look() -> bool:
        return any(attempts.glob(attempt))

    await world.until(look, f"{attempt} to start")
