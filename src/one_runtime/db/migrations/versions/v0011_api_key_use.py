"""Add the column `api_keys.last_used_at`.

The previous version of One Runtime does not write this column, so requests to that version do not count as a use.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("last_used_at", TIME))
