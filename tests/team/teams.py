"""Members of organizations' teams, for tests."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import func, insert, select

from one_runtime.db.engine import Transaction
from one_runtime.db.ids import new_id
from one_runtime.db.schema import dashboard_sessions as sessions
from one_runtime.db.schema import passkeys
from one_runtime.team import dashboard_sessions, invitations, members
from one_runtime.team.invitations import Invitation
from one_runtime.team.members import Membership
from one_runtime.tenancy import events, organizations
from one_runtime.tenancy.events import Actor, EventFilter
from one_runtime.tenancy.roles import Role
from tests.application import Application

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Team:
    """The team of an organization. Each function uses a transaction of its own."""

    application: Application
    organization_id: str

    @property
    def operator(self) -> Actor:
        return Actor(self.organization_id, "system", "operator")

    def actor(self, member_id: str) -> Actor:
        return Actor(self.organization_id, "member", member_id, "192.0.2.7")

    async def write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        async with self.application.installation.database.write() as tx:
            return await work(tx)

    async def add(self, email: str, role: Role) -> str:
        """Add a member with this role. Return the member's id."""

        async def add(tx: Transaction) -> str:
            now = self.application.clock()
            member, _ = await members.ensure(tx, email, now)
            await organizations.get(tx, self.organization_id, lock=True)
            await members.join(tx, self.actor(member.id), member, role, now)
            return member.id

        return await self.write(add)

    async def remove(self, member_id: str, actor: Actor | None = None) -> Membership:
        return await self.write(
            lambda tx: members.remove(tx, actor or self.operator, member_id, self.application.clock())
        )

    async def change(self, member_id: str, role: Role, actor: Actor | None = None) -> Membership:
        return await self.write(
            lambda tx: members.change_role(tx, actor or self.operator, member_id, role, self.application.clock())
        )

    async def invite(self, email: str, role: Role, actor: Actor | None = None) -> tuple[Invitation, str]:
        """Return the invitation, and the secret token of its link."""

        async def invite(tx: Transaction) -> tuple[Invitation, str]:
            now = self.application.clock()
            invitation, token = await invitations.create(tx, actor or self.operator, email, role, now)
            return invitation, token.secret

        return await self.write(invite)

    async def link(self, email: str, role: Role, actor: Actor | None = None) -> str:
        return (await self.invite(email, role, actor))[1]

    async def accept(self, token: str, signed_in: str | None = None) -> Membership:
        return await self.write(
            lambda tx: invitations.accept(tx, token, self.application.clock(), signed_in=signed_in, address="192.0.2.7")
        )

    async def roles(self) -> dict[str, Role]:
        """Return the roles by e-mail address."""
        async with self.application.installation.database.read() as tx:
            return {member.email: member.role for member in await members.list_all(tx, self.organization_id)}

    async def open_invitations(self) -> list[Invitation]:
        async with self.application.installation.database.read() as tx:
            return await invitations.list_open(tx, self.organization_id, self.application.clock())

    async def recorded(self) -> list[tuple[str, str | None, dict[str, object]]]:
        """Return the type, the actor's id and the data of each event, oldest first."""
        async with self.application.installation.database.read() as tx:
            page, _ = await events.list_newest(tx, self.organization_id, EventFilter(), limit=99, before=None)
        return [(event.type, event.actor_id, dict(event.data)) for event in reversed(page)]


async def new_team(application: Application, name: str = "Northwind") -> Team:
    return Team(application, await application.organization(name))


async def sign_in(application: Application, member_id: str) -> str:
    """Create a session of a member. Return the token of the cookie."""
    async with application.installation.database.write() as tx:
        _, token = await dashboard_sessions.create(
            tx, member_id, "link", application.clock(), address=None, user_agent=None
        )
    return token.secret


async def add_passkey(application: Application, member_id: str) -> None:
    async with application.installation.database.write() as tx:
        await tx.execute(
            insert(passkeys),
            id=new_id(), member_id=member_id, credential_id=new_id().encode(), public_key=b"key", sign_count=0,
            transports=[], name="laptop", created_at=application.clock(), last_used_at=None,
        )  # fmt: skip


async def count_sign_ins(application: Application, member_id: str) -> tuple[int, int]:
    """Return the number of passkeys and of sessions of a member."""
    counts = []
    async with application.installation.database.read() as tx:
        for table in (passkeys, sessions):
            row = await tx.one(select(func.count().label("rows")).where(table.c.member_id == member_id))
            assert row is not None
            counts.append(row.rows)
    return counts[0], counts[1]
