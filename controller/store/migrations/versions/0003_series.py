"""Objects get their series, so that the last runs of a pipeline are found without its others."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column, which is computed, and its index."""
    series = sa.Column("series", sa.String, sa.Computed("rtrim(name, '0123456789')"))
    op.add_column("objects", series)
    op.create_index("objects_series", "objects", ["kind", "series", "updated"])
