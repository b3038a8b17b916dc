"""Answer the doctor's proxy calls. The doctor finds out how a reverse proxy changes the requests and the responses."""

import asyncio
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from one_runtime.api.request_body import too_slow
from one_runtime.api.services import services_of
from one_runtime.encryption import self_check

_HEADER = self_check.HEADER.lower().encode()


async def answer(path: str, scope: Scope, receive: Receive, send: Send) -> bool:
    """Answer a proxy call of the doctor. Return False, without an answer, for every other caller.

    Raises: RequestTimeout.

    `path`: the path after the slug `self-check`, with the caller's percent-encoding.

    The query can contain two numbers of seconds. The server waits for `delay` before the response, and for `pause` in
    the middle of the response.
    """
    installation = services_of(scope).installation
    authorization = dict(scope["headers"]).get(_HEADER, b"").decode("latin-1")
    if not self_check.is_authorized(installation.vault, authorization, installation.clock()):
        return False
    size, seconds = await _read_body(receive, installation.settings.body_timeout)
    query = scope["query_string"].decode("latin-1")
    echo = self_check.ProxyCallEcho(path=path, body_bytes=size, body_seconds=seconds)
    await asyncio.sleep(wait_seconds(query, "delay"))
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": echo.model_dump_json().encode(), "more_body": True})
    await asyncio.sleep(wait_seconds(query, "pause"))
    await send({"type": "http.response.body", "body": b"\n", "more_body": False})
    return True


def wait_seconds(query: str, name: str) -> float:
    """Return a number of seconds from a query, at most `self_check.LONGEST_WAIT`. Return 0 without a valid number."""
    try:
        seconds = float(parse_qs(query)[name][-1])
    except (KeyError, ValueError):
        return 0
    return seconds if 0 < seconds <= self_check.LONGEST_WAIT else 0


async def _read_body(receive: Receive, timeout: float) -> tuple[int, float]:
    """Return the size of the body, and the seconds between the first and the last part. Raises: RequestTimeout."""
    loop = asyncio.get_running_loop()
    size, first, more = 0, 0.0, True
    while more:
        try:
            async with asyncio.timeout(timeout):
                message = await receive()
        except TimeoutError:
            raise too_slow() from None
        more = message.get("more_body", False)
        size += len(message.get("body", b""))
        first = first or loop.time()
    return size, loop.time() - first
