"""Define the methods of `custom_integrations`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from one_runtime_client.models import CustomIntegration, DeletedCustomIntegration
from one_runtime_client.operations import Resource, with_response
from one_runtime_client.parsing import answer, list_of
from one_runtime_client.requests import Request, new_idempotency_key


class CustomIntegrations(Resource):
    """Integrations that your organization defines itself."""

    @cached_property
    def with_raw_response(self) -> "CustomIntegrationsWithRawResponse":
        """The same methods. Each returns a `RawResponse` with the status and the headers."""
        return CustomIntegrationsWithRawResponse(self)

    def list(
        self,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[CustomIntegration, ...]:
        """List the custom integrations of your organization.

        The API key needs the scope `read`.

        Args:
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            tuple: Each item: A custom integration.

        Raises:
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "GET /v1/custom-integrations",
                timeout=timeout,
                headers=headers,
            ),
            list_of(CustomIntegration, under="custom_integrations"),
        )

    def create(
        self,
        definition: Mapping[str, Any] | str,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> CustomIntegration:
        """Create an integration that only your organization can see. The slug must begin with `x-`.

        If the slug already exists, the response is 409. Most validation errors name a line of the request body.

        The API key needs the scope `admin`.

        Args:
            definition: The definition as a mapping, or as text in YAML or JSON.
            idempotency_key: A unique value for this creation. A second call with the value creates nothing. Default: a
                random UUID.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            CustomIntegration: A custom integration.

        Raises:
            Conflict: `idempotency_key_in_use`, `conflict`, `integration_exists`.
            InvalidInput: `invalid_input`, `idempotency_key_reused`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "POST /v1/custom-integrations",
                document=definition,
                idempotency_key=idempotency_key or new_idempotency_key(),
                timeout=timeout,
                headers=headers,
            ),
            answer(CustomIntegration),
        )

    def get(
        self,
        slug: str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> CustomIntegration:
        """Return a custom integration with its definition.

        The API key needs the scope `read`.

        Args:
            slug: The slug: the name of the integration in URLs and requests.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            CustomIntegration: A custom integration.

        Raises:
            NotFound: `not_found`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "GET /v1/custom-integrations/{slug}",
                path={
                    "slug": slug,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(CustomIntegration),
        )

    def replace(
        self,
        slug: str,
        definition: Mapping[str, Any] | str,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> CustomIntegration:
        """Create (201) or replace (200) the integration with this slug.

        If the integration now sends credentials to another host or in another way, its connections become
        `needs_reauth`.

        One Runtime deletes your OAuth client for the integration in three cases:

        - The client is not registered for a new host of the integration.
        - The new definition makes a secret field of the client public.
        - The integration no longer has the auth type `oauth2`.

        The API key needs the scope `admin`.

        Args:
            slug: The slug: the name of the integration in URLs and requests.
            definition: The definition as a mapping, or as text in YAML or JSON.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            CustomIntegration: A custom integration.

        Raises:
            NotFound: `not_found`.
            Conflict: `conflict`, `precondition_failed`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "PUT /v1/custom-integrations/{slug}",
                path={
                    "slug": slug,
                },
                document=definition,
                timeout=timeout,
                headers=headers,
            ),
            answer(CustomIntegration),
        )

    def delete(
        self,
        slug: str,
        *,
        delete_connections: bool | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> DeletedCustomIntegration:
        """Delete the integration and its OAuth client. The response has the integration as it last was.

        If the integration has connections, the response is 409 by default. With the parameter `delete_connections`, One
        Runtime deletes the connections, and revokes their tokens if the integration defines a revocation request.

        The API key needs the scope `admin`.

        Args:
            slug: The slug: the name of the integration in URLs and requests.
            delete_connections: True also deletes the connections of the integration. Default: False.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            DeletedCustomIntegration: The deleted custom integration as it last was, and the number of the deleted
                connections.

        Raises:
            NotFound: `not_found`.
            Conflict: `integration_in_use`, `precondition_failed`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "DELETE /v1/custom-integrations/{slug}",
                path={
                    "slug": slug,
                },
                query={
                    "delete_connections": delete_connections,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(DeletedCustomIntegration),
        )


class CustomIntegrationsWithRawResponse:
    """The methods of `custom_integrations`. Each returns a `RawResponse` with the status and the headers."""

    def __init__(self, resource: CustomIntegrations) -> None:
        self.list = with_response(resource.list)
        self.create = with_response(resource.create)
        self.get = with_response(resource.get)
        self.replace = with_response(resource.replace)
        self.delete = with_response(resource.delete)
