"""The OpenAPI document, which anybody can request."""

import json

from starlette.types import Message

from tests.application import Application


async def test_openapi_document_is_converted_to_json_only_once(application: Application) -> None:
    bodies = list[bytes]()

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            bodies.append(message["body"])

    request = {
        "type": "http", "http_version": "1.1", "method": "GET", "path": "/openapi.json", "query_string": b"",
        "raw_path": b"/openapi.json", "root_path": "", "scheme": "http", "server": ("localhost", 80),
        "client": ("127.0.0.1", 1), "headers": [(b"host", b"localhost")],
    }  # fmt: skip
    for _ in range(2):
        await application.app(dict(request), receive, send)
    first, second = bodies
    assert first is second
    assert json.loads(first)["info"]["title"] == "One Runtime API"
