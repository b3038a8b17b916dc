"""Define the classes of answers of `proxy_requests`. `python -m scripts.generate_clients` writes this file."""

from dataclasses import dataclass
from datetime import datetime

__all__ = [
    "ProxyRequest",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRequest:
    """A call through the proxy. Body sizes are in bytes, and durations are in milliseconds.

    Attributes:
        id: The id. Ids are UUIDs.
        created_at: The time of the creation, as in RFC 3339.
        end_user_id: Your own identifier of the end user.
        connection_id: The id of the connection.
        integration_slug: The slug of the integration.
        method: The HTTP method.
        path: The path at the provider, without the query.
        http_status: The HTTP status. 0: the caller disconnected before the response.
        error_code: The code of One Runtime's own error, or None.
        attempts: The number of requests that One Runtime sent to the provider.
        request_bytes: The size of the request's body in bytes.
        response_bytes: The size of the response's body in bytes.
        duration_ms: The duration of the call in milliseconds.
        upstream_ms: The time until the provider's response in milliseconds, or None.
        api_key_id: The id of the API key.
        request_id: The id of the request, as in the header `Request-Id`. The server's log contains this id.
        end_user_token_id: The end-user token of the agent that made the call, or None.
        run_id: The run of an agent's program that made the call, or None.
        member_id: The member who made the call in the playground of the dashboard, or None.
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
    end_user_token_id: str | None
    run_id: str | None
    member_id: str | None
