"""What the store asks its database, in plain SQL that SQLite and PostgreSQL both understand.

Columns are named, and in the order in which `rows` reads them. Parameters are question marks.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from controller.store import rows
from controller.store.protocol import Put, Transaction

_FOUND = "SELECT kind, name, revision, body, updated, live FROM objects WHERE kind = ?"
GET = _FOUND + " AND name = ?"
IS_THERE = "SELECT 1 FROM objects WHERE kind = ? AND name = ?"


class Dialect(NamedTuple):
    """What has to be said to SQLite in other words than to PostgreSQL."""

    named: str
    """Objects of a kind by their names, which are one parameter."""
    latest: Mapping[tuple[bool, bool], str]
    """By whether they are of one series, and whether they are live."""
    holders: str
    """Who holds which shard just now."""


def _dialect(names: str, live: str, now: str) -> Dialect:
    latest = {
        (of_series, only_live): _FOUND
        + " AND series = ?" * of_series
        + f" AND {live}" * only_live
        + " ORDER BY updated DESC, name DESC LIMIT ?"
        for of_series in (False, True)
        for only_live in (False, True)
    }
    holders = f"SELECT shard, holder FROM leases WHERE holder != '' AND expires > {now}"  # noqa: S608
    return Dialect(f"{_FOUND} AND {names}", latest, holders)


# What is live is asked for in the words of the index, or it would not be used.
SQLITE = _dialect(
    "name IN (SELECT value FROM json_each(?))", "live = 1", "CAST(strftime('%s', 'now') AS REAL)"
)
POSTGRESQL = _dialect("name = ANY(?)", "live", "extract(epoch FROM clock_timestamp())")
ALL = 2**62
"""As a limit: no limit."""

NEXT_KIND = "SELECT min(kind) FROM objects WHERE kind > ?"
NEWEST = "SELECT max(updated) FROM objects WHERE kind = ?"
CREATE = """
INSERT INTO objects (kind, name, revision, body, updated, live) VALUES (?, ?, 1, ?, ?, ?)
ON CONFLICT DO NOTHING"""
REPLACE = """
UPDATE objects SET revision = revision + 1, body = ?, updated = ?, live = ?
WHERE kind = ? AND name = ? AND revision = ?"""
FACT = """
INSERT INTO objects (kind, name, revision, body, updated, live) VALUES (?, ?, 1, ?, ?, FALSE)
ON CONFLICT (kind, name) DO UPDATE
SET revision = objects.revision + 1, body = excluded.body, updated = excluded.updated
WHERE objects.body != excluded.body"""

OUTBOX = """
SELECT number, id, owner_kind, owner_name, lane, action, attempts, not_before, error FROM outbox
ORDER BY number"""
OUTBOX_OF = """
SELECT number, id, owner_kind, owner_name, lane, action, attempts, not_before, error FROM outbox
WHERE owner_kind = ? AND owner_name = ? ORDER BY number"""
ENQUEUE = """
INSERT INTO outbox (id, owner_kind, owner_name, lane, action, attempts, not_before, error)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"""
ACKNOWLEDGE = "DELETE FROM outbox WHERE id = ?"
POSTPONE = "UPDATE outbox SET attempts = attempts + 1, not_before = ?, error = ? WHERE id = ?"

WAITING = "consumed IS NULL AND set_aside IS NULL"
INBOX = """
SELECT number, to_kind, to_name, id, type, body, at, set_aside, reason FROM messages
WHERE consumed IS NULL AND set_aside IS NULL ORDER BY number"""
INBOX_OF = """
SELECT number, to_kind, to_name, id, type, body, at, set_aside, reason FROM messages
WHERE consumed IS NULL AND set_aside IS NULL AND to_kind = ? AND to_name = ? ORDER BY number"""
ADDRESSEES = """
SELECT to_kind, to_name FROM messages WHERE consumed IS NULL AND set_aside IS NULL
GROUP BY to_kind, to_name ORDER BY min(number)"""
# None of these was consumed, which is said for the index that it gives.
ASIDE = """
SELECT number, to_kind, to_name, id, type, body, at, set_aside, reason FROM messages
WHERE consumed IS NULL AND set_aside IS NOT NULL ORDER BY number"""
SEND = """
INSERT INTO messages (to_kind, to_name, id, type, body, at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (to_kind, to_name, id) DO NOTHING"""
CONSUME = "UPDATE messages SET consumed = ? WHERE number = ?"
SET_ASIDE = "UPDATE messages SET set_aside = ?, reason = ? WHERE number = ?"


def put(change: Put, now: float) -> tuple[str, rows.Row]:
    """The compare-and-swap, which changes one row or is a conflict."""
    if change.revision == 0:
        return CREATE, rows.created(change, now)
    return REPLACE, rows.replaced(change, now)


def of(change: Transaction, now: float) -> Sequence[tuple[str, Sequence[Sequence[Any]]]]:
    """Everything that a transaction writes besides its put, each with its rows of parameters.

    Acknowledged before enqueued: what is withdrawn and wanted again is enqueued anew.
    """
    every = (
        (ACKNOWLEDGE, [(id_,) for id_ in change.acknowledge]),
        (POSTPONE, [rows.postponed(each) for each in change.postpone]),
        (FACT, [rows.fact_row(fact, now) for fact in change.facts]),
        (ENQUEUE, [rows.outbox_row(entry) for entry in change.enqueue]),
        (SEND, [rows.message_row(each, now) for each in change.send]),
        (CONSUME, [(now, number) for number in change.consume]),
        (SET_ASIDE, [rows.set_aside(one, now) for one in change.set_aside]),
    )
    return [(statement, parameters) for statement, parameters in every if parameters]
