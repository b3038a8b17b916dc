"""Define the methods of `connect_requests`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Mapping
from functools import cached_property

from one_runtime_client.models import ConnectRequest
from one_runtime_client.operations import Resource, with_response
from one_runtime_client.parsing import answer
from one_runtime_client.requests import Request


class ConnectRequests(Resource):
    """Requests of agents that an end user connects an account."""

    @cached_property
    def with_raw_response(self) -> "ConnectRequestsWithRawResponse":
        """The same methods. Each returns a `RawResponse` with the status and the headers."""
        return ConnectRequestsWithRawResponse(self)

    def get(
        self,
        connect_request_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ConnectRequest:
        """Return a connect request. Compare `end_user_id` with the user who is signed in to your product.

        The id is the query parameter `connect_request_id` of the page of your product that the end user opened.

        The API key needs the scope `connect`.

        Args:
            connect_request_id: The id of an agent's connect request.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            ConnectRequest: A request of an agent that an end user connects an account.

        Raises:
            NotFound: `not_found`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "GET /v1/connect-requests/{connect_request_id}",
                path={
                    "connect_request_id": connect_request_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(ConnectRequest),
        )

    def decline(
        self,
        connect_request_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ConnectRequest:
        """Decline an open connect request, because the end user does not want to connect. The agent learns it.

        A second call changes nothing.

        The API key needs the scope `connect`.

        Args:
            connect_request_id: The id of an agent's connect request.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            ConnectRequest: A request of an agent that an end user connects an account.

        Raises:
            NotFound: `not_found`.
            Conflict: `precondition_failed`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "DELETE /v1/connect-requests/{connect_request_id}",
                path={
                    "connect_request_id": connect_request_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(ConnectRequest),
        )


class ConnectRequestsWithRawResponse:
    """The methods of `connect_requests`. Each returns a `RawResponse` with the status and the headers."""

    def __init__(self, resource: ConnectRequests) -> None:
        self.get = with_response(resource.get)
        self.decline = with_response(resource.decline)
