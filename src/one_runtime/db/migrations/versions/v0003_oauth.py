"""Add tables and columns for OAuth 2.0: clients, authorization attempts, token refresh, and pending revocations.

The migration adds only tables, indexes and columns. Each new column is nullable or has a default. So the previous
version of One Runtime works with this schema.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
DOCUMENT = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    _oauth_clients()
    _credentials()
    _consents()
    _revocations()


def _oauth_clients() -> None:
    op.create_table(
        "oauth_clients",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("integration_slug", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("scopes", DOCUMENT, nullable=True),
        sa.Column("hosts", DOCUMENT, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("retired_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["key_id"], ["key_ring.key_id"], name=op.f("fk_oauth_clients_key_ring")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_clients")),
    )
    in_force = sa.text("retired_at IS NULL")
    op.create_index(
        "ix_oauth_clients_organization_id_integration_slug",
        "oauth_clients",
        ["organization_id", "integration_slug"],
        unique=True,
        postgresql_where=in_force,
        sqlite_where=in_force,
    )
    op.create_index("ix_oauth_clients_key_id_id", "oauth_clients", ["key_id", "id"])


def _credentials() -> None:
    op.add_column("credentials", sa.Column("oauth_client_id", ID, nullable=True))
    op.add_column("credentials", sa.Column("refresh_due_at", TIME, nullable=True))
    op.add_column("credentials", sa.Column("lease", ID, nullable=True))
    op.add_column("credentials", sa.Column("leased_until", TIME, nullable=True))
    op.add_column("credentials", sa.Column("retry_at", TIME, nullable=True))
    op.add_column("credentials", sa.Column("failures", sa.Integer(), server_default="0", nullable=False))
    op.create_index("ix_credentials_oauth_client_id", "credentials", ["oauth_client_id"])
    op.create_index("ix_credentials_refresh_due_at", "credentials", ["refresh_due_at"])


def _consents() -> None:
    op.create_table(
        "consents",
        sa.Column("id", ID, nullable=False),
        sa.Column("session_id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("integration_slug", sa.Text(), nullable=False),
        sa.Column("oauth_client_id", ID, nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("ticket_hash", sa.LargeBinary(), nullable=True),
        sa.Column("state_hash", sa.LargeBinary(), nullable=True),
        sa.Column("browser_hash", sa.LargeBinary(), nullable=True),
        sa.Column("issuer", sa.Text(), nullable=True),
        sa.Column("details", DOCUMENT, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("key_id", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["hosted_connection_sessions.id"],
            name=op.f("fk_consents_hosted_connection_sessions"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["oauth_client_id"], ["oauth_clients.id"], name=op.f("fk_consents_oauth_clients"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["key_id"], ["key_ring.key_id"], name=op.f("fk_consents_key_ring")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consents")),
    )
    op.create_index("ix_consents_session_id", "consents", ["session_id"])
    op.create_index("ix_consents_oauth_client_id", "consents", ["oauth_client_id"])
    op.create_index("ix_consents_ticket_hash", "consents", ["ticket_hash"], unique=True)
    op.create_index("ix_consents_state_hash", "consents", ["state_hash"], unique=True)
    op.create_index("ix_consents_key_id_id", "consents", ["key_id", "id"])
    op.create_index("ix_consents_expires_at", "consents", ["expires_at"])


def _revocations() -> None:
    op.create_table(
        "revocations",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("connection_id", ID, nullable=True),
        sa.Column("integration_slug", sa.Text(), nullable=False),
        sa.Column("oauth_client_id", ID, nullable=True),
        sa.Column("params", DOCUMENT, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("give_up_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_revocations_organizations"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["oauth_client_id"], ["oauth_clients.id"], name=op.f("fk_revocations_oauth_clients"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["key_id"], ["key_ring.key_id"], name=op.f("fk_revocations_key_ring")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revocations")),
    )
    op.create_index("ix_revocations_key_id_id", "revocations", ["key_id", "id"])
    op.create_index("ix_revocations_due_at", "revocations", ["due_at"])
    op.create_index("ix_revocations_oauth_client_id", "revocations", ["oauth_client_id"])
    op.create_index("ix_revocations_organization_id", "revocations", ["organization_id"])
