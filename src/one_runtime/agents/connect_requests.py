"""Let an agent ask its end user to connect an account.

A connect request gives no permission. The end user opens a page of the organization's product, and signs in there. The
organization's backend then creates a session for the end user who is signed in. If this is another end user, One
Runtime refuses the session.

An organization without such a page (`AgentSettings.connect_url`) uses One Runtime's own page, in the mode `link`.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, TypeAlias
from urllib.parse import urlencode

from sqlalchemy import bindparam, exists, func, insert, select, update

from one_runtime.agents.caller import AgentCaller
from one_runtime.catalog.model import Integration
from one_runtime.connecting import sessions
from one_runtime.connecting.new_session import NewSession, create_session, require_connectable
from one_runtime.connecting.redirect_mode import EndUserMismatch
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import is_id, new_id
from one_runtime.db.precondition import Precondition
from one_runtime.db.schema import connect_requests as requests
from one_runtime.db.schema import connections
from one_runtime.errors import Conflict, NotFound, RateLimited
from one_runtime.jobs.queue import batched_delete
from one_runtime.tenancy import end_users
from one_runtime.tenancy.end_users import EndUser
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject, record
from one_runtime.tenancy.organizations import REQUEST_PARAMETER

LIFETIME: Final = timedelta(minutes=10)
KEPT: Final = timedelta(days=1)
"""Time after the expiry for which the database keeps a request."""

MAX_OPEN: Final = 20
"""Maximum number of open requests of one agent for one end user, so that no agent uses up those of another."""
MAX_OPEN_OF_END_USER: Final = 100
"""Maximum number of open requests of one end user."""

Status: TypeAlias = Literal["open", "connected", "declined", "expired"]


class ConnectDeclined(Conflict):
    """The end user has declined to connect the account a short time ago."""

    code = "connect_declined"
    documentation = (
        "The end user has declined to connect the account for [an agent](agents.md#a-missing-account).",
        "The agent goes on without the account.",
    )


class ConnectRequestClosed(Conflict):
    """The end user has connected the account or declined, or the request has expired."""

    code = "connect_request_closed"
    documentation = (
        "The connect request of an agent was declined, or has expired.",
        "Let the end user ask the agent again. The agent then sends a new link.",
    )


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """A request of an agent that its end user connects an account.

    `is_connected`: True if the end user has an active connection to the integration.
    """

    id: str
    organization_id: str
    end_user_id: str
    integration_slug: str
    end_user_token_id: str | None
    created_at: datetime
    expires_at: datetime
    declined_at: datetime | None
    is_connected: bool

    def status(self, now: datetime) -> Status:
        """Return the state of the request."""
        if self.is_connected:
            return "connected"
        if self.declined_at is not None:
            return "declined"
        return "expired" if self.expires_at <= now else "open"


class _OpenRequests(NamedTuple):
    of_agent: int
    of_end_user: int


_IS_CONNECTED = exists().where(
    connections.c.organization_id == requests.c.organization_id,
    connections.c.end_user_id == requests.c.end_user_id,
    connections.c.integration_slug == requests.c.integration_slug,
    connections.c.status == "active",
)
_STORED: Final = tuple(name for name in ConnectRequest.__dataclass_fields__ if name != "is_connected")
_COLUMNS = (*(requests.c[name] for name in _STORED), _IS_CONNECTED.label("is_connected"))
_OF_ORGANIZATION = requests.c.organization_id == bindparam("organization")
_OF_END_USER = requests.c.end_user_id == bindparam("end_user")
_VALID = (_OF_ORGANIZATION, _OF_END_USER, requests.c.expires_at > bindparam("now"))
_BY_ID = select(*_COLUMNS).where(_OF_ORGANIZATION, requests.c.id == bindparam("request"))
_LIST = select(*_COLUMNS).where(_OF_ORGANIZATION, _OF_END_USER).order_by(requests.c.id.desc()).limit(bindparam("limit"))
_NEWEST = (
    select(*_COLUMNS)
    .where(*_VALID, requests.c.integration_slug == bindparam("slug"))
    .order_by(requests.c.id.desc())
    .limit(1)
)
_OF_AGENT = requests.c.end_user_token_id.is_not_distinct_from(bindparam("token"))
_COUNT_OPEN = select(func.count().filter(_OF_AGENT).label("of_agent"), func.count().label("of_end_user")).where(
    *_VALID, requests.c.declined_at.is_(None), ~_IS_CONNECTED
)
_INSERT = insert(requests)
_DECLINE = (
    update(requests)
    .where(_OF_ORGANIZATION, requests.c.id == bindparam("request"), requests.c.declined_at.is_(None))
    .values(declined_at=bindparam("now"))
)
_CONNECTED = select(connections.c.id).where(
    connections.c.organization_id == bindparam("organization"),
    connections.c.end_user_id == bindparam("end_user"),
    connections.c.integration_slug == bindparam("slug"),
    connections.c.status == "active",
)
PURGE: Final = batched_delete(requests, requests.c.expires_at < bindparam("before"))
"""Deletes the requests that expired before a time."""


@dataclass(frozen=True, slots=True)
class ConnectLink:
    """The address at which the end user connects the account. `request_id`: None in the mode `link`."""

    url: str = field(repr=False)
    expires_at: datetime
    request_id: str | None


async def is_answered(tx: Transaction, caller: AgentCaller, slug: str, now: datetime) -> bool:
    """Return True if the end user has an active connection to the integration, or has declined to connect."""
    params = {"organization": caller.organization_id, "end_user": caller.end_user_id, "slug": slug}
    if await tx.one(_CONNECTED, **params) is not None:
        return True
    return await is_declined(tx, caller, slug, now)


async def is_declined(tx: Transaction, caller: AgentCaller, slug: str, now: datetime) -> bool:
    """Return True if the end user has declined to connect the integration a short time ago."""
    request = await tx.one(_NEWEST, ConnectRequest, **_params(caller, now), slug=slug)
    return request is not None and request.declined_at is not None


async def ask(
    tx: Transaction,
    installation: Installation,
    caller: AgentCaller,
    integration: Integration,
    *,
    again: bool = False,
) -> ConnectLink:
    """Return the address at which the end user connects the account. Reuse an open request for this integration.

    `again`: True to ask again although the end user has declined.

    Raises: ConnectDeclined; InvalidInput if no end user can connect the integration; IntegrationDisabled; RateLimited.
    """
    if caller.connect_url is None:
        return await _ask_with_session(tx, installation, caller, integration)
    await require_connectable(tx, installation, caller.organization_id, integration.slug)
    now = installation.clock()
    request = await _find_same(tx, caller, integration.slug, now)
    if request is not None and request.declined_at is not None and not again:
        raise ConnectDeclined(
            f"The end user does not want to connect {integration.name}. Go on without it. If the end user wants to "
            "connect after all, get a new link with get_tool_connect_url."
        )
    if request is None or request.declined_at is not None:
        await _require_quota(tx, caller, now)
        request = await _create(tx, caller, integration.slug, now)
    parameters = urlencode({REQUEST_PARAMETER: request.id, "integration": integration.slug})
    separator = "&" if "?" in caller.connect_url else "?"
    return ConnectLink(f"{caller.connect_url}{separator}{parameters}", request.expires_at, request.id)


async def _ask_with_session(
    tx: Transaction, installation: Installation, caller: AgentCaller, integration: Integration
) -> ConnectLink:
    now = installation.clock()
    end_user = EndUser(caller.end_user_id, None, None, now, now)
    await end_users.ensure(tx, caller.organization_id, end_user)
    links = await sessions.count_unopened_links(tx, caller.organization_id, caller.end_user_id, now, limit=MAX_OPEN)
    if links >= MAX_OPEN:
        raise RateLimited(
            f"The end user has {MAX_OPEN} unopened links to connect an account. Let the end user open "
            "one of them, or wait until they expire.",
            round(LIFETIME.total_seconds()),
        )
    new = NewSession(end_user, integration.slug, mode="link", expires_in=round(LIFETIME.total_seconds()))
    session, token = await create_session(tx, installation, caller.actor, new)
    url = f"{installation.settings.public_url}/connect?session_token={token.secret}"
    return ConnectLink(url, session.expires_at, None)


async def _find_same(tx: Transaction, caller: AgentCaller, slug: str, now: datetime) -> ConnectRequest | None:
    """Return the newest request that has not expired, or None.

    Lock the end user's row, so that two agents do not create the same request.
    """
    end_user = EndUser(caller.end_user_id, None, None, now, now)
    await end_users.ensure(tx, caller.organization_id, end_user)
    return await tx.one(_NEWEST, ConnectRequest, **_params(caller, now), slug=slug)


def _params(caller: AgentCaller, now: datetime) -> dict[str, Any]:
    return {"organization": caller.organization_id, "end_user": caller.end_user_id, "now": now}


async def _require_quota(tx: Transaction, caller: AgentCaller, now: datetime) -> None:
    """Raises: RateLimited."""
    count = await tx.one(_COUNT_OPEN, _OpenRequests, **_params(caller, now), token=caller.end_user_token_id)
    if count is None:
        return
    seconds = round(LIFETIME.total_seconds())
    if count.of_agent >= MAX_OPEN:
        raise RateLimited(
            f"This agent has already asked the end user to connect {MAX_OPEN} accounts. Wait until the end user has "
            "answered some of the requests.",
            seconds,
        )
    if count.of_end_user >= MAX_OPEN_OF_END_USER:
        raise RateLimited(
            f"The end user already has {MAX_OPEN_OF_END_USER} open requests to connect an account. Wait until the end "
            "user has answered some of them.",
            seconds,
        )


async def _create(tx: Transaction, caller: AgentCaller, slug: str, now: datetime) -> ConnectRequest:
    request = ConnectRequest(
        new_id(),
        caller.organization_id,
        caller.end_user_id,
        slug,
        caller.end_user_token_id,
        now,
        now + LIFETIME,
        None,
        is_connected=False,
    )
    await tx.execute(_INSERT, **{name: getattr(request, name) for name in _STORED})
    await record(tx, caller.actor, EventType.AGENT_CONNECT_REQUESTED, now, _subject(request))
    return request


async def list_page(
    tx: Transaction, organization_id: str, end_user_id: str, *, limit: int, before: str | None = None
) -> list[ConnectRequest]:
    """Return at most `limit` requests of an end user, newest first. With `before`, only requests before this id."""
    statement = _LIST if before is None else _LIST.where(requests.c.id < before)
    return await tx.all(statement, ConnectRequest, organization=organization_id, end_user=end_user_id, limit=limit)


async def get(tx: Transaction, organization_id: str, request_id: str) -> ConnectRequest:
    """Return a request of this organization. Raises: NotFound."""
    row = None
    if is_id(request_id):
        row = await tx.one(_BY_ID, ConnectRequest, organization=organization_id, request=request_id)
    if row is None:
        raise NotFound(
            f"There is no connect request {request_id[:64]!r}. Its id is the parameter {REQUEST_PARAMETER} of the "
            "address that the end user opened. One Runtime deletes a connect request a day after its expiry."
        )
    return row


async def require_open(
    tx: Transaction, organization_id: str, request_id: str, end_user_id: str, now: datetime
) -> ConnectRequest:
    """Return an open request of this end user.

    Raises: NotFound; EndUserMismatch if another end user is signed in; ConnectRequestClosed.
    """
    request = await get(tx, organization_id, request_id)
    if request.end_user_id != end_user_id:
        raise EndUserMismatch(
            "The connect request belongs to another end user. Create no session. Tell this user that the link is for "
            "another user."
        )
    status = request.status(now) if request.expires_at > now else "expired"
    if status not in {"open", "connected"}:
        raise ConnectRequestClosed(
            f"The connect request is {status}. Let the end user ask the agent again. The agent then sends a new link."
        )
    return request


async def decline(
    tx: Transaction,
    actor: Actor,
    request_id: str,
    now: datetime,
    condition: Precondition[ConnectRequest] | None = None,
) -> ConnectRequest:
    """Decline an open request, because the end user does not want to connect. A second call changes nothing.

    Raises: NotFound; PreconditionFailed.
    """
    request = await get(tx, actor.organization_id, request_id)
    if condition is not None:
        await condition(tx, request)
    if request.status(now) == "open":
        await tx.execute(_DECLINE, organization=actor.organization_id, request=request.id, now=now)
        await record(tx, actor, EventType.AGENT_CONNECT_DECLINED, now, _subject(request))
    return await get(tx, actor.organization_id, request_id)


def _subject(request: ConnectRequest) -> Subject:
    data = {"connect_request_id": request.id, "integration_slug": request.integration_slug}
    return Subject(request.end_user_id, data=data)
