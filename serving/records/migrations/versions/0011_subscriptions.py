"""Subscriptions as PS3.4 has them, event reports sealed, and who listens where.

What waited to be fetched is given up: a subscriber that listens is told the current state anew.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011_subscriptions"
down_revision = "0010_fetching"
branch_labels = None
depends_on = None

_GLOBAL = "1.2.840.10008.5.1.4.34.5"


def upgrade() -> None:
    """Apply."""
    op.drop_table("workitem_events")
    _global_subscriptions()
    _subscriptions()
    _reports()
    op.create_table(
        "workitem_channels",
        sa.Column("institution", sa.String(length=64), nullable=False),
        sa.Column("subscriber", sa.String(length=16), nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("opened_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("institution", "subscriber", name=op.f("pk_workitem_channels")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("workitem_channels")
    op.drop_table("workitem_reports")
    op.drop_index("workitem_subscriptions_by_uid", "workitem_subscriptions")
    op.execute(
        sa.text(
            "INSERT INTO workitem_subscriptions (institution, subscriber, uid, deletion_lock) "
            "SELECT institution, subscriber, :uid, deletion_lock FROM workitem_global_subscriptions"
        ).bindparams(uid=_GLOBAL)
    )
    op.drop_table("workitem_global_subscriptions")
    with op.batch_alter_table("workitem_subscriptions") as batch:
        batch.drop_column("deletion_lock")
    op.create_table(
        "workitem_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("institution", sa.String(length=64), nullable=False),
        sa.Column("subscriber", sa.String(length=16), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workitem_events")),
    )
    op.create_index(op.f("ix_workitem_events_subscriber"), "workitem_events", ["subscriber"])


def _global_subscriptions() -> None:
    op.create_table(
        "workitem_global_subscriptions",
        sa.Column("institution", sa.String(length=64), nullable=False),
        sa.Column("subscriber", sa.String(length=16), nullable=False),
        sa.Column("deletion_lock", sa.Boolean(), nullable=False),
        sa.Column("attributes", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint(
            "institution", "subscriber", name=op.f("pk_workitem_global_subscriptions")
        ),
    )


def _subscriptions() -> None:
    with op.batch_alter_table("workitem_subscriptions") as batch:
        batch.add_column(
            sa.Column("deletion_lock", sa.Boolean(), nullable=False, server_default=sa.false())
        )
    with op.batch_alter_table("workitem_subscriptions") as batch:
        batch.alter_column("deletion_lock", server_default=None)
    op.execute(
        sa.text(
            "INSERT INTO workitem_global_subscriptions (institution, subscriber, deletion_lock) "
            "SELECT institution, subscriber, deletion_lock FROM workitem_subscriptions "
            "WHERE uid = :uid"
        ).bindparams(uid=_GLOBAL)
    )
    op.execute(
        sa.text("DELETE FROM workitem_subscriptions WHERE uid = :uid").bindparams(uid=_GLOBAL)
    )
    op.create_index(
        "workitem_subscriptions_by_uid", "workitem_subscriptions", ["institution", "uid"]
    )


def _reports() -> None:
    op.create_table(
        "workitem_reports",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("institution", sa.String(length=64), nullable=False),
        sa.Column("subscriber", sa.String(length=16), nullable=False),
        sa.Column("uid", sa.String(length=64), nullable=False),
        sa.Column("event", sa.Integer(), nullable=False),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workitem_reports")),
    )
    op.create_index(
        "workitem_reports_in_order", "workitem_reports", ["institution", "subscriber", "id"]
    )
