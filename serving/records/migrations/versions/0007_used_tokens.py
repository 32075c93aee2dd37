"""Tokens of CDS clients that were used."""

import sqlalchemy as sa
from alembic import op

from serving.records.base import UtcDateTime

revision = "0007_used_tokens"
down_revision = "0006_cds_hooks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "used_tokens",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_used_tokens")),
    )
    op.create_index(op.f("ix_used_tokens_expires_at"), "used_tokens", ["expires_at"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("used_tokens")
