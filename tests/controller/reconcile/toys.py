"""Small machines over real stores: a counter, a family, and a worker that does as messages ask."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeVar

from controller.machine.core import (
    Action,
    Decision,
    Envelope,
    Fact,
    InboxMessage,
    Key,
    Message,
    Value,
)
from controller.machine.messages import ActionFailed
from controller.reconcile.loop import Loop
from controller.reconcile.reconciler import Reconciler
from controller.store.protocol import Store, Transaction
from specs.digests import canonical_json

S = TypeVar("S", bound=Value)


class Add(Message):
    """To a counter."""

    type: Literal["add"] = "add"
    n: int


class Begin(Message):
    """To a parent or a child: it has as many children."""

    type: Literal["begin"] = "begin"
    children: int = 0


class Grown(Message):
    """To a parent: a child is done."""

    type: Literal["grown"] = "grown"
    child: str


class EffectDone(Message):
    """To a child: the effect of that stage was made."""

    type: Literal["effect_done"] = "effect_done"
    stage: str


class DoWork(Message):
    """To a worker."""

    type: Literal["do_work"] = "do_work"
    how: str


class DoRing(Message):
    """To a worker: work in another lane."""

    type: Literal["do_ring"] = "do_ring"
    how: str


class DoMurmur(Message):
    """To a worker: work in the background."""

    type: Literal["do_murmur"] = "do_murmur"
    how: str


class MurmurInstead(Message):
    """To a worker: work in place of whatever there is in the background."""

    type: Literal["murmur_instead"] = "murmur_instead"
    how: str


class DoInstead(Message):
    """To a worker: work in place of whatever it was asked for."""

    type: Literal["do_instead"] = "do_instead"
    how: str


class Done(Message):
    """To a worker: its work is done."""

    type: Literal["done"] = "done"
    how: str


HANDLED: Collection[type[Message]] = (
    Add,
    Begin,
    Grown,
    EffectDone,
    DoWork,
    DoRing,
    DoMurmur,
    MurmurInstead,
    DoInstead,
    Done,
    ActionFailed,
)


async def nowhere(_: Key) -> None:
    """Look at nothing."""


@dataclass(frozen=True)
class ToyObserver:
    """Goes and looks, and returns nothing."""

    look: Callable[[Key], Awaitable[None]]

    async def observe(self, key: Key, *_: object) -> None:
        """Go and look."""
        await self.look(key)


def toy(
    state: type[S],
    machine: Callable[[Key, S | None, Sequence[Message], float], Decision[S]],
    look: Callable[[Key], Awaitable[None]] = nowhere,
    handles: Collection[type[Message]] = HANDLED,
) -> Reconciler[S, None]:
    """One whose machine wants to know nothing but its messages."""

    def decide(
        key: Key, state: S | None, _: None, inbox: Sequence[InboxMessage], now: float
    ) -> Decision[S]:
        return machine(key, state, [each.message for each in inbox], now)

    return Reconciler(state, ToyObserver(look), decide, handles)


class Count(Value):
    n: int = 0


def counter(_: Key, state: Count | None, inbox: Sequence[Message], __: float) -> Decision[Count]:
    """Adds up the numbers of its messages."""
    state = state or Count()
    total = sum(message.n for message in inbox if isinstance(message, Add))
    return Decision(state=Count(n=state.n + total))


class Effect(Action):
    """Leave a trace of that name."""

    type: Literal["effect"] = "effect"
    name: str


class Parent(Value):
    waits_for: tuple[str, ...] = ()
    done: tuple[str, ...] = ()


def parent(key: Key, state: Parent | None, inbox: Sequence[Message], _: float) -> Decision[Parent]:
    """Begins as many children as `Begin` asks for, and waits until all are done."""
    state = state or Parent()
    messages: list[Envelope] = []
    facts: list[Fact] = []
    for message in inbox:
        match message:
            case Begin(children=children):
                names = tuple(f"{key.name}-{n}" for n in range(children))
                state = state.model_copy(update={"waits_for": names})
                messages += [
                    Envelope(to=Key("child", name), id="begin", message=Begin()) for name in names
                ]
            case Grown(child=child):
                state = Parent(
                    waits_for=tuple(name for name in state.waits_for if name != child),
                    done=(*state.done, child),
                )
                if not state.waits_for:
                    done = {"done": sorted(state.done)}
                    facts.append(Fact(key=Key("family", key.name), body=done))
    wait = 60.0 if state.waits_for else None
    return Decision(state=state, messages=tuple(messages), facts=tuple(facts), requeue_after=wait)


class Child(Value):
    has: tuple[str, ...] = ()


STAGES = ("washed", "dressed")


def child(key: Key, state: Child | None, inbox: Sequence[Message], _: float) -> Decision[Child]:
    """Goes through its stages, an effect for each, and tells its parent."""
    state = state or Child()
    for message in inbox:
        if isinstance(message, EffectDone):
            state = Child(has=(*state.has, message.stage))
    if len(state.has) < len(STAGES):
        action = Effect(name=f"{key.name}-{STAGES[len(state.has)]}")
        # What is in the outbox already is not put there twice.
        return Decision(state=state, actions=(action,), requeue_after=60.0)
    family = Key("parent", key.name.rpartition("-")[0])
    grown = Envelope(to=family, id=f"grown-{key.name}", message=Grown(child=key.name))
    return Decision(state=state, messages=(grown,))


class Work(Action):
    """What a worker is asked to do, in two lanes."""

    type: Literal["work"] = "work"
    how: str


class Ring(Work):
    """Work of another lane."""

    type: Literal["ring"] = "ring"  # type: ignore[assignment] # another name in the outbox
    lane: ClassVar[str] = "bell"


class Murmur(Action):
    """Work that nothing waits for."""

    type: Literal["murmur"] = "murmur"
    background: ClassVar[bool] = True
    lane: ClassVar[str] = "murmur"
    how: str


class Worker(Value):
    log: tuple[str, ...] = ()
    """What it heard, in order."""
    patience: float | None = None


def worker(_: Key, state: Worker | None, inbox: Sequence[Message], __: float) -> Decision[Worker]:
    """Asks for the work and the rings of its messages, and writes down what came of them."""
    state = state or Worker()
    actions: list[Action] = []
    withdraw: list[str] = []
    for message in inbox:
        match message:
            case DoWork(how=how):
                actions.append(Work(how=how))
            case DoRing(how=how):
                actions.append(Ring(how=how))
            case DoMurmur(how=how):
                actions.append(Murmur(how=how))
            case MurmurInstead(how=how):
                withdraw.append("murmur")
                actions.append(Murmur(how=how))
            case DoInstead(how=how):
                withdraw.append("main")
                actions.append(Work(how=how))
            case Done(how=how):
                state = state.model_copy(update={"log": (*state.log, f"done: {how}")})
            case ActionFailed(reason=reason):
                state = state.model_copy(update={"log": (*state.log, f"action_failed: {reason}")})
    return Decision(state=state, actions=tuple(actions), withdraw=tuple(withdraw))


async def tell(store: Store, to: Key, message: Message, id_: str = "") -> None:
    """Send a message as a person or a source does; without an id, the same one counts once."""
    id_ = id_ or canonical_json(message.plain()).decode()
    await store.commit(Transaction(send=(Envelope(to=to, id=id_, message=message),)), now=1.0)


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


async def until(
    condition: Callable[[], object], what: str = "what was waited for", within: float = 10
) -> None:
    """Wait, for so many seconds at most, until `condition()` or what it awaits is true."""
    async with asyncio.timeout(within):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.005)
    raise AssertionError(what)
