"""The first schema: objects, outbox, letters."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "objects",
        sa.Column("kind", NAME, primary_key=True),
        sa.Column("name", NAME, primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("updated", sa.Float, nullable=False),
        sa.Column("live", sa.Boolean, nullable=False),
    )
    op.create_index("objects_latest", "objects", ["kind", "updated"])
    op.create_index(
        "objects_live",
        "objects",
        ["kind", "updated"],
        sqlite_where=sa.text("live = 1"),
        postgresql_where=sa.text("live"),
    )

    op.create_table(
        "outbox",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("id", NAME, nullable=False),
        sa.Column("owner_kind", NAME, nullable=False),
        sa.Column("owner_name", NAME, nullable=False),
        sa.Column("lane", NAME, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("not_before", sa.Float, nullable=False),
        sa.Column("error", sa.Text),
        sa.UniqueConstraint("id", name="outbox_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("outbox_owner", "outbox", ["owner_kind", "owner_name"])

    op.create_table(
        "letters",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("to_kind", NAME, nullable=False),
        sa.Column("to_name", NAME, nullable=False),
        sa.Column("id", NAME, nullable=False),
        sa.Column("type", NAME, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("heeded", sa.Float),
        sa.UniqueConstraint("to_kind", "to_name", "id", name="letters_once"),
        sqlite_autoincrement=True,
    )
    unheeded = sa.text("heeded IS NULL")
    op.create_index(
        "letters_unheeded",
        "letters",
        ["to_kind", "to_name"],
        sqlite_where=unheeded,
        postgresql_where=unheeded,
    )
    op.create_index("letters_heeded", "letters", ["heeded"])
