"""`one-runtime proxy-requests`: read the log of proxy calls of all organizations."""

from dataclasses import replace
from typing import Annotated, Final

import typer

from one_runtime.cli.log_options import LogOptions, print_log, with_log_options
from one_runtime.clock import rfc3339
from one_runtime.proxy import request_log
from one_runtime.proxy.request_log import LoggedRequest, RequestFilter

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
@with_log_options
def list_proxy_requests(
    options: LogOptions,
    *,
    http_status: Annotated[
        int | None, typer.Option(min=0, max=599, help="Status of the response. 0: the caller closed the connection.")
    ] = None,
) -> None:
    """List calls through the proxy, newest first."""
    matching = RequestFilter(**options.filters(), status=http_status)
    print_log(options, request_log.list_newest, matching, _of_api_key, describe, COLUMNS)


def _of_api_key(matching: RequestFilter, key_id: str) -> RequestFilter:
    return replace(matching, api_key_id=key_id)


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
        "end_user_token_id": call.end_user_token_id,
        "run_id": call.run_id,
        "member_id": call.member_id,
    }
