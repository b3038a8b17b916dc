"""One Runtime with an OpenID provider, for tests of the sign-in."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from one_runtime.context import Installation
from one_runtime.team import dashboard_sessions, invitations
from one_runtime.team.dashboard_sessions import Visitor
from one_runtime.team.sign_in import openid
from one_runtime.team.sign_in.openid_admission import admit
from one_runtime.team.sign_in.openid_provider import OpenIDClient
from one_runtime.tenancy.events import Actor, EventFilter, list_newest
from one_runtime.tenancy.roles import Role
from tests.application import Application
from tests.openid_provider import FakeProvider

ADA = "ada@acme.example"


@dataclass
class Dashboard:
    """One Runtime with a provider. `organization`: the only organization at the start."""

    application: Application
    provider: FakeProvider
    installation: Installation
    client: OpenIDClient
    organization: str

    def configure(self, **settings: Any) -> None:
        """Change settings, as a new start of the server does."""
        changed = self.installation.settings.model_copy(update={f"oidc_{k}": v for k, v in settings.items()})
        self.installation = replace(self.installation, settings=changed)
        self.client = OpenIDClient(self.installation)

    async def begin(self, *, again: bool = False) -> openid.BegunSignIn:
        return await openid.begin(self.installation, self.client, "192.0.2.7", again=again)

    async def finish(self, cookie: str, query: bytes) -> Visitor:
        account, now = await openid.finish(self.installation, self.client, query, cookie), self.application.clock()
        async with self.installation.database.write() as tx:
            member = await admit(tx, self.installation.settings, account, now, "192.0.2.7")
            _, token = await dashboard_sessions.create(tx, member.id, "oidc", now, address=None, user_agent=None)
        async with self.installation.database.read() as tx:
            visitor = await dashboard_sessions.find_visitor(tx, token.secret, self.organization, now)
        assert visitor is not None
        return visitor

    async def sign_in(self, **callback: str) -> Visitor:
        """Sign in with one browser. `callback`: changes of the callback's query."""
        begun = await self.begin()
        return await self.finish(begun.cookie, self.provider.authorize(begun.url, **callback))

    async def invite(self, email: str = ADA, role: Role = "developer", organization: str | None = None) -> str:
        async with self.installation.database.write() as tx:
            actor = Actor(organization or self.organization, "system")
            _, token = await invitations.create(tx, actor, email, role, self.application.clock())
        return token.secret

    async def join(self, email: str = ADA, role: Role = "developer") -> str:
        """Let a person join by an invitation link. Return the id of the member."""
        token = await self.invite(email, role)
        async with self.installation.database.write() as tx:
            return (await invitations.accept(tx, token, self.application.clock())).member_id

    async def rows(self, statement: Any) -> list[Any]:
        async with self.installation.database.read() as tx:
            return list(await tx.all(statement))

    async def events(self) -> list[tuple[str, str, Mapping[str, object]]]:
        async with self.installation.database.read() as tx:
            found, _ = await list_newest(tx, self.organization, EventFilter(), limit=20, before=None)
        return [(event.type, event.actor_type, event.data) for event in reversed(found)]
