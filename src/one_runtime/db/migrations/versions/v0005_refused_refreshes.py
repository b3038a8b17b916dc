"""Add columns about refreshes that the provider refused.

The previous version of One Runtime works with this schema, because the migration adds only nullable columns.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.add_column("credentials", sa.Column("refused_client_version", sa.Integer(), nullable=True))
    op.add_column("credentials", sa.Column("refused_since", TIME, nullable=True))
