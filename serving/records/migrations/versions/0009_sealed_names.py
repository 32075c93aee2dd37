"""Names of people and words of administrators are sealed; consents say what shows them.

What lay in clear is sealed with this installation's keys. SQLite overwrites what is deleted
(`secure_delete`); backups made before hold it in clear.
"""

import sqlalchemy as sa
from alembic import op

from serving.privacy import open_keyring, seal, unseal

revision = "0009_sealed_names"
down_revision = "0008_outgoing"
branch_labels = None
depends_on = None

_SEALED = (("accounts", "full_name"), ("api_keys", "label"))


def upgrade() -> None:
    """Apply."""
    for table, column in _SEALED:
        _change(table, column, f"{column}_sealed", sa.Text(), sealing=True)
    op.add_column("consents", sa.Column("evidence_sealed", sa.Text(), nullable=True))
    op.add_column("consents", sa.Column("withdrawn_by", sa.String(200), nullable=True))


def downgrade() -> None:
    """Take back."""
    op.drop_column("consents", "withdrawn_by")
    op.drop_column("consents", "evidence_sealed")
    for table, column in _SEALED:
        _change(table, f"{column}_sealed", column, sa.String(200), sealing=False)


def _change(
    table: str, old: str, new: str, kind: "sa.types.TypeEngine[str]", *, sealing: bool
) -> None:
    """Replace the column `old` by `new`: SQLite can add and drop columns, but not change them."""
    # The default is for rows that are there, until they are filled below.
    op.add_column(table, sa.Column(new, kind, nullable=False, server_default=""))
    rows = sa.table(table, sa.column("id"), sa.column(old), sa.column(new))
    bind = op.get_bind()
    context = f"{table}.{old if sealing else new}"
    for key, value in bind.execute(sa.select(rows.c.id, rows.c[old])).all():
        keyring = open_keyring()
        changed = (seal if sealing else unseal)(keyring, value, context)
        bind.execute(sa.update(rows).where(rows.c.id == key).values({new: changed}))
    op.drop_column(table, old)
