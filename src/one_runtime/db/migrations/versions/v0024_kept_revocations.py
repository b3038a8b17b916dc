"""Keep tokens that a reconnection or a late refresh replaces, until the connection ends.

The previous version of One Runtime neither reads nor writes these columns. It leaves kept rows alone, because their
`due_at` is in the year 9999.
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.add_column("revocations", sa.Column("kept_with", ID))
    op.add_column("revocations", sa.Column("account_id", sa.Text()))
    where = sa.text("kept_with IS NOT NULL")
    columns = ["kept_with", "id"]
    op.create_index("ix_revocations_kept_with", "revocations", columns, sqlite_where=where, postgresql_where=where)
    op.create_index("ix_revocations_give_up_at", "revocations", ["give_up_at"])
