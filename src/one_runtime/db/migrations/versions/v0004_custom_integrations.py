"""Add tables for custom integrations and the proxy's request log.

The column `audience` identifies the places that receive the credentials.

The previous version of One Runtime works with this schema, because the migration adds only tables, indexes and
nullable columns.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    _custom_integrations()
    _requests()


def _requests() -> None:
    op.create_table(
        "requests",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("end_user_id", sa.Text(), nullable=True),
        sa.Column("connection_id", ID, nullable=False),
        sa.Column("integration_slug", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("request_bytes", sa.BigInteger(), nullable=False),
        sa.Column("response_bytes", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("upstream_ms", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_requests_organizations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_requests")),
    )
    op.create_index("ix_requests_organization_id_id", "requests", ["organization_id", "id"])
    for column in ("end_user_id", "connection_id"):
        op.create_index(f"ix_requests_organization_id_{column}_id", "requests", ["organization_id", column, "id"])


def _custom_integrations() -> None:
    op.add_column("organizations", sa.Column("custom_revision", ID, nullable=True))
    op.add_column("credentials", sa.Column("audience", sa.Text(), nullable=True))
    op.add_column("revocations", sa.Column("audience", sa.Text(), nullable=True))
    op.create_table(
        "custom_integrations",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("logo", sa.Text(), nullable=False),
        sa.Column("logo_hash", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("moved_at", TIME, nullable=False),
        sa.Column("deleted_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_custom_integrations_organizations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_custom_integrations")),
    )
    there = sa.text("deleted_at IS NULL")
    op.create_index(
        "ix_custom_integrations_organization_id_slug",
        "custom_integrations",
        ["organization_id", "slug"],
        unique=True,
        postgresql_where=there,
        sqlite_where=there,
    )
    op.create_index("ix_custom_integrations_logo_hash", "custom_integrations", ["logo_hash"])
