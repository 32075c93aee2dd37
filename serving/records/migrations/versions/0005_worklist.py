"""Work items, who is told of them, and what they are told."""

import sqlalchemy as sa
from alembic import op

revision = "0005_worklist"
down_revision = "0004_privacy"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    _workitem_events()
    _workitem_subscriptions()
    _workitems()


def downgrade() -> None:
    """Take back."""
    for table in (
        "workitems",
        "workitem_subscriptions",
        "workitem_events",
    ):
        op.drop_table(table)


def _workitem_events() -> None:
    op.create_table(
        "workitem_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("institution", sa.String(length=64), nullable=False),
        sa.Column("subscriber", sa.String(length=16), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workitem_events")),
    )
    op.create_index(
        op.f("ix_workitem_events_subscriber"), "workitem_events", ["subscriber"], unique=False
    )


def _workitem_subscriptions() -> None:
    op.create_table(
        "workitem_subscriptions",
        sa.Column("institution", sa.String(length=64), nullable=False),
        sa.Column("subscriber", sa.String(length=16), nullable=False),
        sa.Column("uid", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint(
            "institution", "subscriber", "uid", name=op.f("pk_workitem_subscriptions")
        ),
    )


def _workitems() -> None:
    op.create_table(
        "workitems",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("institution", sa.String(length=64), nullable=False),
        sa.Column("uid", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workitems")),
        sa.UniqueConstraint("institution", "uid", name=op.f("uq_workitems_institution")),
    )
    op.create_index(op.f("ix_workitems_state"), "workitems", ["state"], unique=False)
