"""Add the table `idempotency_keys`.

The previous version of One Runtime does not read this table, so it ignores the header `Idempotency-Key`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("id", ID, primary_key=True),
        sa.Column("organization_id", ID, sa.ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
        sa.Column("api_key_id", ID, nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), sa.ForeignKey("key_ring.key_id"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("leased_until", TIME),
    )
    op.create_index(
        "ix_idempotency_keys_organization_id_api_key_id_key_hash",
        "idempotency_keys",
        ["organization_id", "api_key_id", "key_hash"],
        unique=True,
    )
    op.create_index("ix_idempotency_keys_key_id_id", "idempotency_keys", ["key_id", "id"])
