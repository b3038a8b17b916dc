"""A pytest plugin: the provider of a custom integration. One server takes the place of all the provider's hosts."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx2
import pytest_asyncio

from one_runtime.egress.client import Egress
from one_runtime.serving.application import create_app
from one_runtime.settings import Settings
from tests.application import (
    Application,
    Client,
    RunningAcme,
    SetClock,
    catalog_with_acme,
    refuse_open_transaction,
    without_worker,
)
from tests.egress.certificates import tls_contexts
from tests.egress.network import LoopbackNetwork
from tests.egress.upstream import Upstream, answer, running_upstream

PATH: Final = "/v1/custom-integrations"
SLUG: Final = "x-billing"
KEY: Final = "bk_0123456789abcdef"
HOSTS: Final = ("billing.acme.com", "elsewhere.acme.com", "id.acme.com", "id2.acme.com")
SVG: Final = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M0 0h8v8H0z"/></svg>'
ENTRY: Final = """\
slug: x-billing
name: Billing
description: Invoices of our own billing service.
category: Accounting
website: https://acme.com
docs: https://docs.acme.com/api
auth:
  - type: api_key
    fields:
      - name: api_key
        label: API key
        where: In Billing, open Settings, then API keys.
        pattern: bk_[a-z0-9]{16}
    base_url: https://billing.acme.com/v1
    send:
      headers:
        Authorization: Bearer {api_key}
    check:
      path: /me
      expect:
        json:
          - path: id
            exists: true
    identity:
      id: id
      label: name
    verified:
      how: unverified
"""
OAUTH: Final = """\
  - type: oauth2
    client:
      where: Ask the billing team.
    authorization:
      url: https://id.acme.com/authorize
    scopes:
      default: [read]
    pkce: supported
    token:
      url: https://id.acme.com/token
    revocation:
      url: https://id.acme.com/revoke
    base_url: https://billing.acme.com/v1
    check:
      path: /me
      expect:
        json:
          - path: id
            exists: true
    verified:
      how: unverified
"""


@dataclass(frozen=True, slots=True)
class Billing:
    """An installation that sends all requests for the hosts in `HOSTS` to one server. The server accepts one key."""

    application: Application
    upstream: Upstream

    async def organization(self, name: str = "Northwind") -> Client:
        return self.application.client(await self.application.key(await self.application.organization(name)))

    @property
    def credential_hosts(self) -> list[str]:
        """Return the hosts of the requests that contained a credential."""
        return [str(request.header("host")) for request in self.upstream.requests if request.header("authorization")]

    @property
    def reached(self) -> list[str]:
        """Return the host and the path of each request."""
        return [f"{request.header('host')}{request.target}" for request in self.upstream.requests]


@cache
def certified() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    with TemporaryDirectory() as folder:
        return tls_contexts(Path(folder), *HOSTS)


@pytest_asyncio.fixture
async def billing(settings: Settings, acme: RunningAcme) -> AsyncIterator[Billing]:
    server, trusting = certified()
    async with running_upstream(server) as upstream:
        upstream.answers["/v1/me"] = lambda writer: _me(upstream, writer)
        upstream.answers["/token"] = lambda writer: _token(upstream, writer)
        network = LoopbackNetwork(upstream.port, tls=trusting)
        clock = SetClock()
        egress = Egress(network=network, before_request=refuse_open_transaction)
        app = create_app(settings, catalog_with_acme(acme.url), clock=clock, egress=egress)
        try:
            async with without_worker(app.services.installation):
                yield Billing(Application(app, app.services.installation, clock, acme), upstream)
        finally:
            network.close()


async def _me(upstream: Upstream, writer: asyncio.StreamWriter) -> None:
    bearer = (upstream.requests[-1].header("authorization") or "").removeprefix("Bearer ")
    good = bearer == KEY or bearer.startswith("at-")
    body = {"id": "acct-1", "name": "Acme Ltd"} if good else {"message": "no"}
    writer.write(answer(200 if good else 401, body=json.dumps(body).encode()))
    await writer.drain()


async def _token(upstream: Upstream, writer: asyncio.StreamWriter) -> None:
    number = sum(request.target == "/token" for request in upstream.requests)
    tokens = {"access_token": f"at-{number}", "refresh_token": f"rt-{number}", "expires_in": 3600, "scope": "read"}
    writer.write(answer(200, body=json.dumps({"token_type": "Bearer", **tokens}).encode()))
    await writer.drain()


async def send(client: Client, method: str, path: str, text: str, kind: str = "application/yaml") -> httpx2.Response:
    return await client.http.request(method, path, content=text.encode(), headers={"content-type": kind})


async def register(client: Client, text: str = ENTRY) -> dict[str, Any]:
    response = await send(client, "PUT", f"{PATH}/{SLUG}", text)
    assert response.status_code in {200, 201}, response.text
    integration: dict[str, Any] = response.json()
    return integration


async def connect(client: Client, user: str = "user_123", **more: Any) -> dict[str, Any]:
    body = {"integration_slug": SLUG, "end_user_id": user, "auth_type": "api_key", "credentials": {"api_key": KEY}}
    response = await client.post("/v1/connections", {**body, **more})
    assert response.status_code in {200, 201}, response.text
    connection: dict[str, Any] = response.json()
    return connection


async def with_client(client: Client, text: str = ENTRY + OAUTH) -> None:
    """Create the integration with `oauth2`, and register an OAuth client."""
    await register(client, text)
    secret = {"client_id": "ours", "client_secret": "s3cret-s3cret"}
    response = await client.send("PUT", f"/v1/integrations/{SLUG}/oauth-client", secret)
    assert response.status_code == 200, response.text


async def import_tokens(client: Client, user: str = "user_123") -> dict[str, Any]:
    """Import an OAuth connection."""
    tokens = {"access_token": "at-0", "refresh_token": "rt-0", "scope": "read"}
    body = {"integration_slug": SLUG, "end_user_id": user, "auth_type": "oauth2", "credentials": tokens}
    response = await client.post("/v1/connections", body)
    assert response.status_code == 201, response.text
    connection: dict[str, Any] = response.json()
    return connection
