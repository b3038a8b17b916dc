"""Define all tables except those of webhooks (`webhook_tables`). The migrations create the tables.

A test compares the migrations with these definitions.

An index for queries that select rows of one organization begins with `organization_id`. The other indexes serve
background tasks, key rotation, foreign keys, and look-ups by a hash.
"""

from typing import Final

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
    text,
)

ID: Final = Uuid(as_uuid=False).with_variant(Text(), "sqlite")
TIME: Final = DateTime(timezone=True).with_variant(Text(), "sqlite")
DOCUMENT: Final = JSON(none_as_null=True)  # JSONB in PostgreSQL (`db/postgres`)

metadata: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """Return an index of the rows that match an SQL condition.

    SQLAlchemy has an option of each dialect for the condition, and would import both dialects for these options.
    """
    return Index(name, *columns, unique=unique, info={"where": where})


# One row. A copy of the database has the same id.
installation = Table(
    "installation",
    metadata,
    Column("id", ID, primary_key=True),
    # A version of One Runtime can serve this schema if the version contains the migration with this revision.
    Column("compatible_revision", Text, nullable=False),
    # Fingerprint of the place of the live database (`Database.location`). Null: no server has used the database yet.
    Column("live_location", Text),
    Column("live_at", TIME),  # last heartbeat of a server while the database was live
)

# The operator's audit log: events that belong to the installation, and not to an organization.
installation_events = Table(
    "installation_events",
    metadata,
    Column("id", ID, primary_key=True),
    Column("type", Text, nullable=False),
    Column("occurred_at", TIME, nullable=False),
    Column("operator", Text, nullable=False),  # name of the person who ran the command
    Column("data", DOCUMENT, nullable=False),
)

# Integrations that the operator disabled for all organizations.
disabled_integrations = Table(
    "disabled_integrations",
    metadata,
    Column("integration_slug", Text, primary_key=True),
    Column("reason", Text),
    Column("disabled_at", TIME, nullable=False),
    Column("disabled_by", Text, nullable=False),  # name of the operator
)

# Ids and times of the encryption keys. The keys themselves are not in the database.
key_ring = Table(
    "key_ring",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("created_at", TIME, nullable=False),
    Column("promoted_at", TIME),  # time of the activation. The key with the latest time is active, if not disabled
    Column("retired_at", TIME),  # time when the key was disabled
)

servers = Table(
    "servers",
    metadata,
    Column("id", ID, primary_key=True),  # one row for each server process
    Column("version", Text, nullable=False),
    Column("key_ids", DOCUMENT, nullable=False),  # ids of the encryption keys that the process has
    Column("started_at", TIME, nullable=False),
    Column("seen_at", TIME, nullable=False),
)

organizations = Table(
    "organizations",
    metadata,
    Column("id", ID, primary_key=True),
    Column("display_name", Text, nullable=False),
    Column("logo_url", Text),
    Column("privacy_url", Text),
    Column("allowed_origins", DOCUMENT, nullable=False),
    Column("return_urls", DOCUMENT, nullable=False),
    Column("integrations_mode", Text, nullable=False),  # all | listed | all_but
    Column("integrations_slugs", DOCUMENT, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("updated_at", TIME, nullable=False),
    Column("custom_revision", ID),  # a new id after each change of a custom integration
    Column("webhooks_since", TIME),  # creation of the first webhook endpoint, or null (`tenancy/event_deliveries.py`)
    Column("agents", DOCUMENT),  # {connect_url, policy} (`organizations.AgentSettings`), or null: the defaults
    Column("branding", DOCUMENT),  # appearance of the popup, or null: the defaults
)

# Custom integrations of an organization, in addition to the built-in integrations of the catalog.
custom_integrations = Table(
    "custom_integrations",
    metadata,
    Column("id", ID, primary_key=True),
    Column("organization_id", ID, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    Column("slug", Text, nullable=False),
    Column("definition", Text, nullable=False),  # JSON text, which preserves the order of the keys
    Column("logo", Text, nullable=False),
    Column("logo_hash", Text, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("updated_at", TIME, nullable=False),
    Column("moved_at", TIME, nullable=False),  # last change of the places that receive credentials (`audience`)
    Column("deleted_at", TIME),  # pending revocations still use the row of a deleted integration
    Column("operations", Text),  # JSON list of the operations of an OpenAPI document (`catalog/operation.py`), or null
    partial_index(
        "ix_custom_integrations_organization_id_slug",
        "organization_id",
        "slug",
        unique=True,
        where="deleted_at IS NULL",
    ),
    Index("ix_custom_integrations_logo_hash", "logo_hash"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", ID, primary_key=True),
    Column("organization_id", ID, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("scopes", DOCUMENT, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("revoked_at", TIME),
    Column("last_used_at", TIME),  # `tenancy/key_uses.py` writes this time at most every ten minutes
    Column("created_by", ID),  # member. Null: the operator or another API key
    Index("ix_api_keys_organization_id_id", "organization_id", "id"),
    Index("ix_api_keys_secret_hash", "secret_hash", unique=True),
)

end_users = Table(
    "end_users",
    metadata,
    Column("organization_id", ID, ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True),
    Column("end_user_id", Text, primary_key=True),
    Column("name", Text),
    Column("email", Text),
    Column("created_at", TIME, nullable=False),
    Column("updated_at", TIME, nullable=False),
    Column("metadata", DOCUMENT, nullable=False, server_default=text("'{}'")),
    partial_index("ix_end_users_organization_id_email", "organization_id", "email", where="email IS NOT NULL"),
)

connections = Table(
    "connections",
    metadata,
    Column("id", ID, primary_key=True),
    Column("organization_id", ID, nullable=False),
    Column("end_user_id", Text, nullable=False),
    Column("integration_slug", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("auth_type", Text, nullable=False),
    Column("status", Text, nullable=False),  # active | needs_reauth
    Column("error", DOCUMENT),  # {code, message, at}
    Column("account_id", Text),
    Column("account_label", Text),
    Column("params", DOCUMENT, nullable=False),
    Column("scopes", DOCUMENT, nullable=False),
    Column("missing_scopes", DOCUMENT, nullable=False),
    Column("metadata", DOCUMENT, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("updated_at", TIME, nullable=False),
    Column("last_used_at", TIME),
    Column("expires_at", TIME),
    ForeignKeyConstraint(
        ["organization_id", "end_user_id"],
        ["end_users.organization_id", "end_users.end_user_id"],
        ondelete="CASCADE",
    ),
    # Contains all columns that the list of integrations reads.
    Index("ix_connections_end_user", "organization_id", "end_user_id", "integration_slug", "status"),
    Index("ix_connections_organization_id_id", "organization_id", "id"),
    Index("ix_connections_integration", "organization_id", "integration_slug", "id"),
    partial_index("ix_connections_needs_reauth", "organization_id", "id", where="status = 'needs_reauth'"),
    partial_index("ix_connections_error", "organization_id", "id", where="error IS NOT NULL"),
)

# The operator searches all organizations for an e-mail address, with any case of letters (`connections/search.py`).
Index("ix_end_users_lower_email", func.lower(end_users.c.email))
Index("ix_end_users_lower_end_user_id", func.lower(end_users.c.end_user_id))
Index("ix_connections_lower_account_label", func.lower(connections.c.account_label))
Index("ix_connections_lower_account_id", func.lower(connections.c.account_id))

credentials = Table(
    "credentials",
    metadata,
    Column("connection_id", ID, ForeignKey("connections.id", ondelete="CASCADE"), primary_key=True),
    Column("organization_id", ID, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("key_id", Text, ForeignKey("key_ring.key_id"), nullable=False),
    Column("version", Integer, nullable=False),
    # OAuth client that requested the tokens. Null without OAuth, or if the client belongs to the end user.
    Column("oauth_client_id", ID),
    Column("refresh_due_at", TIME),  # time of the worker's next refresh of the tokens, or null
    Column("lease", ID),  # random id while a process refreshes the tokens, otherwise null
    Column("leased_until", TIME),
    Column("retry_at", TIME),  # time of the earliest retry after a temporary failure
    Column("failures", Integer, nullable=False, server_default="0"),  # consecutive temporary failures of the refresh
    # Version of the OAuth client that the provider refused in the last refresh. Null: the provider refused no client.
    Column("refused_client_version", Integer),
    # Start of the current series of refreshes that the provider answered with 4xx.
    Column("refused_since", TIME),
    # Judgement about this series: single, unclear, repeated or lasting (`Refusals`).
    Column("refusals", Text),
    # Hash of the places to which requests sent credentials at the time of storage. Null for a built-in integration.
    Column("audience", Text),
    Index("ix_credentials_key_id_connection_id", "key_id", "connection_id"),
    Index("ix_credentials_oauth_client_id", "oauth_client_id"),
    Index("ix_credentials_refresh_due_at", "refresh_due_at"),
    partial_index("ix_credentials_failing", "organization_id", "connection_id", where="failures > 0"),
)

# OAuth clients of an organization, or of the operator for all organizations (`organizations.INSTANCE`).
oauth_clients = Table(
    "oauth_clients",
    metadata,
    Column("id", ID, primary_key=True),
    Column("organization_id", ID, nullable=False),
    Column("integration_slug", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("scopes", DOCUMENT),  # null: the default scopes of the integration
    Column("hosts", DOCUMENT, nullable=False),  # hosts that may receive the secret. If empty, the integration's hosts
    Column("sealed", LargeBinary, nullable=False),
    Column("key_id", Text, ForeignKey("key_ring.key_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("updated_at", TIME, nullable=False),
    Column("retired_at", TIME),  # time when the client was replaced or deleted
    partial_index(
        "ix_oauth_clients_organization_id_integration_slug",
        "organization_id",
        "integration_slug",
        unique=True,
        where="retired_at IS NULL",
    ),
    Index("ix_oauth_clients_key_id_id", "key_id", "id"),
)

hosted_connection_sessions = Table(
    "hosted_connection_sessions",
    metadata,
    Column("id", ID, primary_key=True),
    Column("organization_id", ID, nullable=False),
    Column("end_user_id", Text, nullable=False),
    Column("integration_slug", Text),
    Column("token_hash", LargeBinary, nullable=False),
    Column("mode", Text, nullable=False),  # embed | redirect | link
    Column("status", Text, nullable=False),  # pending | unredeemed | connected | failed | cancelled
    Column("auth_type", Text),
    Column("scopes", DOCUMENT, nullable=False),
    Column("target_connection_id", ID),
    Column("multiple", Boolean, nullable=False),
    Column("suggested_connection_name", Text),
    Column("allowed_origins", DOCUMENT, nullable=False),
    Column("metadata", DOCUMENT, nullable=False),
    Column("failed_checks", Integer, nullable=False),
    Column("last_error", DOCUMENT),  # {code, message, at}
    Column("connection_id", ID),
    Column("created_at", TIME, nullable=False),
    Column("updated_at", TIME, nullable=False),
    Column("expires_at", TIME, nullable=False),
    Column("opened_at", TIME),
    Column("return_url", Text),
    Column("code_hash", LargeBinary),  # hash of the code that the return URL contains (mode `redirect`)
    ForeignKeyConstraint(
        ["organization_id", "end_user_id"],
        ["end_users.organization_id", "end_users.end_user_id"],
        ondelete="CASCADE",
    ),
    Index("ix_hosted_connection_sessions_organization_id_id", "organization_id", "id"),
    Index("ix_hosted_connection_sessions_end_user", "organization_id", "end_user_id"),
    Index("ix_hosted_connection_sessions_token_hash", "token_hash", unique=True),
    partial_index(
        "ix_hosted_connection_sessions_unopened", "organization_id", where="status = 'pending' AND opened_at IS NULL"
    ),
)

# Connections of the mode `redirect` that the organization's backend has not redeemed yet. To redeem a connection, the
# backend sends the code from the return URL. Until then, no request can use the connection.
unredeemed_connections = Table(
    "unredeemed_connections",
    metadata,
    Column("session_id", ID, ForeignKey("hosted_connection_sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("organization_id", ID, nullable=False),
    Column("details", DOCUMENT, nullable=False),  # the future connection, without secrets
    Column("sealed", LargeBinary, nullable=False),
    Column("key_id", Text, ForeignKey("key_ring.key_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("due_at", TIME, nullable=False),  # time at which the worker deletes the row
    Index("ix_unredeemed_connections_key_id_session_id", "key_id", "session_id"),
    Index("ix_unredeemed_connections_due_at", "due_at"),
)

# Attempts of end users to authorize One Runtime at an OAuth provider.
consents = Table(
    "consents",
    metadata,
    Column("id", ID, primary_key=True),
    Column("session_id", ID, ForeignKey("hosted_connection_sessions.id", ondelete="CASCADE"), nullable=False),
    Column("organization_id", ID, nullable=False),
    Column("integration_slug", Text, nullable=False),
    Column("oauth_client_id", ID, ForeignKey("oauth_clients.id", ondelete="CASCADE")),  # null: end user's own client
    Column("status", Text, nullable=False),  # prepared | left | arrived | choosing | connected | failed
    Column("ticket_hash", LargeBinary),  # hash of the one-time permission to start the authorization
    Column("state_hash", LargeBinary),  # hash of the OAuth state, from the redirect to the callback
    Column("browser_hash", LargeBinary),  # hash of the cookie that the authorization redirect sets
    Column("issuer", Text),
    Column("details", DOCUMENT, nullable=False),  # the validated request to connect, without secrets
    # Before the callback, the PKCE verifier and the end user's own client. While the end user makes a choice (status
    # `choosing`), the tokens. Otherwise null.
    Column("sealed", LargeBinary),
    Column("key_id", Text, ForeignKey("key_ring.key_id")),
    Column("version", Integer, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("expires_at", TIME, nullable=False),
    Index("ix_consents_session_id", "session_id"),
    Index("ix_consents_oauth_client_id", "oauth_client_id"),
    Index("ix_consents_ticket_hash", "ticket_hash", unique=True),
    Index("ix_consents_state_hash", "state_hash", unique=True),
    Index("ix_consents_key_id_id", "key_id", "id"),
    Index("ix_consents_expires_at", "expires_at"),
)

# Tokens that no connection uses any more. A row exists until the provider has revoked the tokens, or for one day.
revocations = Table(
    "revocations",
    metadata,
    Column("id", ID, primary_key=True),
    Column("organization_id", ID, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    Column("connection_id", ID),
    Column("integration_slug", Text, nullable=False),
    Column("oauth_client_id", ID, ForeignKey("oauth_clients.id", ondelete="CASCADE")),  # null: end user's own client
    Column("params", DOCUMENT, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("key_id", Text, ForeignKey("key_ring.key_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", TIME, nullable=False),
    Column("give_up_at", TIME, nullable=False),
    Column("audience", Text),  # same meaning as in the table `credentials`
    Column("kept_with", ID),  # the connection at whose end the tokens are revoked; null: the worker revokes them
    Column("account_id", Text),  # the account of kept tokens
    Index("ix_revocations_key_id_id", "key_id", "id"),
    Index("ix_revocations_due_at", "due_at"),
    Index("ix_revocations_oauth_client_id", "oauth_client_id"),
    Index("ix_revocations_organization_id", "organization_id"),
    Index("ix_revocations_give_up_at", "give_up_at"),
    partial_index("ix_revocations_kept_with", "kept_with", "id", where="kept_with IS NOT NULL"),
)

# Responses to requests with the header `Idempotency-Key`. An API key and an idempotency key identify a row.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("id", ID, primary_key=True),
    Column("organization_id", ID, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    Column("api_key_id", ID, nullable=False),
    Column("key_hash", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # hash of the request; after a success, also the response
    Column("key_id", Text, ForeignKey("key_ring.key_id"), nullable=False),
    Column("version", Integer, nullable=False),  # 1: the request is running. 2: the row has the response
    Column("created_at", TIME, nullable=False),
    Column("leased_until", TIME),  # end of the reservation by a running request, or null
    Index(
        "ix_idempotency_keys_organization_id_api_key_id_key_hash",
        "organization_id",
        "api_key_id",
        "key_hash",
        unique=True,
    ),
    Index("ix_idempotency_keys_key_id_id", "key_id", "id"),
)

# Calls through the proxy.
requests = Table(
    "requests",
    metadata,
    Column("id", ID, primary_key=True),
    Column("organization_id", ID, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    Column("at", TIME, nullable=False),
    Column("end_user_id", Text),
    Column("connection_id", ID, nullable=False),  # no foreign key, because the row outlives its connection
    Column("integration_slug", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("path", Text, nullable=False),  # without the query
    Column("status", Integer, nullable=False),
    Column("error", Text),  # code of One Runtime's own error, or null
    Column("attempts", Integer, nullable=False),
    Column("request_bytes", BigInteger, nullable=False),
    Column("response_bytes", BigInteger, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("upstream_ms", Integer),
    Column("api_key_id", ID),  # null: another caller, or an older version wrote the row
    Column("request_id", ID),  # id of the caller's HTTP request. Null: an older version wrote the row
    Column("end_user_token_id", ID),  # token of the agent that made the call, or null
    Column("run_id", ID),  # run of an agent's program that made the call, or null
    Column("member_id", ID),  # member who made the call in the dashboard, or null. No foreign key: the row outlives it
    Index("ix_requests_organization_id_id", "organization_id", "id"),
    Index("ix_requests_organization_id_end_user_id_id", "organization_id", "end_user_id", "id"),
    Index("ix_requests_organization_id_connection_id_id", "organization_id", "connection_id", "id"),
    partial_index(
        "ix_requests_organization_id_request_id", "organization_id", "request_id", where="request_id IS NOT NULL"
    ),
)

events = Table(
    "events",
    metadata,
    Column("id", ID, primary_key=True),
    Column("organization_id", ID, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    Column("type", Text, nullable=False),
    Column("occurred_at", TIME, nullable=False),
    Column("actor_type", Text, nullable=False),  # api_key | member | end_user | end_user_token | system
    Column("actor_id", Text),
    Column("address", Text),
    Column("end_user_id", Text),
    Column("connection_id", ID),
    Column("data", DOCUMENT, nullable=False),
    Column("request_id", ID),  # id of the HTTP request that caused the event, or null
    Column("position", BigInteger),  # place in the order of `tenancy/followed_events.py`, or null: not yet assigned
    Index("ix_events_organization_id_id", "organization_id", "id"),
    partial_index("ix_events_end_user", "organization_id", "end_user_id", "id", where="end_user_id IS NOT NULL"),
    partial_index("ix_events_connection", "organization_id", "connection_id", "id", where="connection_id IS NOT NULL"),
    partial_index("ix_events_unpositioned", "organization_id", "id", where="position IS NULL"),
    partial_index("ix_events_organization_id_position", "organization_id", "position", where="position IS NOT NULL"),
    partial_index(
        "ix_events_organization_id_request_id", "organization_id", "request_id", where="request_id IS NOT NULL"
    ),
)
