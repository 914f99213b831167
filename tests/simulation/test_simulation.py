"""Whatever goes wrong: no effect is lost or doubled, nothing ungated serves, all comes to an end.

And the simulation can fail: a controller with a mistake in it is found out.
"""

from typing import Any

import pytest

from controller.machine.core import Key
from controller.machine.runs.run import Run
from controller.reconcile.outbox import Outbox
from controller.reconcile.workqueue import WorkQueue
from controller.store.protocol import OutboxEntry, Transaction
from tests.simulation.schedule import Outcome, play

ENOUGH = 60
"""Schedules within which every mistake below is found."""


def test_whatever_goes_wrong_all_comes_to_a_good_end(seeds: range) -> None:
    for seed in seeds:
        outcome = play(seed)
        assert not outcome.wrongs, outcome.told()


def test_a_schedule_is_the_same_each_time() -> None:
    first, second = play(3), play(3)
    assert first.history.every == second.history.every
    assert len(first.history.every) > 20


def found(kind: str) -> Outcome:
    """The first schedule that finds something wrong of that kind."""
    for seed in range(ENOUGH):
        outcome = play(seed)
        if any(each.startswith(kind) for each in outcome.wrongs):
            return outcome
    raise AssertionError(f"nothing {kind} in {ENOUGH} schedules")


def test_an_action_that_is_acknowledged_before_it_is_applied_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    effect = Outbox._effect

    async def hasty(self: Outbox, entry: OutboxEntry, made: Any) -> Any:
        change = Transaction(acknowledge=(entry.id,))
        await self._store.commit(change, self._policy.clock())
        return await effect(self, entry, made)

    monkeypatch.setattr(Outbox, "_effect", hasty)
    outcome = found("lost")
    assert "was never applied" in outcome.told()
    assert f"seed {outcome.seed}:" in outcome.told()


def test_an_action_that_is_applied_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    effect = Outbox._effect

    async def twice(self: Outbox, entry: OutboxEntry, made: Any) -> Any:
        await effect(self, entry, made)
        return await effect(self, entry, made)

    monkeypatch.setattr(Outbox, "_effect", twice)
    assert "applied twice in a life" in found("doubled").told()


def test_a_gate_whose_verdict_nobody_asks_for_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "stops", lambda _run, _node: False)
    assert "its model failed" in found("ungated").told()


def test_a_wake_up_that_is_lost_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    add_after = WorkQueue.add_after

    def sleepy(self: WorkQueue[Key], key: Key, delay: float) -> None:
        if key.kind != "run":
            add_after(self, key, delay)

    monkeypatch.setattr(WorkQueue, "add_after", sleepy)
    assert "runs" in found("unended").told()
