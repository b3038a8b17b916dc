"""Send the requests of the sample product's backend to One Runtime. The page shows each request as a curl command.

The curl command contains `$ONE_RUNTIME_API_KEY` instead of the API key. The command and the displayed response contain
only the prefix of any other token or code.
"""

import asyncio
import http.client
import json
import re
import shlex
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

Send = Callable[["ApiRequest"], Awaitable["ApiResponse"]]

_TIMEOUT: Final = 30.0
_SHOWN_ANSWER: Final = 20_000
_TOKEN_OR_CODE: Final = re.compile(r"(orcs_|orcc_|orut_|orap_)[A-Za-z0-9_]+")


class Unreachable(Exception):
    """One Runtime did not answer."""


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request to One Runtime. `target` is the path with the query."""

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A response of One Runtime."""

    status: int
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object. Return an empty object for any other body."""
        try:
            data = json.loads(self.body)
        except ValueError:
            return {}
        return data if isinstance(data, dict) else {}


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A request for display on the page. `status` is None if One Runtime did not answer."""

    method: str
    target: str
    curl: str
    status: int | None
    ms: int
    answer: str


SESSIONS: Final = "/v1/hosted-connection-sessions"


def session_path(session_id: str) -> str:
    """Return the path of a session. The id is untrusted, so this function encodes the id."""
    return f"{SESSIONS}/{quote(session_id, safe='')}"


def error_detail(response: ApiResponse) -> str:
    """Return the error message of a response."""
    return str(response.json().get("detail") or f"One Runtime answered {response.status}.")


class OneRuntime:
    """A client of One Runtime's API for one request of the browser. `calls` lists the API requests in order.

    `variable`: the environment variable that the curl commands contain instead of the secret.
    """

    def __init__(self, url: str, secret: str, send: Send, variable: str = "ONE_RUNTIME_API_KEY") -> None:
        self._url = url
        self._secret = secret
        self._send = send
        self._variable = variable
        self.calls: list[RecordedCall] = []

    def with_token(self, token: str) -> "OneRuntime":
        """Return a client that sends an end-user token instead of the API key, as an agent does."""
        return OneRuntime(self._url, token, self._send, "END_USER_TOKEN")

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> ApiResponse:
        """Send a GET. Raises: Unreachable."""
        return await self._ask("GET", f"{path}?{urlencode(query)}" if query else path, {}, None)

    async def delete(self, path: str) -> ApiResponse:
        """Send a DELETE. Raises: Unreachable."""
        return await self._ask("DELETE", path, {}, None)

    async def post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> ApiResponse:
        """Send a POST with JSON. Raises: Unreachable."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        return await self._ask("POST", path, sent, json.dumps(body, ensure_ascii=False))

    async def _ask(self, method: str, target: str, headers: Mapping[str, str], body: str | None) -> ApiResponse:
        sent = {"Authorization": f"Bearer {self._secret}", **headers}
        request = ApiRequest(method, target, sent, None if body is None else body.encode())
        answer, started = None, time.perf_counter()
        try:
            answer = await self._send(request)
            return answer
        finally:
            ms = round((time.perf_counter() - started) * 1000)
            status, text = (answer.status, _shown(answer.body)) if answer else (None, "")
            curl = _curl(request, self._url, self._variable, headers)
            self.calls.append(RecordedCall(method, target, curl, status, ms, text))


def over_http(url: str) -> Send:
    """Return the function that sends requests to One Runtime.

    The function opens a connection for each request. The function ignores proxies in environment variables.
    """
    host = urlsplit(url).netloc

    async def send(request: ApiRequest) -> ApiResponse:
        return await asyncio.to_thread(_exchange, host, request)

    return send


def _exchange(host: str, request: ApiRequest) -> ApiResponse:
    connection = http.client.HTTPConnection(host, timeout=_TIMEOUT)
    try:
        connection.request(request.method, request.target, request.body, dict(request.headers))
        response = connection.getresponse()
        return ApiResponse(response.status, response.read())
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"One Runtime at {host} does not answer.") from error
    finally:
        connection.close()


def _curl(request: ApiRequest, url: str, variable: str, headers: Mapping[str, str]) -> str:
    method = "" if request.method == "GET" else f" -X {request.method}"
    parts = [f"curl{method}", f'-H "Authorization: Bearer ${variable}"']
    parts += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items()]
    if request.body is not None:
        parts.append(f"-d {shlex.quote(_cut(request.body.decode()))}")
    return " \\\n".join([*parts, shlex.quote(url + request.target)])


def _shown(body: bytes) -> str:
    """Return the body of a response in a readable layout."""
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        text = body.decode("utf-8", "replace")
    if len(text) > _SHOWN_ANSWER:
        text = text[:_SHOWN_ANSWER] + " …"
    return _cut(text)


def _cut(text: str) -> str:
    return _TOKEN_OR_CODE.sub(r"\1…", text)
