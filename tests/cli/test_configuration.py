"""`one-runtime config`: real processes, and a real server."""

import asyncio
import json
import os
import stat
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from starlette.types import Receive, Scope, Send

from tests.application import Application, running
from tests.webhooks.receiver import accept_lifespan

pytestmark = pytest.mark.slow

PROGRAM: Final = Path(sys.executable).with_name("one-runtime")
FILE: Final = """
version: 1
organization: {privacy_url: {env: PRIVACY}}
oauth_clients:
  hubspot: {client_id: hubspot-client, client_secret: {env: HUBSPOT_CLIENT_SECRET}}
webhook_endpoints:
  - {url: "https://app.example.com/hook", event_types: ["*"]}
"""
VALUES: Final = {"PRIVACY": "https://example.com/privacy", "HUBSPOT_CLIENT_SECRET": "hubspot-secret-1234"}


class Console:
    """Runs the commands against a server, with an API key of an organization."""

    def __init__(self, url: str, key: str) -> None:
        self._variables = {**VALUES, "ONE_RUNTIME_URL": url, "ONE_RUNTIME_API_KEY": key}

    async def run(self, *words: str, text: str = "", code: int = 0, **variables: str) -> tuple[str, str]:
        """Run a command, and return standard output and standard error. `text`: standard input."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ONE_RUNTIME_")}
        process = await asyncio.create_subprocess_exec(
            PROGRAM, "config", *words, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=kept | self._variables | variables
        )
        output, notes = await process.communicate(text.encode())
        assert process.returncode == code, notes.decode()
        return output.decode(), notes.decode()


@pytest_asyncio.fixture
async def url(application: Application) -> AsyncIterator[str]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (accept_lifespan if scope["type"] == "lifespan" else application.app)(scope, receive, send)

    async with running(app) as port:
        yield f"http://127.0.0.1:{port}"


async def console_of(application: Application, url: str, name: str) -> Console:
    return Console(url, await application.key(await application.organization(name, ())))


@pytest_asyncio.fixture
async def console(application: Application, url: str) -> Console:
    return await console_of(application, url, "Staging")


async def test_the_configuration_goes_from_staging_to_production(
    application: Application, console: Console, url: str, tmp_path: Path
) -> None:
    file, moved, secrets = (tmp_path / name for name in ("staging.yaml", "moved.yaml", "secrets.json"))
    file.write_text(FILE)
    output, _ = await console.run("plan", str(file), "--exit-code", code=2)
    assert f"Staging at {url} differs from the file in 3 changes:" in output
    assert "  + oauth_clients.hubspot\n      client_id: hubspot-client\n" in output
    output, _ = await console.run("apply", str(file), "--yes", "--secrets", str(secrets))
    assert output.endswith("Made 3 changes.\n")
    assert json.loads(secrets.read_text())["webhook_endpoints[0]"].startswith("whsec_")
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    output, _ = await console.run("plan", str(file), "--exit-code")
    assert output == f"Staging at {url} is equal to the file.\n"
    await console.run("export", "--output", str(moved))
    assert not any(value in moved.read_text() for value in ("hubspot-secret-1234", "whsec_"))
    production = await console_of(application, url, "Production")
    output, _ = await production.run("apply", "-", "--yes", "--json", text=moved.read_text())
    assert [change["place"] for change in json.loads(output)["changes"]] == [
        "organization",
        "oauth_clients.hubspot",
        "webhook_endpoints[0]",
    ]
    output, _ = await production.run("plan", str(moved), "--json")
    assert json.loads(output)["changes"] == []


async def test_apply_asks_first(console: Console, tmp_path: Path, url: str) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(FILE)
    _, notes = await console.run("apply", str(file), text="n\n", code=1)
    assert "Aborted" in notes
    output, _ = await console.run("plan", str(file), "--json")
    assert len(json.loads(output)["changes"]) == 3
    output, _ = await console.run("apply", str(file), text="y\n")
    assert f"Change Staging at {url}? [y/N]: Made 3 changes.\n" in output
    assert "Get a secret with `one-runtime webhooks rotate-secret`." in output


async def test_a_missing_variable_stops_the_command_before_any_request(console: Console, tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(FILE)
    _, notes = await console.run("apply", str(file), "--yes", code=1, PRIVACY="", ONE_RUNTIME_URL="http://127.0.0.1:1")
    assert notes == "organization.privacy_url is a reference to the variable PRIVACY, which is not set.\n"
    _, notes = await console.run("plan", str(tmp_path / "missing.yaml"), code=1)
    assert "missing.yaml cannot be read: No such file or directory." in notes


async def test_a_key_without_the_scope_gets_the_command_that_creates_one(
    application: Application, url: str, tmp_path: Path
) -> None:
    console = Console(url, await application.key(await application.organization("Northwind", ()), "read"))
    file = tmp_path / "file.yaml"
    file.write_text(FILE)
    _, notes = await console.run("plan", str(file), code=1)
    assert "one-runtime api-keys create ORGANIZATION_ID --scope admin" in notes
