"""Serve `GET /v1/integrations`: the list of integrations, with the status of each integration for one end user.

Pages in the organization's product wait for this list. So the endpoint is plain ASGI, which is faster than FastAPI.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias, cast
from urllib.parse import parse_qsl, unquote_plus

from pydantic import BaseModel
from pydantic_core import PydanticCustomError
from starlette.types import Receive, Scope, Send

from one_runtime.api.catalog import CatalogIntegration
from one_runtime.api.connections import ConnectionSummary
from one_runtime.api.fields import IDENTIFIER_SCHEMA, clean_text
from one_runtime.api.headers import coding_of, is_current
from one_runtime.api.routing import AsgiRoute, RouteSpec, authorize
from one_runtime.api.services import Services, services_of
from one_runtime.catalog.model import CATEGORIES
from one_runtime.connecting.disconnect import MAX_CONNECTIONS
from one_runtime.connections import connections
from one_runtime.connections.connections import ConnectionFilter
from one_runtime.errors import InvalidInput
from one_runtime.integrations.content_coding import MIN_SIZE, Coding
from one_runtime.integrations.listing import ListState, load_state
from one_runtime.integrations.rendering import Listed, Logo, Options, Status

PATH: Final = "/v1/integrations"
MAX_TEXT: Final = 255
_TEXT: Final = {"type": "string", "maxLength": MAX_TEXT, "pattern": r"^[^\x00]*$"}
_REPEATABLE: Final = "slug"
_OPTIONS: Final[Mapping[str, tuple[str, dict[str, Any]]]] = {
    _REPEATABLE: ("Slugs to return. You can repeat the parameter.", {"type": "array", "items": _TEXT}),
    "category": ("Only integrations of this category.", {"type": "string", "enum": list(CATEGORIES)}),
    "search": ("Text to search for. The best match is first.", _TEXT),
    "status": ("Only integrations with this status.", {"type": "string", "enum": ["connected", "not_connected"]}),
    "logo": ("Format of the logos.", {"type": "string", "enum": ["inline", "url", "none"]}),
    "expand": ("Add the end user's connections to each integration.", {"type": "string", "enum": ["connections"]}),
}
"""All query parameters except `end_user_id`, each with its description and JSON Schema."""
_UNREADABLE: Final = "The query string must be percent-encoded UTF-8."
_END_USER: Final = b"end_user_id="
_MAX_CACHED_QUERY: Final = 500  # bytes
_SCOPE: Final = "read"

Header: TypeAlias = tuple[bytes, bytes]

_HEADERS: Final[tuple[Header, ...]] = (
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"authorization, accept-encoding"),
)
_JSON: Final[Header] = (b"content-type", b"application/json")
_CODED: Final[Mapping[Coding, Header]] = {
    "gzip": (b"content-encoding", b"gzip"),
    "zstd": (b"content-encoding", b"zstd"),
}


class ListedIntegration(CatalogIntegration, title="Integration"):
    """An integration with the end user's status.

    The status is also `not_connected` if the end user has to connect again. So do not delete the end user's data when
    the status becomes `not_connected`.
    """

    status: Literal["connected", "not_connected"]
    connections: list[ConnectionSummary] | None = None


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
        state = await load_state(tx, installation.catalogs, key, end_user_id)
    authorize(scope, state.principal, _SCOPE)
    _check_end_user_id(end_user_id, times=len(end_user_ids))
    options, expand = _cached_options(query) if len(query) <= _MAX_CACHED_QUERY else _options(query)
    listed = lists.listed(state, options)
    if expand:
        await _respond(send, await _expanded(services, state, end_user_id, listed))
        return
    if is_current(scope, listed.etag):
        await _not_modified(send, listed.etag)
        return
    coding = coding_of(scope)
    body = lists.body(listed, end_user_id)
    if coding is None or len(body) < MIN_SIZE:
        await _respond(send, body, (b"etag", listed.etag))
        return
    body = await lists.compressed(listed, end_user_id, body, coding)
    await _respond(send, body, (b"etag", listed.etag), _CODED[coding])


async def _expanded(services: Services, state: ListState, end_user_id: str, listed: Listed) -> bytes:
    async with services.installation.database.read() as tx:
        rows = await connections.list_page(
            tx, state.principal.organization_id, ConnectionFilter(end_user_id=end_user_id), limit=MAX_CONNECTIONS
        )
    answer: dict[str, Any] = json.loads(services.integration_list.body(listed, end_user_id))
    for integration in answer["integrations"]:
        integration["connections"] = [
            ConnectionSummary.of(connection).model_dump(mode="json")
            for connection in rows
            if connection.integration_slug == integration["slug"]
        ]
    return json.dumps(answer, ensure_ascii=False).encode()


async def _respond(send: Send, body: bytes, *more: Header) -> None:
    headers = [*_HEADERS, _JSON, (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _not_modified(send: Send, etag: bytes) -> None:
    await send({"type": "http.response.start", "status": 304, "headers": [*_HEADERS, (b"etag", etag)]})
    await send({"type": "http.response.body", "body": b""})


def _split(query_string: bytes) -> tuple[list[str], bytes]:
    """Return the values of `end_user_id`, and the query string without `end_user_id`.

    Most query strings differ only in `end_user_id`. Without `end_user_id`, these query strings are equal, and
    `_cached_options` parses the query string only once.
    """
    pairs = query_string.split(b"&")
    encoded_ids = [pair.removeprefix(_END_USER) for pair in pairs if pair.startswith(_END_USER)]
    rest = b"&".join([pair for pair in pairs if not pair.startswith(_END_USER)])
    try:
        decoded_ids = [unquote_plus(value.decode("ascii"), errors="strict") for value in encoded_ids]
    except ValueError as error:
        raise InvalidInput(_UNREADABLE) from error
    return [_clean("end_user_id", value) for value in decoded_ids], rest


def _parse(query_string: bytes) -> dict[str, list[str]]:
    query: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, max_num_fields=1000, errors="strict")
    except ValueError as error:
        raise InvalidInput(_UNREADABLE) from error
    for name, value in pairs:
        query.setdefault(name, []).append(_clean(name, value))
    return query


def _clean(field: str, value: str) -> str:
    if len(value) > MAX_TEXT:
        raise InvalidInput.of(field, f"must be at most {MAX_TEXT} characters")
    try:
        return clean_text(value.strip())
    except PydanticCustomError as error:
        raise InvalidInput.of(field, error.message()) from error


def _check_end_user_id(end_user_id: str, *, times: int) -> None:
    if times > 1:
        raise InvalidInput.of("end_user_id", "must occur only once")
    if not end_user_id:
        raise InvalidInput.of("end_user_id", "is required: your own identifier of the user")


def _options(query_string: bytes) -> tuple[Options, bool]:
    """Return the options of a query, and True if the query contains `expand`. Raises: InvalidInput."""
    query = _parse(query_string)
    for name, values in query.items():
        if name not in _OPTIONS:
            raise InvalidInput.of(name, "is not a query parameter of this route")
        if len(values) > 1 and name != _REPEATABLE:
            raise InvalidInput.of(name, "must occur only once")
        allowed = _OPTIONS[name][1].get("enum")
        if allowed and values[-1] not in allowed:
            raise InvalidInput.of(name, f"must be one of: {', '.join(allowed)}")
    options = Options(
        slugs=frozenset(slug.lower() for slug in query[_REPEATABLE]) if _REPEATABLE in query else None,
        category=query.get("category", [None])[-1],
        search=query.get("search", [None])[-1],
        status=cast("Status | None", query.get("status", [None])[-1]),
        logo=cast("Logo", query.get("logo", ["inline"])[-1]),
    )
    return options, "expand" in query


_cached_options: Final = lru_cache(maxsize=512)(_options)  # at most 7 MB

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
    end_user = {"description": "Your own identifier of the user.", "schema": IDENTIFIER_SCHEMA, "example": "user_123"}
    return {
        "summary": "List the integrations of an end user",
        "description": "The integrations that an end user can connect or has connected. The response is the whole "
        "list, ordered by name. With `search`, the best match is first.",
        "operationId": "list_integrations",
        "parameters": [
            {"name": "end_user_id", "in": "query", "required": True, **end_user},
            *(
                {"name": name, "in": "query", "required": False, "description": description, "schema": schema}
                for name, (description, schema) in _OPTIONS.items()
            ),
            {"name": "If-None-Match", "in": "header", "required": False, "schema": {"type": "string"}},
        ],
        "responses": {
            "200": {
                "description": "The list.",
                "headers": {"ETag": {"schema": {"type": "string"}}},
                "content": {
                    "application/json": {
                        "schema": {"$ref": "#/components/schemas/IntegrationListAnswer"},
                        "example": _EXAMPLE,
                    }
                },
            },
            "304": {"description": "The list has not changed since the response with this ETag."},
        },
    }


ROUTE: Final = AsgiRoute(
    PATH, list_integrations, [RouteSpec("GET", PATH, _SCOPE, tag="Integrations", operation=_operation())]
)
