"""Add the tables `disabled_integrations` and `installation_events`.

The previous version of One Runtime does not read these tables, so it continues to use a disabled integration.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
DOCUMENT = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "disabled_integrations",
        sa.Column("integration_slug", sa.Text(), primary_key=True),
        sa.Column("reason", sa.Text()),
        sa.Column("disabled_at", TIME, nullable=False),
        sa.Column("disabled_by", sa.Text(), nullable=False),
    )
    op.create_table(
        "installation_events",
        sa.Column("id", ID, primary_key=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("occurred_at", TIME, nullable=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("data", DOCUMENT, nullable=False),
    )
