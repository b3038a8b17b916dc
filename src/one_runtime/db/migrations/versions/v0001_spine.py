"""Create the first tables: organizations, API keys, end users, sessions, connections, encrypted credentials, events."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
DOCUMENT = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    _key_ring()
    _organizations()
    _api_keys()
    _end_users()
    _events()
    _connections()
    _hosted_connection_sessions()
    _credentials()


def _key_ring() -> None:
    op.create_table(
        "key_ring",
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_key_ring")),
    )


def _organizations() -> None:
    op.create_table(
        "organizations",
        sa.Column("id", ID, nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("logo_url", sa.Text(), nullable=True),
        sa.Column("privacy_url", sa.Text(), nullable=True),
        sa.Column("allowed_origins", DOCUMENT, nullable=False),
        sa.Column("return_urls", DOCUMENT, nullable=False),
        sa.Column("integrations_mode", sa.Text(), nullable=False),
        sa.Column("integrations_slugs", DOCUMENT, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organizations")),
    )


def _api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", DOCUMENT, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_api_keys_organizations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
    )
    op.create_index("ix_api_keys_organization_id_id", "api_keys", ["organization_id", "id"], unique=False)
    op.create_index("ix_api_keys_secret_hash", "api_keys", ["secret_hash"], unique=True)


def _end_users() -> None:
    op.create_table(
        "end_users",
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("end_user_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_end_users_organizations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("organization_id", "end_user_id", name=op.f("pk_end_users")),
    )


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("occurred_at", TIME, nullable=False),
        sa.Column("actor_type", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("end_user_id", sa.Text(), nullable=True),
        sa.Column("connection_id", ID, nullable=True),
        sa.Column("data", DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_events_organizations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    op.create_index("ix_events_organization_id_id", "events", ["organization_id", "id"], unique=False)


def _connections() -> None:
    op.create_table(
        "connections",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("end_user_id", sa.Text(), nullable=False),
        sa.Column("integration_slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("auth_type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("error", DOCUMENT, nullable=True),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("account_label", sa.Text(), nullable=True),
        sa.Column("params", DOCUMENT, nullable=False),
        sa.Column("scopes", DOCUMENT, nullable=False),
        sa.Column("missing_scopes", DOCUMENT, nullable=False),
        sa.Column("metadata", DOCUMENT, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("last_used_at", TIME, nullable=True),
        sa.Column("expires_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id", "end_user_id"],
            ["end_users.organization_id", "end_users.end_user_id"],
            name=op.f("fk_connections_end_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connections")),
    )
    op.create_index(
        "ix_connections_end_user",
        "connections",
        ["organization_id", "end_user_id", "integration_slug", "status"],
        unique=False,
    )
    op.create_index("ix_connections_organization_id_id", "connections", ["organization_id", "id"], unique=False)


def _hosted_connection_sessions() -> None:
    op.create_table(
        "hosted_connection_sessions",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("end_user_id", sa.Text(), nullable=False),
        sa.Column("integration_slug", sa.Text(), nullable=True),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("auth_type", sa.Text(), nullable=True),
        sa.Column("scopes", DOCUMENT, nullable=False),
        sa.Column("target_connection_id", ID, nullable=True),
        sa.Column("multiple", sa.Boolean(), nullable=False),
        sa.Column("suggested_connection_name", sa.Text(), nullable=True),
        sa.Column("allowed_origins", DOCUMENT, nullable=False),
        sa.Column("metadata", DOCUMENT, nullable=False),
        sa.Column("failed_checks", sa.Integer(), nullable=False),
        sa.Column("last_error", DOCUMENT, nullable=True),
        sa.Column("connection_id", ID, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("opened_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id", "end_user_id"],
            ["end_users.organization_id", "end_users.end_user_id"],
            name=op.f("fk_hosted_connection_sessions_end_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hosted_connection_sessions")),
    )
    op.create_index(
        "ix_hosted_connection_sessions_organization_id_id",
        "hosted_connection_sessions",
        ["organization_id", "id"],
        unique=False,
    )
    op.create_index(
        "ix_hosted_connection_sessions_end_user",
        "hosted_connection_sessions",
        ["organization_id", "end_user_id"],
        unique=False,
    )
    op.create_index(
        "ix_hosted_connection_sessions_token_hash", "hosted_connection_sessions", ["token_hash"], unique=True
    )


def _credentials() -> None:
    op.create_table(
        "credentials",
        sa.Column("connection_id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connections.id"], name=op.f("fk_credentials_connections"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["key_id"], ["key_ring.key_id"], name=op.f("fk_credentials_key_ring")),
        sa.PrimaryKeyConstraint("connection_id", name=op.f("pk_credentials")),
    )
