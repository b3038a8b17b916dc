"""Define the operations for the built-in integrations, with arguments and results."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal, TypeAlias

from one_runtime_client.arguments import Arguments, one_or_more
from one_runtime_client.operations import Operation, Resource, TransportT
from one_runtime_client.parsing import answer, list_of

__all__ = [
    "CatalogAuth",
    "CatalogDetail",
    "CatalogField",
    "CatalogFieldOption",
    "CatalogIntegration",
    "CatalogOAuth2",
    "CatalogVerified",
    "Category",
]

AuthType: TypeAlias = Literal["oauth2", "api_key", "basic", "client_credentials", "none"]

Logo: TypeAlias = Literal["inline", "url", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogFieldOption:
    """An option of a field."""

    value: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogField:
    """A field of a form for end users. `secret` is False for parameters such as a subdomain."""

    name: str
    label: str
    help: str | None
    placeholder: str | None
    pattern: str | None
    secret: bool
    optional: bool
    options: tuple[CatalogFieldOption, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogOAuth2:
    """The OAuth client that an integration needs. `client_url`: the page on which you register the client."""

    scopes: tuple[str, ...]
    pkce: str
    refresh: str
    client: Literal["organization", "customer"]
    client_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogVerified:
    """The method and the date of the last test of an auth type."""

    how: str
    date: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogAuth:
    """An auth type of an integration, with the fields that an end user fills in."""

    auth_type: AuthType
    params: tuple[CatalogField, ...]
    fields: tuple[CatalogField, ...]
    oauth2: CatalogOAuth2 | None
    verified: CatalogVerified


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogIntegration:
    """An integration, without an end user's connections."""

    id: str
    slug: str
    name: str
    description: str
    logo_url: str | None
    category: str
    supported_auth_types: tuple[AuthType, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogDetail(CatalogIntegration):
    """An integration with its auth types."""

    website: str
    docs: str | None
    auth: tuple[CatalogAuth, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """A category with the number of its integrations."""

    name: str
    count: int


def list_catalog(
    *, slug: str | Iterable[str] = (), category: str | None = None, search: str | None = None, logo: Logo = "url"
) -> Arguments:
    """List all built-in integrations with all their auth types.

    The list includes the integrations that your organization does not offer.
    """
    return Arguments(query={"slug": one_or_more(slug), "category": category, "search": search, "logo": logo})


def get_catalog_integration(slug: str, *, logo: Logo = "url") -> Arguments:
    """Return a built-in integration with the fields that end users fill in."""
    return Arguments(path={"slug": slug}, query={"logo": logo})


def list_categories() -> Arguments:
    """List the categories with the number of integrations in each category."""
    return Arguments()


class Catalog(Resource[TransportT]):
    """The built-in integrations."""

    list = Operation(
        "GET /v1/catalog/integrations",
        list_catalog,
        list_of(CatalogIntegration, under="integrations"),
    )
    get = Operation("GET /v1/catalog/integrations/{slug}", get_catalog_integration, answer(CatalogDetail))
    categories = Operation("GET /v1/catalog/categories", list_categories, list_of(Category, under="categories"))
