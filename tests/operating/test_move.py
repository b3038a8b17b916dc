"""A move from SQLite to PostgreSQL: the same API key, the same answers, and credentials that can be decrypted."""

from typing import Any, Final

import pytest
from pydantic import SecretStr

from one_runtime.demo.acme import INITECH
from tests.application import ACME_KEYS, Client, RunningAcme, settings_for, started
from tests.jobs.test_moving import moved

pytestmark = pytest.mark.slow

LISTS: Final = (
    "/v1/integrations?end_user_id=user_1&logo=none",
    "/v1/connections?end_user_id=user_1",
    "/v1/connections",
    "/v1/end-users",
    "/v1/organization",
    "/v1/events",
    "/v1/proxy-requests",
)


async def answers(client: Client) -> dict[str, Any]:
    responses = {path: await client.http.get(path) for path in LISTS}
    assert {response.status_code for response in responses.values()} == {200}
    return {path: response.json() for path, response in responses.items()}


async def call(client: Client, end_user_id: str) -> tuple[int, Any]:
    response = await client.http.get("/v1/proxy/acme/v1/me", headers={"One-Runtime-End-User": end_user_id})
    return response.status_code, response.json()


async def test_moved_installation_serves_with_the_same_key_and_the_same_answers(
    migrated_sqlite_url: str, empty_postgres_url: str, acme: RunningAcme
) -> None:
    settings = settings_for(migrated_sqlite_url, acme)
    async with started(settings, acme) as application:
        key = await application.key(await application.organization())
        client = application.client(key)
        await client.connect("user_1", metadata={"plan": "größer", "seats": 3})
        await client.connect("user_2", ACME_KEYS[INITECH])
        session = await client.session("user_3")
        calls = [await call(client, end_user_id) for end_user_id in ("user_1", "user_2")]
        assert [status for status, _ in calls] == [200, 200]
    async with started(settings, acme) as application:
        before = await answers(application.client(key))
    assert (await moved(migrated_sqlite_url, empty_postgres_url)).is_live
    on_postgresql = settings.model_copy(update={"database_url": SecretStr(empty_postgres_url)})
    async with started(on_postgresql, acme) as application:
        client = application.client(key)
        assert await answers(client) == before
        application.installation.liveness.require()
        assert [await call(client, end_user_id) for end_user_id in ("user_1", "user_2")] == calls
        connected = await client.type_key(session["session_token"], ACME_KEYS[INITECH])
        assert connected.status_code == 200, connected.text
