"""Call One Runtime's HTTP API, for the commands of developers. These commands have an API key, and no database."""

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from one_runtime.egress.client import Egress
from one_runtime.egress.errors import EgressError, TargetRefused
from one_runtime.egress.limits import Limits
from one_runtime.egress.response import Response
from one_runtime.egress.target import parse
from one_runtime.errors import ConfigurationError, OneRuntimeError

URL_VARIABLE: Final = "ONE_RUNTIME_URL"
KEY_VARIABLE: Final = "ONE_RUNTIME_API_KEY"

_LIMITS: Final = Limits(connect=5, idle=45, total=50)
_PORTS: Final = {"http": 80, "https": 443}
_TEMPORARY: Final = frozenset({429, 500, 502, 503, 504})


class ServerAway(OneRuntimeError):
    """The server does not answer, or answers with an error that can pass. A later request can succeed."""


class RequestFailed(OneRuntimeError):
    """The server refused the request. `api_code`: the `code` of the server's error."""

    def __init__(self, detail: str, api_code: str) -> None:
        super().__init__(detail)
        self.api_code = api_code


class RemoteApi:
    """Sends requests to One Runtime with an API key."""

    def __init__(self, egress: Egress, url: str, api_key: str) -> None:
        self._egress, self._url, self._key = egress, url, api_key

    @property
    def identity(self) -> tuple[str, str]:
        """Return the URL of the server and the API key, which together identify an organization."""
        return self._url, self._key

    async def call(
        self, method: str, path: str, body: Mapping[str, object] | None = None, *, if_match: str | None = None
    ) -> dict[str, Any]:
        """Send a request, and return the JSON object of the response.

        `if_match`: the `ETag` that the object must have. Otherwise, the server refuses the request.

        Raises: ServerAway, RequestFailed.
        """
        return self._read(await self._send(method, path, body, if_match))

    async def fetch(self, path: str) -> tuple[dict[str, Any], str | None]:
        """Return the JSON object at a path, and its `ETag`. Raises: ServerAway, RequestFailed."""
        response = await self._send("GET", path)
        etags = (value for name, value in response.headers if name.lower() == "etag")
        return self._read(response), next(etags, None)

    async def _send(
        self, method: str, path: str, body: Mapping[str, object] | None = None, if_match: str | None = None
    ) -> Response:
        headers = [("authorization", f"Bearer {self._key}")]
        content = None if body is None else json.dumps(body).encode()
        if content is not None:
            headers.append(("content-type", "application/json"))
        if if_match is not None:
            headers.append(("if-match", if_match))
        try:
            return await self._egress.request(method, self._url + path, headers=headers, body=content)
        except TargetRefused as error:
            raise ConfigurationError(f"One Runtime's URL {self._url} cannot be used. {error.cause}") from error
        except EgressError as error:
            raise ServerAway(f"One Runtime at {self._url} does not answer. {error.cause}") from error

    def _read(self, response: Response) -> dict[str, Any]:
        document = _parse(response.body)
        if response.status < 300 and (document is not None or not response.body):
            return document or {}
        if response.status in _TEMPORARY:
            raise ServerAway(f"One Runtime at {self._url} answered with the status {response.status}.")
        code = document.get("code") if document is not None else None
        if document is None or not isinstance(code, str):
            raise RequestFailed(
                f"The server at {self._url} answered with the status {response.status}, and is not One Runtime. Check "
                f"--url or {URL_VARIABLE}.",
                "",
            )
        raise RequestFailed(_explain(code, str(document.get("detail"))), code)


@asynccontextmanager
async def connected(url: str | None, *targets: str) -> AsyncIterator[tuple[RemoteApi, Egress]]:
    """Yield the API of the server, and an egress that may also send requests to the URLs `targets`.

    `url`: the URL of the server. None: the environment variable `ONE_RUNTIME_URL`. Raises: ConfigurationError.
    """
    server = (url or os.environ.get(URL_VARIABLE, "")).rstrip("/")
    if not server:
        raise ConfigurationError(f"The URL of One Runtime is missing. Set {URL_VARIABLE}, or use --url.")
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise ConfigurationError(f"The API key is missing. Set {KEY_VARIABLE} to an API key with the scope admin.")
    async with egress_to(server, *targets) as egress:
        yield RemoteApi(egress, server, key), egress


@asynccontextmanager
async def egress_to(*urls: str) -> AsyncIterator[Egress]:
    """Yield an egress for these URLs, which can be on the developer's own machine. Raises: ConfigurationError."""
    allow = set[tuple[str, int]]()
    for url in urls:
        try:
            parse(url)
        except TargetRefused as error:
            raise ConfigurationError(
                f"{url[:200]} must be a URL such as http://localhost:3000. {error.detail}"
            ) from error
        parts = urlsplit(url)
        allow.add((parts.hostname or "", parts.port or _PORTS[parts.scheme]))
    async with Egress(allow=frozenset(allow), limits=_LIMITS) as egress:
        egress.prepare()  # otherwise, the duration of the first request would include the import of the HTTP client
        yield egress


def _explain(code: str, detail: str) -> str:
    if code == "unauthenticated":
        return f"One Runtime refused the API key. Set {KEY_VARIABLE} to a key of your organization. {detail}"
    if code == "insufficient_scope":
        command = "one-runtime api-keys create ORGANIZATION_ID --scope admin"
        return f"{detail} An operator creates such a key with: {command}"
    return detail


def _parse(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
