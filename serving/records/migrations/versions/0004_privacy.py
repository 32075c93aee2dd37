"""Consents and legal holds."""

import sqlalchemy as sa
from alembic import op

from serving.records.base import UtcDateTime

revision = "0004_privacy"
down_revision = "0003_accounts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "consents",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("patient", sa.String(28), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("recipient", sa.String(64), nullable=True),
        sa.Column("given_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("withdrawn_at", UtcDateTime(), nullable=True),
        sa.Column("recorded_by", sa.String(200), nullable=False),
        sa.CheckConstraint(
            "purpose IN ('care','sharing','research')", name=op.f("ck_consents_purpose")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consents")),
    )
    op.create_index("ix_consents_lookup", "consents", ["patient", "owner", "purpose"])
    op.create_table(
        "legal_holds",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("patient", sa.String(28), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("placed_by", sa.String(200), nullable=False),
        sa.Column("placed_at", UtcDateTime(), nullable=False),
        sa.Column("lifted_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_legal_holds")),
    )
    op.create_index(op.f("ix_legal_holds_patient"), "legal_holds", ["patient"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("legal_holds")
    op.drop_table("consents")
