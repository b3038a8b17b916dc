"""Serve `/v1/catalog`: the public list of the integrations that are part of One Runtime (built-in integrations)."""

import datetime as dt
import json
from typing import Annotated, Any, Final, Literal

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from one_runtime.api.described import Described
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
    supported_auth_types: Annotated[tuple[AuthType, ...], Described("All auth types.", ["oauth2", "api_key"])]


class CatalogFieldOption(Answer):
    """An option of a field."""

    value: Annotated[str, Described("The value of the option.", "eu")]
    label: Annotated[str, Described("The label of the option for end users.", "Europe")]


class CatalogField(Answer):
    """A field of the form that end users fill in. `secret` is false for a value such as a subdomain."""

    name: Annotated[str, Described("The key of the value in `params` or `credentials`.", "api_key")]
    label: Annotated[str, Described("The label of the field for end users.", "API key")]
    help: Annotated[str | None, Described("A text that explains the field, or null.", None)]
    placeholder: Annotated[str | None, Described("An example of the value, or null.", None)]
    pattern: Annotated[str | None, Described("A regular expression that must match the whole value, or null.", None)]
    secret: Annotated[bool, Described("True if the value is secret.", True)]
    optional: Annotated[bool, Described("True if the end user can leave the field empty.", False)]
    options: Annotated[
        tuple[CatalogFieldOption, ...],
        Described("The values from which the end user chooses. Empty for a text field.", []),
    ]


class CatalogOAuth2(Answer):
    """Facts about the provider's OAuth 2.0 authorization.

    - `client`: the party that registers the OAuth client. With `organization`, your organization registers one client
      for all its end users. With `customer`, each end user registers a client with the provider, and enters its id
      and secret in the popup.
    - `client_url`: the provider's page for registering an OAuth client.
    """

    scopes: Annotated[tuple[str, ...], Described("The scopes that One Runtime requests by default.", ["oauth"])]
    pkce: Annotated[Pkce, Described("The provider's support for PKCE (RFC 7636).", "supported")]
    refresh: Annotated[Refresh, Described("The kind of refresh token that the provider issues.", "rotates")]
    client: Annotated[
        Literal["organization", "customer"],
        Described(
            "`organization`: your organization registers one OAuth client. `customer`: each end user enters one.",
            "organization",
        ),
    ]
    client_url: Annotated[str | None, Described("The provider's page for registering an OAuth client, or null.", None)]


class CatalogVerified(Answer):
    """The evidence that the integration's definition is correct, and the date of the evidence.

    `how` has one of these values:

    - `documentation`: the definition was compared with the provider's documentation.
    - `fixture`: in addition to this comparison, a test compares One Runtime's request with a documented example.
    - `live`: the definition was tested with the provider.
    - `unverified`: there is no evidence, and `date` is null.
    """

    how: Annotated[VerifiedHow, Described("The kind of evidence.", "documentation")]
    date: Annotated[dt.date | None, Described("The date of the evidence, or null.", "2026-11-20")]


class CatalogAuth(Answer):
    """A way to authenticate (auth type) with its fields. Only the auth type `oauth2` has a value in `oauth2`."""

    auth_type: AuthType
    params: Annotated[
        tuple[CatalogField, ...], Described("The values that are not secret. The popup asks the end user for them.", [])
    ]
    fields: Annotated[
        tuple[CatalogField, ...],
        Described("The credential fields, such as an API key. The popup asks the end user for them."),
    ]
    oauth2: Annotated[CatalogOAuth2 | None, Described("Facts about OAuth 2.0. Null for other auth types.", None)]
    verified: Annotated[CatalogVerified, Described("The evidence that the definition is correct.")]


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

    categories: Annotated[list["CategoryCount"], Described("The categories that contain at least one integration.")]


class CategoryCount(Answer, title="Category"):
    """A category. `count`: the number of integrations in the category."""

    name: Annotated[str, Described("The name of the category.", "CRM")]
    count: Annotated[int, Described("The number of integrations in the category.", 42)]


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
