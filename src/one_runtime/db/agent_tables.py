"""Define the tables of agents. `schema` and `webhook_tables` define all other tables."""

from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Index, Integer, LargeBinary, Table, Text

from one_runtime.db.schema import DOCUMENT, ID, TIME, metadata


def _of_end_user() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["organization_id", "end_user_id"],
        ["end_users.organization_id", "end_users.end_user_id"],
        ondelete="CASCADE",
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
