"""`one-runtime serve --with-acme`: Acme is an integration of a developer's own server, by key and by OAuth."""

import json
import os
import re
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from one_runtime.encryption.vault import new_key
from tests.demo.steps import choose_signing_in
from tests.fork_server import run
from tests.operating.backups import client
from tests.ports import free_port
from tests.promises.serving import Served, Serving, make_key, serving

pytestmark = pytest.mark.slow

ONE_RUNTIME: Final = (sys.executable, "-m", "one_runtime")


@pytest.fixture
def what(migrated_sqlite_url: str) -> Serving:
    """The configuration of a server with Acme. Two starts have the same port, so Acme also has the same address."""
    return Serving(migrated_sqlite_url, options=("--with-acme",), port=free_port(4))


@pytest_asyncio.fixture
async def served(what: Serving, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(what, tmp_path) as served:
        yield served


def acme_of(served: Served) -> str:
    return f"http://127.0.0.1:{served.port + 2}"


def environment(**settings: str) -> dict[str, str]:
    """Return the environment of a command with these settings."""
    return dict(os.environ) | {f"ONE_RUNTIME_{name}": value for name, value in settings.items()}


async def key_of_globex(served: Served) -> str:
    """Return the key that Acme's first page shows for its first account."""
    async with httpx2.AsyncClient() as http:
        page = (await http.get(acme_of(served))).text
    key: str = re.findall(r"acme_[0-9a-f]{32}", page)[0]
    return key


async def connect_by_link(page: Page, http: httpx2.AsyncClient) -> None:
    """Connect Acme through a session of the mode `link`, by signing in at Acme."""
    body = {"end_user_id": "user_123", "integration_slug": "acme", "mode": "link", "end_user_name": "Ada"}
    session = (await http.post("/v1/hosted-connection-sessions", json=body)).json()
    await page.goto(session["connect_url"])
    await page.get_by_role("button", name="I expected this, go on").click()
    await choose_signing_in(page)
    await page.get_by_role("radio", name="Globex Corporation").check()
    await page.get_by_role("button", name="Allow", exact=True).click()
    await expect(page.get_by_role("heading", name="Connected")).to_be_visible()


async def contacts(http: httpx2.AsyncClient) -> httpx2.Response:
    return await http.get("/v1/proxy/acme/v1/contacts", headers={"One-Runtime-End-User": "user_123"})


async def test_account_is_connected_by_oauth_used_revoked_and_reconnected(
    page: Page, served: Served, what: Serving
) -> None:
    async with client(served, await make_key(what.database_url)) as http:
        listed = (await http.get("/v1/integrations?end_user_id=user_123&slug=acme&logo=none")).json()["integrations"]
        assert listed[0]["supported_auth_types"] == ["api_key", "oauth2"]
        await connect_by_link(page, http)
        (connection,) = (await http.get("/v1/connections?end_user_id=user_123")).json()["connections"]
        assert (connection["auth_type"], connection["account"]["label"]) == ("oauth2", "Globex Corporation")
        assert len((await contacts(http)).json()["contacts"]) == 3
        await page.goto(f"{acme_of(served)}/switches")
        await page.get_by_role("listitem").filter(has_text="Globex").get_by_role("button", name="Revoke all").click()
        await expect(page.get_by_text("Globex Corporation No active grant")).to_be_visible()
        refused = await contacts(http)
        assert (refused.status_code, refused.json()["code"]) == (409, "connect_required")
        assert refused.json()["detail"] == (
            'The end user has to connect Acme CRM again: POST /v1/hosted-connection-sessions with "integration_slug": '
            '"acme". Reason: This refresh token was revoked.'
        )
        await connect_by_link(page, http)
        (reconnected,) = (await http.get("/v1/connections?end_user_id=user_123")).json()["connections"]
        assert (reconnected["id"], reconnected["status"]) == (connection["id"], "active")
        assert (await contacts(http)).status_code == 200


async def test_keys_and_the_oauth_client_stay_the_same_after_a_restart(what: Serving, tmp_path: Path) -> None:
    api_key, keys = await make_key(what.database_url), list[str]()
    body: dict[str, Any] = {"end_user_id": "user_123", "integration_slug": "acme", "auth_type": "api_key"}
    encryption: dict[str, str] = {}
    for _ in range(2):
        again = Serving(what.database_url, settings=encryption, options=what.options, port=what.port)
        async with serving(again, tmp_path) as served, client(served, api_key) as http:
            encryption = {"ONE_RUNTIME_ENCRYPTION_KEYS": served.environment["ONE_RUNTIME_ENCRYPTION_KEYS"]}
            keys.append(await key_of_globex(served))
            if len(keys) == 1:
                created = await http.post("/v1/connections", json=body | {"credentials": {"api_key": keys[0]}})
                assert created.status_code == 201, created.text
            assert (await contacts(http)).status_code == 200
            clients = await served.command("oauth-clients", "list", "--json")
            assert clients.count('"acme"') == 1
            events = await served.command("installation", "events", "--json")
            assert events.count("oauth_client.updated") == 1, "the second start registers no second client"
    assert keys[0] == keys[1]


async def test_log_names_the_address_and_the_public_url(served: Served) -> None:
    (line,) = [line for line in map(json.loads, served.log().splitlines()) if line["event"] == "listening"]
    assert (line["address"], line["public_url"]) == (f"127.0.0.1:{served.port}", served.url)


def test_used_port_of_acme_stops_the_start_with_a_sentence(migrated_sqlite_url: str) -> None:
    port = free_port(4)
    settings = {"DATABASE_URL": migrated_sqlite_url, "ENCRYPTION_KEYS": new_key(), "LISTEN": f"127.0.0.1:{port}"}
    with socket.create_server(("127.0.0.1", port + 2)):
        process = run([*ONE_RUNTIME, "serve", "--with-acme"], environment(**settings))
    assert process.returncode == 1
    assert f"Port {port + 2} cannot be used" in process.stderr
    assert "two ports above ONE_RUNTIME_LISTEN" in process.stderr


@pytest.mark.parametrize(
    "settings",
    [{"LISTEN": "0.0.0.0:8000"}, {"PUBLIC_URL": "https://connect.example.com"}],
    ids=["listen", "public_url"],
)
def test_acme_is_refused_on_a_server_that_others_reach(settings: dict[str, str]) -> None:
    process = run([*ONE_RUNTIME, "serve", "--with-acme"], environment(ENCRYPTION_KEYS=new_key(), **settings))
    assert (process.returncode, process.stderr) == (
        1,
        "--with-acme is for development, so ONE_RUNTIME_LISTEN and ONE_RUNTIME_PUBLIC_URL must be loopback.\n",
    )
