"""Fixtures: a receiver of webhooks, and an application that may send requests to it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from one_runtime.settings import Settings
from tests.application import Client, RunningAcme, settings_for
from tests.waiting import async_attempts
from tests.webhooks.receiver import Receiver, receiving


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
def settings(database_url: str, acme: RunningAcme, receiver: Receiver) -> Settings:
    allowed = frozenset({("127.0.0.1", acme.port), ("127.0.0.1", receiver.port)})
    return settings_for(database_url, acme, egress_allow=allowed)


async def subscribe(client: Client, url: str | None, *event_types: str, **more: Any) -> dict[str, Any]:
    """Create a webhook endpoint. Without a URL, its kind is `pull`."""
    kind = {"kind": "pull"} if url is None else {"url": url}
    answer = await client.post("/v1/webhook-endpoints", {**kind, "event_types": list(event_types or ("*",)), **more})
    assert answer.status_code == 201, answer.text
    endpoint: dict[str, Any] = answer.json()
    return endpoint


async def deliveries(client: Client, endpoint: dict[str, Any], **query: Any) -> list[dict[str, Any]]:
    answer = await client.get(f"/v1/webhook-endpoints/{endpoint['id']}/deliveries", **query)
    listed: list[dict[str, Any]] = answer.json()["webhook_deliveries"]
    return listed


async def wait_for_deliveries(client: Client, endpoint: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    """Return the deliveries of an endpoint, as soon as there are some and all of them have these values."""
    async for _ in async_attempts():
        listed = await deliveries(client, endpoint)
        if listed and all(each[name] == value for each in listed for name, value in fields.items()):
            return listed
    raise AssertionError
