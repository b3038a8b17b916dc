"""The limit of the proxy: the same web server and HTTP client as One Runtime, with nothing between them.

`GET /plain/x` goes to the first provider, and `GET /tls/x` to the second one. `BENCHMARK_UPSTREAMS` contains their
ports. Start the relay with `python -m benchmarks.proxy.bare_relay`.
"""

import os

import aiohttp
from starlette.types import Receive, Scope, Send
from yarl import URL

from benchmarks.server import serve


class BareRelay:
    """Sends each request to a provider, and the provider's response to the caller, without a check."""

    def __init__(self) -> None:
        plain, tls, _ = os.environ["BENCHMARK_UPSTREAMS"].split(",")
        self._base_urls = {"plain": f"http://127.0.0.1:{plain}/api/", "tls": f"https://localhost:{tls}/api/"}
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Relay a request (ASGI)."""
        assert scope["type"] == "http"  # uvicorn then runs no lifespan
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)
        body, message = b"", await receive()
        while message.get("more_body", False):
            body += message["body"]
            message = await receive()
        body += message.get("body", b"")
        slug, _, path = scope["path"][1:].partition("/")
        headers = [(name.decode(), value.decode()) for name, value in scope["headers"] if name != b"host"]
        async with self._session.request(
            scope["method"],
            URL(self._base_urls[slug] + path, encoded=True),
            headers=headers,
            data=body or None,
            allow_redirects=False,
        ) as response:
            await send({"type": "http.response.start", "status": response.status, "headers": response.raw_headers})
            async for piece in response.content.iter_any():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


if __name__ == "__main__":
    serve(BareRelay())
