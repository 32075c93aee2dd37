"""The audit record: its tables, and the triggers that refuse changes."""

import sqlalchemy as sa
from alembic import op

revision = "audit_0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = ("audit_events", "audit_checkpoints", "audit_tombstones", "audit_kept")

_PRUNABLE = """EXISTS (
    SELECT 1 FROM audit_tombstones t WHERE t.lane = OLD.lane AND t.through >= OLD.sequence
    AND t.checkpoint = (SELECT max(checkpoint) FROM audit_tombstones WHERE lane = OLD.lane)
  ) AND NOT EXISTS (
    SELECT 1 FROM audit_kept k WHERE k.lane = OLD.lane AND k.sequence = OLD.sequence
    AND k.checkpoint = (SELECT max(checkpoint) FROM audit_tombstones WHERE lane = OLD.lane)
  )"""
_APPEND_ONLY = "the audit record is append-only"
_POSTGRESQL_REFUSAL = f"""CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  IF TG_TABLE_NAME = 'audit_events' AND TG_OP = 'DELETE' THEN
    IF {_PRUNABLE} THEN RETURN OLD; END IF;
  END IF;
  RAISE EXCEPTION '{_APPEND_ONLY}';
END $$"""


def upgrade() -> None:
    """Apply.

    Versions before these migrations made the same tables without noting it. Where they are there,
    they are left as they are: triggers that are missing must be found by verification.
    """
    connection = op.get_bind()
    if sa.inspect(connection).has_table("audit_events"):
        return
    _create_events()
    _create_checkpoints()
    _create_what_pruning_leaves()
    for statement in statements(connection.dialect.name):
        op.execute(statement)


def _create_events() -> None:
    op.create_table(
        "audit_events",
        sa.Column("lane", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=True),
        sa.Column("occurred_at", sa.String(27), nullable=False),
        sa.Column("patient", sa.String(28), nullable=True),
        sa.PrimaryKeyConstraint("lane", "sequence"),
        sqlite_with_rowid=False,
    )
    op.create_index("audit_events_by_patient", "audit_events", ["patient", "occurred_at"])


def _create_checkpoints() -> None:
    op.create_table(
        "audit_checkpoints",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )


def _create_what_pruning_leaves() -> None:
    op.create_table(
        "audit_tombstones",
        sa.Column("lane", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("checkpoint", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("through", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("lane", "checkpoint"),
    )
    op.create_table(
        "audit_kept",
        sa.Column("lane", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("checkpoint", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("lane", "checkpoint", "sequence"),
    )


def downgrade() -> None:
    """There is no way back: it would destroy the record."""
    raise NotImplementedError("The audit record is not deleted by a migration.")


def statements(dialect: str) -> list[str]:
    """Return what makes the triggers."""
    if dialect == "sqlite":
        return [_sqlite_trigger(table, what) for table in TABLES for what in ("UPDATE", "DELETE")]
    return [
        _POSTGRESQL_REFUSAL,
        *(statement for table in TABLES for statement in _postgresql_triggers(table)),
    ]


def _sqlite_trigger(table: str, what: str) -> str:
    when = f"WHEN NOT ({_PRUNABLE})" if (table, what) == ("audit_events", "DELETE") else ""
    return (
        f"CREATE TRIGGER {table}_no_{what.lower()} BEFORE {what} ON {table} {when} "
        f"BEGIN SELECT RAISE(ABORT, '{_APPEND_ONLY}'); END"
    )


def _postgresql_triggers(table: str) -> list[str]:
    kinds = (("update", "ROW"), ("delete", "ROW"), ("truncate", "STATEMENT"))
    return [
        f"CREATE TRIGGER {table}_no_{what} BEFORE {what.upper()} ON {table} "
        f"FOR EACH {level} EXECUTE FUNCTION audit_refuse()"
        for what, level in kinds
    ]
