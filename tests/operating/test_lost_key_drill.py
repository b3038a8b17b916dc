"""A drill: the key of an installation with many connections is lost. End users connect again with a new key."""

import asyncio
import json
import sys
import time
from pathlib import Path

import pytest

from one_runtime.encryption.vault import key_id, new_key, parse_keys
from tests.figures import Figures
from tests.fork_server import ROOT, run
from tests.operating.backups import client
from tests.operating.callers import NOTION_KEY, Callers
from tests.operating.load import all_connections
from tests.promises.serving import Serving, make_key, serving

pytestmark = [pytest.mark.soak, pytest.mark.promise("P3"), pytest.mark.timeout(600)]

CONNECTIONS = 2_000
RECONNECTED = 200


async def test_many_connections_survive_the_loss_of_their_key(
    database_url: str, database_kind: str, tmp_path: Path, figures: Figures
) -> None:
    lost, new, api_key = new_key(), new_key(), await make_key(database_url)
    settings = {"ONE_RUNTIME_ENCRYPTION_KEYS": lost, "ONE_RUNTIME_RATE_LIMIT": "0"}
    async with serving(Serving(database_url, settings=settings), tmp_path) as served:
        callers = Callers(lambda: client(served, api_key))
        async with callers.running():
            while len(callers.acknowledged) < CONNECTIONS:
                await callers.more()
    identifier = key_id(parse_keys(lost)[0])
    line = [sys.executable, "-m", "one_runtime", "keys", "abandon", identifier, "--yes", "--json"]
    begun = time.monotonic()
    done = await asyncio.to_thread(
        run, line, served.environment | {"ONE_RUNTIME_ENCRYPTION_KEYS": new}, cwd=ROOT, seconds=300
    )
    seconds = time.monotonic() - begun
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"]["credentials"] >= len(callers.acknowledged)
    settings["ONE_RUNTIME_ENCRYPTION_KEYS"] = new
    async with serving(Serving(database_url, settings=settings), tmp_path) as served, client(served, api_key) as http:
        stored = {connection["id"]: connection for connection in await all_connections(http)}
        assert callers.acknowledged.keys() <= stored.keys()
        assert {(row["status"], row["error"]["code"]) for row in stored.values()} == {("needs_reauth", "key_lost")}
        for connection_id, end_user_id in list(callers.acknowledged.items())[:RECONNECTED]:
            body = {
                "integration_slug": "notion",
                "end_user_id": end_user_id,
                "auth_type": "api_key",
                "credentials": {"api_key": NOTION_KEY},
                "check": False,
            }
            again = (await http.post("/v1/connections", json=body)).raise_for_status().json()
            assert (again["id"], again["status"]) == (connection_id, "active")
    figures(
        f"{database_kind}: `keys abandon` took {seconds:.1f} s for {len(stored)} connections; 0 connections missing, "
        f"and {RECONNECTED} end users connected again with the same connection ids"
    )
