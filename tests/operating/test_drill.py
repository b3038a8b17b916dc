"""A restore drill: a copy of the database is served with production's keys while production goes on (D2).

Acme replaces the refresh token at each refresh, and revokes a grant if a refresh token is used twice.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from sqlalchemy import bindparam, update

from one_runtime.clock import rfc3339, system_clock
from one_runtime.db.schema import credentials
from one_runtime.demo.acme import GLOBEX, Acme
from one_runtime.encryption.vault import new_key
from tests import sealed_rows
from tests.application import ACME_KEYS, RunningAcme, running
from tests.fork_server import ROOT, run
from tests.operating.backups import back_up_as_documented, client, restore_as_documented, with_acme
from tests.promises.serving import Served, make_key, serving
from tests.waiting import async_attempts

pytestmark = pytest.mark.slow

COUNT: Final = 10
_MAKE_DUE: Final = (
    update(credentials)
    .where(credentials.c.connection_id != bindparam("not_due"))
    .values(refresh_due_at=bindparam("at"))
)


@asynccontextmanager
async def acme_with_lasting_tokens() -> AsyncIterator[RunningAcme]:
    acme = Acme(ACME_KEYS, access_token_seconds=3600)
    async with running(acme.app) as port:
        yield RunningAcme(f"http://127.0.0.1:{port}", port, acme)


async def connect(http: httpx2.AsyncClient, acme: Acme, client_id: str, number: int) -> str:
    """Import the tokens of a new grant at Acme. Return the id of the connection."""
    tokens = acme.grants.start(GLOBEX, client_id, ("account:read", "contacts:read"))
    body: dict[str, Any] = {
        "integration_slug": "acme",
        "end_user_id": f"user_{number}",
        "auth_type": "oauth2",
        "credentials": {
            "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token,
            "expires_at": rfc3339(system_clock() + timedelta(hours=1)),
        },
        "check": False,
    }
    response = await http.post("/v1/connections", json=body)
    assert response.status_code == 201, response.text
    connection_id: str = response.json()["id"]
    return connection_id


async def register_client(http: httpx2.AsyncClient, acme: Acme) -> str:
    client_id, secret = acme.register_client("https://example.com/callback")
    body = {"client_id": client_id, "client_secret": secret}
    response = await http.put("/v1/integrations/acme/oauth-client", json=body)
    assert response.status_code in {200, 201}, response.text
    return client_id


async def make_due(database_url: str, *, except_for: str) -> None:
    """Make the refresh of all connections due, as if the dump were old."""
    async with sealed_rows.opened(database_url) as database, database.write() as tx:
        await tx.execute(_MAKE_DUE, not_due=except_for, at=system_clock() - timedelta(hours=1))


async def until_worker_has_refreshed(copy: Served) -> None:
    """Wait until the copy's worker has run the background task twice."""
    async for _ in async_attempts(60):
        lines = copy.log().decode().splitlines()
        if len([line for line in lines if '"task_finished"' in line and '"refresh"' in line]) >= 2:
            return


async def refresh(http: httpx2.AsyncClient, connection_id: str) -> tuple[int, str | None]:
    """Refresh the tokens on demand. Return the status and the error code."""
    response = await http.post(f"/v1/connections/{connection_id}/refresh")
    return response.status_code, response.json().get("code")


async def call(http: httpx2.AsyncClient, end_user_id: str) -> int:
    headers = {"One-Runtime-End-User": end_user_id}
    return (await http.get("/v1/proxy/acme/v1/me", headers=headers)).status_code


async def command(served: Served, acme: RunningAcme, *words: str) -> str:
    line = [sys.executable, "-m", "tests.promises.served_with_acme", acme.url, *words]
    result = await asyncio.to_thread(run, line, served.environment, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.timeout(180)
async def test_copy_that_is_served_beside_production_takes_no_connection_from_production(
    database_url: str, database_kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    keys, api_key = new_key(), await make_key(database_url)
    drill = tmp_path / "drill"
    drill.mkdir()
    async with acme_with_lasting_tokens() as acme:
        production = with_acme(database_url, acme, keys)
        async with serving(production, tmp_path) as served, client(served, api_key) as http:
            client_id = await register_client(http, acme.acme)
            kept, *rotated = [await connect(http, acme.acme, client_id, number) for number in range(COUNT + 1)]
            backup = await back_up_as_documented(served, tmp_path)
            restored = with_acme(restore_as_documented(backup, database_kind, request), acme, keys)
            await make_due(restored.database_url, except_for=kept)
            async with serving(restored, drill) as copy, client(copy, api_key) as copied:
                await until_worker_has_refreshed(copy)
                assert await refresh(copied, kept) == (409, "unconfirmed_copy")
                assert [await call(copied, f"user_{number}") for number in (0, 1)] == [200, 200]
                check = await copied.post(f"/v1/connections/{kept}/check")
                assert check.json()["working"] is True
                deleted = await copied.delete(f"/v1/connections/{rotated[-1]}")
                assert {token["outcome"] for token in deleted.json()["revocations"]} == {"failed"}
                assert b'"unconfirmed_copy"' in copy.log()
            assert [await refresh(http, connection_id) for connection_id in rotated] == [(200, None)] * COUNT
        answer = await command(copy, acme, "installation", "confirm", "--yes")
        assert f"acme: {COUNT} connections, {COUNT - 1} due for a refresh" in answer
        async with serving(restored, drill) as copy, client(copy, api_key) as copied:
            assert await refresh(copied, kept) == (200, None)
            assert await refresh(copied, rotated[0]) == (409, "needs_reauth")
