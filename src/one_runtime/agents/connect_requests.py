"""Let an agent ask its end user to connect an account.

A connect request gives no permission. The end user opens a page of the organization's product, and signs in there. The
organization's backend then creates a session for the end user who is signed in. If this is another end user, One
Runtime refuses the session.

An organization without such a page (`AgentSettings.connect_url`) uses One Runtime's own page, in the mode `link`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import and_, bindparam, exists, insert, select, update

from one_runtime.agents.caller import AgentCaller
from one_runtime.agents.end_user_requests import LIFETIME, MAX_OPEN, EndUserRequest, RequestKind, RequestLink
from one_runtime.catalog.model import Integration
from one_runtime.connecting import sessions
from one_runtime.connecting.new_session import NewSession, create_session, require_connectable
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import new_id
from one_runtime.db.precondition import Precondition
from one_runtime.db.schema import connect_requests as requests
from one_runtime.db.schema import connections
from one_runtime.errors import Conflict, RateLimited
from one_runtime.tenancy import end_users
from one_runtime.tenancy.end_users import EndUser
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject, record
from one_runtime.tenancy.organizations import REQUEST_PARAMETER

ConnectDecision: TypeAlias = Literal["connected", "declined"]
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
class ConnectRequest(EndUserRequest):
    """A request of an agent that its end user connects an account.

    `is_connected`: True if the end user has an active connection to the integration.
    """

    end_user_id: str
    integration_slug: str
    end_user_token_id: str | None
    declined_at: datetime | None
    is_connected: bool

    @property
    def decision(self) -> ConnectDecision | None:
        """Return `connected` or `declined`, or None."""
        return "connected" if self.is_connected else "declined" if self.declined_at is not None else None


_IS_CONNECTED = exists().where(
    connections.c.organization_id == requests.c.organization_id,
    connections.c.end_user_id == requests.c.end_user_id,
    connections.c.integration_slug == requests.c.integration_slug,
    connections.c.status == "active",
)
REQUESTS: Final = RequestKind(
    "connect request",
    REQUEST_PARAMETER,
    ConnectRequest,
    requests,
    ConnectRequestClosed,
    "Let the end user ask the agent again. The agent then sends a new link.",
    and_(requests.c.declined_at.is_(None), ~_IS_CONNECTED),
    computed={"is_connected": _IS_CONNECTED},
)
_NEWEST = (
    REQUESTS.select.where(
        requests.c.end_user_id == bindparam("end_user"),
        requests.c.expires_at > bindparam("now"),
        requests.c.integration_slug == bindparam("slug"),
    )
    .order_by(requests.c.id.desc())
    .limit(1)
)
_INSERT = insert(requests)
_DECLINE = (
    update(requests)
    .where(requests.c.organization_id == bindparam("organization"), requests.c.id == bindparam("request"))
    .values(declined_at=bindparam("now"))
)
_CONNECTED = select(connections.c.id).where(
    connections.c.organization_id == bindparam("organization"),
    connections.c.end_user_id == bindparam("end_user"),
    connections.c.integration_slug == bindparam("slug"),
    connections.c.status == "active",
)


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
) -> RequestLink:
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
        await REQUESTS.require_quota(tx, caller, now)
        request = await _create(tx, caller, integration.slug, now)
    return REQUESTS.link(caller.connect_url, request, integration.slug)


async def _ask_with_session(
    tx: Transaction, installation: Installation, caller: AgentCaller, integration: Integration
) -> RequestLink:
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
    return RequestLink(url, session.expires_at, None)


async def _find_same(tx: Transaction, caller: AgentCaller, slug: str, now: datetime) -> ConnectRequest | None:
    """Return the newest request that has not expired, or None.

    Lock the end user's row, so that two agents do not create the same request.
    """
    end_user = EndUser(caller.end_user_id, None, None, now, now)
    await end_users.ensure(tx, caller.organization_id, end_user)
    return await tx.one(_NEWEST, ConnectRequest, **_params(caller, now), slug=slug)


def _params(caller: AgentCaller, now: datetime) -> dict[str, Any]:
    return {"organization": caller.organization_id, "end_user": caller.end_user_id, "now": now}


async def _create(tx: Transaction, caller: AgentCaller, slug: str, now: datetime) -> ConnectRequest:
    request = ConnectRequest(
        id=new_id(),
        organization_id=caller.organization_id,
        created_at=now,
        expires_at=now + LIFETIME,
        end_user_id=caller.end_user_id,
        integration_slug=slug,
        end_user_token_id=caller.end_user_token_id,
        declined_at=None,
        is_connected=False,
    )
    await tx.execute(_INSERT, **REQUESTS.values(request))
    await record(tx, caller.actor, EventType.AGENT_CONNECT_REQUESTED, now, _subject(request))
    return request


async def require_open(
    tx: Transaction, organization_id: str, request_id: str, end_user_id: str, now: datetime
) -> ConnectRequest:
    """Return an open request of this end user.

    Raises: NotFound; EndUserMismatch if another end user is signed in; ConnectRequestClosed.
    """
    request = await REQUESTS.get(tx, organization_id, request_id)
    REQUESTS.require_end_user(request.end_user_id, end_user_id)
    if not request.is_connected or request.expires_at <= now:  # a connected end user can connect another account
        REQUESTS.require_open(request, now)
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

    async def store(request: ConnectRequest) -> None:
        await tx.execute(_DECLINE, organization=actor.organization_id, request=request.id, now=now)
        await record(tx, actor, EventType.AGENT_CONNECT_DECLINED, now, _subject(request))

    return await REQUESTS.refuse(tx, actor, request_id, now, condition, store)


def _subject(request: ConnectRequest) -> Subject:
    data = {"connect_request_id": request.id, "integration_slug": request.integration_slug}
    return Subject(request.end_user_id, data=data)
