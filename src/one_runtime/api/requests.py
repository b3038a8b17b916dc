"""`GET /v1/requests`: which calls went through the proxy, newest first."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from one_runtime.api.auth import Authenticated, Installed
from one_runtime.api.fields import Answer, Body, IdCursor, Limit, RowId, Slug, Text, Time
from one_runtime.proxy import request_log
from one_runtime.proxy.request_log import RequestFilter

router = APIRouter(tags=["Proxy"])


class RequestAnswer(Answer):
    """One call. `path` is without its query; `error` is our code where the failure is ours and not the provider's;
    sizes are bytes of bodies, times milliseconds."""

    id: str
    at: Time
    end_user_id: str | None
    connection_id: str
    integration_slug: str
    method: str
    path: str
    status: int
    error: str | None
    attempts: int
    request_bytes: int
    response_bytes: int
    duration_ms: int
    upstream_ms: int | None


class RequestPage(Answer):
    """One page; `next_cursor` is null on the last one. By `status` or `integration_slug` a page may have less than the
    limit, or nothing, and others come after it: each looks through 10,000 calls."""

    requests: list[RequestAnswer]
    next_cursor: str | None


class RequestQuery(Body):
    """What to list."""

    end_user_id: Text | None = None
    connection_id: RowId | None = None
    integration_slug: Slug | None = None
    status: int | None = Field(None, ge=0, le=599)
    limit: Limit = 100
    cursor: IdCursor = None


@router.get("/v1/requests", summary="List calls through the proxy, newest first")
async def list_requests(
    caller: Authenticated, installation: Installed, wanted: Annotated[RequestQuery, Query()]
) -> RequestPage:
    """Your organization's calls, kept for 7 days unless the operator set another time; a call is in the list about a
    second after it ended."""
    chosen = RequestFilter(wanted.end_user_id, wanted.connection_id, wanted.integration_slug, wanted.status)
    async with installation.database.read() as tx:
        found, last = await request_log.list_newest(
            tx, caller.organization_id, chosen, limit=wanted.limit, before=wanted.cursor
        )
    return RequestPage(requests=[RequestAnswer.model_validate(one) for one in found], next_cursor=last)
