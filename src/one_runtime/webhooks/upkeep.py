"""Keep the tables of webhooks small: disable endpoints that no program reads, and delete what is over."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import Select, bindparam, delete, exists, func, or_, select

from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import lowest_id
from one_runtime.db.webhook_tables import webhook_deliveries, webhook_endpoints, webhook_secrets
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


class _WaitingRows(NamedTuple):
    oldest: str | None
    rows: int


_IS_HELD: Final = or_(webhook_endpoints.c.kind == "pull", webhook_endpoints.c.status == "paused")
_HELD: Final = select(webhook_endpoints).where(
    or_(webhook_endpoints.c.status == "active", webhook_endpoints.c.status == "paused"), _IS_HELD
)
_PENDING_OF: Final = (
    webhook_deliveries.c.endpoint_id == bindparam("endpoint"),
    webhook_deliveries.c.due_at.is_not(None),
)
_OLDEST: Final = select(webhook_deliveries.c.event_id).where(*_PENDING_OF).order_by(webhook_deliveries.c.event_id)
_WAITING: Final = select(_OLDEST.limit(1).scalar_subquery().label("oldest"), func.count().label("rows")).where(
    *_PENDING_OF
)
_HAS_PENDING: Final = exists().where(
    webhook_deliveries.c.endpoint_id == webhook_endpoints.c.id, webhook_deliveries.c.due_at.is_not(None)
)
_OVER: Final = select(webhook_endpoints.c.id).where(
    or_(webhook_endpoints.c.status == "disabled", webhook_endpoints.c.status == "deleted"), _HAS_PENDING
)
_WITHOUT_SECRET: Final = select(webhook_endpoints).where(
    webhook_endpoints.c.status == "active",
    webhook_endpoints.c.kind == "push",
    ~exists().where(webhook_secrets.c.endpoint_id == webhook_endpoints.c.id),
)
_SECRET: Final = select(webhook_secrets.c.id).where(webhook_secrets.c.endpoint_id == bindparam("endpoint")).limit(1)
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


_Condition: TypeAlias = Callable[[Transaction, WebhookEndpoint, datetime], Awaitable[bool]]


async def run(installation: Installation) -> int:
    """Do the upkeep of all organizations. Return the number of changed rows. The worker repeats this every minute."""
    database, now = installation.database, installation.clock()
    changed = await _disable(installation, _HELD, "overflow", _overflows)
    changed += await _disable(installation, _WITHOUT_SECRET, "secret_lost", _has_no_secret)
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


async def _disable(
    installation: Installation, suspected: Select[Any], reason: DisabledReason, is_true: _Condition
) -> int:
    """Disable the suspected endpoints for which a condition is true, each in its own transaction."""
    database, now, disabled = installation.database, installation.clock(), 0
    async with database.read() as tx:
        found = [each for each in await tx.all(suspected, WebhookEndpoint) if await is_true(tx, each, now)]
    for each in found:
        async with database.write() as tx:
            present = await endpoints.get(tx, each.organization_id, each.id, lock=True)
            if present.status == each.status and await is_true(tx, present, now):
                await endpoints.disable(tx, present, reason, now)
                disabled += 1
    return disabled


async def _overflows(tx: Transaction, endpoint: WebhookEndpoint, now: datetime) -> bool:
    waiting = await tx.one(_WAITING, _WaitingRows, endpoint=endpoint.id)
    if waiting is None or waiting.oldest is None:
        return False
    return waiting.rows > MAX_WAITING or waiting.oldest < lowest_id(now - MAX_AGE)


async def _has_no_secret(tx: Transaction, endpoint: WebhookEndpoint, _: datetime) -> bool:
    return await tx.one(_SECRET, endpoint=endpoint.id) is None
