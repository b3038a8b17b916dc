"""Define the tables of the dashboard: members, their sign-in methods and sessions, and hourly usage.

A member belongs to the installation, and can have a role in several organizations.
"""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text

from one_runtime.db.schema import DOCUMENT, ID, TIME, metadata


def _of_member(*, primary_key: bool = False) -> Column[str]:
    return Column(
        "member_id", ID, ForeignKey("members.id", ondelete="CASCADE"), nullable=False, primary_key=primary_key
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
