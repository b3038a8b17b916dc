"""Add the tables of the dashboard, and the columns for branding and for the creator of an API key.

The previous version of One Runtime does not use them.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
DOCUMENT = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def _of_member(*, primary_key: bool = False) -> sa.Column[str]:
    key = sa.ForeignKey("members.id", ondelete="CASCADE")
    return sa.Column("member_id", ID, key, nullable=False, primary_key=primary_key)


def upgrade() -> None:
    _add_members()
    _add_sign_in_methods()
    _add_sessions()
    _add_usage()
    op.add_column("organizations", sa.Column("branding", DOCUMENT))
    op.add_column("api_keys", sa.Column("created_by", ID))
    needs_reauth = sa.text("status = 'needs_reauth'")
    op.create_index(
        "ix_connections_needs_reauth",
        "connections",
        ["organization_id", "id"],
        sqlite_where=needs_reauth,
        postgresql_where=needs_reauth,
    )


def _add_members() -> None:
    op.create_table(
        "members",
        sa.Column("id", ID, primary_key=True),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_index("ix_members_email", "members", ["email"], unique=True)
    op.create_table(
        "memberships",
        sa.Column("organization_id", ID, sa.ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True),
        _of_member(primary_key=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_index("ix_memberships_member_id", "memberships", ["member_id"])
    op.create_table(
        "invitations",
        sa.Column("id", ID, primary_key=True),
        sa.Column("organization_id", ID, sa.ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("invited_by", ID),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("used_at", TIME),
    )
    op.create_index("ix_invitations_organization_id_id", "invitations", ["organization_id", "id"])
    op.create_index("ix_invitations_token_hash", "invitations", ["token_hash"], unique=True)
    op.create_index("ix_invitations_expires_at", "invitations", ["expires_at"])


def _add_sign_in_methods() -> None:
    op.create_table(
        "passwords",
        _of_member(primary_key=True),
        sa.Column("phc", sa.Text(), nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
    )
    op.create_table(
        "passkeys",
        sa.Column("id", ID, primary_key=True),
        _of_member(),
        sa.Column("credential_id", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("transports", DOCUMENT, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("last_used_at", TIME),
    )
    op.create_index("ix_passkeys_credential_id", "passkeys", ["credential_id"], unique=True)
    op.create_index("ix_passkeys_member_id", "passkeys", ["member_id"])
    op.create_table(
        "identities",
        sa.Column("issuer", sa.Text(), primary_key=True),
        sa.Column("subject", sa.Text(), primary_key=True),
        _of_member(),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_index("ix_identities_member_id", "identities", ["member_id"])


def _add_sessions() -> None:
    op.create_table(
        "dashboard_sessions",
        sa.Column("id", ID, primary_key=True),
        _of_member(),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("authenticated_at", TIME, nullable=False),
        sa.Column("address", sa.Text()),
        sa.Column("user_agent", sa.Text()),
    )
    op.create_index("ix_dashboard_sessions_token_hash", "dashboard_sessions", ["token_hash"], unique=True)
    op.create_index("ix_dashboard_sessions_member_id", "dashboard_sessions", ["member_id"])
    op.create_index("ix_dashboard_sessions_expires_at", "dashboard_sessions", ["expires_at"])
    op.create_table(
        "sign_in_steps",
        sa.Column("token_hash", sa.LargeBinary(), primary_key=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("member_id", ID, sa.ForeignKey("members.id", ondelete="CASCADE")),
        sa.Column("data", DOCUMENT, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
    )
    op.create_index("ix_sign_in_steps_member_id", "sign_in_steps", ["member_id"])
    op.create_index("ix_sign_in_steps_expires_at", "sign_in_steps", ["expires_at"])
    op.create_table(
        "sign_in_attempts",
        sa.Column("id", ID, primary_key=True),
        sa.Column("bucket_hash", sa.LargeBinary(), nullable=False),
    )
    op.create_index("ix_sign_in_attempts_bucket_hash_id", "sign_in_attempts", ["bucket_hash", "id"])


def _add_usage() -> None:
    op.create_table(
        "usage_hours",
        sa.Column("organization_id", ID, sa.ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("hour", TIME, primary_key=True),
        sa.Column("integration_slug", sa.Text(), primary_key=True),
        sa.Column("source", sa.Text(), primary_key=True),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms_sum", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms_max", sa.BigInteger(), nullable=False),
        sa.Column("request_bytes", sa.BigInteger(), nullable=False),
        sa.Column("response_bytes", sa.BigInteger(), nullable=False),
    )
