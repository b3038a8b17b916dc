"""The application may send requests to the receiver of webhooks. Also create endpoints, and read their deliveries."""

from typing import Any

import pytest

from one_runtime.settings import Settings
from tests.application import Client
from tests.waiting import async_attempts


@pytest.fixture
def settings(settings_with_receiver: Settings) -> Settings:
    return settings_with_receiver


@pytest.fixture
def with_worker() -> bool:
    """Run the worker in all tests of this folder, because the worker sends the webhooks."""
    return True


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
