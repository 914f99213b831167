"""The tables of the store, in SQLAlchemy Core's words: the same in SQLite and in PostgreSQL.

A change here needs a migration beside it; a test compares the two.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

# Compared byte by byte, as SQLite does, whatever the language of the database.
_name = String().with_variant(String(collation="C"), "postgresql")
_number = BigInteger().with_variant(Integer(), "sqlite")

objects = Table(
    "objects",
    metadata,
    Column("kind", _name, primary_key=True),
    Column("name", _name, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("updated", Float, nullable=False),
    Column("live", Boolean, nullable=False),
    # The name without the number that ends it: what the runs of one pipeline have in common.
    Column("series", _name, Computed("rtrim(name, '0123456789')")),
)
Index("objects_latest", objects.c.kind, objects.c.updated)
Index("objects_series", objects.c.kind, objects.c.series, objects.c.updated)
Index(
    "objects_live",
    objects.c.kind,
    objects.c.updated,
    # In the words of the queries, or it would not be used.
    sqlite_where=text("live = 1"),
    postgresql_where=text("live"),
)

# A number is never given twice, not even after its row is gone: it tells one entry of an id from
# the next.
outbox = Table(
    "outbox",
    metadata,
    Column("number", _number, primary_key=True),
    Column("id", _name, nullable=False),
    Column("owner_kind", _name, nullable=False),
    Column("owner_name", _name, nullable=False),
    Column("lane", _name, nullable=False),
    Column("action", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("not_before", Float, nullable=False),
    Column("error", Text),
    UniqueConstraint("id", name="outbox_id"),
    sqlite_autoincrement=True,
)
Index("outbox_owner", outbox.c.owner_kind, outbox.c.owner_name)

# A consumed message stays, as the memory that its id was delivered, until it is pruned.
messages = Table(
    "messages",
    metadata,
    Column("number", _number, primary_key=True),
    Column("to_kind", _name, nullable=False),
    Column("to_name", _name, nullable=False),
    Column("id", _name, nullable=False),
    Column("type", _name, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("consumed", Float),
    Column("set_aside", Float),
    Column("reason", Text),
    UniqueConstraint("to_kind", "to_name", "id", name="messages_once"),
    sqlite_autoincrement=True,
)
_waiting = messages.c.consumed.is_(None) & messages.c.set_aside.is_(None)
Index(
    "messages_inbox",
    messages.c.to_kind,
    messages.c.to_name,
    sqlite_where=_waiting,
    postgresql_where=_waiting,
)
Index("messages_consumed", messages.c.consumed)
