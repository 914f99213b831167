"""Deletes old rows, one batch in each transaction, so that nobody waits long for the database.

Deleted rows leave free pages, which the next rows take: the file stays as large as it once was, and
grows no further. Only `VACUUM`, while no process has the file open, makes it smaller.
"""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, Select, and_, bindparam, delete, exists, or_, select

from controller.store.tables import messages, objects

BATCH = 200
"""Rows that one transaction looks at, at most: a few milliseconds."""

_newer, _run = objects.alias(), objects.alias()

OLD = (
    select(objects.c.updated, objects.c.name)
    .where(
        objects.c.kind == bindparam("p_kind"),
        objects.c.updated < bindparam("p_before"),
        objects.c.updated >= bindparam("p_since"),
        or_(objects.c.updated > bindparam("p_since"), objects.c.name > bindparam("p_after")),
        ~objects.c.live,
    )
    .order_by(objects.c.updated, objects.c.name)
    .limit(BATCH)
)
OF_KIND: dict[str, Select[float, str]] = {
    # The last run of each pipeline stays, as the next one is numbered by it.
    "run": OLD.where(
        exists().where(
            _newer.c.kind == objects.c.kind,
            _newer.c.series == objects.c.series,
            _newer.c.updated >= objects.c.updated,
            or_(
                _newer.c.updated > objects.c.updated,
                and_(_newer.c.updated == objects.c.updated, _newer.c.name > objects.c.name),
            ),
        )
    ),
    # A graph stays as long as its run.
    "graph": OLD.where(~exists().where(_run.c.kind == "run", _run.c.name == objects.c.name)),
}
FORGET = delete(objects).where(
    objects.c.kind == bindparam("p_kind"), objects.c.name == bindparam("p_name")
)

CONSUMED = select(messages.c.number).where(messages.c.consumed < bindparam("p_before")).limit(BATCH)
SET_ASIDE = (
    select(messages.c.number)
    # None was consumed, which is said for the index that it gives.
    .where(messages.c.consumed.is_(None), messages.c.set_aside < bindparam("p_before"))
    .limit(BATCH)
)
FORGET_MESSAGE = delete(messages).where(messages.c.number == bindparam("p_number"))


class Batch(NamedTuple):
    """What one transaction did, and where it ended: at the last change and the name of a row."""

    deleted: int = 0
    updated: float = 0.0
    name: str = ""
    done: bool = False
    """Whether it was the last."""


def prune(
    connection: Connection, kind: str, before: float, spared: Collection[str], last: Batch
) -> Batch:
    """Delete facts and resting objects of a kind that changed last before that time, and whose
    names are not `spared`. Begins where the batch `last` ended."""
    place = {"p_since": last.updated, "p_after": last.name}
    query = OF_KIND.get(kind, OLD)
    found = connection.execute(query, {"p_kind": kind, "p_before": before, **place}).all()
    names = [{"p_kind": kind, "p_name": row.name} for row in found if row.name not in spared]
    if names:
        connection.execute(FORGET, names)
    if len(found) < BATCH:
        return Batch(len(names), done=True)
    return Batch(len(names), found[-1].updated, found[-1].name)


def prune_messages(connection: Connection, consumed: float, set_aside: float) -> Batch:
    """Delete messages that were consumed, or set aside, before these times. With a message goes the
    memory that its id was delivered."""
    deleted, done = 0, True
    for query, before in ((CONSUMED, consumed), (SET_ASIDE, set_aside)):
        found = connection.execute(query, {"p_before": before}).scalars().all()
        if found:
            connection.execute(FORGET_MESSAGE, [{"p_number": number} for number in found])
        deleted, done = deleted + len(found), done and len(found) < BATCH
    return Batch(deleted, done=done)
