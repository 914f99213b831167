"""Run by Alembic: migrates over the connection, and in the transaction, that it was given."""

from alembic import context

from controller.store.tables import metadata

# Batches, because SQLite alters a table by copying it.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
