"""What a store remembers of the objects that are being worked on, so as not to read it again.

It is exact for what this process commits; when another process has committed, all is forgotten.
"""

from collections.abc import Iterator, Sequence

from controller.machine.core import Key
from controller.store.protocol import OutboxEntry, Record, StoredObject, Transaction

MOST = 256
"""How many objects are remembered: those that were worked on last. Another one is read."""


class Remembered:
    """The live objects that were loaded or put last. Changed by the store's thread only, so in the
    order of what it does; any thread may ask."""

    def __init__(self) -> None:
        self._known: dict[Key, StoredObject] = {}  # what was worked on last comes last

    def get(self, key: Key) -> StoredObject | None:
        """The object as it is stored, if it is known."""
        return self._known.get(key)

    def loaded(self, key: Key, found: StoredObject) -> None:
        """The object was read."""
        if found.record is not None and found.record.live:
            self._keep(key, found)

    def committed(self, change: Transaction, outbox: tuple[OutboxEntry, ...], now: float) -> None:
        """A transaction was saved; `outbox` is that of the object that was put."""
        put = change.put
        before = self._known.get(put.key) if put else None
        for key in [*self._touched(change)]:
            self._known.pop(key, None)
        if put is None or before is None or not put.live:
            return
        if any(envelope.to == put.key for envelope in change.send):
            return
        gone = {*change.consume, *(each.number for each in change.set_aside)}
        record = Record(
            key=put.key, revision=put.revision + 1, text=put.text, updated=now, live=True
        )
        inbox = tuple(each for each in before.inbox if each.number not in gone)
        self._keep(put.key, StoredObject(record=record, inbox=inbox, outbox=outbox))

    def forget(self) -> None:
        """Others may have changed anything."""
        self._known.clear()

    def _touched(self, change: Transaction) -> Iterator[Key]:
        """The objects of which something has changed."""
        if change.put is not None:
            yield change.put.key
        yield from (fact.key for fact in change.facts)
        yield from (envelope.to for envelope in change.send)
        yield from (entry.owner for entry in change.enqueue)
        entries = {*change.acknowledge, *(each.id for each in change.postpone)}
        numbers = {*change.consume, *(each.number for each in change.set_aside)}
        if entries or numbers:
            for key, known in self._known.items():
                if _has(known.outbox, entries) or any(x.number in numbers for x in known.inbox):
                    yield key

    def _keep(self, key: Key, found: StoredObject) -> None:
        self._known.pop(key, None)
        self._known[key] = found
        if len(self._known) > MOST:
            del self._known[next(iter(self._known))]


def _has(outbox: Sequence[OutboxEntry], ids: set[str]) -> bool:
    return any(entry.id in ids for entry in outbox)
