"""CPU time of the public and of the private list, in this process, without an HTTP server.

Run with `python -m benchmarks.public_list`.
"""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Final

from pydantic import SecretStr
from starlette.types import ASGIApp, Message

from one_runtime.clock import system_clock
from one_runtime.db.migrations import migrate
from one_runtime.encryption.vault import new_key
from one_runtime.serving.application import create_app
from one_runtime.settings import Settings
from one_runtime.tenancy import api_keys, organizations
from one_runtime.tenancy.events import Actor

ROUNDS: Final = 9
REQUESTS: Final = 20
PRIVATE: Final = "/v1/integrations"
PUBLIC: Final = "/v1/catalog/integrations"
OPTIONS: Final = ("", "logo=url", "category=CRM", "slug=slack", "search=slack", "search=a")
CODINGS: Final = ("identity", "gzip", "zstd")


async def request(app: ASGIApp, path: str, query: str, headers: dict[str, str]) -> int:
    """Send a request, and return the size of the response body."""
    size = 0

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        nonlocal size
        if message["type"] == "http.response.start":
            assert message["status"] == 200, message
        size += len(message.get("body", b""))

    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": encoded}
    await app(scope, receive, send)
    return size


async def measure(app: ASGIApp, key: str) -> None:
    cases = [
        (path, f"{user}{options}".strip("&"), coding)
        for options in OPTIONS
        for coding in CODINGS
        for path, user in ((PRIVATE, "end_user_id=u&"), (PUBLIC, ""))
    ]
    times: dict[tuple[str, str, str], list[float]] = {case: [] for case in cases}
    sizes = dict.fromkeys(cases, 0)
    for _ in range(ROUNDS):
        for case in cases:
            path, query, coding = case
            headers = {"authorization": f"Bearer {key}", "accept-encoding": coding}
            await request(app, path, query, headers)
            started = time.process_time()
            for _ in range(REQUESTS):
                sizes[case] = await request(app, path, query, headers)
            times[case].append((time.process_time() - started) / REQUESTS * 1e6)
    for (path, query, coding), measured in times.items():
        print(f"{path:26} {query:26} {coding:9} {min(measured):9.0f} µs {sizes[path, query, coding]:9,} bytes")


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'one.db'}"
        await asyncio.to_thread(migrate, url)
        secrets = {"database_url": SecretStr(url), "encryption_keys": SecretStr(new_key())}
        app = create_app(Settings.model_validate({"public_url": "http://127.0.0.1:8000", "rate_limit": 0, **secrets}))
        database, now = app.services.installation.database, system_clock()
        await database.open()
        async with database.write() as tx:
            organization = await organizations.create(tx, "Benchmark", now)
            actor = Actor(organization.id, "system")
            _, token = await api_keys.create(tx, actor, "benchmark", api_keys.SCOPES, now)
        await measure(app, token.secret)
        await database.close()


if __name__ == "__main__":
    asyncio.run(main())
