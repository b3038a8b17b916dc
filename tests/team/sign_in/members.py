"""A member with sign-in methods, and the browser with which the member signs in."""

import base64
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import insert, select

from one_runtime.context import Installation
from one_runtime.db.ids import new_id
from one_runtime.db.schema import members, memberships
from one_runtime.team import dashboard_sessions
from one_runtime.team.dashboard_sessions import Visitor
from one_runtime.team.sign_in import methods, passkey_sign_in, password_sign_in, totp
from one_runtime.team.sign_in.methods import AccountOwner
from one_runtime.team.sign_in.passkeys import NewPasskey, Passkey, RelyingParty
from one_runtime.team.sign_in.password_sign_in import SecondStep
from tests.application import Application
from tests.team.sign_in.authenticator import Authenticator

ORIGIN: Final = "https://dashboard.example.com"
PARTY: Final = RelyingParty("dashboard.example.com", ORIGIN)
PASSWORD: Final = "seven quiet herons"
ADDRESS: Final = "192.0.2.7"
WRONG_CODES: Final = ("000000", "", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "\ud800")


@dataclass
class SigningMember:
    """A member who is signed in. The methods of this class do what the pages of the dashboard do."""

    application: Application
    organization_id: str
    visitor: Visitor
    authenticator: Authenticator = field(default_factory=lambda: Authenticator(ORIGIN))
    secret: bytes = b""

    @property
    def id(self) -> str:
        return self.visitor.member_id

    @property
    def installation(self) -> Installation:
        return self.application.installation

    @property
    def session_id(self) -> str:
        return self.visitor.session_id

    @property
    def owner(self) -> AccountOwner:
        return AccountOwner(self.id, self.session_id, ADDRESS)

    async def set_password(self, password: str = PASSWORD) -> None:
        await methods.set_password(self.installation, self.owner, password)

    async def add_totp(self) -> None:
        """Set up the authenticator app. Its first code is of the previous period, so that the present code is free."""
        token = (await methods.begin_totp(self.installation, self.id)).secret
        set_up = await methods.find_totp_set_up(self.installation, self.id, token, "One Runtime")
        self.secret = base64.b32decode(set_up.key)
        await methods.add_totp(self.installation, self.owner, token, self.code(-1))

    async def add_passkey(self, name: str = "Laptop") -> Passkey:
        ceremony = await methods.begin_passkey(self.installation, PARTY, self.id)
        response = self.authenticator.create(ceremony.options)
        return await methods.add_passkey(
            self.installation, PARTY, self.owner, ceremony.token.secret, NewPasskey(response, name)
        )

    def code(self, periods: int = 0) -> str:
        """Return the code that the app shows, or the code of an earlier or later period."""
        return totp.code_of(self.secret, int(self.application.clock().timestamp()) // totp.PERIOD + periods)

    async def enter_password(self, password: str = PASSWORD, address: str = ADDRESS) -> SecondStep:
        return await password_sign_in.begin(self.installation, self.visitor.email, password, address)

    async def enter_code(self, step: SecondStep, code: str) -> str:
        return await password_sign_in.finish_with_code(self.installation, step.token.secret, code)

    async def use_passkey(self, **changes: Any) -> str:
        """Sign in with the newest passkey. `changes`: of the response (`Authenticator.get`)."""
        ceremony = await passkey_sign_in.begin(self.installation, PARTY, ADDRESS)
        response = self.authenticator.get(ceremony.options, **changes)
        return await passkey_sign_in.finish(self.installation, PARTY, ceremony.token.secret, response)

    async def other_session(self) -> str:
        """Create another session of the member. Return its id."""
        now = self.application.clock()
        async with self.installation.database.write() as tx:
            session, _ = await dashboard_sessions.create(tx, self.id, "passkey", now, address=None, user_agent=None)
        return session.id

    async def sessions(self) -> set[str]:
        async with self.installation.database.read() as tx:
            found = await dashboard_sessions.list_all(tx, self.id, self.application.clock())
        return {session.id for session in found}


async def new_member(application: Application, email: str = "ada@example.com", **values: Any) -> SigningMember:
    """Insert a member of a new organization, who has just signed in with the link of an invitation."""
    begin_period(application)
    organization_id, member_id, now = await application.organization(), new_id(), application.clock()
    async with application.installation.database.write() as tx:
        row = {"id": member_id, "email": email, "name": "Ada Lovelace", "created_at": now, **values}
        await tx.execute(insert(members), **row)
        membership = {"organization_id": organization_id, "member_id": member_id, "role": "owner", "created_at": now}
        await tx.execute(insert(memberships), **membership)
        _, token = await dashboard_sessions.create(tx, member_id, "link", now, address=ADDRESS, user_agent="Browser")
        visitor = await dashboard_sessions.find_visitor(tx, token.secret, organization_id, now)
    assert visitor is not None
    return SigningMember(application, organization_id, visitor)


def begin_period(application: Application) -> None:
    """Move the clock to the beginning of a period of codes, so that no code changes during the test."""
    application.clock.advance(seconds=totp.PERIOD - application.clock().timestamp() % totp.PERIOD)


async def count(application: Application, table: Any) -> int:
    async with application.installation.database.read() as tx:
        return len(await tx.all(select(table)))
