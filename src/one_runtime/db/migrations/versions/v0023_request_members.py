"""Add the member who made a call in the dashboard to the request log.

The previous version of One Runtime does not write this column.
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.add_column("requests", sa.Column("member_id", ID))
