"""Callers of the API that create and read connections during a drill, and record each response."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Self

import httpx2

from one_runtime.api.problems import MEDIA_TYPE
from tests.waiting import async_attempts

NOTION_KEY: Final = f"ntn_{'a' * 46}"
_PAUSE: Final = 0.05
"""Seconds between a failed request of a caller and the caller's next request."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a request. `at`: the time of the response. `seconds`: its duration.

    Without a response, `status` is 0 and `code` is the name of the error.
    """

    at: float
    seconds: float
    method: str
    status: int
    code: str

    @property
    def is_success(self) -> bool:
        return self.status in {200, 201}


@dataclass
class Callers:
    """Concurrent callers. Each caller creates a connection, reads the connection, and lists the integrations."""

    new_client: Callable[[], httpx2.AsyncClient]
    count: int = 4
    integration_slug: str = "notion"
    api_key: str = NOTION_KEY
    name: str = "user"
    pause: float = 0.0
    """Seconds between two end users of a caller."""
    answers: list[Answer] = field(default_factory=list)
    acknowledged: dict[str, str] = field(default_factory=dict)
    """By id of an acknowledged connection, the end user."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Run the callers until the block ends."""
        tasks = [asyncio.create_task(self._call(number)) for number in range(self.count)]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [result for result in results if isinstance(result, Exception)] == []

    def failures(self, since: float = 0.0) -> list[Answer]:
        return [answer for answer in self.answers if not answer.is_success and answer.at >= since]

    async def more(self, successes: int = 200, failures: int = 0) -> None:
        """Wait for further successful and failed requests."""
        enough = len(self.answers) - len(self.failures()) + successes
        enough_failures = len(self.failures()) + failures
        async for _ in async_attempts(120):
            failed = len(self.failures())
            if failed >= enough_failures and len(self.answers) - failed >= enough:
                return

    def summary(self) -> str:
        slowest = max(answer.seconds for answer in self.answers if answer.is_success)
        return f"{len(self.answers)} requests, {len(self.failures())} failed, the slowest took {slowest:.1f} s"

    async def _call(self, number: int) -> None:
        async with self.new_client() as http:
            for step in itertools.count():
                end_user_id = f"{self.name}_{number}_{step}"
                connection_id = await self._connect(http, end_user_id)
                if connection_id is not None:
                    await self._send(http, "GET", f"/v1/connections/{connection_id}")
                await self._send(http, "GET", f"/v1/integrations?end_user_id={end_user_id}&logo=none")
                await rest(self.pause)

    async def _connect(self, http: httpx2.AsyncClient, end_user_id: str) -> str | None:
        body = {
            "integration_slug": self.integration_slug,
            "end_user_id": end_user_id,
            "auth_type": "api_key",
            "credentials": {"api_key": self.api_key},
            "check": False,
        }
        response = await self._send(http, "POST", "/v1/connections", json=body)
        if response is None:
            return None
        connection_id: str = response.json()["id"]
        self.acknowledged[connection_id] = end_user_id
        return connection_id

    async def _send(self, http: httpx2.AsyncClient, method: str, path: str, **more: Any) -> httpx2.Response | None:
        """Send a request and record the result. Return the response of a success."""
        begun, response, code = time.monotonic(), None, ""
        try:
            response = await http.request(method, path, **more)
        except httpx2.TransportError as error:
            code = type(error).__name__
        now, status = time.monotonic(), 0 if response is None else response.status_code
        if response is not None and response.headers.get("content-type") == MEDIA_TYPE:
            code = str(response.json()["code"])
        answer = Answer(now, now - begun, method, status, code)
        self.answers.append(answer)
        if answer.is_success:
            return response
        await rest(_PAUSE)
        return None


async def rest(seconds: float) -> None:
    """Let a caller wait, as a person's next click does."""
    if seconds:
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), seconds)
