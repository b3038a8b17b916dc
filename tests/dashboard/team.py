"""A pytest plugin: the dashboard in this process, with members in each role.

`team` is the running application with the dashboard. `team.browser(role)` returns the browser of a signed-in member.
"""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from html import unescape
from typing import Any, Final
from urllib.parse import urlencode

import httpx2
import pytest
import pytest_asyncio
from sqlalchemy import insert

from one_runtime.db.ids import new_id
from one_runtime.db.schema import members, memberships
from one_runtime.team import dashboard_sessions
from one_runtime.tenancy.roles import Role
from tests.application import Application, Client, RunningAcme, settings_for, started

DASHBOARD_URL: Final = "http://127.0.0.1:8003"
FORM: Final = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
_TAG: Final = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TeamBrowser:
    """A browser without JavaScript. `organization_id`: the organization of the paths that do not start with `/`."""

    http: httpx2.AsyncClient
    organization_id: str
    member_id: str | None = None

    async def get(self, path: str = "", **query: str) -> httpx2.Response:
        return await self.http.get(self.address(path), params=query or None)

    async def post(self, path: str, fields: Mapping[str, Any] | None = None, **headers: str) -> httpx2.Response:
        """Send a form. A field with several values is a list."""
        body = urlencode(dict(fields or {}), doseq=True)
        return await self.http.post(self.address(path), content=body, headers={**FORM, **headers})

    def address(self, path: str) -> str:
        """Return the path of a page."""
        return path if path.startswith("/") else f"/o/{self.organization_id}/{path}".rstrip("/")

    async def submit(self, path: str, fields: Mapping[str, Any] | None = None) -> httpx2.Response:
        """Send a form, and follow the redirect."""
        answer = await self.post(path, fields)
        assert answer.status_code == 303, (answer.status_code, text_of(answer))
        return await self.http.get(answer.headers["location"])


@dataclass(frozen=True, slots=True)
class Team:
    """The running application, one organization with a connection, and a client with an API key of it."""

    application: Application
    organization_id: str
    api: Client
    sessions: dict[str, str] = field(default_factory=dict)

    async def browser(self, role: Role | None = "owner", organization_id: str | None = None) -> TeamBrowser:
        """Return the browser of a new member with this role. `role`: None for a visitor who is not signed in."""
        organization_id = organization_id or self.organization_id
        url = self.application.installation.settings.dashboard_url
        http = httpx2.AsyncClient(transport=httpx2.ASGITransport(self.application.app), base_url=url)
        if role is None:
            return TeamBrowser(http, organization_id)
        member_id = await self.member(role, organization_id)
        await self.sign_in(http, member_id)
        return TeamBrowser(http, organization_id, member_id)

    async def member(self, role: Role, organization_id: str | None = None) -> str:
        """Insert a member, and return the id."""
        member_id, now = new_id(), self.application.clock()
        membership = {"organization_id": organization_id or self.organization_id, "role": role, "created_at": now}
        async with self.application.installation.database.write() as tx:
            email = f"{role}-{member_id[-6:]}@example.com"
            await tx.execute(insert(members), id=member_id, email=email, name=None, created_at=now)
            await tx.execute(insert(memberships), member_id=member_id, **membership)
        return member_id

    async def sign_in(self, http: httpx2.AsyncClient, member_id: str) -> None:
        """Give a browser a session of the member."""
        async with self.application.installation.database.write() as tx:
            _, token = await dashboard_sessions.create(
                tx, member_id, "link", self.application.clock(), address="127.0.0.1", user_agent="Test"
            )
        http.cookies.set("or_session", token.secret, domain="127.0.0.1", path="/")


def text_of(response: httpx2.Response) -> str:
    """Return the text of a page, with single spaces."""
    return " ".join(unescape(_TAG.sub(" ", response.text.replace("<wbr>", ""))).split())


@pytest_asyncio.fixture
async def team(database_url: str, acme: RunningAcme, with_worker: bool) -> AsyncIterator[Team]:
    """The application with the dashboard, and an organization."""
    settings = settings_for(database_url, acme, dashboard_listen="127.0.0.1:8003")
    async with started(settings, acme, worker=with_worker) as application:
        organization_id = await application.organization()
        yield Team(application, organization_id, application.client(await application.key(organization_id)))


@pytest.fixture
def other_name() -> str:
    """Name of another organization, which no page of the first may show."""
    return "Southwind Traders"
