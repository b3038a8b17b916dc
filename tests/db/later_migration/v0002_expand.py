"""Add a table and columns. The previous version of One Runtime does not use them."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "v0002"
down_revision = "v0001"

_CHANGED: Final = ("key_ring", "hosted_connection_sessions", "credentials")
"""Tables in the order in which the migration locks them. A test depends on this order."""


def upgrade() -> None:
    op.create_table("fruits", sa.Column("name", sa.Text(), primary_key=True))
    for table in _CHANGED:
        op.add_column(table, sa.Column("fruit", sa.Text()))
    op.add_column("events", sa.Column("ripe", sa.Boolean(), nullable=False, server_default=sa.false()))
