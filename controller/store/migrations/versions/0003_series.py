"""Objects get their series, so that the last runs of a pipeline are found without its others."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the column, which is computed, and its index."""
    # SQLite adds only a column that it does not store; PostgreSQL indexes only one that it does.
    stored = True if op.get_bind().dialect.name == "postgresql" else None
    computed = sa.Computed("rtrim(name, '0123456789')", persisted=stored)
    series = sa.Column("series", NAME, computed)
    op.add_column("objects", series)
    op.create_index("objects_series", "objects", ["kind", "series", "updated"])
