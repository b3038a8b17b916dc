"""Queue settled deliveries of an endpoint again, and queue events that the endpoint never received."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Insert,
    Integer,
    Text,
    Update,
    bindparam,
    exists,
    func,
    literal,
    literal_column,
    select,
    update,
)

from one_runtime.clock import Clock
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.scanning import matches, within
from one_runtime.db.schema import ID, TIME, events, webhook_deliveries
from one_runtime.db.upsert import insert
from one_runtime.errors import Conflict
from one_runtime.jobs.queue import BATCH, batched_update, database_now, wake_on_commit
from one_runtime.tenancy.event_deliveries import ALL_TYPES, CANCELLED, END_CLAIM, PULL, TROUBLED
from one_runtime.webhooks import deliveries, endpoints
from one_runtime.webhooks.endpoints import WebhookEndpoint

ReplayStatus: TypeAlias = Literal["failed", "missing", "all"]

MAX_QUEUED: Final = 100_000
"""Maximum number of deliveries that one replay queues."""

MAX_COUNTED: Final = 10_000
"""Maximum number of deliveries that `count` counts exactly."""

_ENDPOINT_KEY: Final[ColumnElement[str]] = literal_column("'webhook_endpoint_id'")


class _DeliveryCount(NamedTuple):
    deliveries: int


@dataclass(frozen=True, slots=True)
class Range:
    """The events to deliver again: of these types, from `since` on, and before `until`."""

    since: datetime
    until: datetime
    types: Sequence[str]

    def has_type(self) -> list[ColumnElement[bool]]:
        """Return the condition for the type of an event. `*` needs no condition."""
        return [] if ALL_TYPES in self.types else matches(events.c.type, self.types)


async def retry(tx: Transaction, clock: Clock, endpoint: WebhookEndpoint, event_id: str) -> None:
    """Make a delivery due now, with a new schedule of attempts.

    Raises: NotFound; Conflict for an inactive endpoint, and for an event about a deleted end user.
    """
    endpoints.require_active(endpoint)
    delivery = await deliveries.get(tx, endpoint, event_id)
    if delivery.status == CANCELLED:
        raise Conflict(
            "This event is about an end user that your organization has deleted, so One Runtime does not deliver it."
        )
    mine = (webhook_deliveries.c.endpoint_id == endpoint.id, webhook_deliveries.c.event_id == event_id)
    now = await database_now(tx, clock)
    await tx.execute(update(webhook_deliveries).where(*mine).values(_queued_again(now, endpoint.lane)))
    _wake(tx, endpoint)


async def replay(installation: Installation, endpoint: WebhookEndpoint, events_: Range, status: ReplayStatus) -> int:
    """Queue deliveries again, in small steps. Return their number, at most `MAX_QUEUED`.

    `failed`: the failed deliveries. `missing`: also the events that have no delivery to this endpoint, for example
    because the endpoint was disabled. `all`: also the delivered events. A cancelled delivery stays cancelled.

    Two replays at the same time queue each delivery only once.

    Raises: Conflict for an inactive endpoint.
    """
    endpoints.require_active(endpoint)
    async with installation.database.read() as tx:
        begun = await database_now(tx, installation.clock)
    again = batched_update(
        webhook_deliveries,
        _queued_again(begun, TROUBLED if endpoint.kind == "push" else PULL),
        *_is_settled(endpoint, events_, status),
        webhook_deliveries.c.settled_at < begun,  # a delivery that this replay has sent again is settled later
    )
    queued = await _repeat(installation, endpoint, again, MAX_QUEUED)
    if status != "failed":
        queued += await _repeat(installation, endpoint, _insert_missing(endpoint, events_, begun), MAX_QUEUED - queued)
    return queued


async def count(tx: Transaction, endpoint: WebhookEndpoint, events_: Range, status: ReplayStatus) -> int:
    """Return the number of deliveries that a replay would queue now. Above `MAX_COUNTED`, the number is too low."""
    found = [select(webhook_deliveries.c.event_id).where(*_is_settled(endpoint, events_, status))]
    if status != "failed":
        found.append(select(events.c.id).where(*_is_missing(endpoint, events_)))
    numbers = [
        select(func.count()).select_from(each.limit(MAX_COUNTED + 1).subquery()).scalar_subquery() for each in found
    ]
    row = await tx.one(select(sum(numbers[1:], numbers[0]).label("deliveries")), _DeliveryCount)
    return 0 if row is None else row.deliveries


def _is_settled(endpoint: WebhookEndpoint, events_: Range, status: ReplayStatus) -> list[ColumnElement[bool]]:
    """Return the conditions for the settled deliveries that a replay queues again."""
    return [
        webhook_deliveries.c.organization_id == endpoint.organization_id,
        webhook_deliveries.c.endpoint_id == endpoint.id,
        *matches(webhook_deliveries.c.status, ["failed", "delivered"] if status == "all" else ["failed"]),
        *within(webhook_deliveries.c.event_id, events_.since, events_.until),
        *(exists().where(events.c.id == webhook_deliveries.c.event_id, of_type) for of_type in events_.has_type()),
    ]


def _is_missing(endpoint: WebhookEndpoint, events_: Range) -> list[ColumnElement[bool]]:
    """Return the conditions for the events without a delivery, except for events about the endpoint itself."""
    delivered = exists().where(
        webhook_deliveries.c.event_id == events.c.id, webhook_deliveries.c.endpoint_id == endpoint.id
    )
    about = events.c.data.op("->>", return_type=Text())(_ENDPOINT_KEY)
    return [
        events.c.organization_id == endpoint.organization_id,
        ~delivered,
        about.is_distinct_from(endpoint.id),
        *within(events.c.id, events_.since, events_.until),
        *events_.has_type(),
    ]


def _insert_missing(endpoint: WebhookEndpoint, events_: Range, now: datetime) -> Insert:
    """Build a statement that queues the missing events."""
    values = {
        "event_id": events.c.id,
        "endpoint_id": literal(endpoint.id, ID),
        "organization_id": events.c.organization_id,
        "status": literal("pending", Text),
        "attempts": literal(0, Integer),
        "failures": literal(0, Integer),
        "due_at": literal(now, TIME),
        "lane": literal(TROUBLED if endpoint.kind == "push" else PULL, Integer),
    }
    missing = select(*values.values()).where(*_is_missing(endpoint, events_))
    queued = insert(webhook_deliveries).from_select(list(values), missing.limit(bindparam("limit")))
    return queued.on_conflict_do_nothing()  # another replay can have queued the event since


async def _repeat(installation: Installation, endpoint: WebhookEndpoint, statement: Update | Insert, limit: int) -> int:
    """Run a statement, which changes at most `BATCH` rows, until no row is left. Return the number of rows."""
    changed = 0
    while changed < limit:
        async with installation.database.write() as tx:
            rows = await tx.execute(statement, limit=BATCH)
            _wake(tx, endpoint)
        changed += rows
        if rows < BATCH:
            break
        await asyncio.sleep(0)
    return changed


def _queued_again(now: datetime, lane: int) -> dict[str, object]:
    fresh = {"status": "pending", "failures": 0, "due_at": now, "lane": lane, "settled_at": None, "error": None}
    return {**END_CLAIM, **fresh}


def _wake(tx: Transaction, endpoint: WebhookEndpoint) -> None:
    wake_on_commit(tx, webhook_deliveries, endpoint.id if endpoint.kind == "pull" else "")
