"""Add the operations of custom integrations, which agents call as functions.

The previous version of One Runtime does not write this column. If that version replaces a custom integration, the
operations stay as they are until the next change.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("custom_integrations", sa.Column("operations", sa.Text()))
