"""What was made to leave the institution, by delivery."""

import sqlalchemy as sa
from alembic import op

revision = "0008_outgoing"
down_revision = "0007_used_tokens"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("deliveries", sa.Column("outgoing", sa.Text(), nullable=True))


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("deliveries") as table:
        table.drop_column("outgoing")
