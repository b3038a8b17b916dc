"""Build HTTP requests to One Runtime, and decide what a response means. `transports` sends the requests."""

import re
from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import httpx2

from one_runtime_client.errors import FieldError, OneRuntimeError, Problem, error_of

Body: TypeAlias = bytes | str | Iterable[bytes] | AsyncIterable[bytes]
Query: TypeAlias = Mapping[str, Any]

MAX_ATTEMPTS: Final = 3
MAX_WAIT: Final = 30.0
"""Maximum seconds before a retry. If One Runtime asks for a longer wait, the client raises the error at once."""
_FIRST_WAIT: Final = 0.5
_TEMPORARY: Final = frozenset({429, 503})
_BUSY: Final = "database_busy"
"""One Runtime stored nothing before a 503 with this code. Before another 503, One Runtime can have stored data."""
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_KEY: Final = re.compile(r"[!-~]+")
_MAX_PORT: Final = 65535
_ERROR_HEADER: Final = "one-runtime-error"
_ATTEMPTS_HEADER: Final = "one-runtime-attempts"
"""One Runtime sets this header on every response of a provider, and removes the provider's own header of this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to One Runtime.

    `relayed`: True if One Runtime forwards the request to a provider. The client then returns every response of the
    provider, even an error. `timeout`: maximum seconds of each wait for data. The client's own timeout limits the time
    to connect.
    """

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
        """Return True if the client can send the body a second time."""
        return self.body is None or isinstance(self.body, bytes | str)

    @property
    def idempotent(self) -> bool:
        """Return True if a repeated request has the effect of a single request (RFC 9110 section 9.2.2)."""
        return self.method.upper() in _IDEMPOTENT


@dataclass(frozen=True, slots=True)
class Server:
    """The address of One Runtime and the API key."""

    base_url: str
    api_key: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _is_address(self.base_url):
            raise ValueError("base_url must be the address of One Runtime, for example https://connect.example.com.")
        if httpx2.URL(self.base_url).userinfo or not {"?", "#"}.isdisjoint(self.base_url):
            raise ValueError("base_url must not contain a user name, a password, a query or a fragment.")
        if not _KEY.fullmatch(self.api_key):
            raise ValueError("api_key must be an API key of your organization (oru_…): printable ASCII without spaces.")

    def request(self, http: httpx2.Client | httpx2.AsyncClient, call: Call) -> httpx2.Request:
        """Build the HTTP request. Raises: TypeError for a body that the client cannot send."""
        timeout = http.timeout if call.timeout is None else httpx2.Timeout(call.timeout, connect=http.timeout.connect)
        request = http.build_request(
            call.method,
            self.base_url.rstrip("/") + call.path + (f"?{call.query}" if call.query else ""),
            json=call.json,
            content=call.body,
            headers=[(name.encode(), value.encode()) for name, value in call.headers],
            timeout=timeout,
        )
        if isinstance(http, httpx2.Client) and not isinstance(request.stream, httpx2.SyncByteStream):
            raise TypeError(
                "body must be bytes, text or an iterable of bytes. Use AsyncOneRuntime for an asynchronous iterable."
            )
        if isinstance(http, httpx2.AsyncClient) and not isinstance(request.stream, httpx2.AsyncByteStream):
            raise TypeError(
                "body must be bytes, text or an asynchronous iterable of bytes. Use OneRuntime for other iterables."
            )
        # Error trackers record the local variables of each stack frame. So this method adds the key only here, and only
        # to the request: httpx2 hides this header in the `repr` of a request.
        request.headers["authorization"] = f"Bearer {self.api_key}"
        return request


def _is_address(base_url: str) -> bool:
    try:
        url = httpx2.URL(base_url)
    except (httpx2.InvalidURL, TypeError):  # Do not chain the exception: its text can contain a password.
        return False
    return url.scheme in {"http", "https"} and bool(url.host) and 0 <= (url.port or 0) <= _MAX_PORT


def segment(value: str) -> str:
    """Encode a value as one segment of a path.

    Raises: ValueError for an empty value, because the path without the segment belongs to another route.
    """
    if not value:
        raise ValueError("An identifier in a path must not be empty.")
    return quote(value, safe="") if value.strip(".") else value.replace(".", "%2E")


def query_string(query: Query | None) -> str:
    """Encode a query. Omit each value that is None. For a list, repeat the name for each item."""
    return str(httpx2.QueryParams({name: value for name, value in (query or {}).items() if value is not None}))


def is_refusal(call: Call, response: httpx2.Response) -> bool:
    """Return True for an error of One Runtime, or of a server in front of One Runtime (such as a load balancer)."""
    if call.relayed:
        return _ERROR_HEADER in response.headers or _ATTEMPTS_HEADER not in response.headers
    return not response.is_success


def wait_before_retry(call: Call, response: httpx2.Response, attempts: int) -> float | None:
    """Return the seconds to wait before the next attempt, or None if the client does not repeat the call.

    The client repeats a call only after an error of One Runtime. The error page of a load balancer does not say
    whether One Runtime carried out the request.
    """
    code, status = _error_code(response), response.status_code
    temporary = status in _TEMPORARY and (call.idempotent or status != 503 or code == _BUSY)
    if code is None or not temporary or not call.replayable or attempts >= MAX_ATTEMPTS:
        return None
    retry_after = _retry_after(response)
    wait = _FIRST_WAIT * 2 ** (attempts - 1) if retry_after is None else retry_after
    return wait if wait <= MAX_WAIT else None


def refusal(response: httpx2.Response) -> OneRuntimeError:
    """Return the error for a response. The caller must read the body of the response first."""
    code = _error_code(response)
    if code is None:
        return unexpected_answer(response, f"status {response.status_code} without an error of One Runtime")
    problem = _problem(response)
    errors = problem.get("errors")
    return error_of(
        Problem(
            code=code,
            status=response.status_code,
            detail=str(problem.get("detail") or f"One Runtime answered {response.status_code}."),
            request_id=problem.get("request_id") or response.headers.get("request-id"),
            errors=tuple(map(_field_error, errors)) if isinstance(errors, list) else (),
            retry_after=_retry_after(response),
            provider_reason=problem.get("provider_reason"),
        )
    )


def unexpected_answer(response: httpx2.Response, reason: str) -> OneRuntimeError:
    """Return the error for a response that does not have the documented form."""
    return OneRuntimeError(
        Problem(
            code="unexpected_answer",
            status=response.status_code,
            detail=f"The answer cannot be read: {reason}. Check that base_url is the address of One Runtime.",
            request_id=response.headers.get("request-id"),
            retry_after=_retry_after(response),
        )
    )


def _error_code(response: httpx2.Response) -> str | None:
    """Return One Runtime's error code, or None if the response is not an error of One Runtime."""
    code = _problem(response).get("code") or response.headers.get(_ERROR_HEADER)
    return code if isinstance(code, str) else None


def _problem(response: httpx2.Response) -> dict[str, Any]:
    if not response.headers.get("content-type", "").startswith("application/problem+json"):
        return {}
    try:
        problem = response.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _field_error(value: Any) -> FieldError:
    error = value if isinstance(value, dict) else {}
    return FieldError(str(error.get("field", "")), str(error.get("message", "")))


def _retry_after(response: httpx2.Response) -> float | None:
    value: str = response.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() else None
