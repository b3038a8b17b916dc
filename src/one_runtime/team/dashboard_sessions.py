"""Create, find and end the sessions of members in the dashboard.

The database stores only the hash of a session's token (promise P2 of docs/security.md). Each request reads the session
and the member's role from the database. So a removed member has no access from the next request on, in every process
(promise P14).
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from sqlalchemy import ColumnElement, Table, and_, bindparam, delete, exists, insert, or_, select, update

from one_runtime.db.engine import Row, Transaction
from one_runtime.db.ids import is_id, new_id
from one_runtime.db.schema import (
    dashboard_sessions,
    identities,
    members,
    memberships,
    organizations,
    passkeys,
    passwords,
    totp_secrets,
)
from one_runtime.encryption import secret_tokens
from one_runtime.errors import NotFound
from one_runtime.jobs.queue import batched_delete, run_in_batches
from one_runtime.tenancy.roles import Permission, Role, permits

if TYPE_CHECKING:  # commands import this module, and need none of the modules that `context` imports
    from one_runtime.context import Installation

SignInMethod: TypeAlias = Literal["link", "passkey", "password", "oidc"]

LIFETIME: Final = timedelta(days=7)
"""Maximum duration of a session."""

IDLE: Final = timedelta(hours=12)
"""A session ends after this time without a request."""

RECENT: Final = timedelta(minutes=10)
"""Time after an authentication in which a member can do actions that need a recent authentication."""

_SEEN_PRECISION: Final = timedelta(minutes=5)
_MAX_USER_AGENT: Final = 300
_NO_ORGANIZATION: Final = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class DashboardSession:
    """A session of a member. `method`: how the member signed in. `user_agent`: the browser's header, or None."""

    id: str
    member_id: str
    method: SignInMethod
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    authenticated_at: datetime
    address: str | None
    user_agent: str | None


@dataclass(frozen=True, slots=True)
class Visitor:
    """The signed-in member of a request. `role`, `organization_name`: None if the member has no role there.

    `can_sign_in`: False if the member has no complete sign-in method, and so cannot sign in again.
    `has_other_organizations`: True if the member has a role in an organization other than the requested organization.
    """

    session_id: str
    member_id: str
    email: str
    name: str | None
    seen_at: datetime
    authenticated_at: datetime
    can_sign_in: bool
    role: Role | None
    organization_name: str | None
    has_other_organizations: bool

    def may(self, permission: Permission) -> bool:
        """Return True if the member's role in the organization has the permission."""
        return self.role is not None and permits(self.role, permission)

    def has_authenticated_recently(self, now: datetime) -> bool:
        """Return True if the member has authenticated in the last minutes (`RECENT`)."""
        return now - self.authenticated_at < RECENT


class Workplace(NamedTuple):
    """An organization of a member, and the member's role in this organization."""

    organization_id: str
    organization_name: str
    role: Role


_COLUMNS: Final = tuple(dashboard_sessions.c[name] for name in DashboardSession.__dataclass_fields__)
_INSERT = insert(dashboard_sessions)
_MINE = dashboard_sessions.c.member_id == bindparam("member")
_IS_ALIVE = and_(dashboard_sessions.c.expires_at > bindparam("now"), dashboard_sessions.c.seen_at > bindparam("idle"))
_PRESENT = organizations.c.display_name != ""  # the deletion of an organization empties its row first


def _has(table: Table) -> ColumnElement[bool]:
    """Return the condition that the member has a row in the table."""
    return exists().where(table.c.member_id == members.c.id)


_others, _other_organizations = memberships.alias(), organizations.alias()
_HAS_OTHER_ORGANIZATIONS = exists().where(
    _others.c.member_id == members.c.id,
    _others.c.organization_id != bindparam("organization"),
    _other_organizations.c.id == _others.c.organization_id,
    _other_organizations.c.display_name != "",
)
_VISITOR = (
    select(
        dashboard_sessions.c.id,
        members.c.id,
        members.c.email,
        members.c.name,
        dashboard_sessions.c.seen_at,
        dashboard_sessions.c.authenticated_at,
        or_(_has(passkeys), _has(identities), and_(_has(passwords), _has(totp_secrets))),
        memberships.c.role,
        organizations.c.display_name,
        _HAS_OTHER_ORGANIZATIONS,
    )
    .select_from(dashboard_sessions)
    .join(members, members.c.id == dashboard_sessions.c.member_id)
    .outerjoin(
        memberships,
        and_(memberships.c.organization_id == bindparam("organization"), memberships.c.member_id == members.c.id),
    )
    .outerjoin(organizations, and_(organizations.c.id == memberships.c.organization_id, _PRESENT))
    .where(_IS_ALIVE)
)
_FIND = _VISITOR.where(dashboard_sessions.c.token_hash == bindparam("token_hash"))
_WORKPLACES = (
    select(organizations.c.id, organizations.c.display_name, memberships.c.role)
    .join(memberships, memberships.c.organization_id == organizations.c.id)
    .where(memberships.c.member_id == bindparam("member"), _PRESENT)
    .order_by(organizations.c.display_name, organizations.c.id)
)
_LIST = select(*_COLUMNS).where(_MINE, _IS_ALIVE).order_by(dashboard_sessions.c.seen_at.desc())
_IS_ONE = dashboard_sessions.c.id == bindparam("session")
_FIND_AGAIN = _VISITOR.where(_IS_ONE)
_TOUCH = (
    update(dashboard_sessions)
    .where(_IS_ONE, dashboard_sessions.c.seen_at <= bindparam("before"))
    .values(seen_at=bindparam("now"))
)
_NOTE_AUTHENTICATION = update(dashboard_sessions).where(_IS_ONE).values(authenticated_at=bindparam("now"))
_RENEW = _NOTE_AUTHENTICATION.values(token_hash=bindparam("new_hash"))
_LOCK = select(dashboard_sessions.c.id).where(_MINE, _IS_ONE).with_for_update()
_END = delete(dashboard_sessions).where(_MINE, _IS_ONE)
_END_ALL = delete(dashboard_sessions).where(_MINE)
_END_OTHERS = _END_ALL.where(dashboard_sessions.c.id != bindparam("session"))
_PURGE = batched_delete(dashboard_sessions, dashboard_sessions.c.expires_at < bindparam("now"))


async def create(
    tx: Transaction,
    member_id: str,
    method: SignInMethod,
    now: datetime,
    *,
    address: str | None,
    user_agent: str | None,
) -> tuple[DashboardSession, secret_tokens.SecretToken]:
    """Create a session after a sign-in. Return the session, and the secret token for the browser's cookie."""
    token = secret_tokens.make(secret_tokens.DASHBOARD_SESSION)
    shown = user_agent[:_MAX_USER_AGENT] if user_agent else None
    session = DashboardSession(new_id(), member_id, method, now, now, now + LIFETIME, now, address, shown)
    values = {name: getattr(session, name) for name in DashboardSession.__dataclass_fields__}
    await tx.execute(_INSERT, **values, token_hash=token.hash)
    return session, token


async def find_visitor(tx: Transaction, token: str, organization_id: str | None, now: datetime) -> Visitor | None:
    """Return the member who has the session token, with the role in the organization. Return None without a session.

    `organization_id`: an id from a URL, or None for pages without an organization.
    """
    if not secret_tokens.recognize(secret_tokens.DASHBOARD_SESSION, token):
        return None
    organization = organization_id if organization_id and is_id(organization_id) else _NO_ORGANIZATION
    row = await tx.one(
        _FIND, token_hash=secret_tokens.digest(token), organization=organization, now=now, idle=now - IDLE
    )
    return None if row is None else _visitor(row)


async def has_permission(
    tx: Transaction, session_id: str, organization_id: str, permission: Permission, now: datetime
) -> bool:
    """Return True if the session is still alive, and its member still has the permission in the organization."""
    row = await tx.one(_FIND_AGAIN, session=session_id, organization=organization_id, now=now, idle=now - IDLE)
    return row is not None and _visitor(row).may(permission)


def _visitor(row: Row) -> Visitor:
    visitor = Visitor(*row)
    # Without a name, the organization is being deleted.
    return visitor if visitor.organization_name else replace(visitor, role=None, organization_name=None)


def is_due(visitor: Visitor, now: datetime) -> bool:
    """Return True if `touch` has to write. So most requests write nothing."""
    return now - visitor.seen_at >= _SEEN_PRECISION


async def touch(tx: Transaction, session_id: str, now: datetime) -> None:
    """Note that the session is in use."""
    await tx.execute(_TOUCH, session=session_id, before=now - _SEEN_PRECISION, now=now)


async def note_authentication(tx: Transaction, session_id: str, now: datetime) -> None:
    """Note when the member has authenticated."""
    await tx.execute(_NOTE_AUTHENTICATION, session=session_id, now=now)


async def renew(tx: Transaction, session_id: str, now: datetime) -> secret_tokens.SecretToken:
    """Note that the member has authenticated again. Return a new token for the browser's cookie.

    The previous token stops working. Otherwise, a person who has copied the cookie could do sensitive actions too.
    """
    token = secret_tokens.make(secret_tokens.DASHBOARD_SESSION)
    await tx.execute(_RENEW, session=session_id, now=now, new_hash=token.hash)
    return token


async def workplaces(tx: Transaction, member_id: str) -> list[Workplace]:
    """Return the organizations of a member, ordered by name."""
    return [Workplace(*row) for row in await tx.all(_WORKPLACES, member=member_id)]


async def list_all(tx: Transaction, member_id: str, now: datetime) -> list[DashboardSession]:
    """Return the sessions of a member. The session with the newest request is first."""
    return await tx.all(_LIST, DashboardSession, member=member_id, now=now, idle=now - IDLE)


async def lock(tx: Transaction, member_id: str, session_id: str) -> None:
    """Lock a session of a member until the transaction ends. Raises: NotFound if the session has ended.

    A transaction that ends all sessions of the member waits for the lock. So a request of an ended session cannot store
    a new password.
    """
    if await tx.one(_LOCK, member=member_id, session=session_id) is None:
        raise NotFound("Your session has ended. Sign in again.")


async def end(tx: Transaction, member_id: str, session_id: str) -> None:
    """End a session of a member. Raises: NotFound."""
    if not is_id(session_id) or not await tx.execute(_END, member=member_id, session=session_id):
        raise NotFound("This session has already ended.")


async def end_all(tx: Transaction, member_id: str, *, except_session: str | None = None) -> int:
    """End all sessions of a member, or all but one. Return their number."""
    if except_session is None:
        return await tx.execute(_END_ALL, member=member_id)
    return await tx.execute(_END_OTHERS, member=member_id, session=except_session)


async def purge(installation: "Installation") -> int:
    """Delete sessions that have reached their maximum duration. Return their number."""
    return await run_in_batches(installation.database, _PURGE, now=installation.clock())
