"""Small machines over real stores: a counter, a family, and a worker that is told what to do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, TypeVar

from controller.machine.core import Action, Decision, Fact, InboxMessage, Key, Message, Value
from controller.reconcile.loop import Loop
from controller.store.protocol import Store, Transaction

S = TypeVar("S", bound=Value)


async def nowhere(_: Key) -> None:
    """Look at nothing."""


@dataclass
class Toy(Generic[S]):
    """A kind whose machine wants to know nothing but its letters."""

    state: type[S]
    machine: Callable[[Key, S | None, Sequence[Message], float], Decision[S]]
    look: Callable[[Key], Awaitable[None]] = nowhere

    async def observe(self, key: Key, *_: object) -> None:
        """Go and look, for nothing."""
        await self.look(key)

    def decide(
        self, key: Key, state: S | None, _: None, inbox: Sequence[InboxMessage], now: float
    ) -> Decision[S]:
        """What the machine says."""
        return self.machine(key, state, [letter.message for letter in inbox], now)


class Count(Value):
    n: int = 0


def counter(_: Key, state: Count | None, inbox: Sequence[Message], __: float) -> Decision[Count]:
    """Adds up what it is told."""
    state = state or Count()
    return Decision(state=Count(n=state.n + sum(message.body["add"] for message in inbox)))


class Effect(Action):
    """Leave a trace of that name."""

    type: Literal["effect"] = "effect"
    name: str


class Parent(Value):
    waits_for: tuple[str, ...] = ()
    done: tuple[str, ...] = ()


def parent(key: Key, state: Parent | None, inbox: Sequence[Message], _: float) -> Decision[Parent]:
    """Told `begin` with a number, it begins as many children, and waits until all are done."""
    state = state or Parent()
    messages: list[Message] = []
    facts: list[Fact] = []
    for message in inbox:
        if message.type == "begin":
            names = tuple(f"{key.name}-{n}" for n in range(message.body["children"]))
            state = state.model_copy(update={"waits_for": names})
            messages += [Message(to=Key("child", n), id="begin", type="begin") for n in names]
        else:
            state = Parent(
                waits_for=tuple(n for n in state.waits_for if n != message.body["child"]),
                done=(*state.done, message.body["child"]),
            )
            if not state.waits_for:
                facts.append(Fact(key=Key("family", key.name), body={"done": sorted(state.done)}))
    wait = 60.0 if state.waits_for else None
    return Decision(state=state, messages=tuple(messages), facts=tuple(facts), requeue_after=wait)


class Child(Value):
    has: tuple[str, ...] = ()


STAGES = ("washed", "dressed")


def child(key: Key, state: Child | None, inbox: Sequence[Message], _: float) -> Decision[Child]:
    """Goes through its stages, an effect for each, and tells its parent."""
    state = state or Child()
    for message in inbox:
        if message.type == "effect_done":
            state = Child(has=(*state.has, message.body["name"]))
    if len(state.has) < len(STAGES):
        action = Effect(name=f"{key.name}-{STAGES[len(state.has)]}")
        # What is owed already is not owed twice.
        return Decision(state=state, actions=(action,), requeue_after=60.0)
    family = Key("parent", key.name.rpartition("-")[0])
    grown = Message(to=family, id=f"grown-{key.name}", type="grown", body={"child": key.name})
    return Decision(state=state, messages=(grown,))


class Work(Action):
    """What a worker is told to do, in two lanes."""

    type: Literal["work"] = "work"
    how: str


class Ring(Work):
    """Work of another lane."""

    type: Literal["ring"] = "ring"  # type: ignore[assignment] # another name in the outbox
    lane: ClassVar[str] = "bell"


class Worker(Value):
    log: tuple[str, ...] = ()
    """What it heard, in order."""
    patience: float | None = None


def worker(_: Key, state: Worker | None, inbox: Sequence[Message], __: float) -> Decision[Worker]:
    """Owes what letters of type `work` and `ring` ask for, and writes down the others."""
    state = state or Worker()
    actions: list[Action] = []
    withdraw: list[str] = []
    for message in inbox:
        match message.type:
            case "work":
                actions.append(Work(how=message.body["how"]))
            case "ring":
                actions.append(Ring(how=message.body["how"]))
            case "instead":
                withdraw.append("main")
                actions.append(Work(how=message.body["how"]))
            case "break":
                raise ZeroDivisionError("a machine with a fault")
            case _:
                told = message.body.get("reason") or message.body.get("how")
                state = state.model_copy(update={"log": (*state.log, f"{message.type}: {told}")})
    return Decision(state=state, actions=tuple(actions), withdraw=tuple(withdraw))


async def tell(store: Store, to: Key, type_: str, id_: str = "", **body: object) -> None:
    """Send a message as a person or a source does."""
    message = Message(to=to, id=id_ or f"{type_}-{sorted(body.items())}", type=type_, body=body)
    await store.commit(Transaction(send=(message,)), now=1.0)


@asynccontextmanager
async def running(loop: Loop) -> AsyncIterator[Loop]:
    """The loop runs meanwhile, and must not end by itself."""
    task = asyncio.create_task(loop.run())
    try:
        yield loop
    finally:
        assert not task.done() or task.cancelled(), task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], object], what: str = "what was waited for") -> None:
    """Wait, for ten seconds at most, until `condition()` or what it awaits is true."""
    async with asyncio.timeout(10):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.005)
    raise AssertionError(what)
