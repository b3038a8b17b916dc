"""`/v1/catalog`: the public list of built-in integrations, without the data of any end user."""

import datetime as dt
import json
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from pydantic import Field

from one_runtime.api.fields import Answer, Body, Slug, Text
from one_runtime.api.headers import public_answer
from one_runtime.api.routing import PUBLIC, Installed, Routes
from one_runtime.api.services import services_of
from one_runtime.auth_types import oauth2_of
from one_runtime.catalog.model import CATEGORIES, Auth, AuthType, Category, Integration
from one_runtime.catalog.oauth2 import Pkce, Refresh
from one_runtime.catalog.parts import VerifiedHow
from one_runtime.catalog.search import search
from one_runtime.errors import NotFound
from one_runtime.integrations.listing import IntegrationList, Logo

router = Routes("Catalog")


class CatalogIntegration(Answer):
    """A built-in integration."""

    id: str
    slug: str
    name: str
    description: str
    logo_url: str | None
    category: str
    supported_auth_types: tuple[str, ...]


class CatalogFieldOption(Answer):
    """An option of a field."""

    value: str
    label: str


class CatalogField(Answer):
    """A field of the form for end users. `secret` is false for parameters such as a subdomain."""

    name: str
    label: str
    help: str | None
    placeholder: str | None
    pattern: str | None
    secret: bool
    optional: bool
    options: tuple[CatalogFieldOption, ...]


class CatalogOAuth2(Answer):
    """Requirements for an OAuth client. `client`: with `organization`, your organization registers one client for all
    its end users; with `customer`, each end user enters a client of their own. `client_url`: the provider's page for
    the registration."""

    scopes: tuple[str, ...]
    pkce: Pkce
    refresh: Refresh
    client: Literal["organization", "customer"]
    client_url: str | None


class CatalogVerified(Answer):
    """The source of an entry, and its date. The source is the provider's documentation, a live call, or not known."""

    how: VerifiedHow
    date: dt.date | None


class CatalogAuth(Answer):
    """A way to connect, with its fields. `oauth2` is null for every other auth type."""

    auth_type: AuthType
    params: tuple[CatalogField, ...]
    fields: tuple[CatalogField, ...]
    oauth2: CatalogOAuth2 | None
    verified: CatalogVerified


class CatalogDetail(CatalogIntegration):
    """An integration with its fields."""

    website: str
    docs: str | None
    auth: tuple[CatalogAuth, ...]


class CatalogList(Answer, title="CatalogIntegrationList"):
    """The public list, ordered by name, or by rank with `search`."""

    integrations: list[CatalogIntegration]


class CategoryList(Answer):
    """The categories with the number of their integrations."""

    categories: list["CategoryCount"]


class CategoryCount(Answer, title="Category"):
    """The name and size of a category."""

    name: str
    count: int


class CatalogQuery(Body):
    """Filters and logo format."""

    slug: Annotated[list[Slug], Query(description="Only these; may be repeated.")] = Field(default=[])
    category: Category | None = None
    search: Text | None = None
    logo: Logo = "inline"


def _describe(lists: IntegrationList, integration: Integration, logo: Logo) -> CatalogIntegration:
    described = {**lists.renderer.describe(integration, logo), "supported_auth_types": integration.auth_types}
    return CatalogIntegration.model_validate(described)


def _answer(request: Request, body: Answer) -> Response:
    return public_answer(request, json.dumps(body.model_dump(mode="json"), ensure_ascii=False).encode())


@router.route(
    "GET /v1/catalog/integrations", scope=PUBLIC, summary="List every integration", response_model=CatalogList
)
async def list_catalog(request: Request, installation: Installed, query: Annotated[CatalogQuery, Query()]) -> Response:
    """List every built-in integration with every auth type it has. Public: no authentication."""
    integrations = list(installation.catalog.integrations)
    if query.slug:
        integrations = [integration for integration in integrations if integration.slug in query.slug]
    if query.category:
        integrations = [integration for integration in integrations if integration.category == query.category]
    if query.search is not None:
        integrations = search(integrations, query.search)
    lists = services_of(request.scope).integration_list
    described = [_describe(lists, integration, query.logo) for integration in integrations]
    return _answer(request, CatalogList(integrations=described))


@router.route(
    "GET /v1/catalog/integrations/{slug}",
    scope=PUBLIC,
    errors=(NotFound,),
    summary="Read one integration",
    response_model=CatalogDetail,
)
async def get_catalog_integration(
    slug: str, request: Request, installation: Installed, logo: Logo = "inline"
) -> Response:
    """Return an integration with every field of its forms. Public: no authentication."""
    integration = installation.catalog.get(slug.strip().lower())
    if integration is None:
        raise NotFound(f"There is no integration {slug[:100]!r}. /v1/catalog/integrations lists them.")
    summary = _describe(services_of(request.scope).integration_list, integration, logo).model_dump()
    detail = CatalogDetail.model_validate(
        {**summary, "website": integration.website, "docs": integration.docs, "auth": _auths(integration)}
    )
    return _answer(request, detail)


def _auths(integration: Integration) -> list[dict[str, Any]]:
    return [
        {
            "auth_type": auth.type,
            "params": [_field(part, secret=False, optional=part.default is not None) for part in auth.params],
            "fields": [_field(part, secret=part.secret, optional=part.optional) for part in auth.fields],
            "oauth2": _oauth2(auth),
            "verified": {"how": auth.verified.how, "date": auth.verified.date},
        }
        for auth in integration.auth
    ]


def _oauth2(auth: Auth) -> dict[str, Any] | None:
    oauth2 = oauth2_of(auth)
    if oauth2 is None:
        return None
    return {
        "scopes": (*oauth2.scopes.always, *oauth2.scopes.default),
        "pkce": oauth2.pkce,
        "refresh": oauth2.refresh,
        "client": oauth2.client.owner,
        "client_url": oauth2.client.where_url,
    }


def _field(part: Any, *, secret: bool, optional: bool) -> dict[str, Any]:
    options = [{"value": option.value, "label": option.label} for option in getattr(part, "options", ())]
    names = ("name", "label", "help", "placeholder", "pattern")
    described = {name: getattr(part, name) for name in names}
    return described | {"secret": secret, "optional": optional, "options": options}


@router.route("GET /v1/catalog/categories", scope=PUBLIC, summary="List the categories", response_model=CategoryList)
async def list_categories(request: Request, installation: Installed) -> Response:
    """List the categories that have integrations. Public: no authentication."""
    counts = dict.fromkeys(CATEGORIES, 0)
    for integration in installation.catalog.integrations:
        counts[integration.category] += 1
    categories = [CategoryCount(name=name, count=count) for name, count in counts.items() if count]
    return _answer(request, CategoryList(categories=categories))
