"""The key of a server is lost. After one command, the server starts with a new key, and end users connect again."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from one_runtime.encryption.vault import key_id, new_key, parse_keys
from one_runtime.tenancy import api_keys
from tests.fork_server import ROOT, run
from tests.operating.backups import client
from tests.operating.test_upgrade import KEYS, organization_of
from tests.promises.serving import Serving, serving

pytestmark = [pytest.mark.slow, pytest.mark.promise("P3")]

BODY = {
    "integration_slug": "notion",
    "end_user_id": "ada",
    "auth_type": "api_key",
    "credentials": {"api_key": KEYS[0]},
    "check": False,
}
SCOPES = [word for scope in api_keys.SCOPES for word in ("--scope", scope)]
CLIENT = {"client_id": "client", "client_secret": "secret-secret"}


def cli(database_url: str, keys: str, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "ONE_RUNTIME_DATABASE_URL": database_url,
        "ONE_RUNTIME_ENCRYPTION_KEYS": keys,
    }
    return run([sys.executable, "-m", "one_runtime", *words], environment, cwd=ROOT, seconds=30)


@pytest.mark.timeout(120)
@pytest.mark.soak_on("sqlite")
async def test_server_with_a_new_key_serves_after_the_lost_key_is_abandoned(database_url: str, tmp_path: Path) -> None:
    lost, new = new_key(), new_key()
    identifier = key_id(parse_keys(lost)[0])
    async with serving(Serving(database_url, settings={"ONE_RUNTIME_ENCRYPTION_KEYS": lost}), tmp_path) as served:
        organization_id, _ = await organization_of(served)
        api_key = await served.command("api-keys", "create", organization_id, *SCOPES)
        async with client(served, api_key) as http:
            created = (await http.post("/v1/connections", json=BODY)).raise_for_status().json()
            (await http.put("/v1/integrations/github/oauth-client", json=CLIENT)).raise_for_status()

    refused = cli(database_url, new, "serve")
    assert (refused.returncode, "The key ring lacks keys" in refused.stderr) == (1, True)
    unconfirmed = await asyncio.to_thread(cli, database_url, new, "keys", "abandon", identifier)
    assert unconfirmed.returncode == 1
    assert "Only the key" in unconfirmed.stderr
    done = await asyncio.to_thread(cli, database_url, new, "keys", "abandon", identifier, "--yes", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["key_id"], report["rows"]["credentials"], report["rows"]["oauth_clients"]) == (identifier, 1, 1)
    assert report["oauth_clients"] == [
        {"organization_id": organization_id, "integration_slug": "github", "client_id": "client"}
    ]
    assert cli(database_url, new, "keys", "disable", identifier).returncode == 0

    now = Serving(database_url, settings={"ONE_RUNTIME_ENCRYPTION_KEYS": new})
    async with serving(now, tmp_path) as served, client(served, api_key) as http:
        path = f"/v1/connections/{created['id']}"
        shown = (await http.get(path)).json()
        assert (shown["status"], shown["error"]["code"]) == ("needs_reauth", "key_lost")
        check = (await http.post(f"{path}/check")).raise_for_status().json()
        assert (check["working"], "lost the encryption key" in check["reason"]) == (False, True), check
        refresh = await http.post(f"{path}/refresh")
        assert (refresh.status_code, refresh.json()["code"]) == (409, "needs_reauth"), refresh.text
        assert "lost the encryption key" in refresh.json()["detail"]
        listed = (await http.get("/v1/oauth-clients")).json()["oauth_clients"]
        assert [stored["client_secret_last_four"] for stored in listed] == [None]
        (await http.put("/v1/integrations/github/oauth-client", json=CLIENT)).raise_for_status()
        again = (await http.post("/v1/connections", json=BODY)).json()
        assert (again["id"], again["status"]) == (created["id"], "active")
        (await http.delete(path)).raise_for_status()
