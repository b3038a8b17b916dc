"""Add the table `installation`, with one row: the id, the oldest compatible revision, and the live location.

The previous version of One Runtime does not read this table.
"""

import sqlalchemy as sa
import uuid_utils
from alembic import op

revision = "0006"
down_revision = "0005"

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    table = op.create_table(
        "installation",
        sa.Column("id", ID, primary_key=True),
        sa.Column("compatible_revision", sa.Text(), nullable=False),
        sa.Column("live_location", sa.Text()),
        sa.Column("live_at", TIME),
    )
    op.bulk_insert(table, [{"id": str(uuid_utils.uuid7()), "compatible_revision": revision}])
