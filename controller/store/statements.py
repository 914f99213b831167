"""What the store asks its database, built once: SQLAlchemy compiles each a single time.

Only `insert` is SQLite's own, for ON CONFLICT; PostgreSQL's is spelt the same.
"""

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from controller.store.tables import messages, objects, outbox

_this = (objects.c.kind == bindparam("p_kind"), objects.c.name == bindparam("p_name"))

GET = select(objects).where(*_this)
CREATE = insert(objects).on_conflict_do_nothing()
REPLACE = (
    update(objects)
    .where(*_this, objects.c.revision == bindparam("p_revision"))
    .values(
        revision=objects.c.revision + 1,
        body=bindparam("p_body"),
        updated=bindparam("p_updated"),
        live=bindparam("p_live"),
    )
)

_fact = insert(objects)
FACT = _fact.on_conflict_do_update(
    index_elements=[objects.c.kind, objects.c.name],
    set_={
        "revision": objects.c.revision + 1,
        "body": _fact.excluded.body,
        "updated": _fact.excluded.updated,
    },
    where=objects.c.body != _fact.excluded.body,
)

NEXT_KIND = select(func.min(objects.c.kind)).where(objects.c.kind > bindparam("p_kind"))
NEWEST = select(func.max(objects.c.updated)).where(objects.c.kind == bindparam("p_kind"))

OUTBOX = select(outbox).order_by(outbox.c.number)
OUTBOX_OF = OUTBOX.where(
    outbox.c.owner_kind == bindparam("p_kind"), outbox.c.owner_name == bindparam("p_name")
)
ENQUEUE = insert(outbox).on_conflict_do_nothing(index_elements=[outbox.c.id])
ACKNOWLEDGE = delete(outbox).where(outbox.c.id == bindparam("p_id"))
POSTPONE = (
    update(outbox)
    .where(outbox.c.id == bindparam("p_id"))
    .values(
        attempts=outbox.c.attempts + 1,
        not_before=bindparam("p_not_before"),
        error=bindparam("p_error"),
    )
)

_waiting = (messages.c.consumed.is_(None), messages.c.set_aside.is_(None))
INBOX = select(messages).where(*_waiting).order_by(messages.c.number)
INBOX_OF = INBOX.where(
    messages.c.to_kind == bindparam("p_kind"), messages.c.to_name == bindparam("p_name")
)
ASIDE = (
    select(messages)
    # None was consumed, which is said for the index that it gives.
    .where(messages.c.consumed.is_(None), messages.c.set_aside.is_not(None))
    .order_by(messages.c.number)
)
SEND = insert(messages).on_conflict_do_nothing(
    index_elements=[messages.c.to_kind, messages.c.to_name, messages.c.id]
)
_numbered = update(messages).where(messages.c.number == bindparam("p_number"))
CONSUME = _numbered.values(consumed=bindparam("p_now"))
SET_ASIDE = _numbered.values(set_aside=bindparam("p_now"), reason=bindparam("p_reason"))

LATEST = (
    select(objects)
    .where(objects.c.kind == bindparam("p_kind"))
    .order_by(objects.c.updated.desc(), objects.c.name.desc())
)
OF_SERIES = objects.c.series == bindparam("p_series")
LIVE = objects.c.live
