"""Define all tables. The migrations create them, and a test compares the result with these definitions.

The order is: the installation, organizations with their connections and events, webhooks, agents, and the dashboard. A
member of the dashboard belongs to the installation, and can have a role in several organizations.

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
    false,
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


def _of_end_user() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["organization_id", "end_user_id"],
        ["end_users.organization_id", "end_users.end_user_id"],
        ondelete="CASCADE",
    )


def _of_member(*, primary_key: bool = False) -> Column[str]:
    return Column(
        "member_id", ID, ForeignKey("members.id", ondelete="CASCADE"), nullable=False, primary_key=primary_key
    )


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
    Column("several_connections", Text, nullable=False, server_default="refuse"),  # refuse | use_default
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
    Column("is_default", Boolean, nullable=False, server_default=false()),
    _of_end_user(),
    # Contains all columns that the list of integrations reads.
    Index("ix_connections_end_user", "organization_id", "end_user_id", "integration_slug", "status"),
    Index("ix_connections_organization_id_id", "organization_id", "id"),
    Index("ix_connections_integration", "organization_id", "integration_slug", "id"),
    partial_index("ix_connections_needs_reauth", "organization_id", "id", where="status = 'needs_reauth'"),
    partial_index("ix_connections_error", "organization_id", "id", where="error IS NOT NULL"),
    partial_index(
        "ix_connections_default",
        "organization_id",
        "end_user_id",
        "integration_slug",
        unique=True,
        where="is_default",
    ),
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
    Column("locale", Text),
    _of_end_user(),
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

# URLs of an organization that receive events (kind `push`), and lists of events that the organization's own programs
# fetch (kind `pull`).
webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", ID, primary_key=True),
    Column("organization_id", ID, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),  # push | pull
    Column("url", Text),  # null for the kind `pull`
    Column("description", Text, nullable=False),
    Column("include", DOCUMENT, nullable=False),  # [] or ["connection"]
    Column("status", Text, nullable=False),  # active | paused | disabled | deleted
    Column("disabled_reason", Text),  # gone | failing | overflow
    Column("lane", Integer, nullable=False),  # lane of its new deliveries (`webhooks/lanes.py`)
    Column("failing_since", TIME),  # first failed attempt since the last success
    Column("failed_attempts", Integer, nullable=False),  # failed attempts since then
    Column("succeeded_at", TIME),  # last success, at most a minute too early
    Column("expires_at", TIME),  # time at which the worker deletes the endpoint of a command, or null
    Column("created_at", TIME, nullable=False),
    Column("updated_at", TIME, nullable=False),
    Index("ix_webhook_endpoints_organization_id_id", "organization_id", "id"),
)

# The event types that an endpoint receives. The type `*` stands for all types.
webhook_subscriptions = Table(
    "webhook_subscriptions",
    metadata,
    Column("endpoint_id", ID, ForeignKey("webhook_endpoints.id", ondelete="CASCADE"), primary_key=True),
    Column("event_type", Text, primary_key=True),
    Column("organization_id", ID, nullable=False),
    Index("ix_webhook_subscriptions_event", "organization_id", "event_type", "endpoint_id"),
)

webhook_secrets = Table(
    "webhook_secrets",
    metadata,
    Column("id", ID, primary_key=True),
    Column("endpoint_id", ID, ForeignKey("webhook_endpoints.id", ondelete="CASCADE"), nullable=False),
    Column("organization_id", ID, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("key_id", Text, ForeignKey("key_ring.key_id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("expires_at", TIME),  # end of the overlap after a rotation. Null: the newest secret
    Index("ix_webhook_secrets_endpoint_id", "endpoint_id"),
    Index("ix_webhook_secrets_key_id_id", "key_id", "id"),
)

# One row for each event and each endpoint that receives the event. A queue (`jobs/queue.py`).
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("event_id", ID, ForeignKey("events.id", ondelete="CASCADE"), primary_key=True),
    Column("endpoint_id", ID, ForeignKey("webhook_endpoints.id", ondelete="CASCADE"), primary_key=True),
    Column("organization_id", ID, nullable=False),
    Column("status", Text, nullable=False),  # pending | delivered | failed | cancelled
    Column("attempts", Integer, nullable=False),  # number of claims, the fencing token of the queue
    Column("failures", Integer, nullable=False),  # failed attempts since the delivery was queued or queued again
    Column("due_at", TIME),  # null unless the status is `pending`
    Column("lane", Integer, nullable=False),
    Column("response_status", Integer),  # HTTP status of the last response
    Column("error", Text),  # code of the last failure
    Column("settled_at", TIME),  # time at which the status became another than `pending`
    # Identifier of a deleted end user for the event `end_user.deleted`. Null after the delivery, and for other events.
    Column("end_user_id", Text),
    partial_index("ix_webhook_deliveries_due", "lane", "endpoint_id", "due_at", where="due_at IS NOT NULL"),
    partial_index("ix_webhook_deliveries_pending", "endpoint_id", "event_id", where="due_at IS NOT NULL"),
    Index("ix_webhook_deliveries_endpoint", "organization_id", "endpoint_id", "event_id"),
)

webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    Column("id", ID, primary_key=True),
    Column("organization_id", ID, nullable=False),
    Column("event_id", ID, nullable=False),
    Column("endpoint_id", ID, nullable=False),
    Column("attempted_at", TIME, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("response_status", Integer),
    Column("error", Text),
    Column("excerpt", Text),  # beginning of the response body, without secrets
    ForeignKeyConstraint(
        ["event_id", "endpoint_id"],
        ["webhook_deliveries.event_id", "webhook_deliveries.endpoint_id"],
        ondelete="CASCADE",
    ),
    Index("ix_webhook_attempts_delivery", "event_id", "endpoint_id", "id"),
)

# Tokens with which an agent acts for one end user.
end_user_tokens = Table(
    "end_user_tokens",
    metadata,
    Column("id", ID, primary_key=True),
    Column("organization_id", ID, nullable=False),
    Column("end_user_id", Text, nullable=False),
    Column("audience", Text, nullable=False),  # agent
    Column("name", Text),
    Column("prefix", Text, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("policy", DOCUMENT, nullable=False),  # `tenancy/agent_policy.py`
    Column("created_at", TIME, nullable=False),
    Column("expires_at", TIME, nullable=False),
    Column("last_used_at", TIME),  # `tenancy/key_uses.py` writes this time at most every ten minutes
    Column("revoked_at", TIME),
    # An OAuth client renews its token with a refresh token. Other tokens have null in these columns.
    Column("client_id", Text),
    Column("refresh_family_hash", LargeBinary),  # part of all refresh tokens of this row
    Column("refresh_token_hash", LargeBinary),  # part of the newest refresh token only
    Column("refresh_expires_at", TIME),
    _of_end_user(),
    Index("ix_end_user_tokens_secret_hash", "secret_hash", unique=True),
    Index("ix_end_user_tokens_refresh_family_hash", "refresh_family_hash"),
    Index("ix_end_user_tokens_organization_id_id", "organization_id", "id"),
    Index("ix_end_user_tokens_end_user", "organization_id", "end_user_id", "id"),
    Index("ix_end_user_tokens_expires_at", "expires_at"),
)

# Requests of agents that an end user connects an account. A request gives no permission: the organization's backend
# creates the session for the end user who is signed in.
connect_requests = Table(
    "connect_requests",
    metadata,
    Column("id", ID, primary_key=True),
    Column("organization_id", ID, nullable=False),
    Column("end_user_id", Text, nullable=False),
    Column("integration_slug", Text, nullable=False),
    Column("end_user_token_id", ID),  # token of the agent. Null: the agent used an API key
    Column("created_at", TIME, nullable=False),
    Column("expires_at", TIME, nullable=False),
    Column("declined_at", TIME),
    _of_end_user(),
    Index("ix_connect_requests_organization_id_id", "organization_id", "id"),
    Index("ix_connect_requests_end_user", "organization_id", "end_user_id", "integration_slug", "id"),
    Index("ix_connect_requests_expires_at", "expires_at"),
)

# Programs that have paused. The sealed value is the state of the program, the calls of a program that continues, or the
# answer of a program that has ended (`agents/paused_runs.py`).
agent_runs = Table(
    "agent_runs",
    metadata,
    Column("id", ID, primary_key=True),
    Column("organization_id", ID, nullable=False),
    Column("end_user_id", Text, nullable=False),
    Column("end_user_token_id", ID),  # token of the agent. Null: the agent used an API key
    Column("status", Text, nullable=False),  # waiting, running, ended
    Column("waiting_for", DOCUMENT, nullable=False),  # list of the calls that wait for the end user
    Column("sealed", LargeBinary, nullable=False),
    Column("key_id", Text, ForeignKey("key_ring.key_id"), nullable=False),
    Column("version", Integer, nullable=False),  # increases with each change, and fences the process that continues
    Column("created_at", TIME, nullable=False),
    Column("due_at", TIME, nullable=False),  # expiry; of a running program: end of the lease
    _of_end_user(),
    Index("ix_agent_runs_end_user", "organization_id", "end_user_id", "id"),
    Index("ix_agent_runs_key_id_id", "key_id", "id"),
    Index("ix_agent_runs_due_at", "due_at"),
)

# Requests of OAuth clients to act for an end user. A request gives no permission: the organization's backend approves
# the request for the end user who is signed in. `end_user_id` is null until then.
agent_authorizations = Table(
    "agent_authorizations",
    metadata,
    Column("id", ID, primary_key=True),
    Column("organization_id", ID, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    Column("client_id", Text, nullable=False),
    Column("client_name", Text),
    Column("redirect_uri", Text, nullable=False),
    Column("code_challenge", Text, nullable=False),
    Column("state", Text),  # the client's value, which the client gets back. Null after the approval
    Column("access", Text, nullable=False),  # the requested access: read | write
    Column("created_at", TIME, nullable=False),
    Column("expires_at", TIME, nullable=False),
    Column("declined_at", TIME),
    Column("approved_at", TIME),
    Column("end_user_id", Text),
    Column("policy", DOCUMENT),  # `tenancy/agent_policy.py`
    Column("code_hash", LargeBinary),
    Column("code_expires_at", TIME),
    Column("end_user_token_id", ID),  # the token that the client received for the code
    _of_end_user(),
    Index("ix_agent_authorizations_code_hash", "code_hash", unique=True),
    Index("ix_agent_authorizations_end_user", "organization_id", "end_user_id", "id"),
    Index("ix_agent_authorizations_expires_at", "expires_at"),
)

# Calls of agents that an end user has to approve. The query, the headers and the body are sealed.
approval_requests = Table(
    "approval_requests",
    metadata,
    Column("id", ID, primary_key=True),
    Column("organization_id", ID, nullable=False),
    Column("end_user_id", Text, nullable=False),
    Column("end_user_token_id", ID),  # token of the agent. Null: the agent used an API key
    Column("integration_slug", Text, nullable=False),
    Column("connection_id", ID, nullable=False),
    Column("method", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("call_hash", LargeBinary, nullable=False),  # HMAC of the whole call
    Column("sealed", LargeBinary, nullable=False),
    Column("key_id", Text, ForeignKey("key_ring.key_id"), nullable=False),
    Column("version", Integer, nullable=False),  # 1, because the sealed value never changes
    Column("page_hash", LargeBinary),  # hash of the token of the page on which the end user answers
    Column("return_url", Text),
    Column("answer", Text),  # approved, refused
    Column("answered_at", TIME),
    Column("approved_until", TIME),  # end of the approval of all calls of this connection. Null: only this call
    Column("used_at", TIME),  # time at which the approved call was sent
    Column("created_at", TIME, nullable=False),
    Column("expires_at", TIME, nullable=False),
    _of_end_user(),
    Index("ix_approval_requests_organization_id_id", "organization_id", "id"),
    Index("ix_approval_requests_end_user", "organization_id", "end_user_id", "integration_slug", "id"),
    Index("ix_approval_requests_key_id_id", "key_id", "id"),
    Index("ix_approval_requests_page_hash", "page_hash", unique=True),
    Index("ix_approval_requests_expires_at", "expires_at"),
)

# People of the organizations' teams.
members = Table(
    "members",
    metadata,
    Column("id", ID, primary_key=True),
    Column("email", Text, nullable=False),  # in lower case
    Column("name", Text),
    Column("created_at", TIME, nullable=False),
    Index("ix_members_email", "email", unique=True),
)

memberships = Table(
    "memberships",
    metadata,
    Column("organization_id", ID, ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True),
    _of_member(primary_key=True),
    Column("role", Text, nullable=False),  # owner | admin | developer | support
    Column("created_at", TIME, nullable=False),
    Index("ix_memberships_member_id", "member_id"),
)

# Invitations by e-mail address. A link with the token works once.
invitations = Table(
    "invitations",
    metadata,
    Column("id", ID, primary_key=True),
    Column("organization_id", ID, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    Column("email", Text, nullable=False),  # in lower case
    Column("role", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    Column("invited_by", ID),  # member. Null: the operator
    Column("created_at", TIME, nullable=False),
    Column("expires_at", TIME, nullable=False),
    Column("used_at", TIME),
    Index("ix_invitations_organization_id_id", "organization_id", "id"),
    Index("ix_invitations_token_hash", "token_hash", unique=True),
    Index("ix_invitations_expires_at", "expires_at"),
)

passwords = Table(
    "passwords",
    metadata,
    _of_member(primary_key=True),
    Column("phc", Text, nullable=False),  # Argon2id in the PHC string format
    Column("changed_at", TIME, nullable=False),
)

# Secrets that members share with an authenticator app (RFC 6238). A row exists after the member has entered a code.
totp_secrets = Table(
    "totp_secrets",
    metadata,
    _of_member(primary_key=True),
    Column("organization_id", ID, nullable=False),  # `organizations.INSTANCE`: members belong to the installation
    Column("sealed", LargeBinary, nullable=False),
    Column("key_id", Text, ForeignKey("key_ring.key_id"), nullable=False),
    Column("version", Integer, nullable=False),  # increases with each new secret
    Column("created_at", TIME, nullable=False),
    Column("last_step", BigInteger, nullable=False),  # the 30 seconds of the last accepted code, which works once
    Index("ix_totp_secrets_key_id_member_id", "key_id", "member_id"),
)

passkeys = Table(
    "passkeys",
    metadata,
    Column("id", ID, primary_key=True),
    _of_member(),
    Column("credential_id", LargeBinary, nullable=False),
    Column("public_key", LargeBinary, nullable=False),  # COSE_Key
    Column("sign_count", BigInteger, nullable=False),
    Column("transports", DOCUMENT, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("last_used_at", TIME),
    Index("ix_passkeys_credential_id", "credential_id", unique=True),
    Index("ix_passkeys_member_id", "member_id"),
)

# Accounts of members at an OpenID provider.
identities = Table(
    "identities",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    _of_member(),
    Column("created_at", TIME, nullable=False),
    Index("ix_identities_member_id", "member_id"),
)

dashboard_sessions = Table(
    "dashboard_sessions",
    metadata,
    Column("id", ID, primary_key=True),
    _of_member(),
    Column("token_hash", LargeBinary, nullable=False),
    Column("method", Text, nullable=False),  # link | passkey | password | oidc
    Column("created_at", TIME, nullable=False),
    Column("seen_at", TIME, nullable=False),  # written at most every five minutes
    Column("expires_at", TIME, nullable=False),
    Column("authenticated_at", TIME, nullable=False),  # last authentication of the member in this session
    Column("address", Text),
    Column("user_agent", Text),
    Index("ix_dashboard_sessions_token_hash", "token_hash", unique=True),
    Index("ix_dashboard_sessions_member_id", "member_id"),
    Index("ix_dashboard_sessions_expires_at", "expires_at"),
)

# Sign-ins and registrations of passkeys that have begun in a browser. A row works once.
sign_in_steps = Table(
    "sign_in_steps",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),  # of a cookie
    Column("kind", Text, nullable=False),  # `steps.StepKind`
    Column("member_id", ID, ForeignKey("members.id", ondelete="CASCADE")),  # null: not known yet
    Column("data", DOCUMENT, nullable=False),  # such as a challenge, without secrets
    Column("expires_at", TIME, nullable=False),
    Index("ix_sign_in_steps_member_id", "member_id"),
    Index("ix_sign_in_steps_expires_at", "expires_at"),
)

# Failed attempts to sign in, by account and by network.
sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    Column("id", ID, primary_key=True),  # a UUID version 7, which contains the time
    Column("bucket_hash", LargeBinary, nullable=False),
    Index("ix_sign_in_attempts_bucket_hash_id", "bucket_hash", "id"),
)

# Calls through the proxy, counted per hour. The rows remain after the request log has deleted its entries.
usage_hours = Table(
    "usage_hours",
    metadata,
    Column("organization_id", ID, ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True),
    Column("hour", TIME, primary_key=True),  # start of the hour
    Column("integration_slug", Text, primary_key=True),  # `*`: total of all integrations
    Column("source", Text, primary_key=True),  # proxy | agent. Of a total: hour | day
    Column("calls", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),  # `usage.is_failure`
    Column("duration_ms_sum", BigInteger, nullable=False),
    Column("duration_ms_max", BigInteger, nullable=False),
    Column("request_bytes", BigInteger, nullable=False),
    Column("response_bytes", BigInteger, nullable=False),
)
