"""Keep the tables of webhooks small: disable endpoints that no program reads, and delete what is over."""

from datetime import timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import Select, bindparam, delete, exists, literal, or_, select

from one_runtime.context import Installation
from one_runtime.db.ids import lowest_id
from one_runtime.db.schema import webhook_deliveries, webhook_endpoints, webhook_secrets
from one_runtime.jobs.queue import batched_delete, batched_update, run_in_batches
from one_runtime.tenancy.event_deliveries import FIRST, HELD
from one_runtime.tenancy.events import Actor
from one_runtime.webhooks import endpoints, health, secrets
from one_runtime.webhooks.endpoints import DisabledReason, WebhookEndpoint

MAX_WAITING: Final = 100_000
"""Maximum number of deliveries that wait at a pull endpoint or at a paused endpoint."""

MAX_AGE: Final = timedelta(hours=72)
"""Maximum age of such a delivery. After this time, One Runtime disables the endpoint (reason `overflow`)."""

_GRACE: Final = timedelta(hours=1)
"""Time from the deletion of an endpoint to the deletion of its row. A running transaction can still use the row."""


_PENDING: Final = (
    webhook_deliveries.c.endpoint_id == webhook_endpoints.c.id,
    webhook_deliveries.c.due_at.is_not(None),
)
_one_too_many = select(literal(1)).where(*_PENDING).offset(bindparam("most")).limit(1)
_OVERFLOWING: Final = select(webhook_endpoints).where(
    or_(webhook_endpoints.c.kind == "pull", webhook_endpoints.c.status == "paused"),
    or_(webhook_endpoints.c.status == "active", webhook_endpoints.c.status == "paused"),
    or_(exists().where(*_PENDING, webhook_deliveries.c.event_id < bindparam("oldest")), _one_too_many.exists()),
)
_OVER: Final = select(webhook_endpoints.c.id).where(
    or_(webhook_endpoints.c.status == "disabled", webhook_endpoints.c.status == "deleted"), exists().where(*_PENDING)
)
_WITHOUT_SECRET: Final = select(webhook_endpoints).where(
    webhook_endpoints.c.status == "active",
    webhook_endpoints.c.kind == "push",
    ~exists().where(webhook_secrets.c.endpoint_id == webhook_endpoints.c.id),
)
_EXPIRED: Final = select(webhook_endpoints).where(
    webhook_endpoints.c.status != "deleted", webhook_endpoints.c.expires_at <= bindparam("now")
)
_RESUME: Final = batched_update(
    webhook_deliveries,
    {"lane": FIRST},
    webhook_deliveries.c.lane == HELD,
    webhook_deliveries.c.due_at.is_not(None),
    webhook_deliveries.c.endpoint_id.in_(
        select(webhook_endpoints.c.id).where(webhook_endpoints.c.status == "active", webhook_endpoints.c.kind == "push")
    ),
)
_deleted = select(webhook_endpoints.c.id).where(
    webhook_endpoints.c.status == "deleted", webhook_endpoints.c.updated_at <= bindparam("before")
)
_DELETE_DELIVERIES: Final = batched_delete(webhook_deliveries, webhook_deliveries.c.endpoint_id.in_(_deleted))
_DELETE_ENDPOINTS: Final = delete(webhook_endpoints).where(webhook_endpoints.c.id.in_(_deleted))


class _EndpointId(NamedTuple):
    id: str


async def run(installation: Installation) -> int:
    """Do the upkeep of all organizations. Return the number of changed rows. The worker repeats this every minute."""
    database, now = installation.database, installation.clock()
    changed = await _disable(installation, _OVERFLOWING, "overflow", oldest=lowest_id(now - MAX_AGE), most=MAX_WAITING)
    changed += await _disable(installation, _WITHOUT_SECRET, "secret_lost")
    async with database.read() as tx:
        over = await tx.all(_OVER, _EndpointId)
    for row in over:
        await health.follow(database, health.Change(row.id, disabled=True), now)
    changed += await run_in_batches(database, _RESUME)
    async with database.write() as tx:
        for endpoint in await tx.all(_EXPIRED, WebhookEndpoint, now=now):
            await endpoints.remove(tx, Actor(endpoint.organization_id, "system"), endpoint, now)
            changed += 1
        changed += await secrets.purge_expired(tx, now)
    changed += await run_in_batches(database, _DELETE_DELIVERIES, before=now - _GRACE)
    async with database.write() as tx:
        return changed + await tx.execute(_DELETE_ENDPOINTS, before=now - _GRACE)


async def _disable(installation: Installation, condition: Select[Any], reason: DisabledReason, **params: object) -> int:
    """Disable the endpoints that a statement finds, each in its own transaction. Return their number."""
    disabled = 0
    async with installation.database.read() as tx:
        found = await tx.all(condition, WebhookEndpoint, **params)
    for endpoint in found:
        async with installation.database.write() as tx:
            # Another process can have disabled the endpoint since, or a program can have fetched the events.
            locked = condition.where(webhook_endpoints.c.id == endpoint.id).with_for_update(
                key_share=True, of=webhook_endpoints
            )
            present = await tx.one(locked, WebhookEndpoint, **params)
            if present is not None:
                await endpoints.disable(tx, present, reason, installation.clock())
                disabled += 1
    return disabled
