"""Add columns about refreshes that the provider refused, and an index of the sessions that no end user has opened.

The previous version of One Runtime works with this schema, because the migration adds only nullable columns and an
index. The previous version does not reset these columns after new tokens. So `connections.credentials` ignores the
columns if the column `failures` is 0.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
UNOPENED = sa.text("status = 'pending' AND opened_at IS NULL")


def upgrade() -> None:
    op.create_index(
        "ix_hosted_connection_sessions_unopened",
        "hosted_connection_sessions",
        ["organization_id"],
        postgresql_where=UNOPENED,
        sqlite_where=UNOPENED,
    )
    # These statements are the last, because they lock the table `credentials` until the commit, and all proxy calls
    # read this table.
    op.add_column("credentials", sa.Column("refused_client_version", sa.Integer(), nullable=True))
    op.add_column("credentials", sa.Column("refused_since", TIME, nullable=True))
    op.add_column("credentials", sa.Column("refusals", sa.Text(), nullable=True))
