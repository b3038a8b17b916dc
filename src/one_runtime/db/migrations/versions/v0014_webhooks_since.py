"""Add the column `organizations.webhooks_since`, so that an event of an organization without endpoints costs less."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")

_FIRST_ENDPOINTS = """
UPDATE organizations SET webhooks_since = (
    SELECT MIN(created_at) FROM webhook_endpoints WHERE webhook_endpoints.organization_id = organizations.id
)
WHERE id IN (SELECT organization_id FROM webhook_endpoints)
"""


def upgrade() -> None:
    op.add_column("organizations", sa.Column("webhooks_since", TIME))
    op.execute(_FIRST_ENDPOINTS)
