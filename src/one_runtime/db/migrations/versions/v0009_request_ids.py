"""Add request ids to events and to the request log, and metadata to end users.

The previous version of One Runtime does not write these columns. So its rows have no request id, and new end users
have empty metadata.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
DOCUMENT = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


HAS_REQUEST: Final = sa.text("request_id IS NOT NULL")  # all rows so far have none, so the indexes are empty


def upgrade() -> None:
    op.add_column("end_users", sa.Column("metadata", DOCUMENT, nullable=False, server_default=sa.text("'{}'")))
    # `events` is the last table. Every change writes an event, so every change waits for this lock until the commit.
    for table in ("requests", "events"):
        op.add_column(table, sa.Column("request_id", ID))
        op.create_index(
            f"ix_{table}_organization_id_request_id",
            table,
            ["organization_id", "request_id"],
            postgresql_where=HAS_REQUEST,
            sqlite_where=HAS_REQUEST,
        )
