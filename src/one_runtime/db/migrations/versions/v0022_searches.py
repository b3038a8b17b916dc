"""Add the indexes with which people search: the timeline of an end user, and filters for connections and end users.

All changes write events, and all requests read connections. So on PostgreSQL, the migration creates the indexes
concurrently, outside a transaction. A failed attempt can leave an invalid index, so the migration replaces the indexes.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"

_INDEXES: Final = (
    ("ix_end_users_organization_id_email", "end_users", ["organization_id", "email"], "email IS NOT NULL"),
    ("ix_connections_integration", "connections", ["organization_id", "integration_slug", "id"], None),
    ("ix_connections_error", "connections", ["organization_id", "id"], "error IS NOT NULL"),
    ("ix_credentials_failing", "credentials", ["organization_id", "connection_id"], "failures > 0"),
    ("ix_events_end_user", "events", ["organization_id", "end_user_id", "id"], "end_user_id IS NOT NULL"),
    ("ix_events_connection", "events", ["organization_id", "connection_id", "id"], "connection_id IS NOT NULL"),
)


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        _create_indexes(concurrently=False)
        return
    with op.get_context().autocommit_block():
        # The creation waits for every open transaction of the database, but no server waits for the creation.
        op.execute("SET lock_timeout = '60s'")
        _create_indexes(concurrently=True)


def _create_indexes(*, concurrently: bool) -> None:
    for name, table, columns, predicate in _INDEXES:
        where = None if predicate is None else sa.text(predicate)
        op.drop_index(name, table, if_exists=True, postgresql_concurrently=concurrently)
        op.create_index(
            name, table, columns, postgresql_where=where, sqlite_where=where, postgresql_concurrently=concurrently
        )
