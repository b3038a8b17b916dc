"""Authorizations of Acme accounts in this process, with Acme's entry as it is or changed."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from one_runtime.catalog.entry_files import load_yaml
from one_runtime.connecting import sessions
from one_runtime.demo.acme import GLOBEX
from tests.application import PUBLIC_URL, Application, RunningAcme, part_of_the_catalog, running, settings_for, started
from tests.authorizations import Authorizing, StartedAuthorization
from tests.foreign.person import ALICE
from tests.foreign.visitor import Visitor

SLUG: Final = "acme"
LOST: Final = "Start again from the app"
ENTRY: Final = files("one_runtime.demo") / "acme.yaml"
CLOSED_PORT: Final = 9
"""The discard service: nothing listens on it."""

LOOKUP: Final = """
    received:
      - name: workspace
        source: lookup
        path: id
        pattern: '[a-z]{1,20}'
    lookup:
      url: '{accounts_url}/workspaces'
      choices:
        at: workspaces
        label: name
    refresh: rotates
"""
PAGES: Final = {
    "link": "{next: next}",
    "cursor": "{next: cursor, param: offset}",
    "header": "{}",
}
"""The three places of the next page, by name."""
OAUTH_IDENTITY: Final = """\
      id: account.id
      label: account.name
    verified:
      how: live
      date: 2026-11-26
"""
WITH_WORKSPACES: Final = {
    "\n    refresh: rotates\n": LOOKUP,
    OAUTH_IDENTITY: OAUTH_IDENTITY.replace("account.id", "'{params.workspace}'"),
}


def with_pages(pages: str) -> dict[str, str]:
    """Return changes to Acme's entry for an API whose list of workspaces has pages."""
    key = "\n    refresh: rotates\n"
    return {**WITH_WORKSPACES, key: LOOKUP.replace("      choices:", f"      pages: {pages}\n      choices:")}


@dataclass
class Workspaces:
    """An API that lists several workspaces behind every token.

    `page_size`: the number of workspaces on a page, or None for one page. `next_host`: the host in the URLs of further
    pages. `loops`: True if each page names the second page as its next page. `fails_at`: the offset of a page that the
    API cannot return. `offsets`: the offsets of the requested pages.
    """

    names: dict[str, str] = field(default_factory=lambda: {"north": "Northwind", "south": "Southwind <b>"})
    page_size: int | None = None
    next_host: str = ""
    loops: bool = False
    fails_at: int | None = None
    offsets: list[int] = field(default_factory=list)

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/workspaces", self._list)])

    async def _list(self, request: Request) -> Response:
        offset = int(request.query_params.get("offset", "0"))
        self.offsets.append(offset)
        if offset == self.fails_at:
            return Response(status_code=503)
        end = len(self.names) if self.page_size is None else offset + self.page_size
        workspaces = [{"id": slug, "name": name} for slug, name in list(self.names.items())[offset:end]]
        document: dict[str, Any] = {"workspaces": workspaces}
        if end >= len(self.names):
            return JSONResponse(document)
        end = self.page_size if self.loops and self.page_size is not None else end
        link = f"{self.next_host}/workspaces?offset={end}"
        header = f'<{self.next_host}/workspaces>; rel="first", <{link}>; rel="next last"'
        return JSONResponse({**document, "next": link, "cursor": end}, headers={"link": header})


@dataclass(frozen=True)
class AcmeAuthorizing(Authorizing):
    """Authorizations of Acme accounts."""

    workspaces: Workspaces

    @property
    def acme(self) -> RunningAcme:
        return self.application.acme

    async def allow(self, attempt: StartedAuthorization, account: str = GLOBEX) -> dict[str, str]:
        """Allow access on Acme's page; return the callback's query."""
        async with Visitor(choices={"account": account}) as visitor:
            return await visitor.consent(attempt.url, ALICE)

    async def connect(self, account: str = GLOBEX, **session: Any) -> dict[str, Any]:
        """Make a connection by a whole authorization."""
        token = (await self.session(**session))["session_token"]
        attempt = await self.authorize(token)
        page = await self.call_back(await self.allow(attempt, account), attempt.cookie)
        assert page.status_code == 200, page.text
        outcome = await self.outcome(token, attempt.authorization_id)
        assert outcome["state"] == "connected", outcome
        connection = await self.client.get(f"/v1/connections/{outcome['connection']['connection_id']}")
        read: dict[str, Any] = connection.json()
        return read

    async def backend_session(self, session: dict[str, Any]) -> dict[str, Any]:
        """Read the session as the backend does."""
        read: dict[str, Any] = (await self.client.get(f"/v1/hosted-connection-sessions/{session['id']}")).json()
        return read

    async def failed_checks(self, session: dict[str, Any]) -> int:
        """Count the session's failed attempts."""
        async with self.application.installation.database.read() as tx:
            stored = await sessions.find_by_id(tx, session["id"])
        assert stored is not None
        return stored.failed_checks

    def token_requests(self) -> int:
        """Count the requests to Acme's token endpoint."""
        return len(self.acme.acme.log)

    def revoke_all_grants(self, account: str = GLOBEX) -> int:
        """Revoke the account's grants at Acme; return how many were in force."""
        return self.acme.acme.grants.revoke_account(account)


def entry_text(changes: Mapping[str, str]) -> str:
    text = ENTRY.read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


@asynccontextmanager
async def running_acme(
    database_url: str, acme: RunningAcme, folder: Path, entry_changes: Mapping[str, str]
) -> AsyncIterator["AcmeAuthorizing"]:
    """Run an application whose catalog has Acme's entry with these changes, for an organization with a client."""
    workspaces = Workspaces()
    async with running(workspaces.app) as port:
        path = folder / "acme.yaml"
        path.write_text(entry_text(entry_changes), encoding="utf-8")
        places = {"acme_url": acme.url, "accounts_url": f"http://127.0.0.1:{port}"}
        entry = load_yaml(path, allow_http=True, replace=places)
        catalog = part_of_the_catalog().with_extra(entry, (files("one_runtime.demo") / "acme.svg").read_text("utf-8"))
        allowed = frozenset({("127.0.0.1", allowed_port) for allowed_port in (acme.port, port, CLOSED_PORT)})
        settings = settings_for(database_url, acme, egress_allow=allowed)
        async with started(settings, acme, catalog, worker=False) as application:
            yield await authorizing(application, workspaces)


async def authorizing(application: Application, workspaces: Workspaces) -> AcmeAuthorizing:
    """Make an organization with an OAuth client that Acme knows."""
    client = application.client(await application.key(await application.organization()))
    client_id, secret = application.acme.acme.register_client(f"{PUBLIC_URL}/connect/callback/{SLUG}")
    body = {"client_id": client_id, "client_secret": secret}
    response = await client.send("PUT", f"/v1/integrations/{SLUG}/oauth-client", body)
    assert response.status_code == 200, response.text
    return AcmeAuthorizing(application, client, SLUG, workspaces)


async def is_untouched(runtime: AcmeAuthorizing, token: str, attempt: StartedAuthorization) -> bool:
    """Return True if nothing was connected, and the attempt is still pending."""
    outcome = await runtime.outcome(token, attempt.authorization_id)
    return await runtime.connections() == [] and outcome["state"] == "waiting"
