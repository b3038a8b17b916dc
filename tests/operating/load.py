"""A customer's backend that creates connections while an operator works."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import httpx2

from one_runtime.demo.acme import GLOBEX, INITECH
from tests.application import ACME_KEYS
from tests.waiting import async_attempts

ACME = (ACME_KEYS[GLOBEX], ACME_KEYS[INITECH])


@dataclass
class Load:
    """Creates connections in sequence, lists them, and records the responses."""

    http: httpx2.AsyncClient
    integration_slug: str = "acme"
    keys: tuple[str, ...] = ACME
    connection_ids: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    _task: "asyncio.Task[None] | None" = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        number = 0
        while True:
            number += 1
            await self.connect(f"user_{number}", self.keys[number % 2])

    async def connect(self, end_user_id: str, key: str) -> None:
        body = {
            "integration_slug": self.integration_slug,
            "end_user_id": end_user_id,
            "auth_type": "api_key",
            "credentials": {"api_key": key},
            "check": False,
        }
        answer = await self.http.post("/v1/connections", json=body)
        listed = await self.http.get("/v1/integrations", params={"end_user_id": end_user_id, "logo": "none"})
        for response in (answer, listed):
            if response.is_error:
                self.refused.append(response.text)
        if answer.is_success:
            self.connection_ids.append(answer.json()["id"])

    async def until(self, count: int) -> None:
        """Wait until this number of connections exists."""
        async for _ in async_attempts(60):
            if len(self.connection_ids) >= count:
                return
            assert self._task is not None
            assert not self._task.done(), self._task.exception()
            assert len(self.refused) < 20, self.refused[-1]


async def all_connections(http: httpx2.AsyncClient) -> list[dict[str, Any]]:
    """Return every connection of the organization."""
    connections: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        query = {"limit": "1000"} | ({"cursor": cursor} if cursor else {})
        page = (await http.get("/v1/connections", params=query)).raise_for_status().json()
        connections += page["connections"]
        cursor = page["next_cursor"]
        if cursor is None:
            return connections


async def all_usable(http: httpx2.AsyncClient) -> int:
    """Check every connection's credential with the provider. Return the number of connections."""
    stored = await all_connections(http)
    for connection in stored:
        result = (await http.post(f"/v1/connections/{connection['id']}/check")).raise_for_status().json()
        assert result["working"] is True, result
    return len(stored)
