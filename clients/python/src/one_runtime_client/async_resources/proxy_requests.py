"""Define the asynchronous methods of `proxy_requests`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property

from one_runtime_client.models import (
    ProxyRequest,
)
from one_runtime_client.operations import AsyncPages, AsyncResource, async_page_with_response
from one_runtime_client.parsing import list_of
from one_runtime_client.requests import (
    Request,
    one_or_more,
)


class AsyncProxyRequests(AsyncResource):
    """The log of calls through the proxy."""

    @cached_property
    def with_raw_response(self) -> "AsyncProxyRequestsWithRawResponse":
        """The same methods. Each returns a `RawResponse` with the status and the headers."""
        return AsyncProxyRequestsWithRawResponse(self)

    def list(
        self,
        *,
        end_user_id: str | Iterable[str] = (),
        connection_id: str | Iterable[str] = (),
        integration_slug: str | Iterable[str] = (),
        http_status: int | Iterable[int] = (),
        api_key_id: str | Iterable[str] = (),
        end_user_token_id: str | Iterable[str] = (),
        run_id: str | Iterable[str] = (),
        request_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncPages[ProxyRequest]:
        """List the calls of your organization through the proxy, newest first.

        A call appears about a second after its end. One Runtime keeps calls for 7 days. The operator can change this
        time.

        The API key needs the scope `read`.

        Args:
            end_user_id: Your own identifier of the end user.
            connection_id: The id of the connection.
            integration_slug: The slug of the integration.
            http_status: The HTTP status of the response.
            api_key_id: The id of the API key.
            end_user_token_id: The id of the end-user token.
            run_id: Only calls of these runs of an agent's programs.
            request_id: The id of the request, as in the header `Request-Id`. The server's log contains this id.
            since: Only items at or after this time, as in RFC 3339.
            until: Only items before this time, as in RFC 3339.
            limit: Maximum number of items on a page. Default: 100.
            cursor: `next_cursor` of the previous page.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            AsyncPages: A loop requests the pages one by one. Each item: A call through the proxy.

        Raises:
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._pages(
            Request(
                "GET /v1/proxy-requests",
                query={
                    "end_user_id": one_or_more(end_user_id),
                    "connection_id": one_or_more(connection_id),
                    "integration_slug": one_or_more(integration_slug),
                    "http_status": one_or_more(http_status),
                    "api_key_id": one_or_more(api_key_id),
                    "end_user_token_id": one_or_more(end_user_token_id),
                    "run_id": one_or_more(run_id),
                    "request_id": request_id,
                    "since": since,
                    "until": until,
                    "limit": limit,
                    "cursor": cursor,
                },
                timeout=timeout,
                headers=headers,
            ),
            list_of(ProxyRequest, under="proxy_requests"),
        )


class AsyncProxyRequestsWithRawResponse:
    """The methods of `proxy_requests`. Each returns a `RawResponse` with the status and the headers."""

    def __init__(self, resource: AsyncProxyRequests) -> None:
        self.list = async_page_with_response(resource.list)
