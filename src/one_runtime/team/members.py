"""Store members, the people of the organizations' teams, and their roles in organizations.

A member belongs to the installation. A membership gives a member a role in one organization. Each transaction that
changes memberships locks the organization first. Otherwise, two owners could remove each other at the same time, and
the organization would have no owner.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal, NamedTuple, TypeAlias

from sqlalchemy import bindparam, delete, exists, or_, select, update

from one_runtime.db.engine import Transaction
from one_runtime.db.ids import is_id, new_id
from one_runtime.db.schema import (
    identities,
    invitations,
    members,
    memberships,
    metadata,
    passkeys,
    passwords,
    sign_in_steps,
)
from one_runtime.db.upsert import insert
from one_runtime.errors import Conflict, InsufficientRole, InvalidInput, NotFound
from one_runtime.team import dashboard_sessions
from one_runtime.tenancy import organizations
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject, record
from one_runtime.tenancy.roles import ROLES, Role, find_role, permits
from one_runtime.validation.names import name_problem, text_problem

OwnChange: TypeAlias = Literal["name", "password", "authenticator_app", "passkeys"]
"""The part of the account that a member has changed, for the event `member.updated`."""

MAX_NAME: Final = 100
MAX_EMAIL: Final = 254
"""Maximum length of an e-mail address (RFC 5321 section 4.5.3.1.3, without the angle brackets)."""

# The pattern of HTML's `<input type=email>`. It has only ASCII, so the lower case of two addresses is the same only if
# the addresses differ only in case. The Kelvin sign (U+212A), for example, has the lower case `k`.
_LABEL: Final = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL: Final = re.compile(rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{_LABEL}(?:\.{_LABEL})*")


@dataclass(frozen=True, slots=True)
class Member:
    """A person who can sign in to the dashboard. `email`: in lower case."""

    id: str
    email: str
    name: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Membership:
    """The role of a member in an organization. `created_at`: the time when the member joined the organization."""

    organization_id: str
    member_id: str
    email: str
    name: str | None
    role: Role
    created_at: datetime


class AccountState(NamedTuple):
    """The member who has an e-mail address. `role`: in one organization. None: the member has no role there.

    `has_other_role`: True if the member has a role in another organization. `has_method`: True if the member has a
    sign-in method.
    """

    member_id: str
    role: Role | None
    has_other_role: bool
    has_method: bool


_INSERT = insert(members).on_conflict_do_nothing(index_elements=[members.c.email])
_MEMBER = select(*(members.c[name] for name in Member.__dataclass_fields__))
_BY_ID = _MEMBER.where(members.c.id == bindparam("member"))
_BY_EMAIL = _MEMBER.where(members.c.email == bindparam("email"))
# FOR NO KEY UPDATE: other transactions can still insert rows that refer to the member.
_RENAME = update(members).where(members.c.id == bindparam("member")).values(name=bindparam("new_name"))
_LOCK = select(members.c.id).where(members.c.id == bindparam("member")).with_for_update(key_share=True)

_OF_ORGANIZATION = memberships.c.organization_id == bindparam("organization")
_IS_ONE = memberships.c.member_id == bindparam("member")
_JOINED = select(
    memberships.c.organization_id,
    memberships.c.member_id,
    members.c.email,
    members.c.name,
    memberships.c.role,
    memberships.c.created_at,
).join(members, members.c.id == memberships.c.member_id)
_LIST = _JOINED.where(_OF_ORGANIZATION).order_by(members.c.email)
_OF_MEMBER = _JOINED.where(_IS_ONE)
_ONE = _LIST.where(_IS_ONE)
_ACCOUNT = select(
    members.c.id,
    select(memberships.c.role).where(_OF_ORGANIZATION, memberships.c.member_id == members.c.id).scalar_subquery(),
    exists().where(memberships.c.member_id == members.c.id, memberships.c.organization_id != bindparam("organization")),
    or_(*(exists().where(method.c.member_id == members.c.id) for method in (passkeys, passwords, identities))),
).where(members.c.email == bindparam("email"))
_OTHER_OWNER = select(memberships.c.member_id).where(
    _OF_ORGANIZATION, memberships.c.role == "owner", memberships.c.member_id != bindparam("member")
)
_ANY = select(memberships.c.organization_id).where(_IS_ONE).limit(1)
_INSERT_MEMBERSHIP = insert(memberships)
_SET_ROLE = update(memberships).where(_OF_ORGANIZATION, _IS_ONE).values(role=bindparam("new_role"))
_DELETE = delete(memberships).where(_OF_ORGANIZATION, _IS_ONE)
_WITHDRAW = delete(invitations).where(
    invitations.c.organization_id == bindparam("organization"),
    invitations.c.invited_by == bindparam("member"),
    invitations.c.role == bindparam("invited_role"),
    invitations.c.used_at.is_(None),
)

# Begun sign-ins are first. Otherwise, the registration of a passkey that ends between two statements would survive.
_SIGN_IN_TABLES: Final = (
    sign_in_steps,
    *(
        table
        for table in metadata.sorted_tables
        if table not in (memberships, sign_in_steps) and any(key.column is members.c.id for key in table.foreign_keys)
    ),
)
"""The tables with begun sign-ins, sign-in methods and sessions of members."""

_RESET: Final = tuple(delete(table).where(table.c.member_id == bindparam("member")) for table in _SIGN_IN_TABLES)


def clean_email(text: str) -> str:
    """Remove spaces around an e-mail address, validate the address, and return it in lower case.

    Raises: InvalidInput.
    """
    email = text.strip()
    if len(email) > MAX_EMAIL or not _EMAIL.fullmatch(email):
        raise InvalidInput.of("email", "must be an e-mail address such as ada@example.com, in ASCII characters")
    return email.lower()


def may_manage(manager: Role, role: Role) -> bool:
    """Return True if a member with the role `manager` may give, change and take away `role` in the organization."""
    return permits(manager, "own" if role == "owner" else "admin")


async def require_may_manage(tx: Transaction, actor: Actor, *roles: Role) -> None:
    """Check that the actor may manage these roles in the actor's organization. The operator may manage all roles.

    Call this function after the transaction has locked the organization. Otherwise, another transaction could change
    the actor's role at the same time.

    Raises: InsufficientRole.
    """
    if actor.type == "system":
        return
    present = await find_role(tx, actor.organization_id, actor.id) if actor.type == "member" and actor.id else None
    if present is None or not all(may_manage(present, role) for role in roles):
        raise InsufficientRole(
            "Only admins and owners can change the members of an organization. Only owners can invite, change and "
            "remove owners. Ask an owner of your organization."
        )


async def find_account(tx: Transaction, organization_id: str, email: str) -> AccountState | None:
    """Return the member who has an e-mail address (in lower case), with the role in an organization, or None."""
    row = await tx.one(_ACCOUNT, organization=organization_id, email=email)
    return None if row is None else AccountState(row[0], row[1], bool(row[2]), bool(row[3]))


async def find(tx: Transaction, member_id: str) -> Member | None:
    """Return a member, or None."""
    return await tx.one(_BY_ID, Member, member=member_id)


async def find_by_email(tx: Transaction, email: str) -> Member | None:
    """Return the member with an e-mail address, or None. `email`: in lower case."""
    return await tx.one(_BY_EMAIL, Member, email=email)


async def ensure(tx: Transaction, email: str, now: datetime) -> tuple[Member, bool]:
    """Return the member with an e-mail address (in lower case), and True if the function has created the member."""
    is_new = await tx.execute(_INSERT, id=new_id(), email=email, name=None, created_at=now) > 0
    member = await find_by_email(tx, email)
    assert member is not None  # noqa: S101 - no function deletes members
    return member, is_new


async def rename(tx: Transaction, member_id: str, name: str, now: datetime, address: str | None) -> None:
    """Change the name of a member, as the member wants. An empty name deletes the name. Raises: InvalidInput."""
    cleaned = name.strip()
    if len(cleaned) > MAX_NAME:
        raise InvalidInput.of("name", f"must be at most {MAX_NAME} characters")
    problem = (text_problem(cleaned) or name_problem(cleaned)) if cleaned else None
    if problem:
        raise InvalidInput.of("name", problem)
    await tx.execute(_RENAME, member=member_id, new_name=cleaned or None)
    await record_own_change(tx, member_id, "name", now, address)


async def record_own_change(
    tx: Transaction, member_id: str, changed: OwnChange, now: datetime, address: str | None
) -> None:
    """Write the event `member.updated` in each organization of a member who has changed the own account."""
    for membership in await tx.all(_OF_MEMBER, Membership, member=member_id):
        actor = Actor(membership.organization_id, "member", member_id, address)
        await _record(tx, actor, EventType.MEMBER_UPDATED, membership, now, changed=[changed])


async def list_all(tx: Transaction, organization_id: str) -> list[Membership]:
    """Return the members of an organization, ordered by e-mail address."""
    return await tx.all(_LIST, Membership, organization=organization_id)


async def list_page(tx: Transaction, organization_id: str, *, limit: int, after: str | None = None) -> list[Membership]:
    """Return at most `limit` members of an organization, ordered by e-mail address. Begin after the address `after`."""
    statement = _LIST if after is None else _LIST.where(members.c.email > after)
    return await tx.all(statement.limit(limit), Membership, organization=organization_id)


async def get(tx: Transaction, organization_id: str, member_id: str) -> Membership:
    """Return the membership of a member. Raises: NotFound."""
    key = {"organization": organization_id, "member": member_id}
    membership = await tx.one(_ONE, Membership, **key) if is_id(member_id) else None
    if membership is None:
        raise NotFound("The organization does not have this member. Another member can have removed the member.")
    return membership


async def get_by_email(tx: Transaction, text: str) -> Member:
    """Return the member with an e-mail address, in any case. Raises: InvalidInput; NotFound."""
    email = clean_email(text)
    member = await find_by_email(tx, email)
    if member is None:
        raise NotFound(f"There is no member with the e-mail address {email}. `one-runtime members list` shows members.")
    return member


async def join(tx: Transaction, actor: Actor, member: Member, role: Role, now: datetime) -> Membership:
    """Give a member a role in the actor's organization. If the member has a higher role already, change nothing.

    The caller has locked the organization, and has checked the right to give this role.
    """
    key = {"organization": actor.organization_id, "member": member.id}
    present = await tx.one(_ONE, Membership, **key)
    if present is None:
        joined = Membership(actor.organization_id, member.id, member.email, member.name, role, now)
        ids = {"organization_id": joined.organization_id, "member_id": joined.member_id}
        await tx.execute(_INSERT_MEMBERSHIP, **ids, role=role, created_at=now)
        await _record(tx, actor, EventType.MEMBER_JOINED, joined, now)
        return joined
    if ROLES.index(role) <= ROLES.index(present.role):
        return present
    return await _set_role(tx, actor, present, role, now)


async def change_role(tx: Transaction, actor: Actor, member_id: str, role: Role, now: datetime) -> Membership:
    """Change the role of a member of the actor's organization. Write the event `member.updated` if the role changes.

    Also withdraw the open invitations of the member to roles that the member may not give any more.

    Raises: NotFound; InsufficientRole; Conflict if the member is the last owner.
    """
    await organizations.get(tx, actor.organization_id, lock=True)
    present = await get(tx, actor.organization_id, member_id)
    await require_may_manage(tx, actor, present.role, role)
    if present.role == role:
        return present
    await _require_other_owner(tx, present)
    await _withdraw(tx, present, [invited for invited in ROLES if not may_manage(role, invited)])
    return await _set_role(tx, actor, present, role, now)


async def remove(tx: Transaction, actor: Actor, member_id: str, now: datetime) -> Membership:
    """Remove a member from the actor's organization. Return the membership that the member had.

    The dashboard reads the role at each request. So the member has no access to the organization from the next request
    on (promise P14 of docs/security.md). If this was the member's last organization, also end all sessions of the
    member. Also withdraw the open invitations of the member.

    Raises: NotFound; InsufficientRole; Conflict if the member is the last owner.
    """
    await organizations.get(tx, actor.organization_id, lock=True)
    present = await get(tx, actor.organization_id, member_id)
    await require_may_manage(tx, actor, present.role)
    await _require_other_owner(tx, present)
    await _withdraw(tx, present, ROLES)
    # Without this lock, two organizations that remove the member at the same time would both leave the sessions.
    await tx.one(_LOCK, member=member_id)
    await tx.execute(_DELETE, organization=actor.organization_id, member=member_id)
    if await tx.one(_ANY, member=member_id) is None:
        await dashboard_sessions.end_all(tx, member_id)
    await _record(tx, actor, EventType.MEMBER_REMOVED, present, now)
    return present


async def reset_sign_in(tx: Transaction, member: Member, address: str | None, now: datetime) -> None:
    """Delete all sign-in methods of a member, and end all sessions of the member.

    Write the event `member.updated` in each organization of the member. `address`: the IP address of the request.
    """
    for statement in _RESET:
        await tx.execute(statement, member=member.id)
    for workplace in await dashboard_sessions.workplaces(tx, member.id):
        membership = await get(tx, workplace.organization_id, member.id)
        actor = Actor(membership.organization_id, "member", member.id, address)
        await _record(tx, actor, EventType.MEMBER_UPDATED, membership, now, changed=["sign_in_methods"])


async def _set_role(tx: Transaction, actor: Actor, present: Membership, role: Role, now: datetime) -> Membership:
    key = {"organization": present.organization_id, "member": present.member_id}
    await tx.execute(_SET_ROLE, **key, new_role=role)
    changed = replace(present, role=role)
    await _record(tx, actor, EventType.MEMBER_UPDATED, changed, now, changed=["role"])
    return changed


async def _require_other_owner(tx: Transaction, present: Membership) -> None:
    """Check that the organization keeps an owner without this member. The transaction has locked the organization."""
    if present.role != "owner":
        return
    if await tx.one(_OTHER_OWNER, organization=present.organization_id, member=present.member_id) is None:
        raise Conflict(f"{present.email} is the only owner of the organization. Make another member an owner first.")


async def _withdraw(tx: Transaction, present: Membership, roles: Collection[Role]) -> None:
    """Delete the open invitations of a member to these roles. Otherwise, a removed member could use such a link."""
    for role in roles:
        key = {"organization": present.organization_id, "member": present.member_id}
        await tx.execute(_WITHDRAW, **key, invited_role=role)


async def _record(
    tx: Transaction, actor: Actor, kind: EventType, about: Membership, now: datetime, **more: object
) -> None:
    data = {"member_id": about.member_id, "email": about.email, "role": about.role, **more}
    await record(tx, actor, kind, now, Subject(data=data))
