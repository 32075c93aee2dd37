"""The index by patient holds events of patients alone: each request waits for what it writes."""

import sqlalchemy as sa
from alembic import op

revision = "audit_0002"
down_revision = "audit_0001"
branch_labels = None
depends_on = None

_INDEX, _TABLE, _COLUMNS = "audit_events_by_patient", "audit_events", ["patient", "occurred_at"]


def upgrade() -> None:
    """Apply."""
    op.drop_index(_INDEX, _TABLE)
    has_patient = sa.text("patient IS NOT NULL")
    op.create_index(
        _INDEX, _TABLE, _COLUMNS, sqlite_where=has_patient, postgresql_where=has_patient
    )


def downgrade() -> None:
    """Take back."""
    op.drop_index(_INDEX, _TABLE)
    op.create_index(_INDEX, _TABLE, _COLUMNS)
