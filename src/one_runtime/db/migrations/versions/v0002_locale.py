"""Add the language that an organization wants for the pages of a session."""

from alembic import op
from sqlalchemy import Column, Text

revision = "v0002"
down_revision = "v0001"


def upgrade() -> None:
    """Add a column that the previous version does not use."""
    op.add_column("hosted_connection_sessions", Column("locale", Text))
