"""Cards that were shown, and what became of them."""

import sqlalchemy as sa
from alembic import op

from serving.records.base import UtcDateTime

revision = "0006_cds_hooks"
down_revision = "0005_worklist"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "cds_cards",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("service", sa.String(64), nullable=False),
        sa.Column("score", sa.String(64), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("indicator", sa.String(16), nullable=False),
        sa.Column("institution_id", sa.String(64), nullable=True),
        sa.Column("shown_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cds_cards")),
    )
    op.create_index(op.f("ix_cds_cards_institution_id"), "cds_cards", ["institution_id"])
    op.create_index(op.f("ix_cds_cards_shown_at"), "cds_cards", ["shown_at"])
    op.create_table(
        "cds_feedback",
        sa.Column("card_id", sa.String(36), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64), nullable=True),
        sa.Column("sealed_comment", sa.Text(), nullable=True),
        sa.Column("outcome_at", UtcDateTime(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["card_id"], ["cds_cards.id"], name=op.f("fk_cds_feedback_card_id_cds_cards")
        ),
        sa.PrimaryKeyConstraint("card_id", name=op.f("pk_cds_feedback")),
    )


def downgrade() -> None:
    """Take back."""
    for table in ("cds_feedback", "cds_cards"):
        op.drop_table(table)
