"""Serve `/v1/webhook-endpoints`: the endpoints to which One Runtime delivers events."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import AfterValidator, Field, StringConstraints

from one_runtime.api.conditions import Conditional
from one_runtime.api.described import EXAMPLE_TIME, Described
from one_runtime.api.event_types import EventTypes
from one_runtime.api.fields import NOT_NULL, Answer, Body, Link, PathId, Time, clean_text, example, whole_number
from one_runtime.api.idempotency import Repeatable
from one_runtime.api.routing import UNREADABLE_CREDENTIALS, Authenticated, Installed, Routes
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.egress.errors import TargetRefused
from one_runtime.errors import Conflict, InvalidInput, NotFound
from one_runtime.tenancy.authentication import Principal
from one_runtime.webhooks import endpoints, samples, secrets
from one_runtime.webhooks.endpoints import (
    DisabledReason,
    EndpointDetails,
    Include,
    Kind,
    Status,
    WebhookEndpoint,
    clean_url,
)
from one_runtime.webhooks.samples import send_test

router = Routes("Webhook endpoints")

MAX_OVERLAP: Final = 7 * 24 * 3600
MIN_EXPIRES_IN, MAX_EXPIRES_IN = 60, 30 * 24 * 3600
_ExpiresIn = Annotated[
    int, Field(ge=MIN_EXPIRES_IN, le=MAX_EXPIRES_IN), whole_number(MIN_EXPIRES_IN, MAX_EXPIRES_IN, "seconds")
]
_Description = Annotated[str, StringConstraints(max_length=500), AfterValidator(str.strip), AfterValidator(clean_text)]


class WebhookSettings(Answer):
    """The settings of a webhook endpoint."""

    id: str
    kind: Kind
    url: str | None
    event_types: tuple[str, ...]
    include: tuple[Include, ...]
    description: str
    status: Status
    disabled_reason: DisabledReason | None
    expires_at: Time | None
    created_at: Time
    updated_at: Time


class WebhookEndpointAnswer(WebhookSettings, title="WebhookEndpoint"):
    """A webhook endpoint, without its secret.

    - `kind`: `push` if One Runtime sends events to the URL, `pull` if your program fetches the events.
    - `event_types`: the types of the events that the endpoint receives, or `*` for all types.
    - `disabled_reason`: `gone` if the receiver answered 410, `failing` after five days without a success, `overflow`
      if too many events waited or an event waited too long, `secret_lost` if the operator lost the encryption key of
      the secret. Null if the endpoint is not disabled.
    - `failing_since`: the time of the first failed attempt since the last success. Null if the last attempt succeeded.
    - `last_success_at`: the time of the last success, up to a minute too early.
    - `pending_deliveries`: the number of events that the endpoint has not received yet.
    """

    failing_since: Time | None
    last_success_at: Time | None
    pending_deliveries: int


class CreatedWebhookEndpoint(WebhookEndpointAnswer, title="CreatedWebhookEndpoint"):
    """A new webhook endpoint. Only this response contains `secret`, with which you verify the messages."""

    secret: Annotated[str, Described("The secret. No other response contains it. Do not log it.", "whsec_…")] = Field(
        repr=False
    )


class WebhookEndpointList(Answer):
    """The webhook endpoints of your organization, oldest first. The URLs have no query, which can contain a secret."""

    webhook_endpoints: Annotated[list[WebhookEndpointAnswer], Described("The webhook endpoints, oldest first.")]


class RotatedSecret(Answer):
    """The new secret. Only this response contains the secret. The old secret is valid until `old_secret_expires_at`."""

    secret: Annotated[str, Described("The new secret. No other response contains it. Do not log it.", "whsec_…")] = (
        Field(repr=False)
    )
    old_secret_expires_at: Annotated[Time, Described("The time at which the old secret stops signing.", EXAMPLE_TIME)]


class WebhookTest(Answer):
    """The receiver's answer to a test message. `error_code`: the reason why there is no answer, or null."""

    is_success: Annotated[bool, Described("True if the receiver answered with a status from 200 to 299.", True)]
    http_status: Annotated[int | None, Described("The HTTP status of the response, or null.", 204)]
    error_code: Annotated[str | None, Described("The reason why there is no response, or null.", None)]
    duration_ms: Annotated[int, Described("The duration of the request in milliseconds.", 41)]
    response_excerpt: str | None


class CreateWebhookEndpoint(Body, title="NewWebhookEndpoint"):
    """A webhook endpoint.

    - `kind`: `push` needs `url`. `pull` has no URL: your program fetches the events.
    - `event_types`: types such as `connection.created`, groups such as `connection.*`, or `*` for all types. One
      Runtime stores the types of a group. Only `*` includes types that later versions add.
    - `include`: with `connection`, each message contains the connection, as it is at the time of sending.
    - `expires_in`: seconds until One Runtime deletes the endpoint. Without it, the endpoint stays.
    """

    model_config = example(
        url="https://app.northwind.example/hooks/one-runtime", event_types=["connection.*"], include=["connection"]
    )

    kind: Kind = "push"
    url: Link | None = None
    event_types: Annotated[
        EventTypes,
        Described(
            "A list of types such as `connection.created`, groups such as `connection.*`, or `*` for all types.",
            ["connection.*"],
        ),
    ]
    include: Annotated[
        list[Include], Described("`connection` adds the connection to each message.", ["connection"])
    ] = Field(default=[], max_length=1)
    description: Annotated[_Description, Described("Your own note about the endpoint.", "production")] = ""
    expires_in: Annotated[
        _ExpiresIn | None,
        Described("The time in seconds after which One Runtime deletes the endpoint, 60 to 2,592,000.", 86400),
    ] = None


class PatchWebhookEndpoint(Body, title="WebhookEndpointUpdate"):
    """The fields to change. An omitted field keeps its value.

    `status`: a paused endpoint collects events for up to 72 hours. With `active`, One Runtime sends these events. A
    disabled endpoint becomes active again, and `POST …/replay` sends what the endpoint missed.

    `expires_in`: seconds from now until One Runtime deletes the endpoint. With null, the endpoint stays.
    """

    model_config = example(event_types=["connection.needs_reauth", "connection.deleted"])

    url: Annotated[Link | None, NOT_NULL] = None
    event_types: Annotated[EventTypes | None, NOT_NULL] = None
    include: Annotated[
        Annotated[list[Include], Field(max_length=1)] | None,
        NOT_NULL,
        Described("`connection` adds the connection to each message.", ["connection"]),
    ] = None
    description: Annotated[
        _Description | None, NOT_NULL, Described("Your own note about the endpoint.", "production")
    ] = None
    status: Annotated[
        Literal["active", "paused"] | None,
        NOT_NULL,
        Described("`paused` keeps the events back. `active` sends them.", "paused"),
    ] = None
    expires_in: Annotated[
        _ExpiresIn | None,
        Described("The time in seconds, from now, after which One Runtime deletes the endpoint. Null: never.", 86400),
    ] = None


class RotateSecret(Body, title="SecretRotation"):
    """`overlap_seconds`: the time for which One Runtime signs with the old secret too, at most 7 days."""

    model_config = example(overlap_seconds=86400)

    overlap_seconds: Annotated[
        int,
        Field(ge=0, le=MAX_OVERLAP),
        whole_number(0, MAX_OVERLAP),
        Described("The time in seconds for which both secrets sign.", 86400),
    ] = 86400


class TestQuery(Body):
    """`type`: the type of a made-up event, such as `connection.created`."""

    type: Annotated[str, Field(max_length=100), AfterValidator(clean_text)] = samples.TEST


@router.route("GET /v1/webhook-endpoints", scope="admin", summary="List webhook endpoints")
async def list_webhook_endpoints(caller: Authenticated, installation: Installed) -> WebhookEndpointList:
    """List all webhook endpoints of your organization, oldest first."""
    async with installation.database.read() as tx:
        rows = await endpoints.list_all(tx, caller.organization_id)
        detailed = await endpoints.details(tx, caller.organization_id, rows)
    shown = [{**_values(each), "url": each.endpoint.shown_url} for each in detailed]
    return WebhookEndpointList(webhook_endpoints=[WebhookEndpointAnswer.model_validate(each) for each in shown])


@router.route(
    "POST /v1/webhook-endpoints",
    scope="admin",
    errors=(TargetRefused, Conflict),
    idempotent=True,
    location="/v1/webhook-endpoints/{id}",
    summary="Create a webhook endpoint",
    status_code=201,
)
async def create_webhook_endpoint(
    body: CreateWebhookEndpoint, caller: Authenticated, installation: Installed, repeatable: Repeatable
) -> CreatedWebhookEndpoint:
    """Create a webhook endpoint. It receives the events that happen from now on.

    Only this response contains the secret. Your organization can have at most 100 endpoints.
    """
    url = await _url_for(installation, body)
    kinds = endpoints.expand(body.event_types)
    now = installation.clock()
    endpoint = endpoints.new(
        caller.organization_id,
        url=url,
        description=body.description,
        include=body.include,
        now=now,
        expires_at=_expiry(now, body.expires_in),
    )
    async with installation.database.write() as tx:
        await endpoints.create(tx, caller.actor, endpoint, kinds)
        secret = await secrets.create(tx, installation.vault, endpoint, now)
        details = EndpointDetails(endpoint, tuple(kinds), 0)
        created = CreatedWebhookEndpoint.model_validate({**_values(details), "secret": secret})
        return await repeatable.store(tx, created, _settings(details))


@router.route(
    "GET /v1/webhook-endpoints/{webhook_endpoint_id}",
    scope="admin",
    errors=(NotFound,),
    conditional=True,
    summary="Read one webhook endpoint",
)
async def get_webhook_endpoint(
    webhook_endpoint_id: PathId, caller: Authenticated, installation: Installed, conditions: Conditional
) -> WebhookEndpointAnswer:
    """Return a webhook endpoint of your organization. The `ETag` changes only with the settings."""
    async with installation.database.read() as tx:
        present = await _read(tx, caller, webhook_endpoint_id)
    return conditions.tag(_answer(present), _settings(present))


@router.route(
    "PATCH /v1/webhook-endpoints/{webhook_endpoint_id}",
    scope="admin",
    errors=(NotFound, TargetRefused),
    conditional=True,
    summary="Change, pause or activate a webhook endpoint",
)
async def update_webhook_endpoint(
    webhook_endpoint_id: PathId,
    body: PatchWebhookEndpoint,
    caller: Authenticated,
    installation: Installed,
    conditions: Conditional,
) -> WebhookEndpointAnswer:
    """Change a webhook endpoint. A request that changes nothing writes no event.

    Waiting events go to the new URL.
    """
    changes = body.model_dump(exclude_unset=True)
    kinds = endpoints.expand(changes.pop("event_types")) if "event_types" in changes else None
    if "url" in changes:
        changes["url"] = await clean_url(installation.webhook_egress, changes["url"])
    now = installation.clock()
    if "expires_in" in changes:
        changes["expires_at"] = _expiry(now, changes.pop("expires_in"))
    async with installation.database.write() as tx:
        present = await _read(tx, caller, webhook_endpoint_id, lock=True)
        conditions.require(lambda: _settings(present))
        if "url" in changes and present.endpoint.kind == "pull":
            raise InvalidInput.of("url", "must be omitted: an endpoint of the kind pull has no URL")
        changed = endpoints.change(present.endpoint, changes)
        await endpoints.save(tx, caller.actor, present, changed, kinds or list(present.event_types), now)
        saved = await _read(tx, caller, webhook_endpoint_id)
    return conditions.tag(_answer(saved), _settings(saved))


@router.route(
    "DELETE /v1/webhook-endpoints/{webhook_endpoint_id}",
    scope="admin",
    errors=(NotFound,),
    conditional=True,
    summary="Delete a webhook endpoint",
)
async def delete_webhook_endpoint(
    webhook_endpoint_id: PathId, caller: Authenticated, installation: Installed, conditions: Conditional
) -> WebhookEndpointAnswer:
    """Delete a webhook endpoint with its deliveries. One Runtime does not send its waiting events.

    The response has the endpoint as it last was, without its secret. `pending_deliveries` is the number of the waiting
    events.
    """
    async with installation.database.write() as tx:
        present = await _read(tx, caller, webhook_endpoint_id, lock=True)
        conditions.require(lambda: _settings(present))
        await endpoints.remove(tx, caller.actor, present.endpoint, installation.clock())
    return _answer(present)


@router.route(
    "POST /v1/webhook-endpoints/{webhook_endpoint_id}/rotate-secret",
    scope="admin",
    errors=(NotFound,),
    idempotent=True,
    summary="Replace the secret of a webhook endpoint",
)
async def rotate_webhook_secret(
    webhook_endpoint_id: PathId,
    body: RotateSecret,
    caller: Authenticated,
    installation: Installed,
    repeatable: Repeatable,
) -> RotatedSecret:
    """Create a new secret. During the overlap, each message has a signature by each of the two secrets.

    A second rotation during the overlap ends the validity of the oldest secret immediately.
    """
    now, overlap = installation.clock(), timedelta(seconds=body.overlap_seconds)
    async with installation.database.write() as tx:
        endpoint = await endpoints.get(tx, caller.organization_id, webhook_endpoint_id, lock=True)
        secret = await secrets.rotate(tx, installation.vault, caller.actor, endpoint, overlap=overlap, now=now)
        return await repeatable.store(tx, RotatedSecret(secret=secret, old_secret_expires_at=now + overlap))


@router.route(
    "POST /v1/webhook-endpoints/{webhook_endpoint_id}/test",
    scope="admin",
    errors=(NotFound, Conflict, *UNREADABLE_CREDENTIALS),
    summary="Send a test message",
)
async def test_webhook_endpoint(
    webhook_endpoint_id: PathId, caller: Authenticated, installation: Installed, query: Annotated[TestQuery, Query()]
) -> WebhookTest:
    """Send a test message to the URL now, and return the receiver's answer.

    `type` selects the type of a made-up event, also a type that the endpoint does not receive. One Runtime does not
    store the message, and does not repeat it. The status of the endpoint stays the same.
    """
    answer = await send_test(installation, caller.actor, webhook_endpoint_id, query.type)
    return WebhookTest(
        is_success=answer.is_success,
        http_status=answer.attempt.response_status,
        error_code=answer.attempt.error,
        duration_ms=answer.attempt.duration_ms,
        response_excerpt=answer.attempt.excerpt,
    )


def _expiry(now: datetime, seconds: int | None) -> datetime | None:
    return None if seconds is None else now + timedelta(seconds=seconds)


async def _url_for(installation: Installation, body: CreateWebhookEndpoint) -> str | None:
    if body.kind == "pull":
        if body.url:
            raise InvalidInput.of("url", 'must be omitted with the kind "pull": your program fetches the events')
        return None
    if not body.url:
        raise InvalidInput.of("url", 'is required. To fetch the events instead, send the kind "pull" without a URL')
    return await clean_url(installation.webhook_egress, body.url)


async def _read(tx: Transaction, caller: Principal, endpoint_id: str, *, lock: bool = False) -> EndpointDetails:
    endpoint = await endpoints.get(tx, caller.organization_id, endpoint_id, lock=lock)
    return (await endpoints.details(tx, caller.organization_id, [endpoint]))[0]


def _values(present: EndpointDetails) -> dict[str, Any]:
    endpoint = present.endpoint
    names = WebhookEndpointAnswer.model_fields.keys() & WebhookEndpoint.__dataclass_fields__.keys()
    return {
        **{name: getattr(endpoint, name) for name in names},
        "event_types": present.event_types,
        "last_success_at": endpoint.succeeded_at,
        "pending_deliveries": present.pending,
    }


def _answer(present: EndpointDetails) -> WebhookEndpointAnswer:
    return WebhookEndpointAnswer.model_validate(_values(present))


def _settings(present: EndpointDetails) -> WebhookSettings:
    values = _values(present)
    return WebhookSettings.model_validate({name: values[name] for name in WebhookSettings.model_fields})
