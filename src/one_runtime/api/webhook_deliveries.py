"""Serve the deliveries of webhook endpoints: the log, retries, replays, and the events of pull endpoints."""

from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import AfterValidator, Field

from one_runtime.api.conditions import Conditional
from one_runtime.api.connections import connection_documents
from one_runtime.api.described import EXAMPLE_ID, EXAMPLE_TIME, Described
from one_runtime.api.event_types import EventTypeName, EventTypes
from one_runtime.api.fields import (
    Answer,
    Body,
    IdCursor,
    Limit,
    Moment,
    PathId,
    RowId,
    Several,
    Time,
    example,
    whole_number,
)
from one_runtime.api.routing import Authenticated, Installed, Routes
from one_runtime.context import Installation
from one_runtime.errors import Conflict, InvalidInput, NotFound
from one_runtime.telemetry.request_observer import WAITS
from one_runtime.tenancy.authentication import Principal, require_active_key
from one_runtime.webhooks import deliveries, endpoints, pulling, replay
from one_runtime.webhooks.deliveries import Attempt, Delivery, DeliveryFilter
from one_runtime.webhooks.deliveries import Status as DeliveryStatus
from one_runtime.webhooks.pulling import MAX_WAIT, EndpointKey
from one_runtime.webhooks.replay import Range, ReplayStatus

router = Routes("Webhook deliveries")


class DeliveryAnswer(Answer, title="WebhookDelivery"):
    """The delivery of one event to one endpoint.

    - `failed_attempts`: number of failed attempts.
    - `next_attempt_at`: null unless the status is `pending`.
    - `http_status`: the status of the receiver's last response, or null.
    - `error_code`: the reason why the last attempt got no response, or why One Runtime ended the delivery, or null.
    - `settled_at`: the time at which the delivery succeeded, failed or was cancelled. Null while the status is
      `pending`.
    """

    event_id: str
    event_type: str
    event_created_at: Time
    status: Annotated[DeliveryStatus, Described("`pending`, `delivered`, `failed` or `cancelled`.", "delivered")]
    failed_attempts: int
    next_attempt_at: Time | None
    http_status: int | None
    error_code: Annotated[str | None, Described("The code of the last failure, or null.", None)]
    settled_at: Time | None


class DeliveryPage(Answer, title="WebhookDeliveryPage"):
    """A page of deliveries, by the newest event first. `next_cursor` is null on the last page.

    With the filter `status` or `type`, One Runtime searches at most 10,000 deliveries for each page. So a page with a
    `next_cursor` can contain few deliveries or no deliveries.
    """

    webhook_deliveries: Annotated[list[DeliveryAnswer], Described("The deliveries, by the newest event first.")]
    next_cursor: str | None


class AttemptAnswer(Answer, title="WebhookAttempt"):
    """One attempt to deliver an event. `response_excerpt`: the beginning of the response body, without secrets."""

    created_at: Time
    duration_ms: Annotated[int, Described("The duration of the attempt in milliseconds.", 41)]
    http_status: int | None
    error_code: Annotated[str | None, Described("The reason why there is no response, or null.", None)]
    response_excerpt: str | None


class DeliveryDetails(DeliveryAnswer, title="WebhookDeliveryDetails"):
    """A delivery with its attempts, oldest first."""

    attempts: Annotated[list[AttemptAnswer], Described("The attempts, oldest first.")]


class DeliveryQuery(Body):
    """Filters, and the page to return. `since` and `until` select by the time of the event."""

    status: Several[DeliveryStatus] = []
    type: Several[EventTypeName] = []
    since: Moment | None = None
    until: Moment | None = None
    limit: Limit = 100
    cursor: IdCursor = None


class ReplayBody(Body, title="WebhookReplay"):
    """The events to deliver again.

    - `since`, `until`: events at or after `since`, and before `until`. Without `until`, up to now.
    - `status`: `failed` for the failed deliveries. `missing` also for events that the endpoint never received, for
      example because the endpoint was disabled. `all` also for delivered events.
    - `types`: only events of these types. Without it, the types of the endpoint.
    """

    model_config = example(since="2026-11-25T00:00:00Z", status="missing")

    since: Annotated[
        Moment,
        Field(json_schema_extra={"examples": ["2026-11-25T00:00:00Z"]}),
        Described("Only events at or after this time, such as `2026-11-25T01:02:03Z`.", EXAMPLE_TIME),
    ]
    until: Moment | None = None
    status: Annotated[ReplayStatus, Described("`failed`, `missing` or `all`.", "missing")] = "failed"
    types: Annotated[
        EventTypes | None, Described("Only events of these types. Default: the types of the endpoint.", None)
    ] = None


class ReplayAnswer(Answer, title="QueuedWebhooks"):
    """`queued_deliveries`: number of queued deliveries. If it is 100,000, repeat the request for the others."""

    queued_deliveries: Annotated[int, Described("The number of queued deliveries.", 812)]


class PendingQuery(Body):
    """`wait_seconds`: the time to wait for the next event, if no event is pending."""

    limit: Limit = 100
    wait_seconds: Annotated[int, Field(ge=0, le=MAX_WAIT), whole_number(0, MAX_WAIT)] = 0


class WebhookMessage(Answer):
    """An event, as One Runtime also sends the event to URLs (docs/webhooks.md)."""

    id: str
    type: Annotated[str, Described("The type of the event.", "connection.created")]
    timestamp: Annotated[Time, Described("The time of the event.", EXAMPLE_TIME)]
    data: Annotated[dict[str, Any], Described("The data of the event.", {"integration_slug": "hubspot"})]


class PendingMessages(Answer, title="PendingWebhookMessages"):
    """The pending events, oldest first."""

    messages: Annotated[list[WebhookMessage], Described("The events, oldest first.")]


_EventId = Annotated[RowId, Field(json_schema_extra={"examples": ["01a21077-a50a-7672-9076-0a05172494e4"]})]


def _distinct(ids: list[str]) -> list[str]:
    return list(dict.fromkeys(ids))


class AcknowledgeBody(Body, title="WebhookAcknowledgement"):
    """The ids of the events that your program has stored."""

    model_config = example(event_ids=["01a21077-a50a-7672-9076-0a05172494e4"])

    event_ids: Annotated[
        list[_EventId],
        Field(min_length=1, max_length=1000),
        AfterValidator(_distinct),
        Described("The ids of the events to acknowledge.", [EXAMPLE_ID]),
    ]


class AcknowledgeAnswer(Answer, title="AcknowledgedWebhooks"):
    """`acknowledged`: number of events that were pending until now."""

    acknowledged: Annotated[int, Described("The number of events that were pending until now.", 1)]


@router.route(
    "GET /v1/webhook-endpoints/{webhook_endpoint_id}/deliveries",
    scope="admin",
    errors=(NotFound,),
    summary="List the deliveries of a webhook endpoint",
)
async def list_webhook_deliveries(
    webhook_endpoint_id: PathId,
    caller: Authenticated,
    installation: Installed,
    query: Annotated[DeliveryQuery, Query()],
) -> DeliveryPage:
    """List the deliveries of a webhook endpoint, by the newest event first.

    One Runtime keeps a delivery as long as its event.
    """
    matching = DeliveryFilter(query.status, query.type, query.since, query.until)
    async with installation.database.read() as tx:
        endpoint = await endpoints.get(tx, caller.organization_id, webhook_endpoint_id)
        rows, next_cursor = await deliveries.list_page(tx, endpoint, matching, limit=query.limit, before=query.cursor)
    return DeliveryPage(webhook_deliveries=[_answer(row) for row in rows], next_cursor=next_cursor)


@router.route(
    "GET /v1/webhook-endpoints/{webhook_endpoint_id}/deliveries/{event_id}",
    scope="admin",
    errors=(NotFound,),
    conditional=True,
    summary="Read one delivery with its attempts",
)
async def get_webhook_delivery(
    webhook_endpoint_id: PathId,
    event_id: PathId,
    caller: Authenticated,
    installation: Installed,
    conditions: Conditional,
) -> DeliveryDetails:
    """Return the delivery of an event to a webhook endpoint, with its attempts."""
    async with installation.database.read() as tx:
        endpoint = await endpoints.get(tx, caller.organization_id, webhook_endpoint_id)
        delivery = await deliveries.get(tx, endpoint, event_id)
        attempts = await deliveries.attempts_of(tx, endpoint, event_id)
    details = {**_document(delivery), "attempts": [_attempt(each) for each in attempts]}
    return conditions.tag(DeliveryDetails.model_validate(details))


@router.route(
    "POST /v1/webhook-endpoints/{webhook_endpoint_id}/deliveries/{event_id}/retry",
    scope="admin",
    errors=(NotFound, Conflict),
    summary="Deliver one event again",
    status_code=202,
)
async def retry_webhook_delivery(
    webhook_endpoint_id: PathId, event_id: PathId, caller: Authenticated, installation: Installed
) -> DeliveryAnswer:
    """Deliver an event to a webhook endpoint again, now. If this attempt fails, a new schedule of attempts begins.

    Message ids do not change, so a receiver can ignore a repeated message.
    """
    async with installation.database.write() as tx:
        endpoint = await endpoints.get(tx, caller.organization_id, webhook_endpoint_id)
        await replay.retry(tx, installation.clock, endpoint, event_id)
        delivery = await deliveries.get(tx, endpoint, event_id)
    return _answer(delivery)


@router.route(
    "POST /v1/webhook-endpoints/{webhook_endpoint_id}/replay",
    scope="admin",
    errors=(NotFound, Conflict),
    summary="Deliver the events of a time again",
    status_code=202,
)
async def replay_webhooks(
    webhook_endpoint_id: PathId, body: ReplayBody, caller: Authenticated, installation: Installed
) -> ReplayAnswer:
    """Deliver the failed or missing events of a time again. New events do not wait for the repeated ones.

    One request queues at most 100,000 deliveries. One Runtime keeps events for 90 days. The operator can change this
    time.
    """
    until = body.until or installation.clock()
    if until <= body.since:
        raise InvalidInput.of("until", "must be later than `since`")
    async with installation.database.read() as tx:
        endpoint = await endpoints.get(tx, caller.organization_id, webhook_endpoint_id)
        present_types = await endpoints.event_types_of(tx, endpoint)
    types = endpoints.expand(body.types, "types") if body.types else present_types
    queued = await replay.replay(installation, endpoint, Range(body.since, until, types), body.status)
    return ReplayAnswer(queued_deliveries=queued)


@router.route(
    "GET /v1/webhook-endpoints/{webhook_endpoint_id}/pending",
    scope="admin",
    errors=(NotFound, Conflict),
    head=False,
    summary="Fetch the pending events of a pull endpoint",
)
async def pull_webhooks(
    webhook_endpoint_id: PathId,
    caller: Authenticated,
    installation: Installed,
    query: Annotated[PendingQuery, Query()],
    request: Request,
) -> PendingMessages:
    """Return pending events, oldest first. Events that you do not acknowledge within a minute are pending again.

    With `wait_seconds`, the request waits until an event is pending. If the endpoint is deleted, paused or disabled
    meanwhile, the wait ends with an error. Several programs can fetch events at the same
    time: each event goes to one of them.
    """
    request.scope[WAITS] = query.wait_seconds
    messages = await pulling.fetch(
        installation,
        partial(connection_documents, installation),
        EndpointKey(caller.organization_id, webhook_endpoint_id),
        limit=query.limit,
        wait=query.wait_seconds,
        is_gone=partial(_is_gone, request, installation, caller),
    )
    return PendingMessages(messages=[WebhookMessage.model_validate(message.document()) for message in messages])


@router.route(
    "POST /v1/webhook-endpoints/{webhook_endpoint_id}/acknowledge",
    scope="admin",
    errors=(NotFound, Conflict),
    summary="Acknowledge events of a pull endpoint",
)
async def acknowledge_webhooks(
    webhook_endpoint_id: PathId, body: AcknowledgeBody, caller: Authenticated, installation: Installed
) -> AcknowledgeAnswer:
    """Mark events as delivered. One Runtime ignores events that are not pending."""
    async with installation.database.write() as tx:
        endpoint = await endpoints.get(tx, caller.organization_id, webhook_endpoint_id)
        acknowledged = await pulling.acknowledge(tx, installation, endpoint, body.event_ids)
    return AcknowledgeAnswer(acknowledged=acknowledged)


async def _is_gone(request: Request, installation: Installation, caller: Principal) -> bool:
    """Return True if the caller has closed its connection. Raises: Unauthenticated if its API key was revoked."""
    async with installation.database.read() as tx:
        await require_active_key(tx, caller.organization_id, caller.api_key_id)
    # The first message of a request is its empty body.
    return await request.is_disconnected() or await request.is_disconnected()


def _document(delivery: Delivery) -> dict[str, Any]:
    return {
        "event_id": delivery.id,
        "event_type": delivery.type,
        "event_created_at": delivery.occurred_at,
        "status": delivery.status,
        "failed_attempts": delivery.failures,
        "next_attempt_at": delivery.due_at,
        "http_status": delivery.response_status,
        "error_code": delivery.error,
        "settled_at": delivery.settled_at,
    }


def _answer(delivery: Delivery) -> DeliveryAnswer:
    return DeliveryAnswer.model_validate(_document(delivery))


def _attempt(made: Attempt) -> dict[str, Any]:
    renamed = {
        "created_at": made.attempted_at,
        "http_status": made.response_status,
        "error_code": made.error,
        "response_excerpt": made.excerpt,
    }
    return asdict(made) | renamed
