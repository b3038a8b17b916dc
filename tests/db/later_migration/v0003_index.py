"""Add an index to a table that all changes write, without blocking them: PostgreSQL creates it concurrently.

A failed attempt can leave an invalid index, so the migration replaces the index.
"""

from alembic import op

revision = "v0003"
down_revision = "v0002"


def upgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        op.create_index("ix_events_type", "events", ["type"])
        return
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = '60s'")
        op.drop_index("ix_events_type", "events", if_exists=True, postgresql_concurrently=True)
        op.create_index("ix_events_type", "events", ["type"], postgresql_concurrently=True)
