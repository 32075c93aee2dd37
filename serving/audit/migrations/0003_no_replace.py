"""SQLite: what is there is not replaced either.

`INSERT OR REPLACE` deletes the row that is in its way without asking the triggers of a deletion
(https://www.sqlite.org/lang_conflict.html), unless the connection that writes wants them asked.
PostgreSQL has no such statement: `ON CONFLICT DO UPDATE` is an update to its triggers.
"""

from alembic import op

revision = "audit_0003"
down_revision = "audit_0002"
branch_labels = None
depends_on = None

_KEYS = {
    "audit_events": ("lane", "sequence"),
    "audit_checkpoints": ("number",),
    "audit_tombstones": ("lane", "checkpoint"),
    "audit_kept": ("lane", "checkpoint", "sequence"),
}


def upgrade() -> None:
    """Apply."""
    for statement in statements(op.get_bind().dialect.name):
        op.execute(statement)


def downgrade() -> None:
    """Take back."""
    if op.get_bind().dialect.name == "sqlite":
        for table in _KEYS:
            op.execute(f"DROP TRIGGER {table}_no_replace")


def statements(dialect: str) -> list[str]:
    """Return what makes the triggers."""
    if dialect != "sqlite":
        return []
    return [_trigger(table, keys) for table, keys in _KEYS.items()]


def _trigger(table: str, keys: tuple[str, ...]) -> str:
    same = " AND ".join(f"{key} = NEW.{key}" for key in keys)
    there = f"SELECT 1 FROM {table} WHERE {same}"  # noqa: S608 - names of ours
    return (
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN EXISTS ({there}) "
        "BEGIN SELECT RAISE(ABORT, 'the audit record is append-only'); END"
    )
