"""Create all tables of the first release.

The tables are a copy of those in `db/schema.py` at the first release, without the comments. The copy never changes: a
later change of the schema is a migration of its own.
"""

from typing import Final

import uuid_utils
from alembic import op
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    func,
    insert,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import CreateIndex, CreateTable

revision = "v0001"
down_revision = None

_ID: Final = Uuid(as_uuid=False).with_variant(Text(), "sqlite")
_TIME: Final = DateTime(timezone=True).with_variant(Text(), "sqlite")
_DOCUMENT: Final = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

_metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)


def upgrade() -> None:
    connection = op.get_bind()
    for table in _metadata.sorted_tables:
        connection.execute(CreateTable(table))
    # Where two indexes serve a statement equally, SQLite takes the one that was created later. So the order is fixed,
    # and indexes of a part of the rows come last. `create_all` has another order in each run.
    indexes = [index for table in _metadata.sorted_tables for index in table.indexes]
    for index in sorted(indexes, key=lambda index: (index.dialect_options["sqlite"]["where"] is not None, index.name)):
        connection.execute(CreateIndex(index))
    connection.execute(insert(_installation).values(id=str(uuid_utils.uuid7()), compatible_revision=revision))


def _partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    condition = text(where)
    return Index(name, *columns, unique=unique, postgresql_where=condition, sqlite_where=condition)


def _of_end_user() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["organization_id", "end_user_id"],
        ["end_users.organization_id", "end_users.end_user_id"],
        ondelete="CASCADE",
    )


def _of_member(*, primary_key: bool = False) -> Column[str]:
    return Column(
        "member_id", _ID, ForeignKey("members.id", ondelete="CASCADE"), nullable=False, primary_key=primary_key
    )


_installation = Table(
    "installation",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("compatible_revision", Text, nullable=False),
    Column("live_location", Text),
    Column("live_at", _TIME),
)

Table(
    "installation_events",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("type", Text, nullable=False),
    Column("occurred_at", _TIME, nullable=False),
    Column("operator", Text, nullable=False),
    Column("data", _DOCUMENT, nullable=False),
)

Table(
    "disabled_integrations",
    _metadata,
    Column("integration_slug", Text, primary_key=True),
    Column("reason", Text),
    Column("disabled_at", _TIME, nullable=False),
    Column("disabled_by", Text, nullable=False),
)

Table(
    "key_ring",
    _metadata,
    Column("key_id", Text, primary_key=True),
    Column("created_at", _TIME, nullable=False),
    Column("promoted_at", _TIME),
    Column("retired_at", _TIME),
)

Table(
    "servers",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("version", Text, nullable=False),
    Column("key_ids", _DOCUMENT, nullable=False),
    Column("started_at", _TIME, nullable=False),
    Column("seen_at", _TIME, nullable=False),
)

Table(
    "organizations",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("logo_url", Text),
    Column("privacy_url", Text),
    Column("allowed_origins", _DOCUMENT, nullable=False),
    Column("return_urls", _DOCUMENT, nullable=False),
    Column("integrations_mode", Text, nullable=False),
    Column("integrations_slugs", _DOCUMENT, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("updated_at", _TIME, nullable=False),
    Column("custom_revision", _ID),
    Column("webhooks_since", _TIME),
    Column("agents", _DOCUMENT),
    Column("branding", _DOCUMENT),
)

Table(
    "custom_integrations",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("organization_id", _ID, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    Column("slug", Text, nullable=False),
    Column("definition", Text, nullable=False),
    Column("logo", Text, nullable=False),
    Column("logo_hash", Text, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("updated_at", _TIME, nullable=False),
    Column("moved_at", _TIME, nullable=False),
    Column("deleted_at", _TIME),
    Column("operations", Text),
    _partial_index(
        "ix_custom_integrations_organization_id_slug",
        "organization_id",
        "slug",
        unique=True,
        where="deleted_at IS NULL",
    ),
    Index("ix_custom_integrations_logo_hash", "logo_hash"),
)

Table(
    "api_keys",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("organization_id", _ID, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("scopes", _DOCUMENT, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("revoked_at", _TIME),
    Column("last_used_at", _TIME),
    Column("created_by", _ID),
    Index("ix_api_keys_organization_id_id", "organization_id", "id"),
    Index("ix_api_keys_secret_hash", "secret_hash", unique=True),
)

_end_users = Table(
    "end_users",
    _metadata,
    Column("organization_id", _ID, ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True),
    Column("end_user_id", Text, primary_key=True),
    Column("name", Text),
    Column("email", Text),
    Column("created_at", _TIME, nullable=False),
    Column("updated_at", _TIME, nullable=False),
    Column("metadata", _DOCUMENT, nullable=False, server_default=text("'{}'")),
    _partial_index("ix_end_users_organization_id_email", "organization_id", "email", where="email IS NOT NULL"),
)

_connections = Table(
    "connections",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("organization_id", _ID, nullable=False),
    Column("end_user_id", Text, nullable=False),
    Column("integration_slug", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("auth_type", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("error", _DOCUMENT),
    Column("account_id", Text),
    Column("account_label", Text),
    Column("params", _DOCUMENT, nullable=False),
    Column("scopes", _DOCUMENT, nullable=False),
    Column("missing_scopes", _DOCUMENT, nullable=False),
    Column("metadata", _DOCUMENT, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("updated_at", _TIME, nullable=False),
    Column("last_used_at", _TIME),
    Column("expires_at", _TIME),
    _of_end_user(),
    Index("ix_connections_end_user", "organization_id", "end_user_id", "integration_slug", "status"),
    Index("ix_connections_organization_id_id", "organization_id", "id"),
    Index("ix_connections_integration", "organization_id", "integration_slug", "id"),
    _partial_index("ix_connections_needs_reauth", "organization_id", "id", where="status = 'needs_reauth'"),
    _partial_index("ix_connections_error", "organization_id", "id", where="error IS NOT NULL"),
)

Index("ix_end_users_lower_email", func.lower(_end_users.c.email))
Index("ix_end_users_lower_end_user_id", func.lower(_end_users.c.end_user_id))
Index("ix_connections_lower_account_label", func.lower(_connections.c.account_label))
Index("ix_connections_lower_account_id", func.lower(_connections.c.account_id))

Table(
    "credentials",
    _metadata,
    Column("connection_id", _ID, ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True),
    Column("organization_id", _ID, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("key_id", Text, ForeignKey("key_ring.key_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("oauth_client_id", _ID),
    Column("refresh_due_at", _TIME),
    Column("lease", _ID),
    Column("leased_until", _TIME),
    Column("retry_at", _TIME),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("refused_client_version", Integer),
    Column("refused_since", _TIME),
    Column("refusals", Text),
    Column("audience", Text),
    Index("ix_credentials_key_id_connection_id", "key_id", "connection_id"),
    Index("ix_credentials_oauth_client_id", "oauth_client_id"),
    Index("ix_credentials_refresh_due_at", "refresh_due_at"),
    _partial_index("ix_credentials_failing", "organization_id", "connection_id", where="failures > 0"),
)

Table(
    "oauth_clients",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("organization_id", _ID, nullable=False),
    Column("integration_slug", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("scopes", _DOCUMENT),
    Column("hosts", _DOCUMENT, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("key_id", Text, ForeignKey("key_ring.key_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("updated_at", _TIME, nullable=False),
    Column("retired_at", _TIME),
    _partial_index(
        "ix_oauth_clients_organization_id_integration_slug",
        "organization_id",
        "integration_slug",
        unique=True,
        where="retired_at IS NULL",
    ),
    Index("ix_oauth_clients_key_id_id", "key_id", "id"),
)

Table(
    "hosted_connection_sessions",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("organization_id", _ID, nullable=False),
    Column("end_user_id", Text, nullable=False),
    Column("integration_slug", Text),
    Column("token_hash", LargeBinary, nullable=False),
    Column("mode", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("auth_type", Text),
    Column("scopes", _DOCUMENT, nullable=False),
    Column("target_connection_id", _ID),
    Column("multiple", Boolean, nullable=False),
    Column("suggested_connection_name", Text),
    Column("allowed_origins", _DOCUMENT, nullable=False),
    Column("metadata", _DOCUMENT, nullable=False),
    Column("failed_checks", Integer, nullable=False),
    Column("last_error", _DOCUMENT),
    Column("connection_id", _ID),
    Column("created_at", _TIME, nullable=False),
    Column("updated_at", _TIME, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    Column("opened_at", _TIME),
    Column("return_url", Text),
    Column("code_hash", LargeBinary),
    _of_end_user(),
    Index("ix_hosted_connection_sessions_organization_id_id", "organization_id", "id"),
    Index("ix_hosted_connection_sessions_end_user", "organization_id", "end_user_id"),
    Index("ix_hosted_connection_sessions_token_hash", "token_hash", unique=True),
    _partial_index(
        "ix_hosted_connection_sessions_unopened", "organization_id", where="status = 'pending' AND opened_at IS NULL"
    ),
)

Table(
    "unredeemed_connections",
    _metadata,
    Column("session_id", _ID, ForeignKey("hosted_connection_sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("organization_id", _ID, nullable=False),
    Column("details", _DOCUMENT, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("key_id", Text, ForeignKey("key_ring.key_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("due_at", _TIME, nullable=False),
    Index("ix_unredeemed_connections_key_id_session_id", "key_id", "session_id"),
    Index("ix_unredeemed_connections_due_at", "due_at"),
)

Table(
    "consents",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("session_id", _ID, ForeignKey("hosted_connection_sessions.id", ondelete="CASCADE"), nullable=False),
    Column("organization_id", _ID, nullable=False),
    Column("integration_slug", Text, nullable=False),
    Column("oauth_client_id", _ID, ForeignKey("oauth_clients.id", ondelete="CASCADE")),
    Column("status", Text, nullable=False),
    Column("ticket_hash", LargeBinary),
    Column("state_hash", LargeBinary),
    Column("browser_hash", LargeBinary),
    Column("issuer", Text),
    Column("details", _DOCUMENT, nullable=False),
    Column("sealed", LargeBinary),
    Column("key_id", Text, ForeignKey("key_ring.key_id")),
    Column("version", Integer, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    Index("ix_consents_session_id", "session_id"),
    Index("ix_consents_oauth_client_id", "oauth_client_id"),
    Index("ix_consents_ticket_hash", "ticket_hash", unique=True),
    Index("ix_consents_state_hash", "state_hash", unique=True),
    Index("ix_consents_key_id_id", "key_id", "id"),
    Index("ix_consents_expires_at", "expires_at"),
)

Table(
    "revocations",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("organization_id", _ID, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    Column("connection_id", _ID),
    Column("integration_slug", Text, nullable=False),
    Column("oauth_client_id", _ID, ForeignKey("oauth_clients.id", ondelete="CASCADE")),
    Column("params", _DOCUMENT, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("key_id", Text, ForeignKey("key_ring.key_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", _TIME, nullable=False),
    Column("give_up_at", _TIME, nullable=False),
    Column("audience", Text),
    Column("kept_with", _ID),
    Column("account_id", Text),
    Index("ix_revocations_key_id_id", "key_id", "id"),
    Index("ix_revocations_due_at", "due_at"),
    Index("ix_revocations_oauth_client_id", "oauth_client_id"),
    Index("ix_revocations_organization_id", "organization_id"),
    Index("ix_revocations_give_up_at", "give_up_at"),
    _partial_index("ix_revocations_kept_with", "kept_with", "id", where="kept_with IS NOT NULL"),
)

Table(
    "idempotency_keys",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("organization_id", _ID, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    Column("api_key_id", _ID, nullable=False),
    Column("key_hash", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("key_id", Text, ForeignKey("key_ring.key_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("leased_until", _TIME),
    Index(
        "ix_idempotency_keys_organization_id_api_key_id_key_hash",
        "organization_id",
        "api_key_id",
        "key_hash",
        unique=True,
    ),
    Index("ix_idempotency_keys_key_id_id", "key_id", "id"),
)

Table(
    "requests",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("organization_id", _ID, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    Column("at", _TIME, nullable=False),
    Column("end_user_id", Text),
    Column("connection_id", _ID, nullable=False),
    Column("integration_slug", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("error", Text),
    Column("attempts", Integer, nullable=False),
    Column("request_bytes", BigInteger, nullable=False),
    Column("response_bytes", BigInteger, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("upstream_ms", Integer),
    Column("api_key_id", _ID),
    Column("request_id", _ID),
    Column("end_user_token_id", _ID),
    Column("run_id", _ID),
    Column("member_id", _ID),
    Index("ix_requests_organization_id_id", "organization_id", "id"),
    Index("ix_requests_organization_id_end_user_id_id", "organization_id", "end_user_id", "id"),
    Index("ix_requests_organization_id_connection_id_id", "organization_id", "connection_id", "id"),
    _partial_index(
        "ix_requests_organization_id_request_id", "organization_id", "request_id", where="request_id IS NOT NULL"
    ),
)

Table(
    "events",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("organization_id", _ID, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    Column("type", Text, nullable=False),
    Column("occurred_at", _TIME, nullable=False),
    Column("actor_type", Text, nullable=False),
    Column("actor_id", Text),
    Column("address", Text),
    Column("end_user_id", Text),
    Column("connection_id", _ID),
    Column("data", _DOCUMENT, nullable=False),
    Column("request_id", _ID),
    Column("position", BigInteger),
    Index("ix_events_organization_id_id", "organization_id", "id"),
    _partial_index("ix_events_end_user", "organization_id", "end_user_id", "id", where="end_user_id IS NOT NULL"),
    _partial_index("ix_events_connection", "organization_id", "connection_id", "id", where="connection_id IS NOT NULL"),
    _partial_index("ix_events_unpositioned", "organization_id", "id", where="position IS NULL"),
    _partial_index("ix_events_organization_id_position", "organization_id", "position", where="position IS NOT NULL"),
    _partial_index(
        "ix_events_organization_id_request_id", "organization_id", "request_id", where="request_id IS NOT NULL"
    ),
)

Table(
    "webhook_endpoints",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("organization_id", _ID, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("url", Text),
    Column("description", Text, nullable=False),
    Column("include", _DOCUMENT, nullable=False),
    Column("status", Text, nullable=False),
    Column("disabled_reason", Text),
    Column("lane", Integer, nullable=False),
    Column("failing_since", _TIME),
    Column("failed_attempts", Integer, nullable=False),
    Column("succeeded_at", _TIME),
    Column("expires_at", _TIME),
    Column("created_at", _TIME, nullable=False),
    Column("updated_at", _TIME, nullable=False),
    Index("ix_webhook_endpoints_organization_id_id", "organization_id", "id"),
)

Table(
    "webhook_subscriptions",
    _metadata,
    Column("endpoint_id", _ID, ForeignKey("webhook_endpoints.id", ondelete="CASCADE"), primary_key=True),
    Column("event_type", Text, primary_key=True),
    Column("organization_id", _ID, nullable=False),
    Index("ix_webhook_subscriptions_event", "organization_id", "event_type", "endpoint_id"),
)

Table(
    "webhook_secrets",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("endpoint_id", _ID, ForeignKey("webhook_endpoints.id", ondelete="CASCADE"), nullable=False),
    Column("organization_id", _ID, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("key_id", Text, ForeignKey("key_ring.key_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("expires_at", _TIME),
    Index("ix_webhook_secrets_endpoint_id", "endpoint_id"),
    Index("ix_webhook_secrets_key_id_id", "key_id", "id"),
)

Table(
    "webhook_deliveries",
    _metadata,
    Column("event_id", _ID, ForeignKey("events.id", ondelete="CASCADE"), primary_key=True),
    Column("endpoint_id", _ID, ForeignKey("webhook_endpoints.id", ondelete="CASCADE"), primary_key=True),
    Column("organization_id", _ID, nullable=False),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("due_at", _TIME),
    Column("lane", Integer, nullable=False),
    Column("response_status", Integer),
    Column("error", Text),
    Column("settled_at", _TIME),
    Column("end_user_id", Text),
    _partial_index("ix_webhook_deliveries_due", "lane", "endpoint_id", "due_at", where="due_at IS NOT NULL"),
    _partial_index("ix_webhook_deliveries_pending", "endpoint_id", "event_id", where="due_at IS NOT NULL"),
    Index("ix_webhook_deliveries_endpoint", "organization_id", "endpoint_id", "event_id"),
)

Table(
    "webhook_attempts",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("organization_id", _ID, nullable=False),
    Column("event_id", _ID, nullable=False),
    Column("endpoint_id", _ID, nullable=False),
    Column("attempted_at", _TIME, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("response_status", Integer),
    Column("error", Text),
    Column("excerpt", Text),
    ForeignKeyConstraint(
        ["event_id", "endpoint_id"],
        ["webhook_deliveries.event_id", "webhook_deliveries.endpoint_id"],
        ondelete="CASCADE",
    ),
    Index("ix_webhook_attempts_delivery", "event_id", "endpoint_id", "id"),
)

Table(
    "end_user_tokens",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("organization_id", _ID, nullable=False),
    Column("end_user_id", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("name", Text),
    Column("prefix", Text, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("policy", _DOCUMENT, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    Column("last_used_at", _TIME),
    Column("revoked_at", _TIME),
    Column("client_id", Text),
    Column("refresh_family_hash", LargeBinary),
    Column("refresh_token_hash", LargeBinary),
    Column("refresh_expires_at", _TIME),
    _of_end_user(),
    Index("ix_end_user_tokens_secret_hash", "secret_hash", unique=True),
    Index("ix_end_user_tokens_refresh_family_hash", "refresh_family_hash"),
    Index("ix_end_user_tokens_organization_id_id", "organization_id", "id"),
    Index("ix_end_user_tokens_end_user", "organization_id", "end_user_id", "id"),
    Index("ix_end_user_tokens_expires_at", "expires_at"),
)

Table(
    "connect_requests",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("organization_id", _ID, nullable=False),
    Column("end_user_id", Text, nullable=False),
    Column("integration_slug", Text, nullable=False),
    Column("end_user_token_id", _ID),
    Column("created_at", _TIME, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    Column("declined_at", _TIME),
    _of_end_user(),
    Index("ix_connect_requests_organization_id_id", "organization_id", "id"),
    Index("ix_connect_requests_end_user", "organization_id", "end_user_id", "integration_slug", "id"),
    Index("ix_connect_requests_expires_at", "expires_at"),
)

Table(
    "agent_runs",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("organization_id", _ID, nullable=False),
    Column("end_user_id", Text, nullable=False),
    Column("end_user_token_id", _ID),
    Column("status", Text, nullable=False),
    Column("waiting_for", _DOCUMENT, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("key_id", Text, ForeignKey("key_ring.key_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("due_at", _TIME, nullable=False),
    _of_end_user(),
    Index("ix_agent_runs_end_user", "organization_id", "end_user_id", "id"),
    Index("ix_agent_runs_key_id_id", "key_id", "id"),
    Index("ix_agent_runs_due_at", "due_at"),
)

Table(
    "agent_authorizations",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("organization_id", _ID, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    Column("client_id", Text, nullable=False),
    Column("client_name", Text),
    Column("redirect_uri", Text, nullable=False),
    Column("code_challenge", Text, nullable=False),
    Column("state", Text),
    Column("access", Text, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    Column("declined_at", _TIME),
    Column("approved_at", _TIME),
    Column("end_user_id", Text),
    Column("policy", _DOCUMENT),
    Column("code_hash", LargeBinary),
    Column("code_expires_at", _TIME),
    Column("end_user_token_id", _ID),
    _of_end_user(),
    Index("ix_agent_authorizations_code_hash", "code_hash", unique=True),
    Index("ix_agent_authorizations_end_user", "organization_id", "end_user_id", "id"),
    Index("ix_agent_authorizations_expires_at", "expires_at"),
)

Table(
    "approval_requests",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("organization_id", _ID, nullable=False),
    Column("end_user_id", Text, nullable=False),
    Column("end_user_token_id", _ID),
    Column("integration_slug", Text, nullable=False),
    Column("connection_id", _ID, nullable=False),
    Column("method", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("call_hash", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("key_id", Text, ForeignKey("key_ring.key_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("page_hash", LargeBinary),
    Column("return_url", Text),
    Column("answer", Text),
    Column("answered_at", _TIME),
    Column("approved_until", _TIME),
    Column("used_at", _TIME),
    Column("created_at", _TIME, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    _of_end_user(),
    Index("ix_approval_requests_organization_id_id", "organization_id", "id"),
    Index("ix_approval_requests_end_user", "organization_id", "end_user_id", "integration_slug", "id"),
    Index("ix_approval_requests_key_id_id", "key_id", "id"),
    Index("ix_approval_requests_page_hash", "page_hash", unique=True),
    Index("ix_approval_requests_expires_at", "expires_at"),
)

Table(
    "members",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("email", Text, nullable=False),
    Column("name", Text),
    Column("created_at", _TIME, nullable=False),
    Index("ix_members_email", "email", unique=True),
)

Table(
    "memberships",
    _metadata,
    Column("organization_id", _ID, ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True),
    _of_member(primary_key=True),
    Column("role", Text, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Index("ix_memberships_member_id", "member_id"),
)

Table(
    "invitations",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("organization_id", _ID, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    Column("email", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    Column("invited_by", _ID),
    Column("created_at", _TIME, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    Column("used_at", _TIME),
    Index("ix_invitations_organization_id_id", "organization_id", "id"),
    Index("ix_invitations_token_hash", "token_hash", unique=True),
    Index("ix_invitations_expires_at", "expires_at"),
)

Table(
    "passwords",
    _metadata,
    _of_member(primary_key=True),
    Column("phc", Text, nullable=False),
    Column("changed_at", _TIME, nullable=False),
)

Table(
    "totp_secrets",
    _metadata,
    _of_member(primary_key=True),
    Column("organization_id", _ID, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("key_id", Text, ForeignKey("key_ring.key_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("last_step", BigInteger, nullable=False),
    Index("ix_totp_secrets_key_id_member_id", "key_id", "member_id"),
)

Table(
    "passkeys",
    _metadata,
    Column("id", _ID, primary_key=True),
    _of_member(),
    Column("credential_id", LargeBinary, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("transports", _DOCUMENT, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("last_used_at", _TIME),
    Index("ix_passkeys_credential_id", "credential_id", unique=True),
    Index("ix_passkeys_member_id", "member_id"),
)

Table(
    "identities",
    _metadata,
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    _of_member(),
    Column("created_at", _TIME, nullable=False),
    Index("ix_identities_member_id", "member_id"),
)

Table(
    "dashboard_sessions",
    _metadata,
    Column("id", _ID, primary_key=True),
    _of_member(),
    Column("token_hash", LargeBinary, nullable=False),
    Column("method", Text, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("seen_at", _TIME, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    Column("authenticated_at", _TIME, nullable=False),
    Column("address", Text),
    Column("user_agent", Text),
    Index("ix_dashboard_sessions_token_hash", "token_hash", unique=True),
    Index("ix_dashboard_sessions_member_id", "member_id"),
    Index("ix_dashboard_sessions_expires_at", "expires_at"),
)

Table(
    "sign_in_steps",
    _metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("member_id", _ID, ForeignKey("members.id", ondelete="CASCADE")),
    Column("data", _DOCUMENT, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    Index("ix_sign_in_steps_member_id", "member_id"),
    Index("ix_sign_in_steps_expires_at", "expires_at"),
)

Table(
    "sign_in_attempts",
    _metadata,
    Column("id", _ID, primary_key=True),
    Column("bucket_hash", LargeBinary, nullable=False),
    Index("ix_sign_in_attempts_bucket_hash_id", "bucket_hash", "id"),
)

Table(
    "usage_hours",
    _metadata,
    Column("organization_id", _ID, ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True),
    Column("hour", _TIME, primary_key=True),
    Column("integration_slug", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("duration_ms_sum", BigInteger, nullable=False),
    Column("duration_ms_max", BigInteger, nullable=False),
    Column("request_bytes", BigInteger, nullable=False),
    Column("response_bytes", BigInteger, nullable=False),
)
