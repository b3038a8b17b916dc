"""Add the table of paused programs. The previous version of One Runtime does not read the table."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0017"
down_revision = "0016"

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
DOCUMENT = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "agent_runs",
        sa.Column("id", ID, primary_key=True),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("end_user_id", sa.Text(), nullable=False),
        sa.Column("end_user_token_id", ID),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("waiting_for", DOCUMENT, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), sa.ForeignKey("key_ring.key_id"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "end_user_id"],
            ["end_users.organization_id", "end_users.end_user_id"],
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_agent_runs_end_user", "agent_runs", ["organization_id", "end_user_id", "id"])
    op.create_index("ix_agent_runs_key_id_id", "agent_runs", ["key_id", "id"])
    op.create_index("ix_agent_runs_due_at", "agent_runs", ["due_at"])
