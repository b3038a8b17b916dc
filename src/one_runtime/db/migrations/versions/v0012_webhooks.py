"""Add the tables of webhooks: endpoints, subscriptions, secrets, deliveries and attempts.

The previous version of One Runtime does not write these tables. While servers of both versions run, webhooks do not
deliver the events that the previous version writes. `POST /v1/webhook-endpoints/{id}/replay` delivers these events.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0012"
down_revision = "0011"

ID = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
DOCUMENT = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
PENDING = sa.text("due_at IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", ID, primary_key=True),
        sa.Column("organization_id", ID, sa.ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("url", sa.Text()),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("include", DOCUMENT, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("disabled_reason", sa.Text()),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("failing_since", TIME),
        sa.Column("failed_attempts", sa.Integer(), nullable=False),
        sa.Column("succeeded_at", TIME),
        sa.Column("expires_at", TIME),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
    )
    op.create_index("ix_webhook_endpoints_organization_id_id", "webhook_endpoints", ["organization_id", "id"])
    op.create_table(
        "webhook_subscriptions",
        _endpoint(primary_key=True),
        sa.Column("event_type", sa.Text(), primary_key=True),
        sa.Column("organization_id", ID, nullable=False),
    )
    op.create_index(
        "ix_webhook_subscriptions_event", "webhook_subscriptions", ["organization_id", "event_type", "endpoint_id"]
    )
    op.create_table(
        "webhook_secrets",
        sa.Column("id", ID, primary_key=True),
        _endpoint(nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("key_id", sa.Text(), sa.ForeignKey("key_ring.key_id"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME),
    )
    op.create_index("ix_webhook_secrets_endpoint_id", "webhook_secrets", ["endpoint_id"])
    op.create_index("ix_webhook_secrets_key_id_id", "webhook_secrets", ["key_id", "id"])
    _create_deliveries()


def _create_deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("event_id", ID, sa.ForeignKey("events.id", ondelete="CASCADE"), primary_key=True),
        _endpoint(primary_key=True),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("due_at", TIME),
        sa.Column("lane", sa.Integer(), nullable=False),
        sa.Column("response_status", sa.Integer()),
        sa.Column("error", sa.Text()),
        sa.Column("settled_at", TIME),
        sa.Column("end_user_id", sa.Text()),
    )
    for name, columns in (("due", ["lane", "endpoint_id", "due_at"]), ("pending", ["endpoint_id", "event_id"])):
        op.create_index(
            f"ix_webhook_deliveries_{name}",
            "webhook_deliveries",
            columns,
            postgresql_where=PENDING,
            sqlite_where=PENDING,
        )
    op.create_index(
        "ix_webhook_deliveries_endpoint", "webhook_deliveries", ["organization_id", "endpoint_id", "event_id"]
    )
    op.create_table(
        "webhook_attempts",
        sa.Column("id", ID, primary_key=True),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("event_id", ID, nullable=False),
        sa.Column("endpoint_id", ID, nullable=False),
        sa.Column("attempted_at", TIME, nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("response_status", sa.Integer()),
        sa.Column("error", sa.Text()),
        sa.Column("excerpt", sa.Text()),
        sa.ForeignKeyConstraint(
            ["event_id", "endpoint_id"],
            ["webhook_deliveries.event_id", "webhook_deliveries.endpoint_id"],
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_webhook_attempts_delivery", "webhook_attempts", ["event_id", "endpoint_id", "id"])


def _endpoint(*, primary_key: bool = False, nullable: bool = True) -> "sa.Column[str]":
    key = sa.ForeignKey("webhook_endpoints.id", ondelete="CASCADE")
    return sa.Column("endpoint_id", ID, key, primary_key=primary_key, nullable=nullable and not primary_key)
