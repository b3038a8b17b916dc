"""A restore drill: a copy of the database is served with production's keys while production goes on (D2)."""

import asyncio
import sys
from pathlib import Path
from typing import Final

import httpx2
import pytest

from tests.application import RunningAcme
from tests.fork_server import ROOT, run
from tests.operating.backups import client
from tests.operating.production import acme_with_lasting_tokens, in_production
from tests.promises.serving import Served, serving
from tests.waiting import async_attempts

pytestmark = pytest.mark.slow

COUNT: Final = 10


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
@pytest.mark.soak_on("sqlite")
async def test_copy_that_is_served_beside_production_takes_no_connection_from_production(
    database_url: str, database_kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    drill = tmp_path / "drill"
    drill.mkdir()
    async with acme_with_lasting_tokens() as acme:
        async with in_production(database_url, acme, tmp_path, COUNT) as production:
            kept, rotated, api_key = production.kept, production.rotated, production.api_key
            restored = await production.restore(tmp_path, database_kind, request)
            async with serving(restored, drill) as copy, client(copy, api_key) as copied:
                await until_worker_has_refreshed(copy)
                assert await refresh(copied, kept) == (409, "unconfirmed_copy")
                assert [await call(copied, f"user_{number}") for number in (0, 1)] == [200, 200]
                check = await copied.post(f"/v1/connections/{kept}/check")
                assert check.json()["working"] is True
                deleted = await copied.delete(f"/v1/connections/{rotated[-1]}")
                assert {token["outcome"] for token in deleted.json()["revocations"]} == {"failed"}
                assert b'"unconfirmed_copy"' in copy.log()
            assert [await refresh(production.http, connection_id) for connection_id in rotated] == [(200, None)] * COUNT
        answer = await command(copy, acme, "installation", "confirm", "--yes")
        assert f"acme: {COUNT} connections, {COUNT - 1} due for a refresh" in answer
        async with serving(restored, drill) as copy, client(copy, api_key) as copied:
            assert await refresh(copied, kept) == (200, None)
            assert await refresh(copied, rotated[0]) == (409, "needs_reauth")
