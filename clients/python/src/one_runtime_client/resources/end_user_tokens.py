"""Define the methods of `end_user_tokens`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Literal

from one_runtime_client.models import (
    CreatedEndUserToken,
    EndUserToken,
)
from one_runtime_client.operations import Pages, Resource, page_with_response, with_response
from one_runtime_client.parsing import answer, list_of
from one_runtime_client.requests import (
    Request,
    as_list,
    new_idempotency_key,
)


class EndUserTokens(Resource):
    """Tokens with which an agent acts for one end user."""

    @cached_property
    def with_raw_response(self) -> "EndUserTokensWithRawResponse":
        """The same methods. Each returns a `RawResponse` with the status and the headers."""
        return EndUserTokensWithRawResponse(self)

    def create(
        self,
        *,
        end_user_id: str,
        access: Literal["read", "ask", "write"] | None = None,
        integrations: Iterable[str] | None = None,
        hosts: Iterable[str] | None = None,
        methods: Iterable[Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]] | None = None,
        calls_per_run: int | None = None,
        audience: Literal["agent"] | None = None,
        name: str | None = None,
        expires_in: int | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> CreatedEndUserToken:
        """Create a token with which an agent acts for one end user at `/v1/mcp`. Only this response contains the
        token.

        The token can use the end user's connections. It cannot read credentials, create tokens or act for another end
        user.

        The API key needs the scope `use`.

        The end user, and the limits of the agent. The limits of your organization apply too.

        Args:
            end_user_id: Your own identifier of the end user.
            access: `read`: only reading calls. `ask`: also approved calls. `write`: all calls. Default: read.
            integrations: The slugs that the agent can use. None: all integrations.
            hosts: The hosts that the agent can call. None: all hosts of the integrations.
            methods: The HTTP methods that the agent can use. None: all methods.
            calls_per_run: The number of calls that one program of the agent can make. Default: 300.
            audience: The place that accepts the token. `agent`: `/v1/mcp`. Default: agent.
            name: Your name for the agent, or None.
            expires_in: The lifetime of the token in seconds. Default: 3600.
            idempotency_key: A unique value for this creation. A second call with the value creates nothing. Default: a
                random UUID.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            CreatedEndUserToken: A new token.

        Raises:
            Conflict: `idempotency_key_in_use`.
            InvalidInput: `invalid_input`, `idempotency_key_reused`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "POST /v1/end-user-tokens",
                json={
                    "access": access,
                    "integrations": as_list(integrations),
                    "hosts": as_list(hosts),
                    "methods": as_list(methods),
                    "calls_per_run": calls_per_run,
                    "audience": audience,
                    "end_user_id": end_user_id,
                    "name": name,
                    "expires_in": expires_in,
                },
                idempotency_key=idempotency_key or new_idempotency_key(),
                timeout=timeout,
                headers=headers,
            ),
            answer(CreatedEndUserToken),
        )

    def list(
        self,
        *,
        end_user_id: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Pages[EndUserToken]:
        """List the end-user tokens of your organization, newest first. The response contains no secret.

        One Runtime deletes a token 30 days after its expiry.

        The API key needs the scope `read`.

        Args:
            end_user_id: Your own identifier of the end user.
            limit: Maximum number of items on a page. Default: 100.
            cursor: `next_cursor` of the previous page.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            Pages: A loop requests the pages one by one. Each item: An end-user token, without its secret.

        Raises:
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._pages(
            Request(
                "GET /v1/end-user-tokens",
                query={
                    "end_user_id": end_user_id,
                    "limit": limit,
                    "cursor": cursor,
                },
                timeout=timeout,
                headers=headers,
            ),
            list_of(EndUserToken, under="end_user_tokens"),
        )

    def get(
        self,
        end_user_token_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> EndUserToken:
        """Return an end-user token of your organization, without its secret. The token can be revoked or expired.

        The API key needs the scope `read`.

        Args:
            end_user_token_id: The id of the end-user token.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            EndUserToken: An end-user token, without its secret.

        Raises:
            NotFound: `not_found`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "GET /v1/end-user-tokens/{end_user_token_id}",
                path={
                    "end_user_token_id": end_user_token_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(EndUserToken),
        )

    def revoke(
        self,
        end_user_token_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> EndUserToken:
        """Revoke an end-user token. One Runtime refuses every later request with the token.

        A second revocation changes nothing.

        The API key needs the scope `use`.

        Args:
            end_user_token_id: The id of the end-user token.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            EndUserToken: An end-user token, without its secret.

        Raises:
            NotFound: `not_found`.
            Conflict: `precondition_failed`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "DELETE /v1/end-user-tokens/{end_user_token_id}",
                path={
                    "end_user_token_id": end_user_token_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(EndUserToken),
        )


class EndUserTokensWithRawResponse:
    """The methods of `end_user_tokens`. Each returns a `RawResponse` with the status and the headers."""

    def __init__(self, resource: EndUserTokens) -> None:
        self.create = with_response(resource.create)
        self.list = page_with_response(resource.list)
        self.get = with_response(resource.get)
        self.revoke = with_response(resource.revoke)
