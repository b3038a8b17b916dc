"""Define the operations for the log of calls through the proxy, with arguments and results."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from one_runtime_client.arguments import LIMIT, Arguments, as_time, one_or_more
from one_runtime_client.operations import Listing, Resource, TransportT
from one_runtime_client.parsing import list_of

__all__ = ["ProxyRequest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRequest:
    """A call through the proxy. `path` does not contain the query.

    `request_id`: the header `Request-Id` of the response, or None if an older version of One Runtime logged the call.
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
    request_id: str | None


def list_proxy_requests(  # noqa: PLR0913 - by name
    *,
    end_user_id: str | Iterable[str] = (),
    connection_id: str | Iterable[str] = (),
    integration_slug: str | Iterable[str] = (),
    http_status: int | Iterable[int] = (),
    api_key_id: str | Iterable[str] = (),
    request_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = LIMIT,
    cursor: str | None = None,
) -> Arguments:
    """List calls through the proxy, newest first.

    A filter with several values matches calls that have one of the values.
    """
    filters = {
        "end_user_id": one_or_more(end_user_id),
        "connection_id": one_or_more(connection_id),
        "integration_slug": one_or_more(integration_slug),
        "http_status": one_or_more(http_status),
        "api_key_id": one_or_more(api_key_id),
        "request_id": request_id,
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
