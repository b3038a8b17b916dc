"""Add positions to events: the order in which followers of the log read the events of an organization.

A position is null until a follower needs the position. So the previous version of One Runtime can write events.

All changes write events. So on PostgreSQL, the migration creates the indexes concurrently, outside a transaction. A
failed attempt can leave the column and an invalid index, so the migration keeps the column and replaces the indexes.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_INDEXES: Final = (
    ("ix_events_unpositioned", ["organization_id", "id"], "position IS NULL"),
    ("ix_events_organization_id_position", ["organization_id", "position"], "position IS NOT NULL"),
)


def upgrade() -> None:
    position = sa.Column("position", sa.BigInteger())
    if op.get_context().dialect.name == "sqlite":
        op.add_column("events", position)
        _create_indexes(concurrently=False)
        return
    op.add_column("events", position, if_not_exists=True)
    with op.get_context().autocommit_block():
        # The creation waits for every open transaction of the database, but no server waits for the creation.
        op.execute("SET lock_timeout = '60s'")
        _create_indexes(concurrently=True)


def _create_indexes(*, concurrently: bool) -> None:
    for name, columns, predicate in _INDEXES:
        op.drop_index(name, "events", if_exists=True, postgresql_concurrently=concurrently)
        op.create_index(
            name,
            "events",
            columns,
            postgresql_where=sa.text(predicate),
            sqlite_where=sa.text(predicate),
            postgresql_concurrently=concurrently,
        )
