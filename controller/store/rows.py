"""Values of the store as rows of its tables, and back; columns are in the order of `statements`."""

import json
from collections.abc import Sequence
from typing import Any

from controller.machine.core import Envelope, Fact, Key
from controller.store.protocol import Delivered, OutboxEntry, Postponed, Put, Record, SetAside
from specs.digests import canonical_json

Row = tuple[Any, ...]


def text(body: dict[str, Any]) -> str:
    """Canonical, so that equal bodies are equal texts. Raises ValueError for what is no JSON."""
    return canonical_json(body).decode()


def created(put: Put, now: float) -> Row:
    """A new object."""
    return (*put.key, put.text, now, put.live)


def replaced(put: Put, now: float) -> Row:
    """The parameters of the compare-and-swap."""
    return (put.text, now, put.live, *put.key, put.revision)


def fact_row(fact: Fact, now: float) -> Row:
    """A fact, as if it were new."""
    return (*fact.key, text(fact.body), now)


def outbox_row(entry: OutboxEntry) -> Row:
    """An action that is enqueued; the database gives the number."""
    return (
        entry.id,
        *entry.owner,
        entry.lane,
        text(entry.action),
        entry.attempts,
        entry.not_before,
        _clean(entry.error) if entry.error else entry.error,
    )


def postponed(each: Postponed) -> Row:
    """The parameters that put an action off."""
    return (each.not_before, _clean(each.error), each.id)


def set_aside(each: SetAside, now: float) -> Row:
    """The parameters that set a message aside."""
    return (now, _clean(each.reason), each.number)


def message_row(envelope: Envelope, now: float) -> Row:
    """A message that nobody consumed yet; the database gives the number."""
    message = envelope.message
    return (*envelope.to, envelope.id, message.type, text(message.plain()), now)


def _clean(said: str) -> str:
    """What some program said, without the one character that PostgreSQL cannot store."""
    return said.replace("\0", "\N{REPLACEMENT CHARACTER}")


def record(row: Row) -> Record:
    """An object or a fact."""
    kind, name, revision, body, updated, live = row
    return Record(
        key=Key(kind, name), revision=revision, text=body, updated=updated, live=bool(live)
    )


def outbox_entry(row: Row) -> OutboxEntry:
    """An action in the outbox."""
    number, id_, kind, name, lane, action, attempts, not_before, error = row
    return OutboxEntry(
        number=number,
        id=id_,
        owner=Key(kind, name),
        lane=lane,
        action=json.loads(action),
        attempts=attempts,
        not_before=not_before,
        error=error,
    )


def outbox_after(found: Sequence[Row], enqueued: Sequence[OutboxEntry]) -> tuple[OutboxEntry, ...]:
    """An outbox, after a transaction that enqueued those entries: they are not parsed again."""
    new = {each.id: each for each in enqueued}
    return tuple(
        # Those with an attempt were there before.
        new[row[1]].model_copy(update={"number": row[0]})
        if row[1] in new and not row[6]
        else outbox_entry(row)
        for row in found
    )


def delivered(row: Row) -> Delivered:
    """A message in an inbox, or one that was set aside."""
    number, kind, name, id_, type_, body, at, since, reason = row
    return Delivered(
        number=number,
        to=Key(kind, name),
        id=id_,
        type=type_,
        text=body,
        at=at,
        set_aside=since,
        reason=reason,
    )
