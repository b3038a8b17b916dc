"""Add the default connection of an end user, and the organization's rule for calls that name no connection.

PostgreSQL creates the index concurrently, so that the migration does not block changes of connections. A failed attempt
can leave an invalid index, so the migration replaces the index.
"""

from typing import Any, Final

from alembic import op
from sqlalchemy import Boolean, Column, Text, false, text

revision = "v0003"
down_revision = "v0002"

_NAME: Final = "ix_connections_default"
_COLUMNS: Final = ["organization_id", "end_user_id", "integration_slug"]
_WHERE: Final[dict[str, Any]] = {"sqlite_where": text("is_default"), "postgresql_where": text("is_default")}


def upgrade() -> None:
    """Add columns that the previous version does not use. It writes their defaults."""
    op.add_column("organizations", Column("several_connections", Text, nullable=False, server_default="refuse"))
    op.add_column("connections", Column("is_default", Boolean, nullable=False, server_default=false()))
    if op.get_context().dialect.name == "sqlite":
        op.create_index(_NAME, "connections", _COLUMNS, unique=True, **_WHERE)
        return
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = '60s'")
        op.drop_index(_NAME, "connections", if_exists=True, postgresql_concurrently=True)
        op.create_index(_NAME, "connections", _COLUMNS, unique=True, postgresql_concurrently=True, **_WHERE)
