"""Values of the store as rows of its tables, and back."""

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from controller.machine.core import Fact, InboxMessage, Key, Message
from controller.store.protocol import OutboxEntry, Postponed, Put, Record
from specs.digests import canonical_json

if TYPE_CHECKING:
    from sqlalchemy import Row

Parameters = dict[str, Any]
AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"


def text(body: dict[str, Any]) -> str:
    """Canonical, so that equal bodies are equal texts. Raises ValueError for what is no JSON."""
    return canonical_json(body).decode()


def which(key: Key) -> Parameters:
    """The parameters that name an object, an owner or an addressee."""
    return {"p_kind": key.kind, "p_name": key.name}


def created(put: Put, now: float) -> Parameters:
    """A new object's row."""
    return {
        "kind": put.key.kind,
        "name": put.key.name,
        "revision": 1,
        "body": put.text,
        "updated": now,
        "live": put.live,
    }


def replaced(put: Put, now: float) -> Parameters:
    """The parameters of the compare-and-swap."""
    return {
        **which(put.key),
        "p_revision": put.revision,
        "p_body": put.text,
        "p_updated": now,
        "p_live": put.live,
    }


def fact_row(fact: Fact, now: float) -> Parameters:
    """A fact's row, as if it were new."""
    return created(Put(key=fact.key, revision=0, text=text(fact.body), live=False), now)


def outbox_row(owed: OutboxEntry) -> Parameters:
    """The row of an action that is owed anew; the database gives the number."""
    return {
        "id": owed.id,
        "owner_kind": owed.owner.kind,
        "owner_name": owed.owner.name,
        "lane": owed.lane,
        "action": text(owed.action),
        "attempts": owed.attempts,
        "not_before": owed.not_before,
        "error": owed.error,
    }


def postponed(each: Postponed) -> Parameters:
    """The parameters that put an owed action off."""
    return {"p_id": each.id, "p_not_before": each.not_before, "p_error": each.error}


def letter_row(message: Message, now: float) -> Parameters:
    """The row of a letter that nobody heeded yet; the database gives the number."""
    return {
        "to_kind": message.to.kind,
        "to_name": message.to.name,
        "id": message.id,
        "type": message.type,
        "body": text(message.body),
        "at": now,
    }


def record(row: AnyRow) -> Record:
    """An object or a fact."""
    return Record(
        key=Key(row.kind, row.name),
        revision=row.revision,
        text=row.body,
        updated=row.updated,
        live=bool(row.live),
    )


def owed(row: AnyRow) -> OutboxEntry:
    """An action in the outbox."""
    return OutboxEntry(
        number=row.number,
        id=row.id,
        owner=Key(row.owner_kind, row.owner_name),
        lane=row.lane,
        action=json.loads(row.action),
        attempts=row.attempts,
        not_before=row.not_before,
        error=row.error,
    )


def letter(row: AnyRow) -> InboxMessage:
    """A letter in an inbox."""
    to = Key(row.to_kind, row.to_name)
    message = Message(to=to, id=row.id, type=row.type, body=json.loads(row.body))
    return InboxMessage(number=row.number, message=message, at=row.at)
