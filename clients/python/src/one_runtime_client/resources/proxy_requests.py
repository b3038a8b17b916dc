"""Define the operations for the log of calls through the proxy, with arguments and results."""

from dataclasses import dataclass
from datetime import datetime

from one_runtime_client.arguments import LIMIT, Arguments, as_time
from one_runtime_client.operations import Listing, Resource, TransportT
from one_runtime_client.parsing import list_of

__all__ = ["ProxyRequest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRequest:
    """A call through the proxy. `path` does not contain the query.

    `http_status` is 0 if the caller closed the connection before the response started. `error_code`: the code of One
    Runtime's own error, or None. Sizes of bodies are in bytes. Durations are in milliseconds.
    """

    id: str
    created_at: datetime
    end_user_id: str | None
    connection_id: str
    integration_slug: str
    method: str
    path: str
    http_status: int
    error_code: str | None
    attempts: int
    request_bytes: int
    response_bytes: int
    duration_ms: int
    upstream_ms: int | None
    api_key_id: str | None


def list_proxy_requests(  # noqa: PLR0913 - by name
    *,
    end_user_id: str | None = None,
    connection_id: str | None = None,
    integration_slug: str | None = None,
    http_status: int | None = None,
    api_key_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = LIMIT,
    cursor: str | None = None,
) -> Arguments:
    """List calls through the proxy, newest first."""
    filters = {
        "end_user_id": end_user_id,
        "connection_id": connection_id,
        "integration_slug": integration_slug,
        "http_status": http_status,
        "api_key_id": api_key_id,
        "since": as_time(since),
        "until": as_time(until),
    }
    return Arguments(query={**filters, "limit": limit, "cursor": cursor})


class ProxyRequests(Resource[TransportT]):
    """The log of calls through the proxy."""

    list = Listing(
        "GET /v1/proxy-requests",
        list_proxy_requests,
        list_of(ProxyRequest, under="proxy_requests"),
    )
