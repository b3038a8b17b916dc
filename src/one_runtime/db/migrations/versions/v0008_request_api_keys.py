"""Add the column `requests.api_key_id`.

The previous version of One Runtime does not write this column, so its proxy calls have no API key in the request log.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    op.add_column("requests", sa.Column("api_key_id", ID))
