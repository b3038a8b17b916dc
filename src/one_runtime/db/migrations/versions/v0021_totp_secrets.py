"""Add the table of secrets that members share with an authenticator app.

The previous version of One Runtime does not use the table.
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "totp_secrets",
        sa.Column("member_id", ID, sa.ForeignKey("members.id", ondelete="CASCADE"), primary_key=True, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), sa.ForeignKey("key_ring.key_id"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_totp_secrets_key_id_member_id", "totp_secrets", ["key_id", "member_id"])
