"""Serve `/v1/end-user-exports`: everything that One Runtime stores about one end user."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Protocol, TypeAlias

from fastapi import Response
from starlette.responses import StreamingResponse

from one_runtime.agents import paused_runs
from one_runtime.api.agent_authorizations import AUTHORIZATION_FORM, AgentAuthorizationAnswer
from one_runtime.api.approval_requests import APPROVAL_FORM, ApprovalRequestAnswer
from one_runtime.api.connect_requests import CONNECT_FORM, ConnectRequestAnswer
from one_runtime.api.connections import ConnectionAnswer
from one_runtime.api.described import EXAMPLE_TIME, Described
from one_runtime.api.end_user_requests import RequestForm
from one_runtime.api.end_user_tokens import EndUserTokenAnswer, end_user_token_answer
from one_runtime.api.end_users import EndUserAnswer, PathIdentifier
from one_runtime.api.events import EventAnswer, event_answer
from one_runtime.api.fields import Answer, Time
from one_runtime.api.hosted_connection_sessions import SessionSummary, session_summary
from one_runtime.api.proxy_requests import ProxyRequestAnswer, proxy_request_answer
from one_runtime.api.routing import Authenticated, Installed, Routes
from one_runtime.clock import rfc3339
from one_runtime.connecting import session_search
from one_runtime.connecting.session_search import SessionFilter
from one_runtime.connections import connections
from one_runtime.connections.connections import ConnectionFilter
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.errors import NotFound
from one_runtime.proxy import request_log
from one_runtime.proxy.request_log import RequestFilter
from one_runtime.tenancy import end_user_tokens, end_users, events
from one_runtime.tenancy.events import EventFilter

router = Routes("End users")

PAGE: Final = 200
"""Number of rows that one statement reads. The event loop converts these rows to JSON in a few milliseconds."""

_Page: TypeAlias = tuple[Sequence[Answer], str | None]
"""The items of a page, and the cursor of the next page."""
_Read: TypeAlias = Callable[[Transaction, str | None], Awaitable[_Page]]


class PausedAgentRunAnswer(Answer, title="PausedAgentRun"):
    """A program of an agent that waits for the end user, or that continues after a wait.

    `status`: `waiting` or `running`. `end_user_token_id`: the token of the agent, or null if your backend started the
    program.
    """

    id: str
    status: Annotated[str, Described("`waiting` or `running`.", "waiting")]
    end_user_token_id: str | None
    created_at: Time


class EndUserExport(Answer):
    """Everything that One Runtime stores about an end user, without credentials and other secrets.

    Each list begins with the newest item.
    """

    exported_at: Annotated[Time, Described("The time at which the export began, as in RFC 3339.", EXAMPLE_TIME)]
    end_user: Annotated[EndUserAnswer, Described("The end user.")]
    connections: list[ConnectionAnswer]
    sessions: list[SessionSummary]
    end_user_tokens: list[EndUserTokenAnswer]
    agent_authorizations: Annotated[
        list[AgentAuthorizationAnswer], Described("The agents that the end user has approved, newest first.")
    ]
    connect_requests: Annotated[
        list[ConnectRequestAnswer], Described("The requests of agents to connect an account, newest first.")
    ]
    approval_requests: Annotated[
        list[ApprovalRequestAnswer], Described("The calls of agents that the end user had to approve, newest first.")
    ]
    paused_agent_runs: Annotated[
        list[PausedAgentRunAnswer], Described("The programs of agents that wait for the end user, newest first.")
    ]
    events: Annotated[list[EventAnswer], Described("The events of the end user, newest first.")]
    proxy_requests: list[ProxyRequestAnswer]


@router.route(
    "GET /v1/end-user-exports/{end_user_id:path}",
    scope="admin",
    errors=(NotFound,),
    summary="Export the data of an end user",
    response_model=EndUserExport,
)
async def export_end_user(end_user_id: PathIdentifier, caller: Authenticated, installation: Installed) -> Response:
    """Return everything that One Runtime stores about an end user, in one response of any size.

    If an error occurs after the beginning of the response, One Runtime closes the connection, so that no program takes
    a part for the whole.
    """
    async with installation.database.read() as tx:
        end_user = EndUserAnswer.model_validate(await end_users.get(tx, caller.organization_id, end_user_id))
    lists = _lists(installation, caller.organization_id, end_user_id)
    return StreamingResponse(_document(installation, end_user, lists), media_type="application/json")


async def _document(
    installation: Installation, end_user: EndUserAnswer, lists: Mapping[str, _Read]
) -> AsyncIterator[str]:
    """Yield the parts of the JSON document. Each page has a transaction of its own, so a slow reader holds none."""
    yield f'{{"exported_at":"{rfc3339(installation.clock())}","end_user":{end_user.model_dump_json()}'
    for name, read in lists.items():
        yield f',"{name}":['
        separator = ""
        async for page in _pages(installation, read):
            if page:
                yield separator + ",".join(item.model_dump_json() for item in page)
                separator = ","
        yield "]"
    yield "}"


async def _pages(installation: Installation, read: _Read) -> AsyncIterator[Sequence[Answer]]:
    cursor = None
    while True:
        async with installation.database.read() as tx:
            items, cursor = await read(tx, cursor)
        yield items
        if cursor is None:
            return


def _lists(installation: Installation, organization_id: str, end_user_id: str) -> dict[str, _Read]:
    """Return a function for each list of `EndUserExport`. The function reads the page before a cursor."""
    now, of_end_user = installation.clock(), (organization_id, end_user_id)

    async def read_connections(tx: Transaction, before: str | None) -> _Page:
        matching = ConnectionFilter(end_user_id=end_user_id)
        rows = await connections.list_page(tx, organization_id, matching, limit=PAGE, before=before)
        catalog = await installation.catalogs.of(tx, organization_id)
        return [ConnectionAnswer.of(row, catalog.get(row.integration_slug)) for row in rows], _next(rows)

    async def read_sessions(tx: Transaction, before: str | None) -> _Page:
        matching = SessionFilter(end_user_id=end_user_id)
        rows, cursor = await session_search.list_newest(tx, organization_id, matching, now, limit=PAGE, before=before)
        return [session_summary(row, now) for row in rows], cursor

    async def read_tokens(tx: Transaction, before: str | None) -> _Page:
        rows = await end_user_tokens.list_page(tx, *of_end_user, limit=PAGE, before=before)
        return [end_user_token_answer(row) for row in rows], _next(rows)

    def requests_of(form: RequestForm[Any, Any]) -> _Read:
        async def read(tx: Transaction, before: str | None) -> _Page:
            rows = await form.kind.list_page(tx, *of_end_user, limit=PAGE, before=before)
            return [form.render(row, installation) for row in rows], _next(rows)

        return read

    async def read_paused_runs(tx: Transaction, before: str | None) -> _Page:
        rows = await paused_runs.list_page(tx, organization_id, now, end_user_id, limit=PAGE, before=before)
        return [PausedAgentRunAnswer.model_validate(row) for row in rows], _next(rows)

    async def read_events(tx: Transaction, before: str | None) -> _Page:
        matching = EventFilter(end_user_id=end_user_id)
        rows, cursor = await events.list_newest(tx, organization_id, matching, limit=PAGE, before=before)
        return [event_answer(row) for row in rows], cursor

    async def read_proxy_requests(tx: Transaction, before: str | None) -> _Page:
        matching = RequestFilter(end_user_id=end_user_id)
        rows, cursor = await request_log.list_newest(tx, organization_id, matching, limit=PAGE, before=before)
        return [proxy_request_answer(row) for row in rows], cursor

    return {
        "connections": read_connections,
        "sessions": read_sessions,
        "end_user_tokens": read_tokens,
        "agent_authorizations": requests_of(AUTHORIZATION_FORM),
        "connect_requests": requests_of(CONNECT_FORM),
        "approval_requests": requests_of(APPROVAL_FORM),
        "paused_agent_runs": read_paused_runs,
        "events": read_events,
        "proxy_requests": read_proxy_requests,
    }


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


def _next(rows: Sequence[_Identified]) -> str | None:
    """Return the cursor of the next page, or None after the last page."""
    return rows[-1].id if len(rows) == PAGE else None
