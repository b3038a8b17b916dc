"""`GET /v1/integrations`: what is available to an end user. Raw ASGI, since every settings page waits for it."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias, cast
from urllib.parse import parse_qsl, unquote_plus

from pydantic_core import PydanticCustomError
from starlette.types import Receive, Scope, Send

from one_runtime.api.auth import authorize
from one_runtime.api.connections import ConnectionSummary
from one_runtime.api.fields import clean_text
from one_runtime.api.headers import coding_of, is_current
from one_runtime.connecting.disconnect import MAX_CONNECTIONS
from one_runtime.connections import connections
from one_runtime.connections.connections import ConnectionFilter
from one_runtime.context import Installation
from one_runtime.errors import InvalidInput
from one_runtime.integrations.content_coding import Coding
from one_runtime.integrations.listing import CATEGORIES, IntegrationList, ListState, Logo, Options, Status, load_state
from one_runtime.tenancy.authentication import Authenticator

PATH: Final = "/v1/integrations"
MAX_TEXT: Final = 255
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "category": CATEGORIES,
    "status": ("connected", "not_connected"),
    "logo": ("inline", "url", "none"),
    "expand": ("connections",),
}
_REPEATABLE: Final = "slug"
_OPTIONS: Final = frozenset({*_CHOICES, "search", _REPEATABLE})
_UNREADABLE: Final = "The query string is not percent-encoded UTF-8."
_END_USER: Final = b"end_user_id="
_MAX_KEPT_OPTIONS: Final = 500  # bytes

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


class IntegrationsEndpoint:
    """Answers `GET /v1/integrations`: one statement, then a join of bytes."""

    def __init__(self, installation: Installation, lists: IntegrationList, authenticator: Authenticator) -> None:
        self._installation, self._lists, self._authenticator = installation, lists, authenticator

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """The ASGI endpoint. Raises: Unauthenticated, InsufficientScope, RateLimited, InvalidInput."""
        key = self._authenticator.present(scope)
        asked, query = _split(scope["query_string"])
        end_user_id = _end_user_id(asked)
        async with self._installation.database.read() as tx:
            state = await load_state(tx, self._installation.catalogs, key, end_user_id)
        authorize(scope, state.principal, "read")
        _check_end_user_id(end_user_id, times=len(asked))
        options, expand = _keep_options(query) if len(query) <= _MAX_KEPT_OPTIONS else _options(query)
        if expand:
            await _respond(send, await self._expanded(state, end_user_id, options))
            return
        listed = self._lists.listed(state, options)
        if is_current(scope, listed.etag):
            await _not_modified(send, listed.etag)
            return
        coding = coding_of(scope)
        body = await self._lists.compressed(listed, end_user_id, coding) if coding else None
        if body is None:
            await _respond(send, self._lists.body(listed, end_user_id), (b"etag", listed.etag))
        elif coding:
            await _respond(send, body, (b"etag", listed.etag), _CODED[coding])

    async def _expanded(self, state: ListState, end_user_id: str, options: Options) -> bytes:
        async with self._installation.database.read() as tx:
            wanted = ConnectionFilter(end_user_id=end_user_id)
            found = await connections.list_page(tx, state.principal.organization_id, wanted, limit=MAX_CONNECTIONS)
        answer: dict[str, Any] = json.loads(self._lists.body(self._lists.listed(state, options), end_user_id))
        for integration in answer["integrations"]:
            integration["connections"] = [
                ConnectionSummary.of(one).model_dump(mode="json")
                for one in found
                if one.integration_slug == integration["slug"]
            ]
        return json.dumps(answer, ensure_ascii=False).encode()


async def _respond(send: Send, body: bytes, *more: Header) -> None:
    headers = [*_HEADERS, _JSON, (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _not_modified(send: Send, etag: bytes) -> None:
    await send({"type": "http.response.start", "status": 304, "headers": [*_HEADERS, (b"etag", etag)]})
    await send({"type": "http.response.body", "body": b""})


def _split(query_string: bytes) -> tuple[list[bytes], bytes]:
    """The values of `end_user_id`, still encoded, and the rest of the query, which many callers have in common."""
    pairs = query_string.split(b"&")
    asked = [pair.removeprefix(_END_USER) for pair in pairs if pair.startswith(_END_USER)]
    return asked, b"&".join([pair for pair in pairs if not pair.startswith(_END_USER)])


def _end_user_id(asked: list[bytes]) -> str:
    if not asked:
        return ""
    try:
        value = unquote_plus(asked[-1].decode("ascii"), errors="strict")
    except ValueError as error:
        raise InvalidInput(_UNREADABLE) from error
    return _clean("end_user_id", value)


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
    try:
        return clean_text(value.strip())
    except PydanticCustomError as error:
        raise InvalidInput.of(field, error.message()) from error


def _check_end_user_id(end_user_id: str, *, times: int) -> None:
    if times > 1:
        raise InvalidInput.of("end_user_id", "may be given once")
    if not end_user_id:
        raise InvalidInput.of("end_user_id", "is required: your own identifier of the user")
    if len(end_user_id) > MAX_TEXT:
        raise InvalidInput.of("end_user_id", f"must be at most {MAX_TEXT} characters")


def _options(query_string: bytes) -> tuple[Options, bool]:
    """What to list and how, and whether with each integration's connections. Raises: InvalidInput."""
    query = _parse(query_string)
    for name, values in query.items():
        if name not in _OPTIONS:
            raise InvalidInput.of(name, "is not an option of this list")
        if len(values) > 1 and name != _REPEATABLE:
            raise InvalidInput.of(name, "may be given once")
        if name in _CHOICES and values[-1] not in _CHOICES[name]:
            raise InvalidInput.of(name, f"must be one of: {', '.join(_CHOICES[name])}")
        if any(len(value) > MAX_TEXT for value in values):
            raise InvalidInput.of(name, f"must be at most {MAX_TEXT} characters")
    options = Options(
        slugs=frozenset(slug.lower() for slug in query.get(_REPEATABLE, ())),
        category=query.get("category", [None])[-1],
        search=query.get("search", [None])[-1],
        status=cast("Status | None", query.get("status", [None])[-1]),
        logo=cast("Logo", query.get("logo", ["inline"])[-1]),
    )
    return options, "expand" in query


_keep_options: Final = lru_cache(maxsize=1024)(_options)
"""Few combinations are ever asked for."""
