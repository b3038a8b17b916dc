"""Add the tables of agents: end-user tokens and connect requests. Add columns for agents to three other tables.

The previous version of One Runtime does not read the new tables, and refuses end-user tokens. While servers of both
versions run, an agent can receive the status 401.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0015"
down_revision = "0014"

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
DOCUMENT = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "end_user_tokens",
        *_of_end_user(),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("policy", DOCUMENT, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("last_used_at", TIME),
        sa.Column("revoked_at", TIME),
    )
    op.create_index("ix_end_user_tokens_secret_hash", "end_user_tokens", ["secret_hash"], unique=True)
    op.create_index("ix_end_user_tokens_organization_id_id", "end_user_tokens", ["organization_id", "id"])
    op.create_index("ix_end_user_tokens_end_user", "end_user_tokens", ["organization_id", "end_user_id", "id"])
    op.create_index("ix_end_user_tokens_expires_at", "end_user_tokens", ["expires_at"])
    op.create_table(
        "connect_requests",
        *_of_end_user(),
        sa.Column("integration_slug", sa.Text(), nullable=False),
        sa.Column("end_user_token_id", ID),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("declined_at", TIME),
    )
    op.create_index("ix_connect_requests_organization_id_id", "connect_requests", ["organization_id", "id"])
    end_user = ["organization_id", "end_user_id", "integration_slug", "id"]
    op.create_index("ix_connect_requests_end_user", "connect_requests", end_user)
    op.create_index("ix_connect_requests_expires_at", "connect_requests", ["expires_at"])
    op.add_column("organizations", sa.Column("agents", DOCUMENT))
    op.add_column("requests", sa.Column("end_user_token_id", ID))
    op.add_column("requests", sa.Column("run_id", ID))


def _of_end_user() -> "tuple[sa.schema.SchemaItem, ...]":
    return (
        sa.Column("id", ID, primary_key=True),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("end_user_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "end_user_id"],
            ["end_users.organization_id", "end_users.end_user_id"],
            ondelete="CASCADE",
        ),
    )
