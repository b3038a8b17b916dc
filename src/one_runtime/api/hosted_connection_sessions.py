"""Serve `/v1/hosted-connection-sessions`. A session is a permission to make one connection in the hosted popup."""

from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import Query
from pydantic import Field

from one_runtime.agents import connect_requests
from one_runtime.agents.connect_requests import ConnectRequestClosed
from one_runtime.api.conditions import Conditional
from one_runtime.api.connections import ConnectionAnswer
from one_runtime.api.described import Described
from one_runtime.api.fields import (
    BLANK_IS_ABSENT,
    Answer,
    Body,
    IdCursor,
    Limit,
    Link,
    Metadata,
    Moment,
    Note,
    OptionalId,
    OptionalLocale,
    OptionalName,
    OptionalSlug,
    OptionalText,
    PathId,
    ScopeName,
    Several,
    Slug,
    Text,
    Time,
    example,
    note_of,
    whole_number,
)
from one_runtime.api.idempotency import Repeatable
from one_runtime.api.routing import Authenticated, Installed, Routes
from one_runtime.catalog.auth_types import AuthType
from one_runtime.catalog.disabled_integrations import IntegrationDisabled
from one_runtime.connecting import redirect_mode, session_search, sessions
from one_runtime.connecting.new_session import NewSession, create_session
from one_runtime.connecting.popup import WrongMode
from one_runtime.connecting.redirect_mode import EndUserMismatch
from one_runtime.connecting.session_search import SessionFilter
from one_runtime.connecting.sessions import (
    DEFAULT_EXPIRES_IN,
    MAX_LINK_EXPIRES_IN,
    MIN_EXPIRES_IN,
    ConnectSession,
    Mode,
    SessionCancelled,
    SessionExpired,
    SessionUsed,
    Status,
)
from one_runtime.connections import connections
from one_runtime.connections.connections import AccountMismatch, SeveralConnections
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.errors import Conflict, InvalidInput, NotFound
from one_runtime.explanations.stored_errors import explain_session_error
from one_runtime.tenancy.authentication import Principal
from one_runtime.tenancy.end_users import EndUser

router = Routes("Hosted connection sessions")


class CreateSession(Body, title="NewSession"):
    """The end user, the integration, and the place where the popup opens.

    An empty text in an optional field has the same meaning as an omitted field.

    - `integration_slug`: if omitted, the end user picks an integration from a list.
    - `mode`: `embed` opens the popup inside your page. `redirect` opens the popup in the whole window, and at the end
      the browser returns to `return_url`. `link` is for a link in an e-mail or a chat. The default is `redirect` if you
      send a `return_url`, and otherwise `embed`.
    - `connection_id`: the id of a connection. The session can only reconnect this connection.
    - `connect_request_id`: the connect request of an agent. The request names the integration. If `end_user_id` is not
      the end user of the request, the response is 409.
    - `multiple`: if true, a second account of the end user gets its own connection. If false, the second account
      replaces the first account. If the end user already has several connections to the integration, the popup asks
      which of them the account replaces.
    - `locale`: the language of the pages that the end user sees, such as `de` or `pt-BR`. The default is the language
      of the browser. If One Runtime does not have the language, the browser's language counts, and then English.
    - `scopes`: the OAuth scopes to request. The default is the list of the OAuth client. If the client has no such
      list, the default is the list of the integration. One Runtime always adds the scopes that the integration
      requires.
    """

    model_config = example(
        integration_slug="hubspot",
        end_user_id="user_123",
        end_user_name="Ada Lovelace",
        allowed_origins=["https://app.example.com"],
    )

    integration_slug: Annotated[
        OptionalSlug, Described("The integration to connect. Default: the end user chooses.", "hubspot")
    ] = None
    end_user_id: Text
    end_user_name: Annotated[OptionalName, Described("The end user's name, which the popup shows.", "Ada Lovelace")] = (
        None
    )
    end_user_email: Annotated[
        OptionalText, Described("The end user's e-mail address, which the popup shows.", "ada@example.com")
    ] = None
    suggested_connection_name: Annotated[
        OptionalName, Described("A name for the connection. The end user can change the name.", None)
    ] = None
    allowed_origins: list[Link] = Field([], max_length=50)
    return_url: Annotated[Link | None, BLANK_IS_ABSENT] = None
    mode: Annotated[Mode | None, BLANK_IS_ABSENT] = None
    connection_id: Annotated[OptionalId, Described("The id of the connection to reconnect.", None)] = None
    connect_request_id: OptionalText = None
    multiple: bool = False
    auth_type: Annotated[
        AuthType | None, BLANK_IS_ABSENT, Described("The only auth type that the popup offers. Default: all.", None)
    ] = None
    scopes: Annotated[
        list[ScopeName], Described("The OAuth scopes to request. Default: the scopes of the OAuth client.", [])
    ] = Field([], max_length=200)
    locale: Annotated[
        OptionalLocale, Described("The language of the popup. Default: the language of the browser.", None)
    ] = None
    metadata: Metadata = Field(default={})
    expires_in: Annotated[
        int,
        Field(ge=MIN_EXPIRES_IN, le=MAX_LINK_EXPIRES_IN),
        whole_number(MIN_EXPIRES_IN, MAX_LINK_EXPIRES_IN, "seconds"),
        Described(
            "The time in which the end user must open the session: 60 to 3600 seconds, and with the mode `link` up to "
            "2592000 seconds (30 days).",
            600,
        ),
    ] = DEFAULT_EXPIRES_IN


class CreatedSession(Answer):
    """A new session. Only this response contains `session_token` and `connect_url`. Do not log these two values."""

    session_token: Annotated[
        str, Described("The token for the popup. No later response contains the token.", "orcs_…")
    ] = Field(repr=False)
    connect_url: Annotated[
        str,
        Described("The URL of the popup, with the token.", "https://connect.example.com/connect?session_token=orcs_…"),
    ] = Field(repr=False)
    id: str
    expires_at: Time


class SessionSummary(Answer):
    """A session in a list, without its token.

    `last_error`: the newest stored error, or null. The session can stay `pending` after an error. After ten attempts
    that the provider refused, the session is `failed`.

    `connection_id`: the id of the connection that the session made, or null. The connection can have been deleted.
    """

    id: str
    status: Annotated[Status, Described("The state of the session.", "connected")]
    end_user_id: str
    integration_slug: Annotated[
        str | None, Described("The slug of the integration, or null before the choice.", "hubspot")
    ]
    mode: Mode
    locale: str | None
    return_url: str | None
    last_error: Note | None
    connection_id: Annotated[str | None, Described("The id of the connection that the session made, or null.", None)]
    metadata: Metadata
    created_at: Time
    expires_at: Time


class SessionAnswer(SessionSummary, title="Session"):
    """The state of a session, with the connection that the session made."""

    connection: Annotated[ConnectionAnswer | None, Described("The connection, or null.")]


class SessionPage(Answer):
    """A page of sessions. `next_cursor` is null on the last page.

    With a filter other than the time, One Runtime searches at most 10,000 sessions for each page. So a page with a
    `next_cursor` can contain few sessions or no sessions.
    """

    sessions: list[SessionSummary]
    next_cursor: str | None


class SessionQuery(Body):
    """Filters, and the page to return. `since` and `until` select by the time of creation."""

    end_user_id: Several[Text] = []
    integration_slug: Several[Slug] = []
    status: Several[Status] = []
    since: Moment | None = None
    until: Moment | None = None
    limit: Limit = 100
    cursor: IdCursor = None


class RedeemCode(Body, title="Redemption"):
    """The code of a session, and the user who returned to your page.

    - `code`: the parameter `code` in the query of your `return_url`.
    - `end_user_id`: the user who is signed in to your product. Read this identifier from your own login, never from the
      URL.
    """

    model_config = example(code="orcc_…", end_user_id="user_123")

    code: Annotated[Text, Described("The parameter `code` in the query of your return URL.", "orcc_…")] = Field(
        repr=False
    )
    end_user_id: Annotated[
        Text,
        Described(
            "Your own identifier of the user who is signed in when the browser returns. Read the identifier from your "
            "own login, never from the URL.",
            "user_123",
        ),
    ]


@router.route(
    "POST /v1/hosted-connection-sessions",
    scope="connect",
    errors=(NotFound, Conflict, EndUserMismatch, ConnectRequestClosed, IntegrationDisabled),
    idempotent=True,
    summary="Start a hosted connection",
)
async def create_hosted_connection_session(
    body: CreateSession, caller: Authenticated, installation: Installed, repeatable: Repeatable
) -> CreatedSession:
    """Create a session: a short-lived permission for one end user to make one connection in the hosted popup."""
    now = installation.clock()
    new = NewSession(
        end_user=EndUser(body.end_user_id, body.end_user_name, body.end_user_email, now, now),
        integration_slug=body.integration_slug,
        mode=body.mode,
        return_url=body.return_url,
        expires_in=body.expires_in,
        auth_type=body.auth_type,
        target_connection_id=body.connection_id,
        multiple=body.multiple,
        suggested_connection_name=body.suggested_connection_name,
        allowed_origins=tuple(body.allowed_origins),
        metadata=body.metadata,
        scopes=tuple(dict.fromkeys(body.scopes)),
        locale=body.locale,
    )
    async with installation.database.write() as tx:
        if body.connect_request_id is not None:
            new = replace(new, integration_slug=await _requested_slug(tx, caller, body, body.connect_request_id, now))
        session, token = await create_session(tx, installation, caller.actor, new)
        created = CreatedSession(
            session_token=token.secret,
            connect_url=f"{installation.settings.public_url}/connect?session_token={token.secret}",
            id=session.id,
            expires_at=session.expires_at,
        )
        return await repeatable.store(tx, created)


async def _requested_slug(
    tx: Transaction, caller: Principal, body: CreateSession, request_id: str, now: datetime
) -> str:
    """Return the integration of an agent's connect request. Raises: NotFound; Conflict; InvalidInput."""
    request = await connect_requests.require_open(tx, caller.organization_id, request_id, body.end_user_id, now)
    if body.integration_slug not in {None, request.integration_slug}:
        raise InvalidInput.of(
            "integration_slug",
            f"must be {request.integration_slug!r}, the integration of the connect request, or be omitted",
        )
    return request.integration_slug


@router.route("GET /v1/hosted-connection-sessions", scope="read", summary="List sessions, newest first")
async def list_hosted_connection_sessions(
    caller: Authenticated, installation: Installed, query: Annotated[SessionQuery, Query()]
) -> SessionPage:
    """List the sessions of your organization, newest first. The response contains no token.

    One Runtime keeps a session for 30 days after its last change. One Runtime keeps a session that no end user has
    opened for one day, or until it expires.
    """
    now, matching = installation.clock(), SessionFilter(**query.model_dump(exclude={"limit", "cursor"}))
    async with installation.database.read() as tx:
        rows, next_cursor = await session_search.list_newest(
            tx, caller.organization_id, matching, now, limit=query.limit, before=query.cursor
        )
    return SessionPage(sessions=[session_summary(session, now) for session in rows], next_cursor=next_cursor)


@router.route(
    "GET /v1/hosted-connection-sessions/{session_id}",
    scope="read",
    errors=(NotFound,),
    conditional=True,
    summary="Read a session",
)
async def get_hosted_connection_session(
    session_id: PathId, caller: Authenticated, installation: Installed, conditions: Conditional
) -> SessionAnswer:
    """Return the state of a session. Your backend must rely on this response, not on the result in the browser."""
    async with installation.database.read() as tx:
        session = await sessions.get(tx, caller.organization_id, session_id)
        return conditions.tag(await _read(installation, tx, session))


async def _read(installation: Installation, tx: Transaction, session: ConnectSession) -> SessionAnswer:
    answer = None
    if session.connection_id is not None:
        with suppress(NotFound):  # the connection was deleted after the session ended
            connection = await connections.get(tx, session.organization_id, session.connection_id)
            integration = await installation.catalogs.get(tx, session.organization_id, connection.integration_slug)
            answer = ConnectionAnswer.of(connection, integration)
    return _answer(session, answer, installation.clock())


@router.route(
    "DELETE /v1/hosted-connection-sessions/{session_id}",
    scope="connect",
    errors=(NotFound, Conflict),
    conditional=True,
    summary="Cancel a session",
)
async def cancel_hosted_connection_session(
    session_id: PathId, caller: Authenticated, installation: Installed, conditions: Conditional
) -> SessionAnswer:
    """Cancel a pending session.

    In the mode `redirect`, you can cancel the session until your backend redeems the session's code. If the session has
    already made its connection, the response is 409. A second cancellation changes nothing.
    """
    condition = conditions.on(partial(_read, installation))
    session = await redirect_mode.cancel(installation, caller.actor, session_id, condition)
    if session.status == "connected":
        raise Conflict(
            "The end user has already connected an account in this session, so there is nothing to cancel. To remove "
            f"the connection, send DELETE /v1/connections/{session.connection_id}."
        )
    return _answer(session, None, installation.clock())


@router.route(
    "POST /v1/hosted-connection-sessions/{session_id}/redeem",
    scope="connect",
    errors=(
        NotFound,
        Conflict,
        AccountMismatch,
        SeveralConnections,
        EndUserMismatch,
        SessionExpired,
        SessionCancelled,
        SessionUsed,
        WrongMode,
    ),
    summary="Redeem the code of a session",
)
async def redeem_hosted_connection_session(
    session_id: PathId, body: RedeemCode, caller: Authenticated, installation: Installed
) -> SessionAnswer:
    """Confirm the new connection of a session in the mode `redirect`. The code is valid for 10 minutes.

    `end_user_id` is the user who is signed in to your product. If the session belongs to another end user, the response
    is 409, and One Runtime deletes the credentials that wait for the redemption. If you redeem the code again for the
    right user, nothing changes.
    """
    redeemed = await redirect_mode.redeem(installation, caller.actor, session_id, body.code, body.end_user_id)
    connection = redeemed.connection
    answer = ConnectionAnswer.of(connection, redeemed.integration) if connection is not None else None
    return _answer(redeemed.session, answer, installation.clock())


def _answer(session: ConnectSession, connection: ConnectionAnswer | None, now: datetime) -> SessionAnswer:
    return SessionAnswer.model_validate({**_fields(session, now), "connection": connection})


def session_summary(session: ConnectSession, now: datetime) -> SessionSummary:
    """Return the form of a session in a list."""
    return SessionSummary.model_validate(_fields(session, now))


def _fields(session: ConnectSession, now: datetime) -> dict[str, object]:
    """Return the fields of `SessionSummary`."""
    last_error = note_of(session.last_error, explain_session_error)
    return asdict(session) | {"status": session.state(now), "last_error": last_error}
