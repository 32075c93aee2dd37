"""Studies that are fetched, and how many instances studies are known to have."""

import sqlalchemy as sa
from alembic import op

revision = "0010_fetching"
down_revision = "0009_sealed_names"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "archive_expected",
        sa.Column("institution", sa.String(length=64), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("institution", "study_uid", name=op.f("pk_archive_expected")),
    )
    op.create_table(
        "fetches",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("institution", sa.String(length=64), nullable=False),
        sa.Column("study_uid", sa.String(length=64), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("listed", sa.Integer(), nullable=True),
        sa.Column("here", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("enqueued_attempt", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fetches")),
    )
    op.create_index("fetches_by_state", "fetches", ["state"], unique=False)


def downgrade() -> None:
    """Take back."""
    op.drop_table("fetches")
    op.drop_table("archive_expected")
