"""Production with connections whose refresh tokens Acme replaces, for restore drills (D2).

Acme replaces the refresh token at each refresh, and revokes a grant if a refresh token is used twice.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
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
from tests.operating.backups import back_up_as_documented, client, restore_as_documented, with_acme
from tests.promises.serving import Served, Serving, make_key, serving

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


async def connect_grant(http: httpx2.AsyncClient, acme: Acme, client_id: str, number: int) -> str:
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


async def _make_due(database_url: str, *, except_for: str) -> None:
    """Make the refresh of all connections due, as if the dump were old."""
    async with sealed_rows.opened(database_url) as database, database.write() as tx:
        await tx.execute(_MAKE_DUE, not_due=except_for, at=system_clock() - timedelta(hours=1))


@dataclass(frozen=True, slots=True)
class Production:
    """A running server and a client of its API. `kept`: the id of a connection that is not due in a restored copy.

    `rotated`: the ids of the connections that are due in a restored copy.
    """

    acme: RunningAcme
    keys: str
    api_key: str
    served: Served
    http: httpx2.AsyncClient
    kept: str
    rotated: list[str]

    async def restore(self, folder: Path, database_kind: str, request: pytest.FixtureRequest) -> Serving:
        """Restore a backup as documented. Return the settings of a server on the copy, where tokens are due."""
        backup = await back_up_as_documented(self.served, folder)
        database_url = await asyncio.to_thread(restore_as_documented, backup, database_kind, request)
        await _make_due(database_url, except_for=self.kept)
        return with_acme(database_url, self.acme, self.keys)


@asynccontextmanager
async def in_production(database_url: str, acme: RunningAcme, folder: Path, rotated: int) -> AsyncIterator[Production]:
    """Serve the database, and connect accounts of Acme, until the block ends. `rotated`: number of connections."""
    keys, api_key = new_key(), await make_key(database_url)
    async with serving(with_acme(database_url, acme, keys), folder) as served, client(served, api_key) as http:
        client_id = await register_client(http, acme.acme)
        kept, *ids = [await connect_grant(http, acme.acme, client_id, number) for number in range(rotated + 1)]
        yield Production(acme, keys, api_key, served, http, kept, ids)
