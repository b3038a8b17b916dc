"""Serve `GET /v1/proxy-requests`: the log of calls through the proxy, newest call first."""

from dataclasses import asdict
from typing import Annotated

from fastapi import Query
from pydantic import Field

from one_runtime.api.described import Described
from one_runtime.api.fields import Answer, Body, IdCursor, Limit, Moment, RowId, Several, Slug, Text, Time, whole_number
from one_runtime.api.routing import Authenticated, Installed, Routes
from one_runtime.proxy import request_log
from one_runtime.proxy.request_log import LoggedRequest, RequestFilter

router = Routes("Proxy")


class ProxyRequestAnswer(Answer, title="ProxyRequest"):
    """A call through the proxy. Body sizes are in bytes, and durations are in milliseconds.

    - `path`: the path without the query.
    - `http_status`: the status of the response. 0 means that the caller closed the connection before the response.
    - `error_code`: the code of One Runtime's own error, or null.
    - `api_key_id`: the API key of the caller. Null if an agent used an end-user token, if a member made the call in the
      dashboard, or if an older version of One Runtime logged the call.
    - `end_user_token_id`: the end-user token of the agent that made the call, or null.
    - `run_id`: the run of an agent's program that made the call, or null.
    - `member_id`: the member who made the call in the playground of the dashboard, or null.
    - `request_id`: the header `Request-Id` of the response. Null if an older version of One Runtime logged the call.
    """

    id: str
    created_at: Time
    end_user_id: str | None
    connection_id: str
    integration_slug: str
    method: str
    path: str
    http_status: Annotated[int, Described("The HTTP status. 0: the caller disconnected before the response.", 200)]
    error_code: Annotated[str | None, Described("The code of One Runtime's own error, or null.", None)]
    attempts: Annotated[int, Described("The number of requests that One Runtime sent to the provider.", 1)]
    request_bytes: Annotated[int, Described("The size of the request's body in bytes.", 0)]
    response_bytes: Annotated[int, Described("The size of the response's body in bytes.", 1832)]
    duration_ms: Annotated[int, Described("The duration of the call in milliseconds.", 143)]
    upstream_ms: Annotated[
        int | None, Described("The time until the provider's response in milliseconds, or null.", 141)
    ]
    api_key_id: str | None
    request_id: str | None
    end_user_token_id: Annotated[
        str | None, Described("The end-user token of the agent that made the call, or null.", None)
    ]
    run_id: Annotated[str | None, Described("The run of an agent's program that made the call, or null.", None)]
    member_id: Annotated[
        str | None, Described("The member who made the call in the playground of the dashboard, or null.", None)
    ]


class ProxyRequestPage(Answer):
    """A page of calls. `next_cursor` is null on the last page.

    One Runtime searches at most 10,000 calls for each page if you filter by `http_status`, `integration_slug`,
    `api_key_id`, `end_user_token_id` or `run_id`, or by several values of any field. So a page with a `next_cursor` can
    contain few calls or no calls.
    """

    proxy_requests: list[ProxyRequestAnswer]
    next_cursor: str | None


class ProxyRequestQuery(Body):
    """Filters, and the page to return."""

    end_user_id: Several[Text] = []
    connection_id: Several[RowId] = []
    integration_slug: Several[Slug] = []
    http_status: Several[Annotated[int, Field(ge=0, le=599), whole_number(0, 599)]] = []
    api_key_id: Several[RowId] = []
    end_user_token_id: Several[RowId] = []
    run_id: Several[RowId] = []
    request_id: RowId | None = None
    since: Moment | None = None
    until: Moment | None = None
    limit: Limit = 100
    cursor: IdCursor = None


@router.route("GET /v1/proxy-requests", scope="read", summary="List calls through the proxy, newest first")
async def list_proxy_requests(
    caller: Authenticated, installation: Installed, query: Annotated[ProxyRequestQuery, Query()]
) -> ProxyRequestPage:
    """List the calls of your organization through the proxy, newest first.

    A call appears about a second after its end. One Runtime keeps calls for 7 days. The operator can change this time.
    """
    filters = RequestFilter(
        end_user_id=query.end_user_id,
        connection_id=query.connection_id,
        integration_slug=query.integration_slug,
        status=query.http_status,
        api_key_id=query.api_key_id,
        end_user_token_id=query.end_user_token_id,
        run_id=query.run_id,
        request_id=query.request_id,
        since=query.since,
        until=query.until,
    )
    async with installation.database.read() as tx:
        calls, next_cursor = await request_log.list_newest(
            tx, caller.organization_id, filters, limit=query.limit, before=query.cursor
        )
    return ProxyRequestPage(proxy_requests=[proxy_request_answer(call) for call in calls], next_cursor=next_cursor)


def proxy_request_answer(call: LoggedRequest) -> ProxyRequestAnswer:
    """Return the form of the API."""
    renamed = {"created_at": call.at, "http_status": call.status, "error_code": call.error}
    return ProxyRequestAnswer.model_validate(asdict(call) | renamed)
