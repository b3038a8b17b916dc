"""Add a column about the latest consecutive refreshes that the provider possibly refused.

The previous version of One Runtime works with this schema, because the migration adds only a nullable column.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("credentials", sa.Column("refusals", sa.Text(), nullable=True))
