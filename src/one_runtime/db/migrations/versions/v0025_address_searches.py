"""Add the indexes with which the operator finds the connections of a person in all organizations.

All requests read connections, so on PostgreSQL the migration creates the indexes concurrently, outside a transaction. A
failed attempt can leave an invalid index, so the migration replaces the indexes. Without the statistics of the new
expressions, PostgreSQL would expect many matching rows, and would read all connections in the order of their ids.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

_INDEXES: Final = (
    ("ix_end_users_lower_email", "end_users", "email"),
    ("ix_end_users_lower_end_user_id", "end_users", "end_user_id"),
    ("ix_connections_lower_account_label", "connections", "account_label"),
    ("ix_connections_lower_account_id", "connections", "account_id"),
)


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        _create_indexes(concurrently=False)
        return
    with op.get_context().autocommit_block():
        # The creation waits for every open transaction of the database, but no server waits for the creation.
        op.execute("SET lock_timeout = '60s'")
        _create_indexes(concurrently=True)
        op.execute("ANALYZE end_users, connections")


def _create_indexes(*, concurrently: bool) -> None:
    for name, table, column in _INDEXES:
        lower = sa.func.lower(sa.column(column))
        op.drop_index(name, table, if_exists=True, postgresql_concurrently=concurrently)
        op.create_index(name, table, [lower], postgresql_concurrently=concurrently)
