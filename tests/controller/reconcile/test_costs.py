"""What a decision costs: transactions, reads, and parsed states, counted."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import pytest
from pydantic import model_validator

from controller.machine.core import Action, Decision, Envelope, Key, Message, Value
from controller.reconcile.loop import Loop
from controller.reconcile.outbox import RuntimePolicy
from controller.store.protocol import Put, Transaction
from controller.store.sqlite import SqliteStore
from tests.controller.reconcile.toys import Add, running, tell, toy, until

LAMP = Key("lamp", "a")
STEPS = 5


class Light(Action):
    """Light a lamp for the n-th time; it stays lit."""

    lasting: ClassVar[bool] = True
    type: Literal["light"] = "light"
    n: int


class Lamp(Value):
    """How often it was lit; it counts how often such a state is made from data."""

    validated: ClassVar[int] = 0
    lit: int = 0

    @model_validator(mode="after")
    def _count(self) -> Self:
        Lamp.validated += 1
        return self


def lamp(_: Key, state: Lamp | None, inbox: Sequence[Message], __: float) -> Decision[Lamp]:
    """Lights it anew for each message, and for good with the last."""
    state = (state or Lamp()).model_copy(update={"lit": (state.lit if state else 0) + len(inbox)})
    actions = (Light(n=state.lit),) if inbox else ()
    return Decision(state=state, actions=actions, requeue_after=2.0 if state.lit < STEPS else None)


class Lamps:
    """What came of the actions, and the loop's steps in their order."""

    def __init__(self, store: SqliteStore) -> None:
        self.lit: list[int] = []
        self.store = store
        self.steps: list[str] = []
        self.loop = self.restarted()

    def restarted(self) -> Loop:
        """A loop that knows nothing but the store. It hears no other process meanwhile."""
        policy = RuntimePolicy(boundary=lambda step, _: self.steps.append(step))
        kinds = {"lamp": toy(Lamp, lamp)}
        return Loop(self.store, kinds, {Light: self.light}, policy=policy, listen=3600.0)

    async def light(self, _: Key, action: Light) -> Sequence[Envelope]:
        """Remember it."""
        self.lit.append(action.n)
        return ()

    async def tell(self, n: int) -> None:
        """A message, and until its action is applied."""
        await tell(self.store, LAMP, Add(n=n), f"{n}")
        self.loop.wake(LAMP)
        await until(lambda: n in self.lit)


@pytest.fixture
def lamps(store: SqliteStore) -> Lamps:
    return Lamps(store)


async def test_a_lasting_action_is_acknowledged_with_the_next_decision_of_its_owner(
    lamps: Lamps,
) -> None:
    async with running(lamps.loop):
        await lamps.tell(1)
        await until(lambda: lamps.steps[-1] == "after apply")
        assert [each.id for each in await lamps.store.outbox()] != []
        await lamps.tell(2)
        await until(lambda: lamps.steps[-1] == "after apply")
        assert [each.action["n"] for each in await lamps.store.outbox()] == [2]
    assert lamps.steps == ["before save", "after save", "before apply", "after apply"] * 2
    assert lamps.lit == [1, 2]


async def test_nothing_is_left_in_the_outbox_of_one_that_is_not_reconciled_again(
    lamps: Lamps,
) -> None:
    async with running(lamps.loop):
        for n in range(1, STEPS + 1):
            await lamps.tell(n)
        await until(lambda: lamps.steps[-1] == "after acknowledge")
    assert await lamps.store.outbox() == []
    assert lamps.loop.counts["acknowledged"] == STEPS


async def test_what_was_not_acknowledged_is_applied_again_after_a_restart(lamps: Lamps) -> None:
    async with running(lamps.loop):
        await lamps.tell(1)
    lamps.loop = lamps.restarted()
    async with running(lamps.loop):
        await until(lambda: lamps.lit == [1, 1])
        await lamps.tell(2)
    assert lamps.lit == [1, 1, 2]


async def test_if_nothing_changes_it_is_acknowledged_alone(lamps: Lamps) -> None:
    async with running(lamps.loop):
        await lamps.tell(1)
        await until(lambda: lamps.loop.counts["reconciled"] == 1)
        revision = await lamps.store.get(LAMP)
        lamps.loop.wake(LAMP)
        await until(lambda: lamps.loop.counts["acknowledged"] == 1)
    assert await lamps.store.outbox() == []
    assert await lamps.store.get(LAMP) == revision, "it was not saved for that"


async def test_a_decision_is_one_call_of_the_store_and_parses_nothing(lamps: Lamps) -> None:
    async with running(lamps.loop):
        await lamps.tell(1)
        await lamps.tell(2)
        calls, validated = lamps.store.calls, Lamp.validated
        await lamps.tell(3)
        await until(lambda: lamps.steps[-1] == "after apply")
        # The message is sent, which has the object read again, and the decision is saved.
        assert lamps.store.calls - calls == 3
        assert Lamp.validated == validated
        lamps.loop.wake(LAMP)
        await until(lambda: lamps.loop.counts["acknowledged"] == 3)
        assert lamps.store.calls - calls == 4


async def test_what_another_process_changed_is_parsed(lamps: Lamps, other: SqliteStore) -> None:
    async with running(lamps.loop):
        await lamps.tell(1)
        lamps.loop.wake(LAMP)
        await until(lambda: lamps.loop.counts["acknowledged"] == 1)
        await overwrite(other, lit=3)
        assert await lamps.store.changed()
        await tell(lamps.store, LAMP, Add(n=4), "4")
        lamps.loop.wake(LAMP)
        await until(lambda: lamps.lit == [1, 4])


async def overwrite(store: SqliteStore, **state: Any) -> None:
    """Change the lamp as somebody else would."""
    record = await store.get(LAMP)
    assert record is not None
    text = Lamp(**state).model_dump_json()
    put = Put(key=LAMP, revision=record.revision, text=text, live=True)
    await store.commit(Transaction(put=put), now=2.0)
