"""A provider whose token endpoint and API answer as a test says, and an application that connects its accounts."""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qsl

import httpx2
import yaml
from sqlalchemy import update
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.model import Integration
from one_runtime.context import Installation
from one_runtime.db.schema import credentials
from one_runtime.jobs.recheck_queue import RecheckQueue
from one_runtime.jobs.single_flight import SingleFlight
from one_runtime.jobs.token_hosts import TokenHosts
from tests.application import Application, Client, RunningAcme, running, settings_for, started
from tests.foreign.providers import LOGO

SLUG: Final = "answering"
CLIENT_ID: Final = "one-runtime"
CLIENT_SECRET: Final = "of-the-client-of-the-tests"
_BASIC: Final = f"Basic {base64.b64encode(f'{CLIENT_ID}:{CLIENT_SECRET}'.encode()).decode()}"
BODIES: Final[dict[str, tuple[str, str]]] = {
    "empty": ("text/plain", ""),
    "text": ("text/plain", "Forbidden"),
    "HTML": ("text/html; charset=utf-8", "<!doctype html><title>No</title><h1>Request refused</h1>"),
    "JSON": ("application/json", '{"ok": false, "at": "2026-11-28"}'),
    "JSON with `invalid_grant`": ("application/json", '{"error": "invalid_grant"}'),
    "JSON with `invalid_client`": ("application/json", '{"error": "invalid_client"}'),
    "JSON with `temporarily_unavailable`": ("application/json", '{"error": "temporarily_unavailable"}'),
    "JSON with `invalid_request`": ("application/json", '{"error": "invalid_request"}'),
    "JSON with an unknown code": ("application/json", '{"error": "E4711"}'),
}
"""Bodies of responses, by name: the content type and the text."""
ENTRY: Final = """
slug: answering
name: Answering
description: A provider that answers as a test says.
category: Developer Tools
website: '{url}'
docs: '{url}'
auth:
  - type: oauth2
    authorization:
      url: '{url}/authorize'
    pkce: required
    token:
      url: '{url}/token'
    base_url: '{url}'
    check: &check
      path: /me
      expect:
        json:
          - path: id
            exists: true
      refused:
        status: [401]
    verified: &verified
      how: unverified
  - type: client_credentials
    fields:
      - {name: client_id, label: Client id, where: There.}
      - {name: client_secret, label: Client secret, where: There.}
    token:
      url: '{url}/token'
    base_url: '{url}'
    check: *check
    verified: *verified
"""


@dataclass(frozen=True, slots=True)
class Scripted:
    """A response: the status, and the name of a body in `BODIES`."""

    status: int
    body: str = "empty"
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def response(self) -> Response:
        """Return the response."""
        media_type, text = BODIES[self.body]
        return Response(text, self.status, {**self.headers, "content-type": media_type})


@dataclass
class AnsweringProvider:
    """A provider with rotating refresh tokens. With `token` or `api`, this response replaces each refusal.

    `always`: True if `token` and `api` also replace the responses to valid tokens. `hold`: the next token request waits
    for this event.
    """

    token: Scripted | None = None
    api: Scripted | None = None
    always: bool = False
    hold: asyncio.Event | None = None
    waiting: bool = False
    before_answer: Callable[[], Awaitable[object]] | None = None
    """Runs once, before the next response of the API."""
    access: set[str] = field(default_factory=set)
    refresh: set[str] = field(default_factory=set)
    issued: set[str] = field(default_factory=set)
    """All refresh tokens, also those that are no longer valid."""
    requests: list[str] = field(default_factory=list)
    """The paths of the requests."""

    def issue(self) -> dict[str, Any]:
        """Issue tokens of an hour."""
        access_token, refresh_token = f"at-{secrets.token_hex(8)}", f"rt-{secrets.token_hex(8)}"
        self.access.add(access_token)
        self.refresh.add(refresh_token)
        self.issued.add(refresh_token)
        return {"access_token": access_token, "refresh_token": refresh_token, "expires_in": 3600}

    def revoke(self) -> None:
        """Revoke all tokens."""
        self.access.clear()
        self.refresh.clear()

    def behave(self, token: Scripted | None = None, api: Scripted | None = None, *, always: bool = False) -> None:
        """Set the responses."""
        self.token, self.api, self.always = token, api, always

    @property
    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(routes=[Route("/token", self._token, methods=["POST"]), Route("/{path:path}", self._api)])

    async def _token(self, request: Request) -> Response:
        self.requests.append("/token")
        form = dict(parse_qsl((await request.body()).decode()))
        if request.headers.get("authorization") != _BASIC:
            return self._refusal(401, "invalid_client")
        hold, self.hold = self.hold, None
        if hold is not None:
            self.waiting = True
            await hold.wait()
            self.waiting = False
        always = self.always and self.token is not None
        if form["grant_type"] == "client_credentials" and not always:
            return JSONResponse({**self.issue(), "refresh_token": None})
        if form.get("refresh_token") not in self.refresh or always:
            return self._refusal(400, "invalid_grant")
        self.refresh.discard(form["refresh_token"])
        return JSONResponse(self.issue())

    def _refusal(self, status: int, code: str) -> Response:
        return self.token.response if self.token is not None else JSONResponse({"error": code}, status)

    async def _api(self, request: Request) -> Response:
        self.requests.append(request.url.path)
        act, self.before_answer = self.before_answer, None
        if act is not None:
            await act()
        always = self.always and self.api is not None
        if request.headers.get("authorization", "").removeprefix("Bearer ") in self.access and not always:
            return JSONResponse({"id": "alice"})
        return self.api.response if self.api is not None else JSONResponse({"error": "invalid_token"}, 401)


@dataclass(frozen=True)
class AnsweringApplication:
    """An application with the provider, and a caller of an organization with a client at the provider."""

    application: Application
    client: Client
    provider: AnsweringProvider

    @property
    def another_process(self) -> Installation:
        """An installation as another process has: the same database, no shared flights, an empty recheck queue."""
        return replace(
            self.application.installation, flights=SingleFlight(), rechecks=RecheckQueue(), token_hosts=TokenHosts()
        )

    async def look(self, connection_id: str) -> dict[str, Any]:
        """Read the connection from the API."""
        answer = await self.client.get(f"/v1/connections/{connection_id}")
        assert answer.status_code == 200, answer.text
        connection: dict[str, Any] = answer.json()
        return connection

    async def call(self, connection_id: str) -> httpx2.Response:
        """Call the provider's API through the proxy."""
        return await self.client.http.get(f"/v1/proxy/{SLUG}/me", headers={"one-runtime-connection": connection_id})

    async def organization_id(self) -> str:
        """Return the id of the organization."""
        return str((await self.client.get("/v1/organization")).json()["id"])

    async def reset_failures(self) -> None:
        """Reset the failures of all refreshes as the version before revision 0005 does."""
        async with self.application.installation.database.write() as tx:
            await tx.execute(update(credentials).values(failures=0, retry_at=None))

    async def connect(self, end_user_id: str = "user_123") -> str:
        """Import new tokens of an hour as another connection, and return the connection's id."""
        return await self.store(self.provider.issue(), end_user_id, multiple=True)

    async def store(self, tokens: dict[str, Any], end_user_id: str = "user_123", *, multiple: bool = False) -> str:
        """Import tokens of an hour, and return the connection's id. Without `multiple`, replace the present tokens."""
        expires_at = self.application.clock() + timedelta(hours=1)
        names = ("access_token", "refresh_token")
        body = {
            "integration_slug": SLUG,
            "end_user_id": end_user_id,
            "auth_type": "oauth2",
            "check": False,
            "multiple": multiple,
            "credentials": {**{name: tokens[name] for name in names}, "expires_at": expires_at.isoformat()},
        }
        answer = await self.client.post("/v1/connections", body)
        assert answer.status_code in {200, 201}, answer.text
        return str(answer.json()["id"])


def catalog_of(url: str, changes: Mapping[str, str]) -> Catalog:
    """Return a catalog of only this provider, with changes to the text of its entry."""
    text = ENTRY
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    entry = Integration.model_validate(yaml.safe_load(text.replace("{url}", url)), context={"allow_http": True})
    return Catalog.of((entry,), {SLUG: LOGO.encode()}, json.dumps(dict(changes)))


@asynccontextmanager
async def answering_application(
    database_url: str, acme: RunningAcme, changes: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[AnsweringApplication]:
    """Run the application and the provider until the block ends, without periodic tasks."""
    provider = AnsweringProvider()
    async with running(provider.app) as port:
        settings = settings_for(database_url, acme, egress_allow=frozenset({("127.0.0.1", port)}))
        catalog = catalog_of(f"http://127.0.0.1:{port}", changes)
        async with started(settings, acme, catalog, worker=False) as application:
            client = application.client(await application.key(await application.organization()))
            body = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
            answer = await client.send("PUT", f"/v1/integrations/{SLUG}/oauth-client", body)
            assert answer.status_code == 200, answer.text
            yield AnsweringApplication(application, client, provider)
