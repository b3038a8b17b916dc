"""Define the methods of `catalog`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Literal

from one_runtime_client.models import (
    CatalogDetail,
    CatalogIntegration,
    Category,
)
from one_runtime_client.operations import Resource, with_response
from one_runtime_client.parsing import answer, list_of
from one_runtime_client.requests import (
    Request,
    one_or_more,
)


class Catalog(Resource):
    """The public list of the built-in integrations. These requests need no API key."""

    @cached_property
    def with_raw_response(self) -> "CatalogWithRawResponse":
        """The same methods. Each returns a `RawResponse` with the status and the headers."""
        return CatalogWithRawResponse(self)

    def categories(
        self,
        *,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[Category, ...]:
        """List the categories that contain at least one integration. The request needs no API key.

        Args:
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            tuple: Each item: A category.

        Raises:
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "GET /v1/catalog/categories",
                timeout=timeout,
                headers=headers,
            ),
            list_of(Category, under="categories"),
        )

    def list(
        self,
        *,
        slug: str | Iterable[str] | None = None,
        category: str | None = None,
        search: str | None = None,
        logo: Literal["inline", "url", "none"] = "url",
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[CatalogIntegration, ...]:
        """List every built-in integration with all its auth types. The request needs no API key.

        Args:
            slug: Slugs to return. You can repeat the parameter.
            category: Only integrations of this category.
            search: Text to search for. The best match is first.
            logo: Format of the logos. Default: url.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            tuple: Each item: A built-in integration.

        Raises:
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "GET /v1/catalog/integrations",
                query={
                    "slug": one_or_more(slug),
                    "category": category,
                    "search": search,
                    "logo": logo,
                },
                timeout=timeout,
                headers=headers,
            ),
            list_of(CatalogIntegration, under="integrations"),
        )

    def get(
        self,
        slug: str,
        *,
        logo: Literal["inline", "url", "none"] = "url",
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> CatalogDetail:
        """Return a built-in integration with the fields of all its auth types. The request needs no API key.

        Args:
            slug: The slug: the name of the integration in URLs and requests.
            logo: The form of `logo_url`. `inline`: a data URI. `url`: a URL on this server. `none`: None. Default: url.
            timeout: Seconds for each wait on the network. Default: the timeout of the client.
            headers: Further headers of the request.

        Returns:
            CatalogDetail: A built-in integration with the fields of all its auth types.

        Raises:
            NotFound: `not_found`.
            InvalidInput: `invalid_input`.
            OneRuntimeError: Every other failure. This class is also the parent of all classes of errors.
        """
        return self._request(
            Request(
                "GET /v1/catalog/integrations/{slug}",
                path={
                    "slug": slug,
                },
                query={
                    "logo": logo,
                },
                timeout=timeout,
                headers=headers,
            ),
            answer(CatalogDetail),
        )


class CatalogWithRawResponse:
    """The methods of `catalog`. Each returns a `RawResponse` with the status and the headers."""

    def __init__(self, resource: Catalog) -> None:
        self.categories = with_response(resource.categories)
        self.list = with_response(resource.list)
        self.get = with_response(resource.get)
