"""Remove a column. The previous version of One Runtime cannot use this schema."""

from alembic import op

revision = "v0004"
down_revision = "v0003"


def upgrade() -> None:
    op.drop_column("key_ring", "fruit")
    op.execute(f"UPDATE installation SET compatible_revision = '{revision}'")
