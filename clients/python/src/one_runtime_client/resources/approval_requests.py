"""Define the methods of `approval_requests`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Mapping
from functools import cached_property

from one_runtime_client.models import ApprovalRequest, OpenedApproval
from one_runtime_client.operations import Resource, with_response
from one_runtime_client.parsing import answer
from one_runtime_client.requests import Request


class ApprovalRequests(Resource):
    """Calls of agents that an end user has to approve."""

    @cached_property
    def with_raw_response(self) -> "ApprovalRequestsWithRawResponse":
        """The same methods. Each returns a `RawResponse` with the status and the headers."""
        return ApprovalRequestsWithRawResponse(self)

    def get(
        self,
        approval_request_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ApprovalRequest:
        """Return an approval request.

        The id is the query parameter `approval_request_id` of the page of your product that the end user opened.

        The API key needs the scope `connect`.

        Args:
            approval_request_id: The id of an agent's approval request.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            ApprovalRequest: A call of an agent that the end user has to approve.

        Raises:
            NotFound: `not_found`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "GET /v1/approval-requests/{approval_request_id}",
                path={
                    "approval_request_id": approval_request_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(ApprovalRequest),
        )

    def refuse(
        self,
        approval_request_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ApprovalRequest:
        """Refuse an open approval request for the end user. The agent learns it. A second call changes nothing.

        The API key needs the scope `connect`.

        Args:
            approval_request_id: The id of an agent's approval request.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            ApprovalRequest: A call of an agent that the end user has to approve.

        Raises:
            NotFound: `not_found`.
            Conflict: `precondition_failed`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "DELETE /v1/approval-requests/{approval_request_id}",
                path={
                    "approval_request_id": approval_request_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(ApprovalRequest),
        )

    def open(
        self,
        approval_request_id: str,
        *,
        end_user_id: str,
        return_url: str | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> OpenedApproval:
        """Return the address of the page on which the end user approves or refuses the call. Redirect the browser to
        it.

        If the request belongs to another end user, the response is 409. An earlier address of this request becomes
        invalid.

        The API key needs the scope `connect`.

        Args:
            approval_request_id: The id of an agent's approval request.
            end_user_id: Your own identifier of the end user.
            return_url: The URL to which the browser returns, or None. It must be one of your organization's return
                URLs.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            OpenedApproval: The address of the page on which the end user approves or refuses the call.

        Raises:
            NotFound: `not_found`.
            Conflict: `end_user_mismatch`, `approval_request_closed`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "POST /v1/approval-requests/{approval_request_id}/open",
                path={
                    "approval_request_id": approval_request_id,
                },
                json={
                    "end_user_id": end_user_id,
                    "return_url": return_url,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(OpenedApproval),
        )


class ApprovalRequestsWithRawResponse:
    """The methods of `approval_requests`. Each returns a `RawResponse` with the status and the headers."""

    def __init__(self, resource: ApprovalRequests) -> None:
        self.get = with_response(resource.get)
        self.refuse = with_response(resource.refuse)
        self.open = with_response(resource.open)
