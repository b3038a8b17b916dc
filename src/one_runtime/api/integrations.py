"""`GET /v1/integrations`: what is available to an end user. Raw ASGI, since every settings page waits for it."""

import json
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import parse_qsl

from pydantic_core import PydanticCustomError
from starlette.types import Receive, Scope, Send

from one_runtime import connections
from one_runtime.api.auth import RateLimit, bearer, refuse_key, require_scope
from one_runtime.api.connections import ConnectionSummary
from one_runtime.api.fields import clean_text
from one_runtime.connections import ConnectionFilter
from one_runtime.disconnect import ALL
from one_runtime.errors import InvalidInput
from one_runtime.installation import Installation
from one_runtime.integrations import CATEGORIES, IntegrationList, Logo, Options, State, Status, find_state

PATH: Final = "/v1/integrations"
MAX_TEXT: Final = 255
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "category": CATEGORIES,
    "status": ("connected", "not_connected"),
    "logo": ("inline", "url", "none"),
    "expand": ("connections",),
}
_REPEATABLE: Final = "slug"
_OPTIONS: Final = frozenset({*_CHOICES, "end_user_id", "search", _REPEATABLE})


class IntegrationsEndpoint:
    """Answers `GET /v1/integrations`: one statement, then a join of bytes."""

    def __init__(self, installation: Installation, lists: IntegrationList, rate_limit: RateLimit) -> None:
        self._installation, self._lists, self._rate_limit = installation, lists, rate_limit

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """The ASGI endpoint. Raises: Unauthenticated, InsufficientScope, RateLimited, InvalidInput."""
        token = bearer(scope)
        self._rate_limit.take(token)
        query = _parse(scope["query_string"])
        end_user_id = query.get("end_user_id", [""])[-1]
        async with self._installation.database.read() as tx:
            state = await find_state(tx, token, end_user_id)
        if state is None:
            raise refuse_key()
        require_scope(state.scopes, "read")
        _check_end_user_id(end_user_id)
        options = _options(query)
        if "expand" in query:
            await _respond(send, await self._expanded(state, end_user_id, options), None)
            return
        etag = self._lists.etag(state, options)
        if _matches(scope, etag):
            await _respond(send, None, etag)
        else:
            await _respond(send, self._lists.body(state, end_user_id, options), etag)

    async def _expanded(self, state: State, end_user_id: str, options: Options) -> bytes:
        async with self._installation.database.read() as tx:
            wanted = ConnectionFilter(end_user_id=end_user_id)
            found = await connections.list_page(tx, state.organization_id, wanted, limit=ALL)
        answer: dict[str, Any] = json.loads(self._lists.body(state, end_user_id, options))
        for integration in answer["integrations"]:
            integration["connections"] = [
                ConnectionSummary.of(one).model_dump(mode="json")
                for one in found
                if one.integration_slug == integration["slug"]
            ]
        return json.dumps(answer, ensure_ascii=False).encode()


async def _respond(send: Send, body: bytes | None, etag: bytes | None) -> None:
    headers = [(b"cache-control", b"private, no-cache"), (b"vary", b"authorization, accept-encoding")]
    if etag:
        headers.append((b"etag", etag))
    if body is not None:
        headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 304 if body is None else 200, "headers": headers})
    await send({"type": "http.response.body", "body": body or b""})


def _matches(scope: Scope, etag: bytes) -> bool:
    """`If-None-Match` by weak comparison (RFC 9110 section 13.1.2)."""
    for name, value in scope["headers"]:
        if name == b"if-none-match":
            wanted = {part.strip().removeprefix(b"W/") for part in value.split(b",")}
            return b"*" in wanted or etag.removeprefix(b"W/") in wanted
    return False


def _parse(query_string: bytes) -> dict[str, list[str]]:
    query: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, max_num_fields=1000, errors="strict")
    except ValueError as error:
        raise InvalidInput("The query string is not percent-encoded UTF-8.") from error
    for name, value in pairs:
        query.setdefault(name, []).append(_clean(name, value))
    return query


def _clean(field: str, value: str) -> str:
    try:
        return clean_text(value.strip())
    except PydanticCustomError as error:
        raise InvalidInput.of(field, error.message()) from error


def _check_end_user_id(end_user_id: str) -> None:
    if not end_user_id:
        raise InvalidInput.of("end_user_id", "is required: your own identifier of the user")
    if len(end_user_id) > MAX_TEXT:
        raise InvalidInput.of("end_user_id", f"must be at most {MAX_TEXT} characters")


def _options(query: Mapping[str, list[str]]) -> Options:
    if len(query) == 1 and len(query["end_user_id"]) == 1:
        return Options()
    for name, values in query.items():
        if name not in _OPTIONS:
            raise InvalidInput.of(name, "is not an option of this list")
        if len(values) > 1 and name != _REPEATABLE:
            raise InvalidInput.of(name, "may be given once")
        if name in _CHOICES and values[-1] not in _CHOICES[name]:
            raise InvalidInput.of(name, f"must be one of: {', '.join(_CHOICES[name])}")
        if any(len(value) > MAX_TEXT for value in values):
            raise InvalidInput.of(name, f"must be at most {MAX_TEXT} characters")
    return Options(
        slugs=frozenset(slug.lower() for slug in query.get(_REPEATABLE, ())),
        category=query.get("category", [None])[-1],
        search=query.get("search", [None])[-1],
        status=cast("Status | None", query.get("status", [None])[-1]),
        logo=cast("Logo", query.get("logo", ["inline"])[-1]),
    )
