"""Define the asynchronous methods of `api_keys`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Literal

from one_runtime_client.models import (
    ApiKey,
    CreatedApiKey,
    Me,
)
from one_runtime_client.operations import AsyncPages, AsyncResource, async_page_with_response, async_with_response
from one_runtime_client.parsing import answer, list_of
from one_runtime_client.requests import (
    Request,
    as_list,
    new_idempotency_key,
)


class AsyncAPIKeys(AsyncResource):
    """The API keys of your organization, and the key of the request."""

    @cached_property
    def with_raw_response(self) -> "AsyncAPIKeysWithRawResponse":
        """The same methods. Each returns a `RawResponse` with the status and the headers."""
        return AsyncAPIKeysWithRawResponse(self)

    def list(
        self,
        *,
        limit: int = 100,
        cursor: str | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncPages[ApiKey]:
        """List the API keys of your organization, newest first. The response contains no secret.

        The API key needs the scope `admin`.

        Args:
            limit: Maximum number of items on a page. Default: 100.
            cursor: `next_cursor` of the previous page.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            AsyncPages: A loop requests the pages one by one. Each item: An API key, without its secret.

        Raises:
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._pages(
            Request(
                "GET /v1/api-keys",
                query={
                    "limit": limit,
                    "cursor": cursor,
                },
                timeout=timeout,
                headers=headers,
            ),
            list_of(ApiKey, under="api_keys"),
        )

    async def create(
        self,
        *,
        name: str,
        scopes: Iterable[Literal["read", "connect", "use", "credentials:read", "admin"]] | None = None,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> CreatedApiKey:
        """Create an API key of your organization. Only this response contains the key.

        A key grants only scopes that it has itself. Otherwise, the response is 422.

        The API key needs the scope `admin`.

        The name and the scopes of the key. The key of the request must have every scope that it grants.

        Args:
            name: Your name for the key, such as the program that uses it.
            scopes: The scopes of the new key. The key of the request must have all of them. Default: ('read',
                'connect', 'use').
            idempotency_key: A unique value for this creation. A second call with the value creates nothing. Default: a
                random UUID.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            CreatedApiKey: A new API key.

        Raises:
            Conflict: `idempotency_key_in_use`.
            InvalidInput: `invalid_input`, `idempotency_key_reused`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return await self._request(
            Request(
                "POST /v1/api-keys",
                json={
                    "name": name,
                    "scopes": as_list(scopes),
                },
                idempotency_key=idempotency_key or new_idempotency_key(),
                timeout=timeout,
                headers=headers,
            ),
            answer(CreatedApiKey),
        )

    async def get(
        self,
        api_key_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ApiKey:
        """Return an API key of your organization, without its secret. The key can be revoked.

        The API key needs the scope `admin`.

        Args:
            api_key_id: The id of the API key.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            ApiKey: An API key, without its secret.

        Raises:
            NotFound: `not_found`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return await self._request(
            Request(
                "GET /v1/api-keys/{api_key_id}",
                path={
                    "api_key_id": api_key_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(ApiKey),
        )

    async def revoke(
        self,
        api_key_id: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ApiKey:
        """Revoke an API key of your organization. One Runtime refuses every later request with the key.

        A second revocation changes nothing. You can also revoke the key of the request. If no other active key has the
        scope `admin`, the response is 409, because your organization could not create further keys over the API.

        The API key needs the scope `admin`.

        Args:
            api_key_id: The id of the API key.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            ApiKey: An API key, without its secret.

        Raises:
            NotFound: `not_found`.
            Conflict: `conflict`, `precondition_failed`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return await self._request(
            Request(
                "DELETE /v1/api-keys/{api_key_id}",
                path={
                    "api_key_id": api_key_id,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(ApiKey),
        )

    async def me(
        self,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Me:
        """Return the API key that you sent, without its secret, and the organization of the key.

        The API key can have any scope.

        Args:
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            Me: The API key of the request, and its organization.

        Raises:
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return await self._request(
            Request(
                "GET /v1/me",
                timeout=timeout,
                headers=headers,
            ),
            answer(Me),
        )


class AsyncAPIKeysWithRawResponse:
    """The methods of `api_keys`. Each returns a `RawResponse` with the status and the headers."""

    def __init__(self, resource: AsyncAPIKeys) -> None:
        self.list = async_page_with_response(resource.list)
        self.create = async_with_response(resource.create)
        self.get = async_with_response(resource.get)
        self.revoke = async_with_response(resource.revoke)
        self.me = async_with_response(resource.me)
