"""Define the asynchronous methods of `oauth_clients`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Iterable, Mapping
from functools import cached_property

from one_runtime_client.models import (
    OAuthClient,
)
from one_runtime_client.operations import AsyncResource, async_with_response
from one_runtime_client.parsing import answer, list_of
from one_runtime_client.requests import (
    Request,
    as_list,
)


class AsyncOAuthClients(AsyncResource):
    """The OAuth clients that your organization has registered with providers."""

    @cached_property
    def with_raw_response(self) -> "AsyncOAuthClientsWithRawResponse":
        """The same methods. Each returns a `RawResponse` with the status and the headers."""
        return AsyncOAuthClientsWithRawResponse(self)

    async def get(
        self,
        integration_slug: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> OAuthClient:
        """Return your organization's OAuth client for an integration. If there is no client, the response is 404.

        The API key needs the scope `admin`.

        Args:
            integration_slug: The slug of the integration.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            OAuthClient: An OAuth client, with the last four characters of its secret.

        Raises:
            NotFound: `not_found`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return await self._request(
            Request(
                "GET /v1/integrations/{integration_slug}/oauth-client",
                path={
                    "integration_slug": integration_slug,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(OAuthClient),
        )

    async def replace(
        self,
        integration_slug: str,
        *,
        client_id: str,
        client_secret: str | None = None,
        scopes: Iterable[str] | None = None,
        hosts: Iterable[str] | None = None,
        fields: Mapping[str, str] | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> OAuthClient:
        """Register your own OAuth client for new connections to an integration.

        If the `client_id` stays the same, existing connections use the new secret. If the `client_id` changes, existing
        connections keep the old client until the end user connects again.

        The API key needs the scope `admin`.

        Args:
            integration_slug: The slug of the integration.
            client_id: The id of the OAuth client at the provider.
            client_secret: The secret of the OAuth client. You can omit the secret to keep the stored secret.
            scopes: The scopes to request. Default: the integration's scopes.
            hosts: The provider's hosts that can receive the secret.
            fields: More values that the integration needs for an OAuth client, such as a developer token.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            OAuthClient: An OAuth client, with the last four characters of its secret.

        Raises:
            NotFound: `not_found`.
            Conflict: `precondition_failed`.
            InvalidInput: `invalid_input`, `host_not_registered`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return await self._request(
            Request(
                "PUT /v1/integrations/{integration_slug}/oauth-client",
                path={
                    "integration_slug": integration_slug,
                },
                json={
                    "client_id": client_id,
                    "client_secret": client_secret,
                    "scopes": as_list(scopes),
                    "hosts": as_list(hosts),
                    "fields": fields,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(OAuthClient),
        )

    async def delete(
        self,
        integration_slug: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> OAuthClient:
        """Delete your OAuth client for an integration, and return it. New connections cannot use a deleted client.

        Existing connections continue to refresh their tokens with the client.

        The API key needs the scope `admin`.

        Args:
            integration_slug: The slug of the integration.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            OAuthClient: An OAuth client, with the last four characters of its secret.

        Raises:
            NotFound: `not_found`.
            Conflict: `precondition_failed`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return await self._request(
            Request(
                "DELETE /v1/integrations/{integration_slug}/oauth-client",
                path={
                    "integration_slug": integration_slug,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(OAuthClient),
        )

    async def list(
        self,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[OAuthClient, ...]:
        """List the OAuth clients that your organization has registered. The list omits clients of the operator.

        The API key needs the scope `admin`.

        Args:
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            tuple: Each item: An OAuth client, with the last four characters of its secret.

        Raises:
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return await self._request(
            Request(
                "GET /v1/oauth-clients",
                timeout=timeout,
                headers=headers,
            ),
            list_of(OAuthClient, under="oauth_clients"),
        )


class AsyncOAuthClientsWithRawResponse:
    """The methods of `oauth_clients`. Each returns a `RawResponse` with the status and the headers."""

    def __init__(self, resource: AsyncOAuthClients) -> None:
        self.get = async_with_response(resource.get)
        self.replace = async_with_response(resource.replace)
        self.delete = async_with_response(resource.delete)
        self.list = async_with_response(resource.list)
