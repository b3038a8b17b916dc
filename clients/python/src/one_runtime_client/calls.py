"""Build HTTP requests to One Runtime. `transports` sends the requests."""

import os
import re
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Final, TypeAlias
from urllib.parse import quote

import httpx2

from one_runtime_client.body_length import CONTENT_LENGTH, compare_length
from one_runtime_client.version import __version__

Body: TypeAlias = bytes | str | Iterable[bytes] | AsyncIterable[bytes]
Query: TypeAlias = Mapping[str, Any]
Form: TypeAlias = Mapping[str, Any]
FileContent: TypeAlias = IO[bytes] | bytes | str
File: TypeAlias = FileContent | tuple[str | None, FileContent] | tuple[str | None, FileContent, str | None]
"""The content of a file, alone or after its name, and before its media type."""
Files: TypeAlias = Mapping[str, File] | Sequence[tuple[str, File]]

_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_KEY: Final = re.compile(r"[!-~]+")
_MAX_PORT: Final = 65535
USER_AGENT: Final = f"one-runtime-python/{__version__}"
"""The proxy of One Runtime does not forward this header to a provider."""
IDEMPOTENCY_KEY: Final = "idempotency-key"
BASE_URL_VARIABLE: Final = "ONE_RUNTIME_URL"
API_KEY_VARIABLE: Final = "ONE_RUNTIME_API_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to One Runtime.

    `route`: the path with the names of its parameters, for logs. `relayed`: True if One Runtime forwards the request to
    a provider. The client then returns every response of the provider, even an error. `repeatable`: True if the caller
    allows that a provider receives the request twice. `timeout`: maximum seconds of each wait. `wait_seconds`: the
    seconds for which the request asks One Runtime to wait before the answer. The client waits longer by this time.
    """

    method: str
    path: str
    route: str = ""
    query: str = ""
    json: Any = field(default=None, repr=False)
    body: Body | None = field(default=None, repr=False)
    data: Form | None = field(default=None, repr=False)
    files: Files | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    relayed: bool = False
    repeatable: bool = False
    timeout: float | None = None
    wait_seconds: float = 0

    @property
    def replayable(self) -> bool:
        """Return True if the client can send the body a second time."""
        files = self.files.values() if isinstance(self.files, Mapping) else [file for _, file in self.files or ()]
        contents = [file[1] if isinstance(file, tuple) else file for file in files]
        return all(isinstance(content, bytes | str) for content in (*contents, self.body or b""))

    @property
    def idempotent(self) -> bool:
        """Return True if a repeated request has the effect of a single request (RFC 9110 section 9.2.2)."""
        if self.method.upper() in _IDEMPOTENT:
            return True
        return not self.relayed and any(name.lower() == IDEMPOTENCY_KEY for name, _ in self.headers)


@dataclass(frozen=True, slots=True)
class Server:
    """The address of One Runtime, the API key, and the seconds of each wait."""

    base_url: str
    api_key: str = field(repr=False)
    timeout: float

    def __post_init__(self) -> None:
        if not _is_address(self.base_url):
            raise ValueError("base_url must be the address of One Runtime, for example https://connect.example.com.")
        if httpx2.URL(self.base_url).userinfo or not {"?", "#"}.isdisjoint(self.base_url):
            raise ValueError("base_url must not contain a user name, a password, a query or a fragment.")
        if not _KEY.fullmatch(self.api_key):
            raise ValueError("api_key must be an API key of your organization (oru_…): printable ASCII without spaces.")

    def request(self, http: httpx2.Client | httpx2.AsyncClient, call: Call) -> httpx2.Request:
        """Build the HTTP request. Raises: TypeError for a body that the client cannot send; InvalidInput."""
        timeout = self.timeout if call.timeout is None else call.timeout
        headers = [(name.encode(), value.encode()) for name, value in call.headers]
        request = http.build_request(
            call.method,
            self.base_url.rstrip("/") + call.path + (f"?{call.query}" if call.query else ""),
            json=call.json,
            content=call.body,
            data=call.data,
            files=call.files,
            headers=headers,
            timeout=httpx2.Timeout(timeout, connect=min(timeout, self.timeout), read=timeout + call.wait_seconds),
        )
        _require_body_of(http, request)
        # An `http_client` can store cookies. A provider's cookie must not reach the request of another end user.
        request.headers.pop("cookie", None)
        request.headers["user-agent"] = USER_AGENT
        request.headers.update(headers)
        if CONTENT_LENGTH in request.headers:  # two lengths of one body enable request smuggling (RFC 9112, 6.1)
            request.headers.pop("transfer-encoding", None)
        if any(name.lower() == CONTENT_LENGTH for name, _ in call.headers):
            compare_length(http, request)
        # Error trackers record the local variables of each stack frame. So this method adds the key only here, and only
        # to the request: httpx2 hides this header in the `repr` of a request.
        request.headers["authorization"] = f"Bearer {self.api_key}"
        return request


def server_from(base_url: str | None, api_key: str | None, timeout: float) -> Server:
    """Return the server of the arguments, or of the environment. Raises: ValueError for a missing or invalid value."""
    return Server(
        _argument("base_url", base_url, BASE_URL_VARIABLE), _argument("api_key", api_key, API_KEY_VARIABLE), timeout
    )


def _argument(name: str, value: str | None, variable: str) -> str:
    found = os.environ.get(variable) if value is None else value
    if found is None:
        raise ValueError(f"{name} is missing. Pass {name}, or set the environment variable {variable}.")
    return found


def _require_body_of(http: httpx2.Client | httpx2.AsyncClient, request: httpx2.Request) -> None:
    if isinstance(http, httpx2.Client) and not isinstance(request.stream, httpx2.SyncByteStream):
        raise TypeError(
            "body must be bytes, text or an iterable of bytes. Use AsyncOneRuntime for an asynchronous iterable."
        )
    if isinstance(http, httpx2.AsyncClient) and not isinstance(request.stream, httpx2.AsyncByteStream):
        raise TypeError(
            "body must be bytes, text or an asynchronous iterable of bytes. Use OneRuntime for other iterables."
        )


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
