"""One Runtime and Acme on ports of this machine, for agents that are programs of third parties."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import httpx2
from starlette.types import ASGIApp

from one_runtime.demo.acme import GLOBEX, Acme
from one_runtime.demo.acme_entry import acme_operations
from one_runtime.serving.application import create_app
from tests.application import ACME_KEYS, RunningAcme, SetClock, catalog_with_acme, running, settings_for
from tests.foreign.served import make_key
from tests.ports import free_port

KEY: Final = ACME_KEYS[GLOBEX]
"""The key of the account that the end users connect."""


@dataclass(frozen=True, slots=True)
class AgentServer:
    """A running server. `http`: the organization's backend."""

    url: str
    http: httpx2.AsyncClient

    @property
    def mcp_url(self) -> str:
        """Return the address of the MCP endpoint."""
        return f"{self.url}/v1/mcp"

    async def token(self, end_user_id: str, access: str = "write") -> str:
        """Create an end-user token."""
        body: dict[str, Any] = {"end_user_id": end_user_id, "access": access}
        answer = await self.http.post("/v1/end-user-tokens", json=body)
        assert answer.status_code == 201, answer.text
        token: str = answer.json()["end_user_token"]
        return token


@asynccontextmanager
async def agent_server(
    database_url: str, wrap: Callable[[ASGIApp], ASGIApp] = lambda app: app
) -> AsyncIterator[AgentServer]:
    """Run an installation with Acme until the block ends. `wrap`: adds a middleware to the application."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    acme = Acme(ACME_KEYS)
    async with running(acme.app) as acme_port:
        acme_url = f"http://127.0.0.1:{acme_port}"
        settings = settings_for(database_url, RunningAcme(acme_url, acme_port, acme), public_url=url)
        operations = [partial(acme_operations, acme_url)]
        app = create_app(settings, catalog_with_acme(acme_url), clock=SetClock(), operations=operations)
        async with running(wrap(app), port):
            headers = {"authorization": f"Bearer {await make_key(app.services.installation)}"}
            async with httpx2.AsyncClient(base_url=url, headers=headers) as http:
                yield AgentServer(url, http)
