"""A store in memory, which keeps the contract of the databases."""

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from controller.machine.core import Envelope, Fact, Key
from controller.store.protocol import (
    Changes,
    Conflict,
    Delivered,
    OutboxEntry,
    Put,
    Record,
    StoredObject,
    Transaction,
)


@dataclass
class Memory:
    """What is stored; it outlives every opening."""

    records: dict[Key, Record] = field(default_factory=dict)
    """The latest change last."""
    entries: dict[str, OutboxEntry] = field(default_factory=dict)
    """The outbox by id, oldest first."""
    owed: dict[Key, dict[str, OutboxEntry]] = field(default_factory=dict)
    """The same by owner."""
    messages: dict[Key, dict[int, Delivered]] = field(default_factory=dict)
    """The inboxes, oldest first."""
    addressee: dict[int, Key] = field(default_factory=dict)
    """Whose each message in an inbox is."""
    aside: list[Delivered] = field(default_factory=list)
    delivered: set[tuple[Key, str]] = field(default_factory=set)
    numbers: int = 0
    openings: "list[MemoryStore]" = field(default_factory=list)

    def number(self) -> int:
        self.numbers += 1
        return self.numbers


class MemoryStore:
    """A `Store`. Its transactions are atomic: nothing is awaited in one."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._heard = Changes.NONE
        self._news = asyncio.Event()
        memory.openings.append(self)

    async def get(self, key: Key) -> Record | None:
        return self._memory.records.get(key)

    async def get_all(self, kind: str, names: Collection[str]) -> Mapping[str, Record]:
        records = self._memory.records
        return {n: records[Key(kind, n)] for n in sorted(names) if Key(kind, n) in records}

    async def list(
        self, kind: str, series: str = "", limit: int | None = None, *, live: bool = False
    ) -> Sequence[Record]:
        found = [
            record
            for record in reversed(self._memory.records.values())
            if record.key.kind == kind
            and (not live or record.live)
            and (not series or _is_of(record.key.name, series))
        ]
        return found[:limit]

    async def outbox(self, owner: Key | None = None) -> Sequence[OutboxEntry]:
        memory = self._memory
        return [*(memory.entries if owner is None else memory.owed.get(owner, {})).values()]

    async def inbox(self, to: Key | None = None) -> Sequence[Delivered]:
        if to is not None:
            return [*self._memory.messages.get(to, {}).values()]
        every = [each for box in self._memory.messages.values() for each in box.values()]
        return sorted(every, key=lambda each: each.number)

    async def addressees(self) -> Sequence[Key]:
        oldest = {key: next(iter(box)) for key, box in self._memory.messages.items() if box}
        return sorted(oldest, key=lambda key: oldest[key])

    async def set_aside(self) -> Sequence[Delivered]:
        return list(self._memory.aside)

    async def holders(self) -> Mapping[int, str]:
        return {}

    async def close(self) -> None:
        if self in self._memory.openings:
            self._memory.openings.remove(self)

    async def changed(self) -> Changes:
        heard, self._heard = self._heard, Changes.NONE
        self._news.clear()
        return heard

    async def hear(self, within: float) -> Changes:
        if not self._heard:
            try:
                async with asyncio.timeout(within):
                    await self._news.wait()
            except TimeoutError:
                pass
        return await self.changed()

    async def load(self, key: Key) -> StoredObject:
        return StoredObject(
            record=await self.get(key),
            inbox=tuple(await self.inbox(key)),
            outbox=tuple(await self.outbox(key)),
        )

    async def commit(self, change: Transaction, now: float) -> tuple[OutboxEntry, ...]:
        memory = self._memory
        self._check(change)
        if change.put is not None:
            self._put(change.put, now)
        for fact in change.facts:
            self._keep(fact, now)
        self._consume(change, now)
        self._outbox(change)
        for envelope in change.send:
            self._deliver(envelope, now)
        for other in memory.openings:
            if other is not self:
                other.tell(Changes.MESSAGES if change.send else Changes.NONE)
        return tuple(await self.outbox(change.put.key)) if change.put is not None else ()

    def tell(self, changes: Changes) -> None:
        """Another opening has changed something."""
        self._heard = max(self._heard, changes)
        if self._heard:
            self._news.set()

    def _check(self, change: Transaction) -> None:
        records = self._memory.records
        for key in change.absent:
            if key in records:
                raise Conflict(f"{key} is there")
        put = change.put
        if put is not None:
            present = records.get(put.key)
            if (present.revision if present else 0) != put.revision:
                raise Conflict(f"{put.key} is not at revision {put.revision}")

    def _put(self, put: Put, now: float) -> None:
        self._memory.records.pop(put.key, None)
        self._memory.records[put.key] = Record(
            key=put.key, revision=put.revision + 1, text=put.text, updated=now, live=put.live
        )

    def _keep(self, fact: Fact, now: float) -> None:
        text = json.dumps(fact.body, sort_keys=True)
        before = self._memory.records.get(fact.key)
        if before is not None and before.text == text:
            return
        revision = (before.revision if before else 0) + 1
        self._memory.records.pop(fact.key, None)
        self._memory.records[fact.key] = Record(
            key=fact.key, revision=revision, text=text, updated=now, live=False
        )

    def _consume(self, change: Transaction, now: float) -> None:
        memory = self._memory
        for number in change.consume:
            memory.messages[memory.addressee.pop(number)].pop(number)
        for each in change.set_aside:
            message = memory.messages[memory.addressee.pop(each.number)].pop(each.number)
            reason = each.reason.replace("\0", "\ufffd")
            memory.aside.append(message.model_copy(update={"set_aside": now, "reason": reason}))

    def _outbox(self, change: Transaction) -> None:
        memory = self._memory
        for id_ in change.acknowledge:
            entry = memory.entries.pop(id_, None)
            if entry is not None:
                del memory.owed[entry.owner][id_]
        for entry in change.enqueue:
            if entry.id not in memory.entries:
                kept = entry.model_copy(update={"number": memory.number()})
                self._owe(kept)
        for each in change.postpone:
            before = memory.entries.get(each.id)
            if before is not None:
                update = {
                    "attempts": before.attempts + 1,
                    "not_before": each.not_before,
                    "error": each.error.replace("\0", "\ufffd"),
                }
                self._owe(before.model_copy(update=update))

    def _owe(self, entry: OutboxEntry) -> None:
        self._memory.entries[entry.id] = entry
        self._memory.owed.setdefault(entry.owner, {})[entry.id] = entry

    def _deliver(self, said: Envelope, now: float) -> None:
        memory, to = self._memory, said.to
        if (to, said.id) in memory.delivered:
            return
        memory.delivered.add((to, said.id))
        number = memory.number()
        memory.addressee[number] = to
        memory.messages.setdefault(to, {})[number] = Delivered(
            number=number,
            to=to,
            id=said.id,
            type=said.message.type,
            text=said.message.model_dump_json(),
            at=now,
        )


def _is_of(name: str, series: str) -> bool:
    rest = name.removeprefix(series)
    return name.startswith(series) and series.endswith("-") and rest.isdigit()
