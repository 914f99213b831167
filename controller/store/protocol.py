"""The contract of durable state: compare-and-swap, inbox and outbox in one transaction."""

import json
from collections.abc import Collection, Mapping, Sequence
from enum import Enum, IntEnum
from typing import Any, Protocol

from controller.machine.core import Envelope, Fact, Key, Value
from specs.failures import TryAgain


class Record(Value):
    """A stored object. `revision` grows by one with each change, from 1."""

    key: Key
    revision: int
    text: str
    """Its JSON."""
    updated: float
    """Seconds since the epoch."""
    live: bool
    """As it was put; facts are not live."""

    @property
    def body(self) -> dict[str, Any]:
        """The JSON as dicts and lists."""
        body: dict[str, Any] = json.loads(self.text)
        return body


class OutboxEntry(Value):
    """An action in the outbox."""

    number: int = 0
    """Orders the outbox and tells one entry of an id from the next; the store gives it."""
    id: str
    owner: Key
    lane: str
    action: dict[str, Any]
    attempts: int = 0
    not_before: float = 0.0
    error: str | None = None
    """Why the last attempt failed, for `status` and `doctor`."""


class Delivered(Value):
    """A message in an inbox, as it is stored: its reader knows the classes."""

    number: int
    """Orders the messages of an inbox."""
    to: Key
    id: str
    type: str
    text: str
    """Its JSON."""
    at: float
    """When it was sent, in seconds since the epoch."""
    set_aside: float | None = None
    """Since when, if it could not be read or handled."""
    reason: str | None = None
    """Why it was set aside."""

    @property
    def body(self) -> dict[str, Any]:
        """The JSON as dicts and lists."""
        body: dict[str, Any] = json.loads(self.text)
        return body


class SetAside(Value):
    """A message that is not handled, and must not keep others from being handled."""

    number: int
    reason: str


class Put(Value):
    """The new state of an object; `revision` is the one that was read, 0 for a new object."""

    key: Key
    revision: int
    text: str
    """Its JSON, encoded once: a state can be large, and it is saved every time."""
    live: bool
    """Wants to be looked at after a restart, even if its inbox and its outbox are empty."""


class Postponed(Value):
    """An action that failed and is tried again later."""

    id: str
    not_before: float
    error: str


class Transaction(Value):
    """Everything that one reconcile saves; all of it or nothing. What is acknowledged goes before
    what is enqueued."""

    put: Put | None = None
    facts: tuple[Fact, ...] = ()
    enqueue: tuple[OutboxEntry, ...] = ()
    """An id that is in the outbox stays as it is; one that was acknowledged may come again."""
    acknowledge: tuple[str, ...] = ()
    """Ids of entries that leave the outbox: applied, failed for good, or withdrawn."""
    postpone: tuple[Postponed, ...] = ()
    send: tuple[Envelope, ...] = ()
    """A message whose (to, id) was ever delivered is dropped, also after it was consumed."""
    consume: tuple[int, ...] = ()
    """The numbers of the messages that this transaction took in."""
    set_aside: tuple[SetAside, ...] = ()
    """Messages that leave the inbox without having been handled; they are kept."""
    absent: tuple[Key, ...] = ()
    """Facts that must not be there yet."""
    owners: tuple[Key, ...] = ()
    """The objects for which this is saved, besides the one that is put."""


class StoredObject(Value):
    """All that the store has of one object, as of one moment."""

    record: Record | None
    inbox: tuple[Delivered, ...]
    """As `Store.inbox` gives it."""
    outbox: tuple[OutboxEntry, ...]
    """As `Store.outbox` gives it."""


class Conflict(Exception):  # noqa: N818 - the name says what happened
    """Somebody else changed the object since it was read. Load, observe and decide again."""


class StoreAway(TryAgain):
    """The database's server does not answer, or is starting up: it may do so later."""


class LostLease(Conflict):
    """Another controller has the object now, or may have. It is none of this one's business."""


class Changes(IntEnum):
    """What others may have changed; true if they may have changed something."""

    NONE = 0
    MESSAGES = 1
    """There may be messages of other processes."""
    ANYTHING = 2
    """The database was away: messages may not have been heard of."""
    LOST = 3
    """The database may not have what was committed last: it is to be opened again."""


class Hold(Enum):
    """How a controller has a database."""

    ALONE = "alone"
    SHARED = "shared"
    """With others that share it, which divide the work by leases."""


class StoreReader(Protocol):
    """Durable state, to be looked at. Every method may raise `specs.failures.TryAgain` (locked, out
    of reach) or `NeedsHuman` (disk full, corrupt, of a newer version), with the fix in the
    message."""

    async def get(self, key: Key) -> Record | None:
        """The object, or None."""
        ...

    async def get_all(self, kind: str, names: Collection[str]) -> Mapping[str, Record]:
        """The objects and facts of a kind that have one of these names, by name, in one call."""
        ...

    async def list(
        self, kind: str, series: str = "", limit: int | None = None, *, live: bool = False
    ) -> Sequence[Record]:
        """Objects and facts of a kind, latest change first. With a `series` those whose name is
        that and a number, as `flights-12` of `flights-`; with `live` only those that are. The cost
        grows with what is returned, and not with the others."""
        ...

    async def outbox(self, owner: Key | None = None) -> Sequence[OutboxEntry]:
        """The outbox, oldest first; of one object, or of all."""
        ...

    async def inbox(self, to: Key | None = None) -> Sequence[Delivered]:
        """Messages that nobody consumed yet, oldest first; of one object, or of all."""
        ...

    async def addressees(self) -> Sequence[Key]:
        """Whose inbox is not empty, the one with the oldest message first. No message is read."""
        ...

    async def set_aside(self) -> Sequence[Delivered]:
        """The messages that were set aside, oldest first."""
        ...

    async def holders(self) -> Mapping[int, str]:
        """Which of several controllers holds each shard; empty where there are not several."""
        ...

    async def close(self) -> None:
        """Let go of the database."""
        ...

    async def changed(self) -> Changes:
        """What other processes may have changed since the last call; cheap enough to poll."""
        ...


class Store(StoreReader, Protocol):
    """Durable state. Every method may raise what those of `StoreReader` may."""

    async def hear(self, within: float) -> Changes:
        """As `changed`, but waits for a change, for at most `within` seconds."""
        ...

    async def load(self, key: Key) -> StoredObject:
        """The object, its inbox and its outbox, in one call: what reconciling begins with."""
        ...

    async def commit(self, change: Transaction, now: float) -> tuple[OutboxEntry, ...]:
        """Save all of `change` or nothing. Raises `Conflict` if `put.revision` is not current, or
        for a fact that is there and was taken to be absent; `LostLease` if another controller has
        the object that is put, or one of the `owners`.

        One whose answer was lost raises `TryAgain` and may have been saved. As nobody was woken for
        what it sent, `hear` and `changed` report `Changes.ANYTHING` once the database is reached
        again, and nothing that was remembered of it is relied on.

        Returns the outbox of the object that was put, as `outbox` gives it; empty without a put.
        """
        ...
