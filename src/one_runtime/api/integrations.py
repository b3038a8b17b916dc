"""Serve `/v1/integrations`: the integrations, with the status of each integration for one end user.

Users wait for the list. So the list has a plain ASGI endpoint, which is faster than FastAPI.
"""

import json
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote_plus

from fastapi import Query, Request
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from one_runtime.api.catalog import CatalogIntegration
from one_runtime.api.conditions import Conditional
from one_runtime.api.connections import ConnectionSummary
from one_runtime.api.described import Described
from one_runtime.api.fields import IDENTIFIER_SCHEMA, Answer, Body, Text
from one_runtime.api.headers import CODED, Header, coding_of, is_current, send_json, send_not_modified
from one_runtime.api.invalid_requests import NOT_UTF8, required
from one_runtime.api.list_query import (
    CATEGORY,
    LOGO,
    IntegrationQuery,
    Parameter,
    clean,
    search_parameter,
    slug_parameter,
)
from one_runtime.api.routing import AsgiRoute, Authenticated, Routes, RouteSpec, authorize
from one_runtime.api.services import Services, services_of
from one_runtime.catalog.organization_catalogs import unknown
from one_runtime.connections import connections
from one_runtime.connections.connections import ConnectionFilter
from one_runtime.errors import FieldError, InvalidInput, NotFound
from one_runtime.integrations.content_coding import MIN_SIZE
from one_runtime.integrations.listing import load_state, reload_state
from one_runtime.integrations.rendering import Listed, Logo, Options
from one_runtime.lifecycle.disconnect import MAX_CONNECTIONS

router = Routes("Integrations")

PATH: Final = "/v1/integrations"
_TEXT: Final = {"type": "string", "maxLength": 255, "pattern": r"^[^\x00]*$"}
_QUERY: Final = IntegrationQuery(
    {
        "slug": slug_parameter(_TEXT),
        "category": CATEGORY,
        "search": search_parameter(_TEXT),
        "status": Parameter(
            "Only integrations with this status.", {"type": "string", "enum": ["connected", "not_connected"]}
        ),
        "logo": LOGO,
        "expand": Parameter(
            "Add the end user's connections to each integration.", {"type": "string", "enum": ["connections"]}
        ),
        "include": Parameter(
            "List also the integrations that the end user cannot connect. Their field `unavailable` has the reason.",
            {"type": "string", "enum": ["unavailable"]},
        ),
    },
    more_names=("end_user_id",),
)
"""All query parameters except `end_user_id`."""
_END_USER: Final = b"end_user_id="
_SCOPE: Final = "read"
_HEADERS: Final[tuple[Header, ...]] = (
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"authorization, accept-encoding"),
)


class UnavailableAnswer(Answer, title="Unavailability"):
    """The reason why no end user of your organization can connect an integration. `action`: what you have to do.

    - `disabled_by_operator`: the operator disabled the integration for all organizations.
    - `not_offered`: your organization does not offer the integration.
    - `oauth_client_missing`: the integration needs an OAuth client, and there is none.
    """

    code: Annotated[
        Literal["disabled_by_operator", "not_offered", "oauth_client_missing"],
        Described("The reason for programs.", "oauth_client_missing"),
    ]
    action: Annotated[
        str,
        Described(
            "What you have to do, in one sentence.", "Register a client with PUT /v1/integrations/gmail/oauth-client."
        ),
    ]


class ListedIntegration(CatalogIntegration, title="Integration"):
    """An integration with the end user's status.

    The status is also `not_connected` if the end user has to connect again. So do not delete the end user's data when
    the status becomes `not_connected`.

    Only an integration that no end user can connect has the field `unavailable`.
    """

    status: Annotated[
        Literal["connected", "not_connected"],
        Described(
            "`connected` if the end user has an active connection. Otherwise, or if the end user has to connect again, "
            "`not_connected`.",
            "connected",
        ),
    ]
    unavailable: Annotated[
        UnavailableAnswer | None,
        Described(
            "The reason why no end user of your organization can connect the integration. Absent if end users can "
            "connect.",
            {
                "code": "oauth_client_missing",
                "action": "Register a client with PUT /v1/integrations/gmail/oauth-client.",
            },
        ),
    ] = None
    connections: Annotated[
        list[ConnectionSummary] | None, Described("The end user's connections. Absent without `expand=connections`.")
    ] = None


class IntegrationListAnswer(BaseModel, title="IntegrationList"):
    """The integrations that the end user can connect or has connected, ordered by name.

    With `search`, the best match is first.
    """

    end_user_id: str
    integrations: list[ListedIntegration]


async def list_integrations(scope: Scope, _: Receive, send: Send) -> None:
    """Send the list of integrations (the ASGI endpoint).

    Raises: Unauthenticated; InsufficientScope; RateLimited; InvalidInput.
    """
    services = services_of(scope)
    installation, lists = services.installation, services.integration_list
    key = services.authenticator.present(scope)
    end_user_ids, query = _split(scope["query_string"])
    end_user_id = end_user_ids[-1] if end_user_ids else ""
    async with installation.database.read() as tx:
        principal, state = await load_state(tx, installation, key, end_user_id)
    authorize(scope, principal, _SCOPE)
    options, expand = _parse(end_user_ids, query)
    listed = lists.listed(state, options)
    if expand:
        await send_json(send, await _expanded(services, principal.organization_id, end_user_id, listed), _HEADERS)
        return
    headers = (*_HEADERS, (b"etag", listed.etag))
    if is_current(scope, listed.etag):
        await send_not_modified(send, headers)
        return
    coding = coding_of(scope)
    body = lists.body(listed, end_user_id)
    if coding is not None and len(body) >= MIN_SIZE:
        body = await lists.compressed(listed, end_user_id, body, coding)
        headers = (*headers, CODED[coding])
    await send_json(send, body, headers)


class OneIntegrationQuery(Body):
    """The end user, and the content of the response."""

    end_user_id: Text
    logo: Logo = "inline"
    expand: Literal["connections"] | None = None


@router.route(
    "GET /v1/integrations/{integration_slug}",
    scope="read",
    errors=(NotFound,),
    conditional=True,
    summary="Read one integration of an end user",
    response_model_exclude_unset=True,
)
async def get_integration(
    integration_slug: str,
    request: Request,
    caller: Authenticated,
    query: Annotated[OneIntegrationQuery, Query()],
    conditions: Conditional,
) -> ListedIntegration:
    """Return one integration with the status for an end user, also if the end user cannot connect the integration.

    If the end user cannot connect the integration, `unavailable` has the reason.
    """
    services = services_of(request.scope)
    slug = integration_slug.lower()
    options = Options(slugs=frozenset([slug]), logo=query.logo, include_unavailable=True)
    async with services.installation.database.read() as tx:
        state = await reload_state(tx, services.installation, caller.organization_id, query.end_user_id)
    listed = services.integration_list.listed(state, options)
    if query.expand:
        body = await _expanded(services, caller.organization_id, query.end_user_id, listed)
    else:
        body = services.integration_list.body(listed, query.end_user_id)
    integrations = json.loads(body)["integrations"]
    if not integrations:
        raise unknown(slug, state.own or services.installation.catalog)
    return conditions.tag(ListedIntegration.model_validate(integrations[0]))


async def _expanded(services: Services, organization_id: str, end_user_id: str, listed: Listed) -> bytes:
    async with services.installation.database.read() as tx:
        rows = await connections.list_page(
            tx, organization_id, ConnectionFilter(end_user_id=end_user_id), limit=MAX_CONNECTIONS
        )
        catalog = await services.installation.catalogs.of(tx, organization_id)
    answer: dict[str, Any] = json.loads(services.integration_list.body(listed, end_user_id))
    for integration in answer["integrations"]:
        integration["connections"] = [
            ConnectionSummary.of(connection, catalog.get(connection.integration_slug)).model_dump(mode="json")
            for connection in rows
            if connection.integration_slug == integration["slug"]
        ]
    return json.dumps(answer, ensure_ascii=False).encode()


def _split(query_string: bytes) -> tuple[list[str], bytes]:
    """Return the values of `end_user_id`, and the query string without `end_user_id`.

    Most query strings differ only in `end_user_id`. So the rest is often the same, and `IntegrationQuery` caches the
    options that it parses from the rest.
    """
    first, _, others = query_string.partition(b"&")
    if first.startswith(_END_USER) and _END_USER not in others:  # nearly every query: the loop takes 1 µs more
        return [_decode(first[len(_END_USER) :])], others
    end_user_ids, rest = list[str](), list[bytes]()
    for pair in query_string.split(b"&"):
        if pair.startswith(_END_USER):
            end_user_ids.append(_decode(pair[len(_END_USER) :]))
        else:
            rest.append(pair)
    return end_user_ids, b"&".join(rest)


def _decode(end_user_id: bytes) -> str:
    try:
        decoded = end_user_id.decode("ascii")
        if "%" in decoded or "+" in decoded:
            decoded = unquote_plus(decoded, errors="strict")
    except ValueError as error:
        raise InvalidInput.of("end_user_id", NOT_UTF8) from error
    return clean("end_user_id", decoded)


def _parse(end_user_ids: list[str], query: bytes) -> tuple[Options, bool]:
    """Return the options of a query, and True if the query contains `expand`. Raises: InvalidInput."""
    problem = _end_user_id_problem(end_user_ids)
    if problem is None:
        return _QUERY.parse(query)
    errors = [FieldError("end_user_id", problem)]
    try:
        _QUERY.parse(query)
    except InvalidInput as error:  # an unknown parameter can be a mistyped `end_user_id`
        errors += error.errors
    raise InvalidInput.of_all(errors)


def _end_user_id_problem(end_user_ids: list[str]) -> str | None:
    if not end_user_ids:
        return required("list_integrations", "end_user_id", place="query")
    if len(end_user_ids) > 1:
        return "must occur only once"
    return None if end_user_ids[0] else "must not be blank"


_EXAMPLE: Final = {
    "end_user_id": "user_123",
    "integrations": [
        {
            "id": "4989eaeb-5947-5065-81c6-de3b60c10b7d",
            "slug": "hubspot",
            "name": "HubSpot",
            "description": "CRM and marketing automation.",
            "logo_url": "data:image/svg+xml;base64,…",
            "category": "CRM",
            "status": "connected",
            "supported_auth_types": ["api_key"],
        }
    ],
}


def _operation() -> dict[str, Any]:
    end_user = {
        "description": "Your own identifier of the end user.",
        "schema": IDENTIFIER_SCHEMA,
        "example": "user_123",
    }
    return {
        "summary": "List the integrations of an end user",
        "description": "The integrations that an end user can connect or has connected. The response is the whole "
        "list, ordered by name. With `search`, the best match is first.",
        "operationId": "list_integrations",
        "parameters": [
            {"name": "end_user_id", "in": "query", "required": True, **end_user},
            *_QUERY.documented(),
        ],
        "responses": {
            "200": {
                "description": "The list. With `expand`, the response has no `ETag`.",
                "content": {
                    "application/json": {
                        "schema": {"$ref": "#/components/schemas/IntegrationListAnswer"},
                        "example": _EXAMPLE,
                    }
                },
            },
        },
    }


ROUTE: Final = AsgiRoute(
    PATH,
    list_integrations,
    [RouteSpec("GET", PATH, _SCOPE, tag="Integrations", conditional=True, operation=_operation())],
)
