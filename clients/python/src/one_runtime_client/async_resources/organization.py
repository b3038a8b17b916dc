"""Define the asynchronous methods of `organization`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Literal

from one_runtime_client.models import (
    AgentSettings,
    Availability,
    Branding,
    Organization,
)
from one_runtime_client.operations import AsyncResource, async_with_response
from one_runtime_client.parsing import answer
from one_runtime_client.requests import (
    OMITTED,
    Omitted,
    Request,
    as_list,
)


class AsyncOrganizations(AsyncResource):
    """The settings of your organization."""

    @cached_property
    def with_raw_response(self) -> "AsyncOrganizationsWithRawResponse":
        """The same methods. Each returns a `RawResponse` with the status and the headers."""
        return AsyncOrganizationsWithRawResponse(self)

    async def get(
        self,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Organization:
        """Return the settings of your organization.

        The API key needs the scope `read`.

        Args:
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            Organization: Your organization, with all its settings.

        Raises:
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return await self._request(
            Request(
                "GET /v1/organization",
                timeout=timeout,
                headers=headers,
            ),
            answer(Organization),
        )

    async def replace(
        self,
        *,
        display_name: str,
        logo_url: str | None = None,
        privacy_url: str | None = None,
        allowed_origins: Iterable[str] | None = None,
        return_urls: Iterable[str] | None = None,
        integrations: Availability | None = None,
        agents: AgentSettings | None = None,
        branding: Branding | None = None,
        several_connections: Literal["refuse", "use_default"] | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Organization:
        """Replace all settings of your organization. `PATCH /v1/organization` changes only the settings that you
        send.

        A request that changes nothing writes no event, and `updated_at` stays the same.

        The API key needs the scope `admin`.

        All settings of your organization. One Runtime resets an omitted setting to its default.

        The body can also contain the other fields of the organization, as you have read them. `id` and `created_at`
        must have the present values. One Runtime ignores `updated_at`.

        Args:
            display_name: The name that end users see.
            logo_url: A data URI of a PNG, JPEG, WebP or SVG in base64. The decoded image can have at most 64 kB.
            privacy_url: The URL of your privacy policy, or None.
            allowed_origins: The origins of pages that can show the popup.
            return_urls: The registered return URLs.
            integrations: The integrations that your end users can connect. Default: all.
            agents: The limits of all agents of your organization.
            branding: The appearance of the popup and of its pages.
            several_connections: What happens to a call that names none of an end user's several active connections:
                `refuse` answers with 409 `several_connections`, and `use_default` uses the end user's [default
                connection](api.md#default-connections), if there is one. Default: refuse.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            Organization: Your organization, with all its settings.

        Raises:
            Conflict: `precondition_failed`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return await self._request(
            Request(
                "PUT /v1/organization",
                json={
                    "display_name": display_name,
                    "logo_url": logo_url,
                    "privacy_url": privacy_url,
                    "allowed_origins": as_list(allowed_origins),
                    "return_urls": as_list(return_urls),
                    "integrations": integrations,
                    "agents": agents,
                    "branding": branding,
                    "several_connections": several_connections,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(Organization),
        )

    async def update(
        self,
        *,
        display_name: str | Omitted = OMITTED,
        logo_url: str | Omitted | None = OMITTED,
        privacy_url: str | Omitted | None = OMITTED,
        allowed_origins: Iterable[str] | Omitted | None = OMITTED,
        return_urls: Iterable[str] | Omitted | None = OMITTED,
        integrations: Availability | Mapping[str, Any] | Omitted | None = OMITTED,
        agents: AgentSettings | Mapping[str, Any] | Omitted | None = OMITTED,
        branding: Branding | Mapping[str, Any] | Omitted | None = OMITTED,
        several_connections: Literal["refuse", "use_default"] | Omitted | None = OMITTED,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Organization:
        """Change some settings of your organization. The body is a JSON Merge Patch (RFC 7396).

        A request that changes nothing writes no event, and `updated_at` stays the same.

        The API key needs the scope `admin`.

        The settings to change (RFC 7396). An omitted setting keeps its value, and None resets a setting to its default.

        A new list replaces the old list. `display_name` cannot be None.

        Args:
            display_name: The name that end users see.
            logo_url: The URL of the logo: a URL on this server, a data URI, or None.
            privacy_url: The URL of your privacy policy, or None.
            allowed_origins: The origins of pages that can show the popup.
            return_urls: The registered return URLs.
            integrations: The integrations that your end users can connect.
            agents: The limits of all agents of your organization.
            branding: The appearance of the popup and of its pages.
            several_connections: What happens to a call that names none of an end user's several active connections:
                `refuse` answers with 409 `several_connections`, and `use_default` uses the end user's [default
                connection](api.md#default-connections), if there is one.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            Organization: Your organization, with all its settings.

        Raises:
            Conflict: `precondition_failed`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return await self._request(
            Request(
                "PATCH /v1/organization",
                json={
                    "display_name": display_name,
                    "logo_url": logo_url,
                    "privacy_url": privacy_url,
                    "allowed_origins": as_list(allowed_origins),
                    "return_urls": as_list(return_urls),
                    "integrations": integrations,
                    "agents": agents,
                    "branding": branding,
                    "several_connections": several_connections,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(Organization),
        )


class AsyncOrganizationsWithRawResponse:
    """The methods of `organization`. Each returns a `RawResponse` with the status and the headers."""

    def __init__(self, resource: AsyncOrganizations) -> None:
        self.get = async_with_response(resource.get)
        self.replace = async_with_response(resource.replace)
        self.update = async_with_response(resource.update)
