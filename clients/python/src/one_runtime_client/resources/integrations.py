"""Define the methods of `integrations`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Literal

from one_runtime_client.models import (
    Integration,
)
from one_runtime_client.operations import Resource, with_response
from one_runtime_client.parsing import answer, list_of
from one_runtime_client.requests import (
    Request,
    one_or_more,
)


class Integrations(Resource):
    """The integrations that an end user can connect."""

    @cached_property
    def with_raw_response(self) -> "IntegrationsWithRawResponse":
        """The same methods. Each returns a `RawResponse` with the status and the headers."""
        return IntegrationsWithRawResponse(self)

    def list(
        self,
        *,
        end_user_id: str,
        slug: str | Iterable[str] | None = None,
        category: str | None = None,
        search: str | None = None,
        status: Literal["connected", "not_connected"] | None = None,
        logo: Literal["inline", "url", "none"] = "url",
        expand: Literal["connections"] | None = None,
        include: Literal["unavailable"] | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[Integration, ...]:
        """The integrations that an end user can connect or has connected. The response is the whole list, ordered by
        name. With `search`, the best match is first.

        The API key needs the scope `read`.

        Args:
            end_user_id: Your own identifier of the end user.
            slug: Slugs to return. You can repeat the parameter.
            category: Only integrations of this category.
            search: Text to search for. The best match is first.
            status: Only integrations with this status.
            logo: Format of the logos. Default: url.
            expand: Add the end user's connections to each integration.
            include: List also the integrations that the end user cannot connect. Their field `unavailable` has the
                reason.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            tuple: Each item: An integration with the end user's status.

        Raises:
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "GET /v1/integrations",
                query={
                    "end_user_id": end_user_id,
                    "slug": one_or_more(slug),
                    "category": category,
                    "search": search,
                    "status": status,
                    "logo": logo,
                    "expand": expand,
                    "include": include,
                },
                timeout=timeout,
                headers=headers,
            ),
            list_of(Integration, under="integrations"),
        )

    def get(
        self,
        integration_slug: str,
        *,
        end_user_id: str,
        logo: Literal["inline", "url", "none"] = "url",
        expand: Literal["connections"] | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Integration:
        """Return one integration with the status for an end user, also if the end user cannot connect the
        integration.

        If the end user cannot connect the integration, `unavailable` has the reason.

        The API key needs the scope `read`.

        Args:
            integration_slug: The slug of the integration.
            end_user_id: Your own identifier of the end user.
            logo: The form of `logo_url`. `inline`: a data URI. `url`: a URL on this server. `none`: None. Default: url.
            expand: `connections` adds the end user's connections to each integration.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            Integration: An integration with the end user's status.

        Raises:
            NotFound: `not_found`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "GET /v1/integrations/{integration_slug}",
                path={
                    "integration_slug": integration_slug,
                },
                query={
                    "end_user_id": end_user_id,
                    "logo": logo,
                    "expand": expand,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(Integration),
        )


class IntegrationsWithRawResponse:
    """The methods of `integrations`. Each returns a `RawResponse` with the status and the headers."""

    def __init__(self, resource: Integrations) -> None:
        self.list = with_response(resource.list)
        self.get = with_response(resource.get)
