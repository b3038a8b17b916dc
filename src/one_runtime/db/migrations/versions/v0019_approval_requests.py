"""Add the table of calls that end users have to approve. The previous version of One Runtime does not read it."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "approval_requests",
        sa.Column("id", ID, primary_key=True),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("end_user_id", sa.Text(), nullable=False),
        sa.Column("end_user_token_id", ID),
        sa.Column("integration_slug", sa.Text(), nullable=False),
        sa.Column("connection_id", ID, nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("call_hash", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), sa.ForeignKey("key_ring.key_id"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("page_hash", sa.LargeBinary()),
        sa.Column("return_url", sa.Text()),
        sa.Column("answer", sa.Text()),
        sa.Column("answered_at", TIME),
        sa.Column("approved_until", TIME),
        sa.Column("used_at", TIME),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "end_user_id"],
            ["end_users.organization_id", "end_users.end_user_id"],
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_approval_requests_organization_id_id", "approval_requests", ["organization_id", "id"])
    end_user = ["organization_id", "end_user_id", "integration_slug", "id"]
    op.create_index("ix_approval_requests_end_user", "approval_requests", end_user)
    op.create_index("ix_approval_requests_key_id_id", "approval_requests", ["key_id", "id"])
    op.create_index("ix_approval_requests_page_hash", "approval_requests", ["page_hash"], unique=True)
    op.create_index("ix_approval_requests_expires_at", "approval_requests", ["expires_at"])
