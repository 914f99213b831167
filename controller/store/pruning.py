"""Deletes old rows, one batch in each transaction, so that nobody waits long for the database.

Deleted rows leave free pages, which the next rows take: a file of SQLite stays as large as it once
was, and grows no further. Only `VACUUM`, while no process has it open, makes it smaller. PostgreSQL
does the same by its autovacuum.
"""

from collections.abc import Collection
from typing import NamedTuple

from controller.store.session import StoreSession

BATCH = 200
"""Rows that one transaction looks at, at most: a few milliseconds."""

_OLD = """
SELECT updated, name FROM objects WHERE kind = ? AND updated < ?
AND updated >= ? AND (updated > ? OR name > ?) AND NOT live"""
_IN_ORDER = " ORDER BY updated, name LIMIT ?"
# The last run of each pipeline stays, as the next one is numbered by it.
_IS_NOT_LAST = """
AND EXISTS (
  SELECT 1 FROM objects newer
  WHERE newer.kind = objects.kind AND newer.series = objects.series
  AND newer.updated >= objects.updated
  AND (newer.updated > objects.updated OR newer.name > objects.name)
)"""
_HAS_NO_RUN = """
AND NOT EXISTS (SELECT 1 FROM objects run WHERE run.kind = 'run' AND run.name = objects.name)"""
OLD_OF = {"run": _OLD + _IS_NOT_LAST + _IN_ORDER, "graph": _OLD + _HAS_NO_RUN + _IN_ORDER}
OLD_OTHERS = _OLD + _IN_ORDER
FORGET = "DELETE FROM objects WHERE kind = ? AND name = ?"

CONSUMED = "SELECT number FROM messages WHERE consumed < ? LIMIT ?"
SET_ASIDE = "SELECT number FROM messages WHERE consumed IS NULL AND set_aside < ? LIMIT ?"
FORGET_MESSAGE = "DELETE FROM messages WHERE number = ?"


class Pruned(NamedTuple):
    """What one transaction did, and where it ended: at the last change and the name of a row."""

    deleted: int = 0
    updated: float = 0.0
    name: str = ""
    done: bool = False
    """Whether it was the last."""


def prune(
    database: StoreSession, kind: str, before: float, spared: Collection[str], last: Pruned
) -> Pruned:
    """Delete facts and resting objects of a kind that changed last before that time, and whose
    names are not `spared`. Begins where the batch `last` ended."""
    query = OLD_OF.get(kind, OLD_OTHERS)
    place = (last.updated, last.updated, last.name)
    found = database.rows(query, kind, before, *place, BATCH)
    names = [(kind, name) for _, name in found if name not in spared]
    database.each(FORGET, names)
    if len(found) < BATCH:
        return Pruned(len(names), done=True)
    return Pruned(len(names), *found[-1])


def prune_messages(database: StoreSession, consumed: float, set_aside: float) -> Pruned:
    """Delete messages that were consumed, or set aside, before these times. With a message goes the
    memory that its id was delivered."""
    deleted, done = 0, True
    for query, before in ((CONSUMED, consumed), (SET_ASIDE, set_aside)):
        found = database.rows(query, before, BATCH)
        database.each(FORGET_MESSAGE, found)
        deleted, done = deleted + len(found), done and len(found) < BATCH
    return Pruned(deleted, done=done)
