"""What is sent to One Runtime, told as plain data, and what its answer means. Nothing here waits or sends."""

import re
from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import httpx2

from one_runtime_client.errors import FieldError, OneRuntimeError, Problem, error_of

Body: TypeAlias = bytes | str | Iterable[bytes] | AsyncIterable[bytes]
Query: TypeAlias = Mapping[str, Any]

MOST_TRIES: Final = 3
LONGEST_WAIT: Final = 30.0
"""Seconds; where One Runtime asks for more, the caller is told."""
_FIRST_WAIT: Final = 0.5
_PASSING: Final = frozenset({429, 503})
_BUSY: Final = "database_busy"
"""Said before anything is written, unlike other codes with 503: there a commit may have gone through."""
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_KEY: Final = re.compile(r"[!-~]+")
_LAST_PORT: Final = 65535
_MARK: Final = "one-runtime-error"
_RELAYED: Final = "one-runtime-attempts"
"""Stands on every answer of a provider; what providers send under that name is taken off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request. `relayed`: to a provider, whose errors are answers. `timeout` in seconds, of each wait but the one
    for a connection."""

    method: str
    path: str
    query: str = ""
    json: Any = field(default=None, repr=False)
    body: Body | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    relayed: bool = False
    timeout: float | None = None

    @property
    def replayable(self) -> bool:
        """Whether its body can be sent once more."""
        return self.body is None or isinstance(self.body, bytes | str)

    @property
    def idempotent(self) -> bool:
        """Whether twice does what once does."""
        return self.method.upper() in _IDEMPOTENT


@dataclass(frozen=True, slots=True)
class Server:
    """Where One Runtime is, and what opens it."""

    base_url: str
    api_key: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _is_address(self.base_url):
            raise ValueError("base_url is the address of One Runtime, such as https://connect.example.com, and no more")
        if httpx2.URL(self.base_url).userinfo or not {"?", "#"}.isdisjoint(self.base_url):
            raise ValueError("base_url has no user, query or fragment")
        if not _KEY.fullmatch(self.api_key):
            raise ValueError("api_key is a key of your organization (oru_…): printable ASCII without spaces")

    def request(self, http: httpx2.Client | httpx2.AsyncClient, asked: Asked) -> httpx2.Request:
        """The request as it goes over the wire. Raises: TypeError for a body that cannot be sent."""
        wait = http.timeout if asked.timeout is None else httpx2.Timeout(asked.timeout, connect=http.timeout.connect)
        request = http.build_request(
            asked.method,
            self.base_url.rstrip("/") + asked.path + (f"?{asked.query}" if asked.query else ""),
            json=asked.json,
            content=asked.body,
            headers=[(name.encode(), value.encode()) for name, value in asked.headers],
            timeout=wait,
        )
        if isinstance(http, httpx2.Client) and not isinstance(request.stream, httpx2.SyncByteStream):
            raise TypeError(
                "body must be bytes, text or an iterable of bytes. AsyncOneRuntime sends asynchronous ones."
            )
        if isinstance(http, httpx2.AsyncClient) and not isinstance(request.stream, httpx2.AsyncByteStream):
            raise TypeError("body must be bytes, text or an asynchronous iterable of bytes. OneRuntime sends others.")
        # Last of all, and where httpx2 masks it: what watches for errors keeps the local variables of each frame.
        request.headers["authorization"] = f"Bearer {self.api_key}"
        return request


def _is_address(base_url: str) -> bool:
    try:
        url = httpx2.URL(base_url)
    except (httpx2.InvalidURL, TypeError):  # their words may hold a password
        return False
    return url.scheme in {"http", "https"} and bool(url.host) and 0 <= (url.port or 0) <= _LAST_PORT


def segment(value: str) -> str:
    """A value as one segment of a path. Raises: ValueError where it is empty, which would be another address."""
    if not value:
        raise ValueError("an identifier must not be empty")
    return quote(value, safe="") if value.strip(".") else value.replace(".", "%2E")


def query_of(query: Query | None) -> str:
    """The query string: what is None is left out, lists are repeated."""
    given = {name: value for name, value in (query or {}).items() if value is not None}
    return str(httpx2.QueryParams(given))


def is_refusal(asked: Asked, response: httpx2.Response) -> bool:
    """Whether the answer is an error of One Runtime itself, or of something else that stands in its place."""
    if asked.relayed:
        return _MARK in response.headers or _RELAYED not in response.headers
    return not response.is_success


def wait_before_retry(asked: Asked, response: httpx2.Response, tries: int) -> float | None:
    """Seconds until the refused request is sent again; None if it is not. Only what One Runtime says itself counts: an
    error page of whatever stands before it is not a promise that nothing was done."""
    code, status = _code(response), response.status_code
    passing = status in _PASSING and (asked.idempotent or status != 503 or code == _BUSY)
    if code is None or not passing or not asked.replayable or tries >= MOST_TRIES:
        return None
    told = _retry_after(response)
    wait = _FIRST_WAIT * 2 ** (tries - 1) if told is None else told
    return wait if wait <= LONGEST_WAIT else None


def refusal(response: httpx2.Response) -> OneRuntimeError:
    """The error that an answer (which was read) tells."""
    code = _code(response)
    if code is None:
        return unreadable(response, f"it is no error of One Runtime, with the status {response.status_code}")
    told = _problem(response)
    errors = told.get("errors")
    return error_of(
        Problem(
            code=code,
            status=response.status_code,
            detail=str(told.get("detail") or f"One Runtime answered {response.status_code}."),
            request_id=told.get("request_id") or response.headers.get("request-id"),
            errors=tuple(map(_field_error, errors)) if isinstance(errors, list) else (),
            retry_after=_retry_after(response),
            provider_reason=told.get("provider_reason"),
        )
    )


def unreadable(response: httpx2.Response, reason: str) -> OneRuntimeError:
    """The error for an answer that is not what was promised."""
    detail = f"The answer cannot be read: {reason}. Is base_url the address of One Runtime?"
    return OneRuntimeError(
        Problem(
            code="unexpected_answer",
            status=response.status_code,
            detail=detail,
            request_id=response.headers.get("request-id"),
            retry_after=_retry_after(response),
        )
    )


def _code(response: httpx2.Response) -> str | None:
    """What One Runtime calls the error; None where it is somebody else's."""
    code = _problem(response).get("code") or response.headers.get(_MARK)
    return code if isinstance(code, str) else None


def _problem(response: httpx2.Response) -> dict[str, Any]:
    if not response.headers.get("content-type", "").startswith("application/problem+json"):
        return {}
    try:
        told = response.json()
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _field_error(told: Any) -> FieldError:
    values = told if isinstance(told, dict) else {}
    return FieldError(str(values.get("field", "")), str(values.get("message", "")))


def _retry_after(response: httpx2.Response) -> float | None:
    told: str = response.headers.get("retry-after", "")
    return float(told) if told.isascii() and told.isdigit() else None
