"""One rule for DELETE: 200 with the resource as it last was, and what the deletion did (decision 69)."""

from typing import Any, Final

from one_runtime.demo.acme import GLOBEX
from tests.api.operations import Operation, operations
from tests.api.test_isolation import send, tenant
from tests.application import Application, Client

SECRETS: Final = frozenset({"api_key", "client_secret", "secret", "session_token", "credentials", "token"})
LATER: Final = ("/v1/end-users/{end_user_id}", "/v1/connections/{connection_id}")
"""Paths to delete last, because these deletions delete other resources too."""


async def deletions(client: Client) -> list[tuple[Operation, Operation]]:
    """Return each DELETE with the GET of the same resource. The proxy forwards DELETE to the provider."""
    document = (await client.get("/openapi.json")).json()
    by_name = {operation.name: operation for operation in operations(document)}
    found = [
        (operation, by_name[f"GET {operation.path}"])
        for operation in by_name.values()
        if operation.method == "DELETE" and not operation.path.startswith("/v1/proxy/")
    ]
    return sorted(found, key=lambda pair: LATER[::-1].index(pair[0].path) if pair[0].path in LATER else -1)


def body_of(operation: Operation, status: str) -> dict[str, Any]:
    """Return the properties of a JSON response."""
    schema = operation.described["responses"][status]["content"]["application/json"]["schema"]
    properties: dict[str, Any] = schema["properties"]
    return properties


async def test_every_deletion_is_described_as_the_resource_with_status_200(client: Client) -> None:
    pairs = await deletions(client)
    assert len(pairs) >= 11
    for deletion, reading in pairs:
        successes = [status for status in deletion.described["responses"] if status.startswith("2")]
        assert successes == ["200"], deletion.name
        assert body_of(deletion, "200").keys() >= body_of(reading, "200").keys(), deletion.name
        assert not SECRETS & body_of(deletion, "200").keys(), deletion.name


async def test_every_deletion_returns_the_resource_as_it_last_was(application: Application) -> None:
    owner = await tenant(application, "one", GLOBEX)
    key = (await owner.client.post("/v1/api-keys", {"name": "unused"})).json()
    ids = owner.ids | {"api_key_id": key["id"]}
    for deletion, reading in await deletions(owner.client):
        before = await send(owner.client, reading, ids, None)
        assert before.status_code == 200, f"{reading.name}: {before.text}"
        deleted = await send(owner.client, deletion, ids, None)
        assert deleted.status_code == 200, f"{deletion.name}: {deleted.text}"
        after = await send(owner.client, reading, ids, None)
        last = after.json() if after.status_code == 200 else before.json()
        assert deleted.json().items() >= last.items(), deletion.name
        again = await send(owner.client, deletion, ids, None)
        assert again.status_code == after.status_code, f"{deletion.name}: {again.text}"
