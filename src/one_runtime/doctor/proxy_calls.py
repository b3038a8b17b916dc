"""Check that the reverse proxy passes proxy calls on unchanged, and waits for slow responses."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from one_runtime.clock import Clock
from one_runtime.doctor.finding import Finding, ok, problem, warning
from one_runtime.egress.client import Egress
from one_runtime.egress.errors import EgressError
from one_runtime.egress.limits import Limits
from one_runtime.encryption import self_check
from one_runtime.encryption.vault import Vault

CHECK: Final = "proxy calls"
DELAY: Final = 6.0
"""Seconds for which the server waits before a response. A proxy with a shorter timeout gives up."""

_PATH: Final = "/a%2Fb//c%20d"
_FIRST_PART: Final = bytes(16 * 1024)
_SECOND_PART: Final = bytes(2_000_000)
"""nginx refuses bodies of more than 1 MB by default."""
_BODY_BYTES: Final = len(_FIRST_PART) + len(_SECOND_PART)
_CONNECT: Final = 4.0
_PATIENCE: Final = 5.0
_BLOCK: Final = "(example: the block /v1/proxy/ in deploy/nginx.conf)"
_WAIT: Final = (
    "Let the proxy wait 60 seconds for a response, and 2,100 seconds below /v1/proxy/ (see docs/deploying.md)."
)


@dataclass(frozen=True, slots=True)
class _EchoResponse:
    status: int
    body: bytes
    seconds: float
    """Seconds between the first part of the response body and the end."""

    @property
    def echo(self) -> self_check.ProxyCallEcho | None:
        return self_check.read_echo(self_check.ProxyCallEcho, self.body)


@dataclass(frozen=True, slots=True)
class ProxyCallCheck:
    """Requests to the server behind the reverse proxy. `delay`: seconds for which the server waits. See `DELAY`."""

    egress: Egress
    public_url: str
    vault: Vault
    clock: Clock
    delay: float

    @property
    def pause(self) -> float:
        """Return the seconds between two parts of a body."""
        return self.delay / 3

    async def examine(self) -> list[Finding]:
        """Send all requests at the same time, and return the findings."""
        upload, *others = await asyncio.gather(
            self._examine_upload(), self._examine_stream(), self._examine_delay("/v1/proxy/"), self._examine_delay("")
        )
        findings = [finding for finding in (upload, *others) if finding is not None]
        return findings or [ok(CHECK, f"bodies and paths arrive unchanged; the proxy waits at least {self.delay:g} s")]

    async def _examine_upload(self) -> Finding | None:
        """Send a large body in two parts, with a path that a proxy can decode."""
        try:
            answer = await self._send("POST", self._proxy_url(_PATH), self._parts())
        except EgressError as error:
            return problem(
                CHECK, f"a proxy call with a body of 2 MB failed: {error.cause}", f"Check the proxy {_BLOCK}."
            )
        echo = answer.echo
        if echo is None:
            return _judge_status(answer.status)
        if echo.path != _PATH:
            saw = f"the proxy changes the path of proxy calls: {_PATH} arrives as {echo.path[:40]}"
            return problem(CHECK, saw, f"Configure the proxy to forward the path unchanged {_BLOCK}.")
        if echo.body_bytes != _BODY_BYTES:
            saw = f"the proxy changes the body of proxy calls: {echo.body_bytes} of {_BODY_BYTES} bytes arrive"
            return problem(CHECK, saw, f"Configure the proxy to forward the body unchanged {_BLOCK}.")
        if echo.body_seconds < self.pause / 4:
            saw = "the proxy stores the whole body of a proxy call before it forwards the body"
            return warning(CHECK, saw, f"Turn off the buffering of requests below /v1/proxy/ {_BLOCK}.")
        return None

    async def _examine_stream(self) -> Finding | None:
        """Request a response whose second part follows after a pause."""
        try:
            answer = await self._send("GET", self._proxy_url(f"/?pause={self.pause}"))
        except EgressError:
            return None  # `_examine_delay` reports a short timeout, and `_examine_upload` reports other errors
        if answer.echo is not None and answer.seconds < self.pause / 4:
            saw = "the proxy stores the whole response of a proxy call before it forwards the response"
            return warning(CHECK, saw, f"Turn off the buffering of responses below /v1/proxy/ {_BLOCK}.")
        return None

    async def _examine_delay(self, below: str) -> Finding | None:
        """Request a response for which the server waits."""
        query = f"?delay={self.delay}"
        url = self._proxy_url(f"/{query}") if below else f"{self.public_url}{self_check.PATH}{query}"
        try:
            answer = await self._send("GET", url)
        except EgressError:
            answered = False
        else:
            answered = answer.status != 408 and answer.status < 500  # Cloudflare answers a timeout with 524
        if answered:
            return None
        calls = f"below {below} " if below else ""
        return problem(CHECK, f"the proxy does not wait {self.delay:g} seconds for a response {calls}".rstrip(), _WAIT)

    def _proxy_url(self, path: str) -> str:
        return f"{self.public_url}/v1/proxy/{self_check.PROXY_SLUG}{path}"

    async def _parts(self) -> AsyncIterator[bytes]:
        yield _FIRST_PART
        await asyncio.sleep(self.pause)
        yield _SECOND_PART

    async def _send(self, method: str, url: str, body: AsyncIterator[bytes] | None = None) -> _EchoResponse:
        headers = [(self_check.HEADER, self_check.authorization(self.vault, self.clock()))]
        if body is not None:
            headers.append(("Content-Length", str(_BODY_BYTES)))
        limits = Limits(connect=_CONNECT, idle=self.delay + _PATIENCE)
        loop = asyncio.get_running_loop()
        async with self.egress.stream(method, url, headers=headers, body=body, limits=limits) as response:
            parts, first = [], None
            async for part in response.body:
                first = first or loop.time()
                parts.append(part)
            return _EchoResponse(response.status, b"".join(parts), loop.time() - (first or loop.time()))


def _judge_status(status: int) -> Finding:
    """Return the finding about a response that does not come from this check of the server."""
    if status == 413:
        saw = "the proxy refuses a proxy call with a body of 2 MB"
        return problem(CHECK, saw, f"Set no limit for bodies below /v1/proxy/ {_BLOCK}.")
    if status in {401, 404}:
        saw = f"a proxy call of the doctor got the status {status}, not the answer of this version's server"
        return warning(CHECK, saw, "Run the same version on every server. Forward /v1/proxy/ to the server.")
    saw = f"a proxy call of the doctor got the status {status}"
    return problem(CHECK, saw, f"Forward /v1/proxy/ to the server {_BLOCK}.")
