"""Store webhook endpoints. An endpoint receives the events of an organization, by HTTP requests or in a list.

An endpoint of the kind `push` has a URL, to which One Runtime sends each event. One Runtime checks the address of the
URL here, and again for each attempt (promise P7 of docs/security.md). For an endpoint of the kind `pull`, a program of
the organization fetches the events.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, TypeAlias
from urllib.parse import urlsplit, urlunsplit

from sqlalchemy import bindparam, delete, func, insert, select, update

from one_runtime.db.engine import Transaction
from one_runtime.db.id_lists import in_list
from one_runtime.db.ids import is_id, new_id
from one_runtime.db.schema import webhook_deliveries, webhook_endpoints, webhook_secrets, webhook_subscriptions
from one_runtime.egress.client import Egress
from one_runtime.egress.errors import TargetRefused
from one_runtime.errors import Conflict, FieldError, InvalidInput, NotFound
from one_runtime.jobs.queue import wake_on_commit
from one_runtime.tenancy import event_deliveries, events, organizations
from one_runtime.tenancy.event_deliveries import ALL_TYPES, FIRST, HELD, PULL
from one_runtime.tenancy.event_types import TYPES, EventType
from one_runtime.tenancy.events import Actor, Subject


def expand(patterns: Iterable[str], field: str = "event_types") -> list[str]:
    """Return the event types for the patterns of a request, in the order of `TYPES`.

    `connection.*` stands for the present types that begin with `connection.`. So a later version of One Runtime, which
    adds a type, does not send an unexpected type. `*` stays `*`, and includes later types.

    `field`: the name of the field in the request, for errors. Raises: InvalidInput if a pattern matches no type.
    """
    chosen, errors = set[str](), list[FieldError]()
    for index, pattern in enumerate(patterns):
        if pattern == ALL_TYPES:
            return [ALL_TYPES]
        prefix = pattern[:-1] if pattern.endswith(".*") else None
        matching = [kind for kind in TYPES if kind == pattern or (prefix and kind.startswith(prefix))]
        chosen.update(matching)
        if not matching:
            errors.append(FieldError(f"{field}[{index}]", f"is not an event type. {_advice(pattern)}"))
    if errors:
        raise InvalidInput.of_all(errors)
    return [kind for kind in TYPES if kind in chosen]


_GROUPS: Final = tuple(dict.fromkeys(f"{kind.partition('.')[0]}.*" for kind in TYPES))


def _advice(pattern: str) -> str:
    """Return the types of the group to which an unknown type belongs, or else the groups of all types."""
    group = f"{pattern.partition('.')[0]}.*"
    if group not in _GROUPS:
        return f"Send a type such as {TYPES[0]}, * for all types, or one of these groups: {', '.join(_GROUPS)}"
    return f"The types of {group} are: {', '.join(kind for kind in TYPES if kind.startswith(group[:-1]))}"


_EXAMPLE = "https://app.example.com/hooks/one-runtime"


async def clean_url(egress: Egress, url: str) -> str:
    """Return the URL if One Runtime can send messages to it. Raises: InvalidInput; TargetRefused.

    Only hosts and ports that the operator allows (ONE_RUNTIME_EGRESS_ALLOW) can use http. A URL must not contain a
    fragment.
    """
    if "#" in url:
        raise InvalidInput.of("url", "must not contain a fragment (#…)")
    try:
        target = await egress.require_allowed(url)
    except TargetRefused as refused:
        if refused.cause == refused.detail:  # the URL is malformed
            raise InvalidInput.of("url", f"must be a URL such as {_EXAMPLE}. {refused.detail}") from refused
        raise InvalidInput.of(
            "url",
            "must be on the public internet. To receive events on your own machine, run `one-runtime webhooks listen`. "
            "The operator of One Runtime can allow other hosts and ports in ONE_RUNTIME_EGRESS_ALLOW",
        ) from refused
    if target.scheme != "https" and not egress.allows(target):
        raise InvalidInput.of("url", f"must be an https URL, such as {_EXAMPLE}")
    return url


Kind: TypeAlias = Literal["push", "pull"]
Status: TypeAlias = Literal["active", "paused", "disabled"]
DisabledReason: TypeAlias = Literal["gone", "failing", "overflow", "secret_lost"]
Include: TypeAlias = Literal["connection"]

MAX_ENDPOINTS: Final = 100
"""Maximum number of endpoints of an organization."""


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """A webhook endpoint.

    - `event_types`: the types of the events that the endpoint receives, or only `*` for all types.
    - `include`: documents that One Runtime adds to each event, as they are at the time of sending.
    - `disabled_reason`: `gone` if the receiver answered 410, `failing` after five days without a success, `overflow`
      if the receiver fetched no events for too long, `secret_lost` if the operator lost the secret's encryption key.
    - `failing_since`: time of the first failed attempt since the last success, or None.
    - `succeeded_at`: time of the last successful delivery, or None. The stored time can be a minute too early.
    - `expires_at`: time at which the worker deletes the endpoint, or None.
    """

    id: str
    organization_id: str
    kind: str
    url: str | None
    description: str
    include: Sequence[str]
    status: str
    disabled_reason: str | None
    lane: int
    failing_since: datetime | None
    failed_attempts: int
    succeeded_at: datetime | None
    expires_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def shown_url(self) -> str | None:
        """Return the URL without its query, which can contain a secret. For lists, events and logs."""
        return None if self.url is None else without_query(self.url)


class EndpointDetails(NamedTuple):
    """An endpoint with its event types and the number of its pending deliveries."""

    endpoint: WebhookEndpoint
    event_types: tuple[str, ...]
    pending: int


class _Subscription(NamedTuple):
    endpoint_id: str
    event_type: str


class _Pending(NamedTuple):
    endpoint_id: str
    pending: int


class _EndpointCount(NamedTuple):
    endpoints: int


_EXISTS: Final = webhook_endpoints.c.status != "deleted"
_MINE: Final = (webhook_endpoints.c.organization_id == bindparam("organization"), _EXISTS)
_ONE: Final = select(webhook_endpoints).where(*_MINE, webhook_endpoints.c.id == bindparam("endpoint"))
_ONE_LOCKED: Final = _ONE.with_for_update(key_share=True)
_LIST: Final = select(webhook_endpoints).where(*_MINE).order_by(webhook_endpoints.c.id)
_LIST_OF_ALL: Final = select(webhook_endpoints).where(_EXISTS).order_by(webhook_endpoints.c.id)
_FIND: Final = select(webhook_endpoints).where(_EXISTS, webhook_endpoints.c.id == bindparam("endpoint"))
_BY_ID: Final = select(webhook_endpoints).where(in_list(webhook_endpoints.c.id, "endpoints"))
_COUNT: Final = select(func.count().label("endpoints")).select_from(webhook_endpoints).where(*_MINE)
_SUBSCRIPTIONS: Final = select(webhook_subscriptions.c.endpoint_id, webhook_subscriptions.c.event_type).where(
    webhook_subscriptions.c.organization_id == bindparam("organization")
)
_PENDING: Final = (
    select(webhook_deliveries.c.endpoint_id, func.count().label("pending"))
    .where(
        webhook_deliveries.c.endpoint_id.in_(select(webhook_endpoints.c.id).where(*_MINE)),
        webhook_deliveries.c.due_at.is_not(None),
    )
    .group_by(webhook_deliveries.c.endpoint_id)
)
_INSERT: Final = insert(webhook_endpoints)
_SUBSCRIBE: Final = insert(webhook_subscriptions)
_UNSUBSCRIBE: Final = delete(webhook_subscriptions).where(webhook_subscriptions.c.endpoint_id == bindparam("endpoint"))
_DELETE_SECRETS: Final = delete(webhook_secrets).where(webhook_secrets.c.endpoint_id == bindparam("endpoint"))
_CHANGEABLE: Final = (
    "url",
    "description",
    "include",
    "status",
    "disabled_reason",
    "lane",
    "failing_since",
    "failed_attempts",
    "expires_at",
    "updated_at",
)
_SETTINGS: Final = ("url", "description", "include", "status", "expires_at")

_UPDATE: Final = (
    update(webhook_endpoints)
    .where(webhook_endpoints.c.id == bindparam("endpoint"))
    .values({name: bindparam(name) for name in _CHANGEABLE})
)
_TOUCH: Final = (
    update(webhook_endpoints).where(webhook_endpoints.c.id == bindparam("endpoint")).values(updated_at=bindparam("now"))
)
_RESUME: Final = (
    update(webhook_deliveries)
    .where(
        webhook_deliveries.c.endpoint_id == bindparam("endpoint"),
        webhook_deliveries.c.due_at.is_not(None),
        webhook_deliveries.c.lane == HELD,
    )
    .values(lane=FIRST)
)


def without_query(url: str) -> str:
    """Return a URL without its query, which can contain a secret."""
    return urlunsplit(urlsplit(url)._replace(query=""))


async def create(tx: Transaction, actor: Actor, endpoint: WebhookEndpoint, event_types: Sequence[str]) -> None:
    """Store a new endpoint, and write the event `webhook_endpoint.created`.

    The transaction locks the organization. So two requests cannot exceed `MAX_ENDPOINTS` together, and the endpoint
    receives each event that is committed after the endpoint (`event_deliveries.begin`).

    Raises: NotFound; Conflict if the organization has too many endpoints.
    """
    await organizations.get(tx, actor.organization_id)
    await event_deliveries.begin(tx, actor.organization_id, endpoint.created_at)
    count = await tx.one(_COUNT, _EndpointCount, organization=actor.organization_id)
    if count is not None and count.endpoints >= MAX_ENDPOINTS:
        raise Conflict(
            f"Your organization has {MAX_ENDPOINTS} webhook endpoints, which is the maximum. Delete an endpoint first. "
            "GET /v1/webhook-endpoints lists your endpoints."
        )
    await tx.execute(_INSERT, **asdict(endpoint))
    await _subscribe(tx, endpoint, event_types)
    await _record(tx, actor, EventType.WEBHOOK_ENDPOINT_CREATED, endpoint, endpoint.created_at)


def new(
    organization_id: str,
    *,
    url: str | None,
    description: str,
    include: Sequence[str],
    now: datetime,
    expires_at: datetime | None = None,
) -> WebhookEndpoint:
    """Return a new endpoint. Without a URL, its kind is `pull`."""
    return WebhookEndpoint(
        id=new_id(),
        organization_id=organization_id,
        kind="pull" if url is None else "push",
        url=url,
        description=description,
        include=list(include),
        status="active",
        disabled_reason=None,
        lane=PULL if url is None else FIRST,
        failing_since=None,
        failed_attempts=0,
        succeeded_at=None,
        expires_at=expires_at,
        created_at=now,
        updated_at=now,
    )


async def get(tx: Transaction, organization_id: str, endpoint_id: str, *, lock: bool = False) -> WebhookEndpoint:
    """Return an endpoint of this organization. `lock`: lock the row until `tx` ends. Raises: NotFound."""
    key = {"organization": organization_id, "endpoint": endpoint_id}
    statement = _ONE_LOCKED if lock else _ONE
    endpoint = await tx.one(statement, WebhookEndpoint, **key) if is_id(endpoint_id) else None
    if endpoint is None:
        raise NotFound(
            f"There is no webhook endpoint {endpoint_id[:64]!r}. GET /v1/webhook-endpoints lists your endpoints."
        )
    return endpoint


async def list_all(tx: Transaction, organization_id: str | None) -> list[WebhookEndpoint]:
    """Return all endpoints of an organization, oldest first. None: of all organizations, for the operator."""
    if organization_id is None:
        return await tx.all(_LIST_OF_ALL, WebhookEndpoint)
    return await tx.all(_LIST, WebhookEndpoint, organization=organization_id)


async def find(tx: Transaction, endpoint_id: str) -> WebhookEndpoint | None:
    """Return an endpoint of any organization, for the operator. Return None if there is none."""
    return await tx.one(_FIND, WebhookEndpoint, endpoint=endpoint_id) if is_id(endpoint_id) else None


async def list_by_id(tx: Transaction, endpoint_ids: Iterable[str]) -> list[WebhookEndpoint]:
    """Return endpoints of all organizations. The list includes deleted endpoints whose rows still exist."""
    return await tx.all(_BY_ID, WebhookEndpoint, endpoints=list(endpoint_ids))


async def details(tx: Transaction, organization_id: str, endpoints: Iterable[WebhookEndpoint]) -> list[EndpointDetails]:
    """Return endpoints with their event types and the numbers of their pending deliveries."""
    types: dict[str, set[str]] = {}
    for row in await tx.all(_SUBSCRIPTIONS, _Subscription, organization=organization_id):
        types.setdefault(row.endpoint_id, set()).add(row.event_type)
    pending = {row.endpoint_id: row.pending for row in await tx.all(_PENDING, _Pending, organization=organization_id)}
    return [
        EndpointDetails(endpoint, _in_order(types.get(endpoint.id, ())), pending.get(endpoint.id, 0))
        for endpoint in endpoints
    ]


async def event_types_of(tx: Transaction, endpoint: WebhookEndpoint) -> tuple[str, ...]:
    """Return the event types of an endpoint."""
    rows = await tx.all(_SUBSCRIPTIONS, _Subscription, organization=endpoint.organization_id)
    return _in_order(row.event_type for row in rows if row.endpoint_id == endpoint.id)


def change(endpoint: WebhookEndpoint, changes: Mapping[str, Any]) -> WebhookEndpoint:
    """Return an endpoint with other values of its fields."""
    return replace(endpoint, **changes)


async def save(
    tx: Transaction,
    actor: Actor,
    present: EndpointDetails,
    changed: WebhookEndpoint,
    event_types: Sequence[str],
    now: datetime,
) -> WebhookEndpoint:
    """Store changes of a locked endpoint, and write the event `webhook_endpoint.updated`.

    If nothing changed, store nothing, and write no event. If the endpoint becomes active again, its waiting deliveries
    are sent. Return the stored endpoint.
    """
    before = present.endpoint
    names = [name for name in _SETTINGS if getattr(changed, name) != getattr(before, name)]
    if set(event_types) != set(present.event_types):
        names.append("event_types")
        await tx.execute(_UNSUBSCRIBE, endpoint=before.id)
        await _subscribe(tx, before, event_types)
    if not names:
        return before
    saved = replace(changed, updated_at=now)
    if "status" in names:
        saved = replace(saved, disabled_reason=None, failing_since=None, failed_attempts=0, lane=_lane(saved))
    await tx.execute(_UPDATE, endpoint=saved.id, **{name: getattr(saved, name) for name in _CHANGEABLE})
    if before.status == "paused" and saved.status == "active":
        await tx.execute(_RESUME, endpoint=saved.id)
    _wake_requests(tx, saved)
    await _record(tx, actor, EventType.WEBHOOK_ENDPOINT_UPDATED, saved, now, changed=names)
    return saved


async def record_rotation(tx: Transaction, actor: Actor, endpoint: WebhookEndpoint, now: datetime) -> None:
    """Write the event `webhook_endpoint.updated` for the new secret of a locked endpoint."""
    await tx.execute(_TOUCH, endpoint=endpoint.id, now=now)
    await _record(tx, actor, EventType.WEBHOOK_ENDPOINT_UPDATED, endpoint, now, changed=["secret"])


async def remove(tx: Transaction, actor: Actor, endpoint: WebhookEndpoint, now: datetime) -> None:
    """Delete a locked endpoint, and write the event `webhook_endpoint.deleted`.

    The endpoint receives no further event. Its row stays until the worker has deleted its deliveries in small steps.
    """
    await tx.execute(_UNSUBSCRIBE, endpoint=endpoint.id)
    await tx.execute(_DELETE_SECRETS, endpoint=endpoint.id)
    removed = replace(endpoint, status="deleted", lane=HELD, updated_at=now)
    await tx.execute(_UPDATE, endpoint=endpoint.id, **{name: getattr(removed, name) for name in _CHANGEABLE})
    _wake_requests(tx, endpoint)
    await _record(tx, actor, EventType.WEBHOOK_ENDPOINT_DELETED, endpoint, now)


async def disable(tx: Transaction, endpoint: WebhookEndpoint, reason: DisabledReason, now: datetime) -> None:
    """Disable a locked endpoint, and write the event `webhook_endpoint.disabled`. Other endpoints receive the event."""
    changed = replace(endpoint, status="disabled", disabled_reason=reason, lane=HELD, updated_at=now)
    await tx.execute(_UPDATE, endpoint=endpoint.id, **{name: getattr(changed, name) for name in _CHANGEABLE})
    _wake_requests(tx, endpoint)
    actor = Actor(endpoint.organization_id, "system")
    await _record(tx, actor, EventType.WEBHOOK_ENDPOINT_DISABLED, endpoint, now, reason=reason)


def require_active(endpoint: WebhookEndpoint) -> None:
    """Raises: Conflict if the endpoint is paused or disabled."""
    if endpoint.status != "active":
        raise Conflict(
            f"This webhook endpoint is {endpoint.status}. Send PATCH /v1/webhook-endpoints/{endpoint.id} with "
            '{"status": "active"} first.'
        )


def _in_order(types: Iterable[str]) -> tuple[str, ...]:
    order = {kind: index for index, kind in enumerate(TYPES)}
    return tuple(sorted(types, key=lambda kind: (order.get(kind, len(order)), kind)))


def _wake_requests(tx: Transaction, endpoint: WebhookEndpoint) -> None:
    """Wake the requests that wait for events of a pull endpoint, so that they learn its new status."""
    wake_on_commit(tx, webhook_deliveries, endpoint.id)


def _lane(endpoint: WebhookEndpoint) -> int:
    if endpoint.kind == "pull":
        return PULL
    return FIRST if endpoint.status == "active" else HELD


async def _subscribe(tx: Transaction, endpoint: WebhookEndpoint, event_types: Sequence[str]) -> None:
    key = {"endpoint_id": endpoint.id, "organization_id": endpoint.organization_id}
    await tx.execute_many(_SUBSCRIBE, [{**key, "event_type": kind} for kind in event_types])


async def _record(
    tx: Transaction, actor: Actor, kind: EventType, endpoint: WebhookEndpoint, now: datetime, **more: object
) -> None:
    data = {"webhook_endpoint_id": endpoint.id, "kind": endpoint.kind, "url": endpoint.shown_url, **more}
    await events.record(tx, actor, kind, now, Subject(data=data, webhook_endpoint_id=endpoint.id))
