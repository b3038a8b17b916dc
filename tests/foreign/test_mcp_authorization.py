"""The official JavaScript client signs in at the authorization server of the MCP endpoint, and renews its token."""

import asyncio
import json
import os
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from one_runtime.demo.acme import Acme
from one_runtime.demo.acme_entry import acme_operations
from one_runtime.egress.client import Egress
from one_runtime.serving.application import create_app
from tests.agent_clients import REDIRECT_URI, oauth_agent, publishing, query_of
from tests.application import (
    ACME_KEYS,
    Application,
    RunningAcme,
    SetClock,
    catalog_with_acme,
    running,
    settings_for,
)
from tests.foreign.process import NODE
from tests.ports import free_port

SCRIPT: Final = Path(__file__).parent / "mcp" / "authorize.mjs"

pytestmark = [pytest.mark.foreign, pytest.mark.soak]


async def test_official_javascript_client_signs_in_calls_and_renews_its_token(migrated_sqlite_url: str) -> None:
    provider, port = Acme(ACME_KEYS), free_port()
    url = f"http://127.0.0.1:{port}"
    async with running(provider.app) as acme_port, publishing() as publisher:
        acme = RunningAcme(f"http://127.0.0.1:{acme_port}", acme_port, provider)
        settings = settings_for(migrated_sqlite_url, acme, public_url=url)
        egress = Egress(allow=settings.egress_allow, network=publisher.network)
        operations = [partial(acme_operations, acme.url)]
        catalog = catalog_with_acme(acme.url)
        app = create_app(settings, catalog, clock=SetClock(), egress=egress, operations=operations)
        async with running(app, port):
            application = Application(app, app.services.installation, SetClock(), acme)
            agent = await oauth_agent(application, publisher)
            await agent.owner.connect()
            variables = {
                "PATH": os.environ["PATH"],
                "MCP_URL": f"{url}/v1/mcp/{agent.organization_id}",
                "CLIENT_ID": publisher.client_id,
                "REDIRECT_URI": REDIRECT_URI,
            }
            process = await asyncio.create_subprocess_exec(
                NODE, SCRIPT, env=variables, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
            try:
                address = (await say(process))["authorize"]
                page = await application.client().http.get(address)
                authorization_id = query_of(page.headers["location"])["agent_authorization_id"]
                callback = (await agent.approve(authorization_id)).json()["continue_url"]
                assert process.stdin is not None
                process.stdin.write(f"{callback}\n".encode())
                first, renewed, second = [await say(process) for _ in range(3)]
            finally:
                if process.returncode is None:
                    process.kill()
                await process.communicate()
    assert renewed == {"renewed": True}
    for answer in (first["answer"], second["answer"]):
        assert answer["data"]["plan"] == "team"


async def say(process: asyncio.subprocess.Process) -> dict[str, Any]:
    """Return the next object that the program prints."""
    assert process.stdout is not None
    line = await process.stdout.readline()
    said: dict[str, Any] = json.loads(line)
    return said
