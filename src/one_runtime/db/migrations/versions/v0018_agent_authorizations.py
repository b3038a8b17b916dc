"""Add the authorizations of OAuth clients, and the columns with which a client renews its end-user token.

The previous version of One Runtime does not read the new table and columns. It accepts the tokens of OAuth clients.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0018"
down_revision = "0017"

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
DOCUMENT = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.add_column("end_user_tokens", sa.Column("client_id", sa.Text()))
    op.add_column("end_user_tokens", sa.Column("refresh_family_hash", sa.LargeBinary()))
    op.add_column("end_user_tokens", sa.Column("refresh_token_hash", sa.LargeBinary()))
    op.add_column("end_user_tokens", sa.Column("refresh_expires_at", TIME))
    op.create_index("ix_end_user_tokens_refresh_family_hash", "end_user_tokens", ["refresh_family_hash"])
    op.create_table(
        "agent_authorizations",
        sa.Column("id", ID, primary_key=True),
        sa.Column("organization_id", ID, sa.ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("client_name", sa.Text()),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("code_challenge", sa.Text(), nullable=False),
        sa.Column("state", sa.Text()),
        sa.Column("access", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("declined_at", TIME),
        sa.Column("approved_at", TIME),
        sa.Column("end_user_id", sa.Text()),
        sa.Column("policy", DOCUMENT),
        sa.Column("code_hash", sa.LargeBinary()),
        sa.Column("code_expires_at", TIME),
        sa.Column("end_user_token_id", ID),
        sa.ForeignKeyConstraint(
            ["organization_id", "end_user_id"],
            ["end_users.organization_id", "end_users.end_user_id"],
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_agent_authorizations_code_hash", "agent_authorizations", ["code_hash"], unique=True)
    op.create_index(
        "ix_agent_authorizations_end_user", "agent_authorizations", ["organization_id", "end_user_id", "id"]
    )
    op.create_index("ix_agent_authorizations_expires_at", "agent_authorizations", ["expires_at"])
