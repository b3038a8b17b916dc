"""Serve `/v1/catalog`: the public list of the integrations that are part of One Runtime (built-in integrations)."""

import datetime as dt
import json
from typing import Any, Final, Literal

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from one_runtime.api.fields import IDENTIFIER_SCHEMA, Answer
from one_runtime.api.headers import (
    CODED,
    PREFLIGHT_HEADERS,
    PUBLIC_HEADERS,
    Header,
    coding_of,
    is_current,
    public_answer,
    send_json,
    send_not_modified,
)
from one_runtime.api.list_query import CATEGORY, LOGO, IntegrationQuery, search_parameter, slug_parameter
from one_runtime.api.routing import PUBLIC, AsgiRoute, Installed, Routes, RouteSpec
from one_runtime.api.services import services_of
from one_runtime.catalog.auth_types import Auth, AuthType, oauth2_of
from one_runtime.catalog.model import CATEGORIES, Category, Integration
from one_runtime.catalog.oauth2 import Pkce, Refresh
from one_runtime.catalog.parts import VerifiedHow
from one_runtime.errors import NotFound
from one_runtime.integrations.listing import IntegrationList
from one_runtime.integrations.rendering import Logo
from one_runtime.oauth.scopes import requested_scopes

LIST_PATH: Final = "/v1/catalog/integrations"
_SLUG: Final = {**IDENTIFIER_SCHEMA, "maxLength": 100}
_QUERY: Final = IntegrationQuery(
    {
        "slug": slug_parameter(_SLUG),
        "category": CATEGORY,
        "search": search_parameter(IDENTIFIER_SCHEMA),
        "logo": LOGO,
    }
)
_HEADERS: Final[tuple[Header, ...]] = (
    *((name.encode(), value.encode()) for name, value in PUBLIC_HEADERS.items()),
    (b"vary", b"accept-encoding"),
)

router = Routes("Catalog")


class CatalogIntegration(Answer):
    """A built-in integration."""

    id: str
    slug: str
    name: str
    description: str
    logo_url: str | None
    category: Category
    supported_auth_types: tuple[AuthType, ...]


class CatalogFieldOption(Answer):
    """An option of a field."""

    value: str
    label: str


class CatalogField(Answer):
    """A field of the form that end users fill in. `secret` is false for a value such as a subdomain."""

    name: str
    label: str
    help: str | None
    placeholder: str | None
    pattern: str | None
    secret: bool
    optional: bool
    options: tuple[CatalogFieldOption, ...]


class CatalogOAuth2(Answer):
    """Facts about the provider's OAuth 2.0 authorization.

    - `client`: the party that registers the OAuth client. With `organization`, your organization registers one client
      for all its end users. With `customer`, each end user registers a client with the provider, and enters its id
      and secret in the popup.
    - `client_url`: the provider's page for registering an OAuth client.
    """

    scopes: tuple[str, ...]
    pkce: Pkce
    refresh: Refresh
    client: Literal["organization", "customer"]
    client_url: str | None


class CatalogVerified(Answer):
    """The evidence that the integration's definition is correct, and the date of the evidence.

    `how` has one of these values:

    - `documentation`: the definition was compared with the provider's documentation.
    - `fixture`: in addition to this comparison, a test compares One Runtime's request with a documented example.
    - `live`: the definition was tested with the provider.
    - `unverified`: there is no evidence, and `date` is null.
    """

    how: VerifiedHow
    date: dt.date | None


class CatalogAuth(Answer):
    """A way to authenticate (auth type) with its fields. Only the auth type `oauth2` has a value in `oauth2`."""

    auth_type: AuthType
    params: tuple[CatalogField, ...]
    fields: tuple[CatalogField, ...]
    oauth2: CatalogOAuth2 | None
    verified: CatalogVerified


class CatalogDetail(CatalogIntegration):
    """A built-in integration with the fields of all its auth types."""

    website: str
    docs: str | None
    auth: tuple[CatalogAuth, ...]


class CatalogList(Answer, title="CatalogIntegrationList"):
    """The public list of integrations, ordered by name. With `search`, the best match is first."""

    integrations: list[CatalogIntegration]


class CategoryList(Answer):
    """The categories, each with the number of its integrations."""

    categories: list["CategoryCount"]


class CategoryCount(Answer, title="Category"):
    """A category. `count`: the number of integrations in the category."""

    name: str
    count: int


def _describe(lists: IntegrationList, integration: Integration, logo: Logo) -> CatalogIntegration:
    described = {**lists.renderer.describe(integration, logo), "supported_auth_types": integration.auth_types}
    return CatalogIntegration.model_validate(described)


def _answer(request: Request, body: Answer) -> Response:
    return public_answer(request, json.dumps(body.model_dump(mode="json"), ensure_ascii=False).encode())


async def list_catalog(scope: Scope, _: Receive, send: Send) -> None:
    """Send the public list of integrations (the ASGI endpoint). Raises: InvalidInput."""
    public_list = services_of(scope).integration_list.public
    options = _QUERY.parse(scope["query_string"])[0]
    listed = public_list.listed(options)
    headers = (*_HEADERS, (b"etag", listed.etag))
    if is_current(scope, listed.etag):
        await send_not_modified(send, headers)
        return
    body = listed.joined()
    coding = coding_of(scope)
    compressed = await public_list.compressed(options, listed, body, coding) if coding is not None else None
    if coding is not None and compressed is not None:
        body, headers = compressed, (*headers, CODED[coding])
    await send_json(send, body, headers)


@router.route(
    "GET /v1/catalog/integrations/{slug}",
    scope=PUBLIC,
    errors=(NotFound,),
    conditional=True,
    summary="Read one integration",
    response_model=CatalogDetail,
)
async def get_catalog_integration(
    slug: str, request: Request, installation: Installed, logo: Logo = "inline"
) -> Response:
    """Return a built-in integration with the fields of all its auth types. The request needs no API key."""
    integration = installation.catalog.get(slug.strip().lower())
    if integration is None:
        similar = installation.catalog.similar(slug.strip())
        hint = f"Did you mean {' or '.join(similar)}? " if similar else ""
        raise NotFound(
            f"There is no built-in integration {slug[:64]!r}. {hint}GET /v1/catalog/integrations lists the built-in "
            "integrations."
        )
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
        "scopes": requested_scopes(oauth2.scopes, None, None),
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


@router.route(
    "GET /v1/catalog/categories",
    scope=PUBLIC,
    conditional=True,
    summary="List the categories",
    response_model=CategoryList,
)
async def list_categories(request: Request, installation: Installed) -> Response:
    """List the categories that contain at least one integration. The request needs no API key."""
    counts = dict.fromkeys(CATEGORIES, 0)
    for integration in installation.catalog.integrations:
        counts[integration.category] += 1
    categories = [CategoryCount(name=name, count=count) for name, count in counts.items() if count]
    return _answer(request, CategoryList(categories=categories))


@router.fastapi.options(LIST_PATH, include_in_schema=False)
@router.fastapi.options("/v1/catalog/integrations/{slug}", include_in_schema=False)
@router.fastapi.options("/v1/catalog/categories", include_in_schema=False)
async def allow_every_website() -> Response:
    """Answer a CORS preflight request: every website can read the catalog."""
    return Response(status_code=204, headers=PREFLIGHT_HEADERS)


def _list_operation() -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/CatalogList"}
    return {
        "summary": "List every integration",
        "description": "List every built-in integration with all its auth types. The request needs no API key.",
        "operationId": "list_catalog",
        "parameters": _QUERY.documented(),
        "responses": {"200": {"description": "The list.", "content": {"application/json": {"schema": schema}}}},
    }


ROUTE: Final = AsgiRoute(
    LIST_PATH,
    list_catalog,
    [RouteSpec("GET", LIST_PATH, PUBLIC, tag="Catalog", conditional=True, operation=_list_operation())],
)
