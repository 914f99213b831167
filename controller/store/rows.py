"""Values of the store as rows of its tables, and back."""

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from controller.machine.core import Envelope, Fact, Key
from controller.store.protocol import Delivered, OutboxEntry, Postponed, Put, Record, SetAside
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


def outbox_row(entry: OutboxEntry) -> Parameters:
    """The row of an action that is enqueued; the database gives the number."""
    return {
        "id": entry.id,
        "owner_kind": entry.owner.kind,
        "owner_name": entry.owner.name,
        "lane": entry.lane,
        "action": text(entry.action),
        "attempts": entry.attempts,
        "not_before": entry.not_before,
        "error": entry.error,
    }


def postponed(each: Postponed) -> Parameters:
    """The parameters that put an action off."""
    return {"p_id": each.id, "p_not_before": each.not_before, "p_error": each.error}


def set_aside(each: SetAside, now: float) -> Parameters:
    """The parameters that set a message aside."""
    return {"p_number": each.number, "p_reason": each.reason, "p_now": now}


def message_row(envelope: Envelope, now: float) -> Parameters:
    """The row of a message that nobody consumed yet; the database gives the number."""
    return {
        "to_kind": envelope.to.kind,
        "to_name": envelope.to.name,
        "id": envelope.id,
        "type": envelope.message.type,
        "body": text(envelope.message.plain()),
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


def outbox_entry(row: AnyRow) -> OutboxEntry:
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


def delivered(row: AnyRow) -> Delivered:
    """A message in an inbox, or one that was set aside."""
    return Delivered(
        number=row.number,
        to=Key(row.to_kind, row.to_name),
        id=row.id,
        type=row.type,
        text=row.body,
        at=row.at,
        set_aside=row.set_aside,
        reason=row.reason,
    )
