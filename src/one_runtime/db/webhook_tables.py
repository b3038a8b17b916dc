"""Define the tables of webhooks. `schema` defines all other tables."""

from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, Index, Integer, LargeBinary, Table, Text

from one_runtime.db.schema import DOCUMENT, ID, TIME, metadata, partial_index

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
