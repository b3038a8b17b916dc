"""A server on SQLite that is killed during a refresh of tokens: the next server can refresh the tokens at once."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from one_runtime.demo.acme import GLOBEX
from tests.application import RunningAcme
from tests.promises.serving import Serving, make_key, serving, start
from tests.waiting import eventually

pytestmark = [pytest.mark.promise("P8"), pytest.mark.slow]

REDIRECT = "https://app.example.com/callback"


async def connect(http: httpx2.AsyncClient, acme: RunningAcme) -> str:
    """Register an OAuth client of Acme, and import tokens of this client. Return the connection's id."""
    client_id, client_secret = acme.acme.register_client(REDIRECT)
    registered = await http.put(
        "/v1/integrations/acme/oauth-client", json={"client_id": client_id, "client_secret": client_secret}
    )
    assert registered.status_code == 200, registered.text
    issued = acme.acme.grants.start(GLOBEX, client_id, ("account:read",))
    tokens = {"access_token": issued.access_token, "refresh_token": issued.refresh_token}
    body: dict[str, Any] = {"integration_slug": "acme", "end_user_id": "user_123", "auth_type": "oauth2"}
    imported = await http.post("/v1/connections", json={**body, "credentials": tokens})
    assert imported.status_code == 201, imported.text
    connection_id: str = imported.json()["id"]
    return connection_id


def is_leased(path: str) -> bool:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT 1 FROM credentials WHERE lease IS NOT NULL").fetchone() is not None


async def test_refresh_succeeds_at_once_after_the_server_was_killed_during_a_refresh(
    acme: RunningAcme, tmp_path: Path
) -> None:
    path = str(tmp_path / "one.db")
    database_url = f"sqlite:///{path}"
    settings = {"ONE_RUNTIME_EGRESS_ALLOW": f"127.0.0.1:{acme.port}"}
    what = Serving(database_url, ("tests.promises.served_with_acme", acme.url), settings=settings)
    served = await start(what, tmp_path)
    headers = {"authorization": f"Bearer {await make_key(database_url)}"}
    async with httpx2.AsyncClient(headers=headers, timeout=20) as http:
        http.base_url = served.url
        connection_id = await connect(http, acme)
        acme.acme.faults.token_delay = 10.0
        refreshing = asyncio.create_task(http.post(f"/v1/connections/{connection_id}/refresh"))
        await eventually(lambda: is_leased(path))
        served.process.kill()
        await asyncio.to_thread(served.process.wait)
        with pytest.raises(httpx2.TransportError):
            await refreshing
        acme.acme.faults.token_delay = 0.0
        keys = {"ONE_RUNTIME_ENCRYPTION_KEYS": served.environment["ONE_RUNTIME_ENCRYPTION_KEYS"]}
        async with serving(Serving(database_url, what.module, settings={**settings, **keys}), tmp_path) as again:
            answer = await http.post(f"{again.url}/v1/connections/{connection_id}/refresh")
            assert (answer.status_code, answer.json().get("status")) == (200, "active"), answer.text
