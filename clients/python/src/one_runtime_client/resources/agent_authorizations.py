"""Define the methods of `agent_authorizations`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Literal

from one_runtime_client.models import (
    AgentAuthorization,
    AnsweredAgentAuthorization,
)
from one_runtime_client.operations import Resource, with_response
from one_runtime_client.parsing import answer
from one_runtime_client.requests import (
    Request,
    as_list,
    new_idempotency_key,
)


class AgentAuthorizations(Resource):
    """Requests of agents to act for an end user, which your sign-in page answers."""

    @cached_property
    def with_raw_response(self) -> "AgentAuthorizationsWithRawResponse":
        """The same methods. Each returns a `RawResponse` with the status and the headers."""
        return AgentAuthorizationsWithRawResponse(self)

    def get(
        self,
        agent_authorization_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AgentAuthorization:
        """Return the request of an agent. Show it to the end user, who approves or declines it.

        The id is the query parameter `agent_authorization_id` of your sign-in page (`agents.sign_in_url`).

        The API key needs the scope `use`.

        Args:
            agent_authorization_id: The id of an agent's request.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            AgentAuthorization: A request of an agent to act for an end user.

        Raises:
            NotFound: `not_found`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "GET /v1/agent-authorizations/{agent_authorization_id}",
                path={
                    "agent_authorization_id": agent_authorization_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(AgentAuthorization),
        )

    def approve(
        self,
        agent_authorization_id: str,
        *,
        end_user_id: str,
        access: Literal["read", "ask", "write"] | None = None,
        integrations: Iterable[str] | None = None,
        hosts: Iterable[str] | None = None,
        methods: Iterable[Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]] | None = None,
        calls_per_run: int | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AnsweredAgentAuthorization:
        """Approve the request of an agent for the end user who is signed in. Then send the browser to
        `continue_url`.

        Only one answer is possible. The address contains a code that is valid for 60 seconds.

        The API key needs the scope `use`.

        The end user who is signed in to your product, and the limits of the agent.

        The limits of your organization apply too. `access`: None means the access that the agent has requested.

        Args:
            agent_authorization_id: The id of an agent's request.
            end_user_id: Your own identifier of the end user.
            access: The access to grant. None: the access that the agent has requested.
            integrations: The slugs that the agent can use. None: all integrations.
            hosts: The hosts that the agent can call. None: all hosts of the integrations.
            methods: The HTTP methods that the agent can use. None: all methods.
            calls_per_run: The number of calls that one program of the agent can make. Default: 300.
            idempotency_key: A unique value for this creation. A second call with the value creates nothing. Default: a
                random UUID.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            AnsweredAgentAuthorization: An authorization, with the address to which you send the browser.

        Raises:
            NotFound: `not_found`.
            Conflict: `idempotency_key_in_use`, `agent_authorization_closed`.
            InvalidInput: `invalid_input`, `idempotency_key_reused`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "POST /v1/agent-authorizations/{agent_authorization_id}",
                path={
                    "agent_authorization_id": agent_authorization_id,
                },
                json={
                    "access": access,
                    "integrations": as_list(integrations),
                    "hosts": as_list(hosts),
                    "methods": as_list(methods),
                    "calls_per_run": calls_per_run,
                    "end_user_id": end_user_id,
                },
                idempotency_key=idempotency_key or new_idempotency_key(),
                timeout=timeout,
                headers=headers,
            ),
            answer(AnsweredAgentAuthorization),
        )

    def decline(
        self,
        agent_authorization_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AnsweredAgentAuthorization:
        """Decline the open request of an agent. Then send the browser to `continue_url`, and the agent learns the
        answer.

        A second call changes nothing.

        The API key needs the scope `use`.

        Args:
            agent_authorization_id: The id of an agent's request.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            AnsweredAgentAuthorization: An authorization, with the address to which you send the browser.

        Raises:
            NotFound: `not_found`.
            Conflict: `precondition_failed`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "DELETE /v1/agent-authorizations/{agent_authorization_id}",
                path={
                    "agent_authorization_id": agent_authorization_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(AnsweredAgentAuthorization),
        )


class AgentAuthorizationsWithRawResponse:
    """The methods of `agent_authorizations`. Each returns a `RawResponse` with the status and the headers."""

    def __init__(self, resource: AgentAuthorizations) -> None:
        self.get = with_response(resource.get)
        self.approve = with_response(resource.approve)
        self.decline = with_response(resource.decline)
