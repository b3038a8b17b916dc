"""Queue the deliveries of an event to the organization's webhook endpoints. `webhooks/` sends the deliveries.

A delivery is a row of the table `webhook_deliveries`, for one event and one endpoint. The row is written in the
transaction of the event, so a crash loses no delivery (promise P10 of docs/security.md).

The statement that writes an event also reads `webhooks_since` of the organization. So an event of an organization that
never had an endpoint needs no further statement.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Text, bindparam, func, insert, literal, or_, select, update
from sqlalchemy.sql.dml import ReturningInsert

from one_runtime.db.engine import Transaction
from one_runtime.db.id_lists import in_list
from one_runtime.db.schema import (
    ID,
    TIME,
    events,
    organizations,
    webhook_attempts,
    webhook_deliveries,
    webhook_endpoints,
    webhook_subscriptions,
)
from one_runtime.jobs.queue import wake_on_commit

FIRST: Final = 0
TROUBLED: Final = 1
HELD: Final = 2
PULL: Final = 3
"""The lanes of the queue. The endpoint's lane becomes the lane of its new deliveries.

`FIRST`: endpoints that work. `TROUBLED`: endpoints that fail or that are slow, and every retry. `HELD`: paused
endpoints. `PULL`: deliveries that the organization's own program fetches.
"""

ALL_TYPES: Final = "*"
"""The event type of a subscription to all events, including types that later versions add."""

CANCELLED: Final = "cancelled"
"""The status of a delivery whose event is about an end user that was deleted before the delivery."""

END_CLAIM: Final[Mapping[str, object]] = {"attempts": webhook_deliveries.c.attempts + 1}
"""The value of `attempts` with which any change of a delivery ends the claim of a process that is sending the message.

So the result of this attempt does not undo the change.
"""

_NO_ENDPOINT: Final = "00000000-0000-0000-0000-000000000000"

_COLUMNS: Final = [
    "event_id",
    "endpoint_id",
    "organization_id",
    "status",
    "attempts",
    "failures",
    "due_at",
    "lane",
    "end_user_id",
]


def _queue(event_id: ColumnElement[str], *conditions: ColumnElement[bool]) -> ReturningInsert[Any]:
    """Build the statement that queues events. `conditions`: select the subscriptions to each event."""
    matching = (
        select(
            event_id,
            webhook_endpoints.c.id,
            webhook_endpoints.c.organization_id,
            literal("pending", Text),
            literal(0),
            literal(0),
            bindparam("now", type_=TIME),
            webhook_endpoints.c.lane,
            bindparam("end_user", type_=Text),
        )
        .join_from(
            webhook_subscriptions, webhook_endpoints, webhook_endpoints.c.id == webhook_subscriptions.c.endpoint_id
        )
        .where(
            *conditions,
            or_(webhook_endpoints.c.status == "active", webhook_endpoints.c.status == "paused"),
            webhook_endpoints.c.id != bindparam("except_endpoint"),
        )
    )
    return (
        insert(webhook_deliveries)
        .from_select(_COLUMNS, matching)
        .returning(webhook_deliveries.c.endpoint_id, webhook_deliveries.c.lane)
    )


# The statement for one event does not read `events`. PostgreSQL would keep a plan from the time when the table was
# small, and read the whole table until the next ANALYZE.
_QUEUE_ONE: Final = _queue(
    bindparam("event", type_=ID),
    webhook_subscriptions.c.organization_id == bindparam("organization"),
    webhook_subscriptions.c.event_type.in_([bindparam("type"), ALL_TYPES]),
)
_QUEUE_MANY: Final = _queue(
    events.c.id,
    in_list(events.c.id, "events"),
    webhook_subscriptions.c.organization_id == events.c.organization_id,
    or_(webhook_subscriptions.c.event_type == events.c.type, webhook_subscriptions.c.event_type == ALL_TYPES),
)
_LOCK: Final = select(organizations.c.id).where(organizations.c.id == bindparam("organization")).with_for_update()
_BEGIN: Final = (
    update(organizations)
    .where(organizations.c.id == bindparam("organization"))
    .values(webhooks_since=func.coalesce(organizations.c.webhooks_since, bindparam("now", type_=TIME)))
)
# FOR KEY SHARE: the statement waits for `begin`, and then returns the value that `begin` has committed.
WEBHOOKS_SINCE: Final = (
    select(organizations.c.webhooks_since)
    .where(organizations.c.id == bindparam("of_organization", type_=ID))
    .with_for_update(read=True, key_share=True)
    .scalar_subquery()
    .label("webhooks_since")
)
"""A column for `RETURNING` of the statement that writes an event. Null: the organization never had an endpoint.

The parameter is `of_organization`, because the statement's `organization_id` belongs to the event.
"""

_ABOUT_END_USER: Final = select(events.c.id).where(
    events.c.organization_id == bindparam("organization"), events.c.end_user_id == bindparam("end_user")
)
_CANCEL_ABOUT: Final = (
    update(webhook_deliveries)
    .where(webhook_deliveries.c.due_at.is_not(None), webhook_deliveries.c.event_id.in_(_ABOUT_END_USER))
    .values(**END_CLAIM, status=CANCELLED, due_at=None, settled_at=bindparam("now"), error="end_user_deleted")
)
_FORGET_EXCERPTS: Final = (
    update(webhook_attempts)
    .where(webhook_attempts.c.excerpt.is_not(None), webhook_attempts.c.event_id.in_(_ABOUT_END_USER))
    .values(excerpt=None)
)


class NewEvent(NamedTuple):
    """The properties of an event that select the endpoints."""

    id: str
    type: str
    organization_id: str


class _Queued(NamedTuple):
    endpoint_id: str
    lane: int


async def begin(tx: Transaction, organization_id: str, now: datetime) -> None:
    """Queue deliveries for all events of an organization that are committed after this transaction.

    Call the function before the transaction creates an endpoint. The lock FOR UPDATE waits for each transaction that
    has written an event of the organization, because the foreign key locks the organization FOR KEY SHARE. Until this
    transaction ends, no other transaction can write an event of the organization.
    """
    await tx.one(_LOCK, organization=organization_id)
    await tx.execute(_BEGIN, organization=organization_id, now=now)


async def queue(
    tx: Transaction,
    event: NewEvent,
    now: datetime,
    *,
    except_endpoint: str | None = None,
    end_user_id: str | None = None,
) -> None:
    """Queue an event for every endpoint of its organization that receives events of its type.

    Wake the sender, and the requests that wait for events of a pull endpoint, as soon as the transaction commits.

    `except_endpoint`: the endpoint that the event is about. `end_user_id`: the identifier of a deleted end user.
    """
    key = {"event": event.id, "type": event.type, "organization": event.organization_id}
    except_id = except_endpoint or _NO_ENDPOINT
    _wake_on_commit(
        tx, await tx.all(_QUEUE_ONE, _Queued, **key, now=now, except_endpoint=except_id, end_user=end_user_id)
    )


async def queue_many(tx: Transaction, event_ids: Sequence[str], now: datetime) -> None:
    """Queue new events, of any organization and type, as `queue` does."""
    _wake_on_commit(
        tx,
        await tx.all(
            _QUEUE_MANY, _Queued, events=list(event_ids), now=now, except_endpoint=_NO_ENDPOINT, end_user=None
        ),
    )


def _wake_on_commit(tx: Transaction, queued: Sequence[_Queued]) -> None:
    if any(delivery.lane in {FIRST, TROUBLED} for delivery in queued):
        wake_on_commit(tx, webhook_deliveries)
    for endpoint_id in {delivery.endpoint_id for delivery in queued if delivery.lane == PULL}:
        wake_on_commit(tx, webhook_deliveries, endpoint_id)


async def cancel_about(tx: Transaction, organization_id: str, end_user_id: str, now: datetime) -> None:
    """Cancel the pending deliveries of events about an end user, and delete the excerpts of responses to the events."""
    key = {"organization": organization_id, "end_user": end_user_id}
    await tx.execute(_CANCEL_ABOUT, now=now, **key)
    await tx.execute(_FORGET_EXCERPTS, **key)
