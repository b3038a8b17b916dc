"""Add tables and columns for the session modes `redirect` and `link`, for key rotation, and for server processes.

The previous version of One Runtime works with this schema, because the migration adds only tables, indexes and
nullable columns.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
DOCUMENT = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    _rotation()
    _modes()


def _rotation() -> None:
    # Create the index before the statements that block reads. While PostgreSQL creates the index, only writes of
    # credentials wait.
    op.create_index("ix_credentials_key_id_connection_id", "credentials", ["key_id", "connection_id"])
    op.add_column("key_ring", sa.Column("promoted_at", TIME, nullable=True))
    op.add_column("key_ring", sa.Column("retired_at", TIME, nullable=True))
    op.create_table(
        "servers",
        sa.Column("id", ID, nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("key_ids", DOCUMENT, nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_servers")),
    )


def _modes() -> None:
    op.add_column("hosted_connection_sessions", sa.Column("return_url", sa.Text(), nullable=True))
    op.add_column("hosted_connection_sessions", sa.Column("code_hash", sa.LargeBinary(), nullable=True))
    op.create_table(
        "unredeemed_connections",
        sa.Column("session_id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("details", DOCUMENT, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["hosted_connection_sessions.id"],
            name=op.f("fk_unredeemed_connections_hosted_connection_sessions"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["key_id"], ["key_ring.key_id"], name=op.f("fk_unredeemed_connections_key_ring")),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_unredeemed_connections")),
    )
    op.create_index("ix_unredeemed_connections_key_id_session_id", "unredeemed_connections", ["key_id", "session_id"])
    op.create_index("ix_unredeemed_connections_due_at", "unredeemed_connections", ["due_at"])
