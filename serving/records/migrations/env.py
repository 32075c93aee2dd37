"""How Alembic runs our migrations: on the connection that `serving.records.migration` hands it."""

from alembic import context

from serving.records.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # SQLite changes a table by copying it.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
