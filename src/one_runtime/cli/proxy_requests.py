"""`one-runtime proxy-requests`: read the log of proxy calls of all organizations."""

from dataclasses import replace
from functools import partial
from typing import Annotated, Final

import typer

from one_runtime.cli.listing import (
    DEFAULT_LIMIT,
    ConnectionId,
    Cursor,
    EndUserId,
    IntegrationSlug,
    Limit,
    OrganizationId,
    RequestId,
    Since,
    Until,
    check_id,
    find_organization,
    parse_time,
    print_page,
)
from one_runtime.cli.running import read
from one_runtime.cli.terminal import AsJson
from one_runtime.clock import rfc3339
from one_runtime.db.engine import Transaction
from one_runtime.db.scanning import Page, read_pages
from one_runtime.proxy import request_log
from one_runtime.proxy.request_log import LoggedRequest, RequestFilter
from one_runtime.tenancy import api_keys

app = typer.Typer()

COLUMNS: Final = {
    "created_at": "time",
    "organization_id": "organization",
    "end_user_id": "end user",
    "connection_id": "connection",
    "integration_slug": "integration",
    "method": "method",
    "path": "path",
    "http_status": "status",
    "error_code": "error",
    "attempts": "attempts",
    "duration_ms": "ms",
    "api_key_id": "API key",
}


@app.command("list")
def list_proxy_requests(  # noqa: PLR0913 - one argument for each option
    *,
    organization: OrganizationId = None,
    end_user: EndUserId = None,
    connection: ConnectionId = None,
    integration: IntegrationSlug = None,
    http_status: Annotated[
        int | None, typer.Option(min=0, max=599, help="Status of the response. 0: the caller closed the connection.")
    ] = None,
    api_key: Annotated[str | None, typer.Option(help="Id or prefix of the caller's API key.")] = None,
    request_id: RequestId = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List calls through the proxy, newest first."""
    check_id("--connection", connection)
    check_id("--cursor", cursor)
    check_id("--request-id", request_id)
    matching = RequestFilter(
        end_user_id=end_user,
        connection_id=connection,
        integration_slug=integration,
        status=http_status,
        request_id=request_id,
        since=parse_time("--since", since),
        until=parse_time("--until", until),
    )

    async def find(tx: Transaction) -> Page[LoggedRequest]:
        owner, filters = await find_organization(tx, organization, connection), matching
        if api_key is not None:
            key = await api_keys.find(tx, api_key)
            owner, filters = owner or key.organization_id, replace(matching, api_key_id=key.id)
        page = partial(request_log.list_newest, tx, owner, filters)
        return await read_pages(page, limit=limit, cursor=cursor)

    rows, next_cursor = read(find)
    print_page([describe(row) for row in rows], next_cursor, as_json=as_json, columns=COLUMNS)


def describe(call: LoggedRequest) -> dict[str, object]:
    """Return a call in the form that commands print."""
    return {
        "id": call.id,
        "created_at": rfc3339(call.at),
        "organization_id": call.organization_id,
        "end_user_id": call.end_user_id,
        "connection_id": call.connection_id,
        "integration_slug": call.integration_slug,
        "method": call.method,
        "path": call.path,
        "http_status": call.status,
        "error_code": call.error,
        "attempts": call.attempts,
        "request_bytes": call.request_bytes,
        "response_bytes": call.response_bytes,
        "duration_ms": call.duration_ms,
        "upstream_ms": call.upstream_ms,
        "api_key_id": call.api_key_id,
        "request_id": call.request_id,
    }
