"""Claim and settle the deliveries of events to webhook endpoints, and list the deliveries of an endpoint.

A delivery has no id of its own. The ids of its event and of its endpoint identify the delivery.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from sqlalchemy import ColumnElement, Text, bindparam, case, insert, null, select, update

from one_runtime.clock import Clock
from one_runtime.db.engine import Transaction
from one_runtime.db.id_lists import in_list
from one_runtime.db.ids import is_id, new_id
from one_runtime.db.scanning import SCANNED_ROWS, Page, Values, matches, read_page, within
from one_runtime.db.schema import ID, TIME, events, webhook_attempts, webhook_deliveries, webhook_endpoints
from one_runtime.errors import NotFound
from one_runtime.jobs.queue import Queue, database_now
from one_runtime.tenancy.event_deliveries import CANCELLED, END_CLAIM, FIRST, TROUBLED
from one_runtime.tenancy.events import Event
from one_runtime.webhooks.endpoints import WebhookEndpoint

Status: TypeAlias = Literal["pending", "delivered", "failed", "cancelled"]

LEASE: Final = timedelta(seconds=60)
"""Time for which one process, or one program that fetches events, reserves a delivery."""

EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""A time before all deliveries."""

_STEP: Final = 10
"""Number of results that `settle` stores without a pause."""

_LOWEST: Final = "00000000-0000-0000-0000-000000000000"
_IN_LANE: Final = webhook_deliveries.c.lane == bindparam("lane")
_DUE_SINCE: Final = webhook_deliveries.c.due_at >= bindparam("since", type_=TIME)
_QUEUE: Final = Queue(
    webhook_deliveries, LEASE, _IN_LANE, webhook_deliveries.c.endpoint_id == bindparam("endpoint"), _DUE_SINCE
)


def _next_endpoint(after: ColumnElement[str]) -> ColumnElement[str]:
    """Build an expression: the lowest id above `after` of an endpoint with pending deliveries in the lane, or null."""
    pending = webhook_deliveries.alias()
    return (
        select(pending.c.endpoint_id)
        .where(pending.c.lane == bindparam("lane"), pending.c.due_at.is_not(None), pending.c.endpoint_id > after)
        .order_by(pending.c.endpoint_id)
        .limit(1)
        .scalar_subquery()
    )


# Steps from endpoint to endpoint in the index, so the number of pending deliveries does not matter.
_first = select(_next_endpoint(bindparam("lowest", type_=ID)).label("endpoint_id")).cte("pending", recursive=True)
_pending = _first.union_all(select(_next_endpoint(_first.c.endpoint_id)).where(_first.c.endpoint_id.is_not(None)))
_earliest = (
    select(webhook_deliveries.c.due_at)
    .where(_IN_LANE, webhook_deliveries.c.endpoint_id == _pending.c.endpoint_id, _DUE_SINCE)
    .order_by(webhook_deliveries.c.due_at)
    .limit(1)
    .scalar_subquery()
)
_DUE_ENDPOINTS: Final = (
    select(_pending.c.endpoint_id, webhook_endpoints.c.organization_id, _earliest.label("due_at"))
    .join(webhook_endpoints, webhook_endpoints.c.id == _pending.c.endpoint_id)
    .where(_pending.c.endpoint_id.is_not(None), _earliest <= bindparam("now"))
    .order_by(_earliest)
)
_EVENT_COLUMNS: Final = tuple(events.c[name] for name in Event.__dataclass_fields__)
_EVENTS: Final = select(*_EVENT_COLUMNS).where(in_list(events.c.id, "events"))
_KEY: Final = (
    webhook_deliveries.c.event_id == bindparam("event"),
    webhook_deliveries.c.endpoint_id == bindparam("endpoint"),
)
_PENDING: Final = webhook_deliveries.c.due_at.is_not(None)


def failed_values() -> dict[str, object]:
    """Return the values of a pending delivery that fails because its endpoint is disabled. The parameter is `now`."""
    return {
        **END_CLAIM,
        "status": "failed",
        "due_at": None,
        "settled_at": bindparam("now"),
        "error": "endpoint_disabled",
        "end_user_id": None,
    }


class DueEndpoint(NamedTuple):
    """An endpoint with due deliveries in a lane. `due_at`: the time of the earliest of the deliveries."""

    endpoint_id: str
    organization_id: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery that this process has reserved. `attempts`: the fencing token of the claim."""

    event_id: str
    endpoint_id: str
    organization_id: str
    lane: int
    attempts: int
    failures: int
    deleted_end_user_id: str | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of one attempt to deliver an event.

    `error`: a code such as `timeout`, or None if the receiver sent a response. `excerpt`: the beginning of the response
    body as printable text, without secrets.
    """

    attempted_at: datetime
    duration_ms: int
    response_status: int | None
    error: str | None
    excerpt: str | None


@dataclass(frozen=True, slots=True)
class Settlement:
    """The new status of a delivery after an attempt. `delay`: time until the next attempt, if an attempt follows."""

    claimed: ClaimedDelivery
    attempt: Attempt
    status: Status
    delay: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery of an endpoint, with the type, the time and the end user of its event.

    `id`: the id of the event. `due_at`: time of the next attempt, or None if the status is not `pending`.
    """

    id: str
    type: str
    occurred_at: datetime
    status: str
    failures: int
    due_at: datetime | None
    response_status: int | None
    error: str | None
    settled_at: datetime | None
    end_user_id: str | None


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Filters for a list of deliveries. A field with the value None matches every delivery."""

    status: Values[str] = None
    type: Values[str] = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self, columns: Any) -> list[ColumnElement[bool]]:
        """Return the conditions that no index supports."""
        return [*matches(columns.status, self.status), *matches(columns.type, self.type)]


_DELIVERIES: Final = select(
    webhook_deliveries.c.event_id.label("id"),
    events.c.type,
    events.c.occurred_at,
    webhook_deliveries.c.status,
    webhook_deliveries.c.failures,
    webhook_deliveries.c.due_at,
    webhook_deliveries.c.response_status,
    webhook_deliveries.c.error,
    webhook_deliveries.c.settled_at,
    events.c.end_user_id,
).join(events, events.c.id == webhook_deliveries.c.event_id)
_ONE: Final = _DELIVERIES.where(*_KEY, webhook_deliveries.c.organization_id == bindparam("organization"))
_ONE_WITH_EVENT: Final = _ONE.add_columns(*(column.label(f"event_{column.name}") for column in _EVENT_COLUMNS))
_ATTEMPTS: Final = (
    select(*(webhook_attempts.c[name] for name in Attempt.__dataclass_fields__))
    .where(
        webhook_attempts.c.organization_id == bindparam("organization"),
        webhook_attempts.c.event_id == bindparam("event"),
        webhook_attempts.c.endpoint_id == bindparam("endpoint"),
    )
    .order_by(webhook_attempts.c.id)
)
_ATTEMPTS_OF_PAGE: Final = (
    select(webhook_attempts.c.event_id, *(webhook_attempts.c[name] for name in Attempt.__dataclass_fields__))
    .where(in_list(webhook_attempts.c.event_id, "events"), webhook_attempts.c.endpoint_id == bindparam("endpoint"))
    .order_by(webhook_attempts.c.id)
)
_SETTLE: Final = (
    update(webhook_deliveries)
    .where(*_KEY, webhook_deliveries.c.attempts == bindparam("fence"))
    .values(
        status=bindparam("status"),
        failures=bindparam("failures"),
        due_at=bindparam("due_at"),
        lane=bindparam("lane"),
        response_status=bindparam("response_status"),
        error=bindparam("error"),
        settled_at=bindparam("settled_at"),
        end_user_id=bindparam("end_user_id"),
    )
)
# The SELECT inserts nothing if the delivery was deleted during the attempt. A foreign key would refuse the row. If the
# end user of the event was deleted during the attempt, the excerpt can contain data of the end user.
_ADD_ATTEMPT: Final = insert(webhook_attempts).from_select(
    [
        "id",
        "organization_id",
        "event_id",
        "endpoint_id",
        "attempted_at",
        "duration_ms",
        "response_status",
        "error",
        "excerpt",
    ],
    select(
        bindparam("id", type_=ID),
        webhook_deliveries.c.organization_id,
        webhook_deliveries.c.event_id,
        webhook_deliveries.c.endpoint_id,
        bindparam("attempted_at", type_=TIME),
        *(bindparam(name, type_=webhook_attempts.c[name].type) for name in ("duration_ms", "response_status", "error")),
        case((webhook_deliveries.c.status == CANCELLED, null()), else_=bindparam("excerpt", type_=Text)),
    ).where(*_KEY),
)
_GIVE_BACK: Final = (
    update(webhook_deliveries)
    .where(*_KEY, webhook_deliveries.c.attempts == bindparam("fence"))
    .values(lane=bindparam("lane"), due_at=bindparam("now"))
)
_FAIL: Final = update(webhook_deliveries).where(*_KEY, _PENDING).values(failed_values())


async def due_endpoints(tx: Transaction, lane: int, now: datetime, since: datetime = EVER) -> list[DueEndpoint]:
    """Return the endpoints with deliveries in a lane that are due since a time, by the earliest delivery."""
    return await tx.all(_DUE_ENDPOINTS, DueEndpoint, lane=lane, lowest=_LOWEST, since=since, now=now)


async def claim(
    tx: Transaction, clock: Clock, lane: int, since: datetime, endpoint_id: str, limit: int
) -> list[ClaimedDelivery]:
    """Reserve and return at most `limit` deliveries of an endpoint in a lane that are due since a time."""
    return [
        ClaimedDelivery(
            row.event_id,
            row.endpoint_id,
            row.organization_id,
            row.lane,
            row.attempts,
            row.failures,
            row.end_user_id,
        )
        for row in await _QUEUE.claim(tx, clock, limit, lane=lane, since=since, endpoint=endpoint_id)
    ]


async def events_of(tx: Transaction, event_ids: Collection[str]) -> dict[str, Event]:
    """Return the events of claimed deliveries by id. An event that was deleted is missing."""
    return {event.id: event for event in await tx.all(_EVENTS, Event, events=list(event_ids))}


async def settle(tx: Transaction, clock: Clock, settlements: Sequence[Settlement]) -> None:
    """Store the results of attempts. A result changes no delivery that another process has claimed since."""
    now = await database_now(tx, clock)
    changes, attempts = list[Mapping[str, object]](), list[Mapping[str, object]]()
    for settlement in settlements:
        claimed, attempt, pending = settlement.claimed, settlement.attempt, settlement.status == "pending"
        key = {"event": claimed.event_id, "endpoint": claimed.endpoint_id}
        changes.append(
            {
                **key,
                "fence": claimed.attempts,
                "status": settlement.status,
                "failures": claimed.failures + (settlement.status != "delivered"),
                "due_at": now + settlement.delay if settlement.delay is not None else None,
                "lane": TROUBLED if pending else FIRST,
                "response_status": attempt.response_status,
                "error": attempt.error,
                "settled_at": None if pending else now,
                "end_user_id": claimed.deleted_end_user_id if pending else None,
            }
        )
        attempts.append(
            {
                **key,
                "id": new_id(),
                "attempted_at": attempt.attempted_at,
                "duration_ms": attempt.duration_ms,
                "response_status": attempt.response_status,
                "error": attempt.error,
                "excerpt": attempt.excerpt,
            }
        )
    for first in range(0, len(changes), _STEP):
        step = slice(first, first + _STEP)
        await tx.execute_many(_SETTLE, changes[step])
        await tx.execute_many(_ADD_ATTEMPT, attempts[step])
        await asyncio.sleep(0)  # SQLite runs statements on the event loop


async def give_back(
    tx: Transaction, claimed: Sequence[ClaimedDelivery], now: datetime, lane: int | None = None
) -> None:
    """Return claimed deliveries to the queue, so that they are due now. `lane`: the new lane. None: the same lane."""
    await tx.execute_many(
        _GIVE_BACK,
        [
            {
                "event": each.event_id,
                "endpoint": each.endpoint_id,
                "fence": each.attempts,
                "lane": each.lane if lane is None else lane,
                "now": now,
            }
            for each in claimed
        ],
    )


async def fail(tx: Transaction, claimed: Sequence[ClaimedDelivery], now: datetime) -> None:
    """Settle claimed deliveries as failed, because their endpoint is disabled."""
    await tx.execute_many(
        _FAIL, [{"event": each.event_id, "endpoint": each.endpoint_id, "now": now} for each in claimed]
    )


async def list_page(
    tx: Transaction,
    endpoint: WebhookEndpoint,
    matching: DeliveryFilter,
    *,
    limit: int,
    before: str | None,
    scanned: int = SCANNED_ROWS,
) -> Page[Delivery]:
    """Return at most `limit` deliveries of an endpoint, by the newest event first, and the cursor of the next page."""
    statement = _DELIVERIES.where(
        webhook_deliveries.c.organization_id == endpoint.organization_id,
        webhook_deliveries.c.endpoint_id == endpoint.id,
        *within(webhook_deliveries.c.event_id, matching.since, matching.until),
    )
    if before is not None:
        statement = statement.where(webhook_deliveries.c.event_id < before)
    return await read_page(tx, statement, matching.conditions, Delivery, limit=limit, scanned=scanned)


async def get(tx: Transaction, endpoint: WebhookEndpoint, event_id: str) -> Delivery:
    """Return the delivery of an event to an endpoint. Raises: NotFound."""
    key = {"organization": endpoint.organization_id, "endpoint": endpoint.id, "event": event_id}
    delivery = await tx.one(_ONE, Delivery, **key) if is_id(event_id) else None
    if delivery is None:
        raise _not_found(endpoint, event_id)
    return delivery


async def get_with_event(tx: Transaction, endpoint: WebhookEndpoint, event_id: str) -> tuple[Delivery, Event]:
    """Return the delivery of an event to an endpoint, and the event. Raises: NotFound."""
    key = {"organization": endpoint.organization_id, "endpoint": endpoint.id, "event": event_id}
    row = await tx.one(_ONE_WITH_EVENT, **key) if is_id(event_id) else None
    if row is None:
        raise _not_found(endpoint, event_id)
    fields = len(Delivery.__dataclass_fields__)
    return Delivery(*row[:fields]), Event(*row[fields:])


async def attempts_of(tx: Transaction, endpoint: WebhookEndpoint, event_id: str) -> list[Attempt]:
    """Return the attempts of a delivery, oldest first."""
    key = {"organization": endpoint.organization_id, "endpoint": endpoint.id, "event": event_id}
    return await tx.all(_ATTEMPTS, Attempt, **key)


async def attempts_of_page(
    tx: Transaction, endpoint: WebhookEndpoint, page: Collection[Delivery]
) -> dict[str, list[Attempt]]:
    """Return the attempts of several deliveries of an endpoint by the ids of their events, oldest first."""
    attempts: dict[str, list[Attempt]] = {delivery.id: [] for delivery in page}
    for row in await tx.all(_ATTEMPTS_OF_PAGE, endpoint=endpoint.id, events=list(attempts)):
        values = {name: getattr(row, name) for name in Attempt.__dataclass_fields__}
        attempts[row.event_id].append(Attempt(**values))
    return attempts


def _not_found(endpoint: WebhookEndpoint, event_id: str) -> NotFound:
    return NotFound(
        f"This endpoint has no delivery of the event {event_id[:64]!r}. "
        f"GET /v1/webhook-endpoints/{endpoint.id}/deliveries lists the deliveries."
    )
