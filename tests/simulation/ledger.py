"""What was owed, what was done, and what of that must never happen."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.machine.core import Action, Decision, Envelope, Key, Value
from controller.reconcile.outbox import Applier
from controller.reconcile.witness import TurnResult
from controller.store.protocol import Changes, OutboxEntry, Transaction
from specs.failures import Ignore, NeedsHuman, TryAgain
from tests.simulation.chaos import History, Life
from tests.simulation.store import Memory, MemoryStore


@dataclass
class Ledger:
    """The books of all lives. It is the loops' `Witness`, too."""

    memory: Memory
    history: History
    wrongs: list[str] = field(default_factory=list)
    """What must never have happened."""
    done: dict[int, list[int]] = field(default_factory=dict)
    """By the number of an outbox entry, the lives that applied it to the end."""
    results: Counter[str] = field(default_factory=Counter)
    _dropped: dict[Key, list[OutboxEntry]] = field(default_factory=dict)
    """Entries that left the outbox without having been applied, until it is known why."""

    def wrong(self, what: str) -> None:
        """Something happened that must not."""
        if what not in self.wrongs:
            self.history.say("WRONG", what)
            self.wrongs.append(what)

    def acknowledged(self, change: Transaction, left: Sequence[OutboxEntry]) -> None:
        """A transaction took these out of the outbox."""
        lost = [each for each in left if each.number not in self.done]
        for each in lost if change.put is None else ():
            self.wrong(f"lost: {each.action['type']} of {each.owner} was never applied")
        if change.put is not None:
            self._dropped[change.put.key] = lost

    def saved(self, key: Key, _before: Value | None, decision: Decision[Any], /) -> None:
        """What a decision dropped must be what it withdraws."""
        for each in self._dropped.pop(key, ()):
            if each.lane not in decision.withdraw:
                self.wrong(f"lost: {each.action['type']} of {key} was dropped")

    def turned(self, _key: Key, _seconds: float, result: TurnResult, /) -> None:
        self.results[result] += 1
        if result == "error":
            self.wrong(f"an internal error in a turn of {_key}")

    def booked(
        self, appliers: Mapping[type[Action], Applier], life: Life
    ) -> dict[type[Action], Applier]:
        """The appliers, with books kept on what they do."""
        return {action: self._booked(applier, life) for action, applier in appliers.items()}

    def _booked(self, applier: Applier, life: Life) -> Applier:
        async def apply(owner: Key, action: Action) -> Sequence[Envelope]:
            entry = self.memory.entries.get(action.id_for(owner))
            if entry is None and not life.dead:
                self.wrong(f"doubled: {action.type} of {owner} is applied, and nobody asked")
            number = entry.number if entry is not None else 0
            if life.number in self.done.get(number, ()):
                self.wrong(f"doubled: {action.type} of {owner} is applied twice in a life")
            try:
                outcome = await applier(owner, action)
            except (Ignore, NeedsHuman):
                self.done.setdefault(number, []).append(life.number)
                raise
            self.done.setdefault(number, []).append(life.number)
            return outcome

        return apply


class BookedStore(MemoryStore):
    """The store of one life. Its calls may fail, and a commit's answer may be lost."""

    def __init__(self, ledger: Ledger, life: Life) -> None:
        super().__init__(ledger.memory)
        self._ledger = ledger
        self._life = life

    async def load(self, key: Key) -> Any:
        await self._life.enter("store")
        return await super().load(key)

    async def commit(self, change: Transaction, now: float) -> tuple[OutboxEntry, ...]:
        await self._life.enter("store")
        there = self._memory.entries
        left = [there[id_] for id_ in change.acknowledge if id_ in there]
        outbox = await super().commit(change, now)
        self._ledger.acknowledged(change, left)
        try:
            await self._life.leave("store")
        except TryAgain:
            # As PostgreSQL's store does once it is connected again: nobody was woken for this.
            self.tell(Changes.ANYTHING)
            raise
        return outbox
