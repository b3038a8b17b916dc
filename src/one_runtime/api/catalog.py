"""`/v1/catalog`: the public list, without anybody's state; and the logos."""

import datetime as dt
import json
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from pydantic import Field

from one_runtime.api.fields import Answer, Body, Slug, Text
from one_runtime.api.headers import public_answer
from one_runtime.api.routing import PUBLIC, Installed, Routes
from one_runtime.api.services import services_of
from one_runtime.catalog import organization_catalogs
from one_runtime.catalog.model import CUSTOM, AuthType, Category, Integration
from one_runtime.catalog.oauth2 import OAuth2Auth, Pkce, Refresh
from one_runtime.catalog.parts import VerifiedHow
from one_runtime.catalog.search import search
from one_runtime.errors import NotFound
from one_runtime.integrations.listing import CATEGORIES, IntegrationList, Logo

router = Routes("Catalog")


class CatalogIntegration(Answer):
    """What anybody may know of an integration."""

    id: str
    slug: str
    name: str
    description: str
    logo_url: str | None
    category: str
    supported_auth_types: tuple[str, ...]


class CatalogFieldOption(Answer):
    """One choice of a field."""

    value: str
    label: str


class CatalogField(Answer):
    """What an end user is asked for. `secret` is false for parameters such as a subdomain."""

    name: str
    label: str
    help: str | None
    placeholder: str | None
    pattern: str | None
    secret: bool
    optional: bool
    options: tuple[CatalogFieldOption, ...]


class CatalogOAuth2(Answer):
    """What an OAuth client of this integration asks for. `client`: `organization` registers one for all its customers;
    `customer`, where each of them brings their own. `client_url`: where one is registered."""

    scopes: tuple[str, ...]
    pkce: Pkce
    refresh: Refresh
    client: Literal["organization", "customer"]
    client_url: str | None


class CatalogVerified(Answer):
    """How we know that this is right: read in the provider's documentation, called live, or not yet; and when."""

    how: VerifiedHow
    date: dt.date | None


class CatalogAuth(Answer):
    """One way to connect, with what it asks for. `oauth2` is null for every other type."""

    auth_type: AuthType
    params: tuple[CatalogField, ...]
    fields: tuple[CatalogField, ...]
    oauth2: CatalogOAuth2 | None
    verified: CatalogVerified


class CatalogDetail(CatalogIntegration):
    """One integration with its fields."""

    website: str
    docs: str | None
    auth: tuple[CatalogAuth, ...]


class CatalogList(Answer, title="CatalogIntegrationList"):
    """The public list, ordered by name; by rank with `search`."""

    integrations: list[CatalogIntegration]


class CategoryList(Answer):
    """Every category, and how many integrations it has."""

    categories: list["CategoryCount"]


class CategoryCount(Answer, title="Category"):
    """A category's name and size."""

    name: str
    count: int


class CatalogQuery(Body):
    """What to list and how."""

    slug: Annotated[list[Slug], Query(description="Only these; may be repeated.")] = Field(default=[])
    category: Category | None = None
    search: Text | None = None
    logo: Logo = "inline"


def _describe(lists: IntegrationList, one: Integration, logo: Logo) -> CatalogIntegration:
    return CatalogIntegration.model_validate({**lists.describe(one, logo), "supported_auth_types": one.auth_types})


def _answer(request: Request, body: Answer) -> Response:
    return public_answer(request, json.dumps(body.model_dump(mode="json"), ensure_ascii=False).encode())


@router.get("/v1/catalog/integrations", scope=PUBLIC, summary="List every integration", response_model=CatalogList)
async def list_catalog(request: Request, installation: Installed, wanted: Annotated[CatalogQuery, Query()]) -> Response:
    """Every built-in integration with every auth type it has. Public: no authentication."""
    found = list(installation.catalog.integrations)
    if wanted.slug:
        found = [one for one in found if one.slug in wanted.slug]
    if wanted.category:
        found = [one for one in found if one.category == wanted.category]
    if wanted.search is not None:
        found = search(found, wanted.search)
    lists = services_of(request.scope).integration_list
    return _answer(request, CatalogList(integrations=[_describe(lists, one, wanted.logo) for one in found]))


@router.get(
    "/v1/catalog/integrations/{slug}",
    scope=PUBLIC,
    errors=(NotFound,),
    summary="Read one integration",
    response_model=CatalogDetail,
)
async def get_catalog_integration(
    slug: str, request: Request, installation: Installed, logo: Logo = "inline"
) -> Response:
    """One integration with everything that it asks end users for. Public: no authentication."""
    found = installation.catalog.get(slug.strip().lower())
    if found is None:
        raise NotFound(f"There is no integration {slug[:100]!r}. /v1/catalog/integrations lists them.")
    summary = _describe(services_of(request.scope).integration_list, found, logo).model_dump()
    detail = CatalogDetail.model_validate(
        {**summary, "website": found.website, "docs": found.docs, "auth": _auths(found)}
    )
    return _answer(request, detail)


def _auths(integration: Integration) -> list[dict[str, Any]]:
    return [
        {
            "auth_type": auth.type,
            "params": [_field(part, secret=False, optional=part.default is not None) for part in auth.params],
            "fields": [_field(part, secret=part.secret, optional=part.optional) for part in auth.fields],
            "oauth2": _oauth2(auth) if isinstance(auth, OAuth2Auth) else None,
            "verified": {"how": auth.verified.how, "date": auth.verified.date},
        }
        for auth in integration.auth
    ]


def _oauth2(auth: OAuth2Auth) -> dict[str, Any]:
    return {
        "scopes": (*auth.scopes.always, *auth.scopes.default),
        "pkce": auth.pkce,
        "refresh": auth.refresh,
        "client": auth.client.owner,
        "client_url": auth.client.where_url,
    }


def _field(part: Any, *, secret: bool, optional: bool) -> dict[str, Any]:
    options = [{"value": one.value, "label": one.label} for one in getattr(part, "options", ())]
    names = ("name", "label", "help", "placeholder", "pattern")
    described = {name: getattr(part, name) for name in names}
    return described | {"secret": secret, "optional": optional, "options": options}


@router.get("/v1/catalog/categories", scope=PUBLIC, summary="List the categories", response_model=CategoryList)
async def list_categories(request: Request, installation: Installed) -> Response:
    """Every category that has an integration, and how many. Public: no authentication."""
    counts = dict.fromkeys(CATEGORIES, 0)
    for one in installation.catalog.integrations:
        counts[one.category] += 1
    found = [CategoryCount(name=name, count=count) for name, count in counts.items() if count]
    return _answer(request, CategoryList(categories=found))


@router.get(
    "/logos/{digest}/{slug}.svg",
    scope=PUBLIC,
    errors=(NotFound,),
    summary="A logo at an immutable address",
    response_class=Response,
)
async def get_logo(digest: str, slug: str, installation: Installed) -> Response:
    """The mark of an integration as SVG; the address changes with the bytes, so it may be cached for good."""
    if slug.startswith(CUSTOM):
        async with installation.database.read() as tx:
            logo = await organization_catalogs.find_logo(tx, slug, digest)
    else:
        known = installation.catalog.get(slug) is not None and digest == installation.catalog.logo_hash(slug)
        logo = installation.catalog.logo(slug) if known else None
    if logo is None:
        raise NotFound("There is no logo at this address.")
    headers = {
        "cache-control": "public, max-age=31536000, immutable",
        "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        "x-content-type-options": "nosniff",
        "access-control-allow-origin": "*",
        "cross-origin-resource-policy": "cross-origin",
    }
    return Response(logo, headers=headers, media_type="image/svg+xml")
