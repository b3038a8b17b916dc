"""The measured server: One Runtime with the options of `serve`, and the limit in the same process.

The limit is the fastest possible server (docs/benchmarks.md). For the first request to a URL below `/limit`, the limit
calls the application and records the messages of its response. The limit answers later requests with the recorded
messages. So a response of the limit costs only the work of the HTTP server.
"""

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from one_runtime.serving.http_protocol import HttpProtocol
from one_runtime.serving.server import served_app
from one_runtime.settings import load_settings, parse_host_port

PREFIX = "/limit"


class Limit:
    """Sends recorded messages for requests below `/limit`, and forwards all other requests to the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._answers: dict[tuple[str, bytes, bool, bytes], list[Message]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        key = scope["path"], scope["query_string"], b"if-none-match" in headers, headers[b"accept-encoding"]
        if key not in self._answers:
            self._answers[key] = await self._record(scope, receive)
        for message in self._answers[key]:
            await send(message)

    async def _record(self, scope: Scope, receive: Receive) -> list[Message]:
        sent: list[Message] = []

        async def keep(message: Message) -> None:
            sent.append(message)

        path = scope["path"].removeprefix(PREFIX)
        await self._app({**scope, "path": path, "raw_path": path.encode()}, receive, keep)
        return sent


def serve(app: ASGIApp | str, workers: int = 1) -> None:
    """Serve with the options of `serving/server.py`. For several workers, pass the application as `module:function`."""
    host, port = parse_host_port(load_settings().listen)
    uvicorn.run(
        app,
        factory=isinstance(app, str),
        workers=workers,
        host=host,
        port=port,
        http=HttpProtocol,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_config=None,
    )


if __name__ == "__main__":
    serve(Limit(served_app()))
