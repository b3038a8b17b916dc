"""Invite people to the team of an organization. The link of an invitation works once, for 24 hours.

One Runtime sends no e-mail. A member or the operator copies the link, and gives it to the person. So the link does not
prove that a person owns the e-mail address: the maker of a link can also open the link. `_signs_in` decides for which
addresses a link is enough. docs/decisions/0049-invitations.md gives the reasons.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import bindparam, delete, insert, select, update

from one_runtime.clock import rfc3339
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import is_id, new_id
from one_runtime.db.schema import invitations
from one_runtime.db.schema import organizations as organizations_table
from one_runtime.encryption import secret_tokens
from one_runtime.errors import Conflict, NotFound
from one_runtime.jobs.queue import batched_delete, run_in_batches
from one_runtime.team import members
from one_runtime.team.members import AccountState, Member, Membership
from one_runtime.tenancy import organizations
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject, record
from one_runtime.tenancy.roles import ROLES, Role, find_role

if TYPE_CHECKING:  # commands import this module, and need none of the modules that `context` imports
    from one_runtime.context import Installation

LIFETIME: Final = timedelta(hours=24)
"""Time for which a link works."""

KEPT: Final = timedelta(days=7)
"""Time after the expiry for which the database keeps an invitation, so that the page of the link can explain it."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation of an e-mail address (in lower case).

    `invited_by`: the id of the member who made the link. None: the operator made the link.
    """

    id: str
    organization_id: str
    email: str
    role: Role
    invited_by: str | None
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class InvitationLink:
    """An invitation that a person can accept.

    - `member_id`: the member who has the e-mail address already, or None.
    - `present_role`: the role of this member in the organization, or None.
    - `signs_in`: True if the link signs the person in. If False, the person has to sign in as this member first.
    """

    invitation: Invitation
    organization_name: str
    member_id: str | None
    present_role: Role | None
    signs_in: bool

    @property
    def raises_role(self) -> bool:
        """Return True if a member of the organization gets a higher role. A link never lowers a role."""
        return self.present_role is not None and ROLES.index(self.invitation.role) > ROLES.index(self.present_role)

    @property
    def resets_sign_in(self) -> bool:
        """Return True if the link deletes the sign-in methods of a member who is not signed in in the browser."""
        return self.signs_in and self.member_id is not None


class _ReplacedRole(NamedTuple):
    role: Role


_COLUMNS: Final = tuple(invitations.c[name] for name in Invitation.__dataclass_fields__)
_UNUSED = invitations.c.used_at.is_(None)
_OF_ORGANIZATION = invitations.c.organization_id == bindparam("organization")
_IS_ONE = invitations.c.id == bindparam("invitation")
_INSERT = insert(invitations)
_REPLACE = (
    delete(invitations)
    .where(_OF_ORGANIZATION, invitations.c.email == bindparam("email"), _UNUSED)
    .returning(invitations.c.role)
)
_FIND = (
    select(*_COLUMNS, organizations_table.c.display_name)
    .join(organizations_table, organizations_table.c.id == invitations.c.organization_id)
    # The deletion of an organization empties the name first.
    .where(invitations.c.token_hash == bindparam("token_hash"), organizations_table.c.display_name != "")
)
_USE = update(invitations).where(_IS_ONE, _UNUSED).values(used_at=bindparam("now"))
_OPEN = select(*_COLUMNS).where(_OF_ORGANIZATION, _UNUSED, invitations.c.expires_at > bindparam("now"))
_OPEN_OF_EMAIL = (
    select(*_COLUMNS)
    .join(organizations_table, organizations_table.c.id == invitations.c.organization_id)
    .where(
        invitations.c.email == bindparam("email"),
        _UNUSED,
        invitations.c.expires_at > bindparam("now"),
        organizations_table.c.display_name != "",
    )
)
_LIST_OPEN = _OPEN.order_by(invitations.c.id.desc())
_ONE_OPEN = _OPEN.where(_IS_ONE)
_DELETE = delete(invitations).where(_OF_ORGANIZATION, _IS_ONE, _UNUSED)
_PURGE = batched_delete(invitations, invitations.c.expires_at < bindparam("before"))


def link_url(dashboard_url: str, token: secret_tokens.SecretToken) -> str:
    """Return the link of an invitation. The token is in the query, because logs of proxies omit queries."""
    return f"{dashboard_url}/invitation?token={token.secret}"


async def create(
    tx: Transaction, actor: Actor, email: str, role: Role, now: datetime
) -> tuple[Invitation, secret_tokens.SecretToken]:
    """Invite an e-mail address to the actor's organization. Return the invitation, and the secret token of the link.

    The invitation replaces an unused invitation of the same address.

    Raises: InvalidInput for an invalid address; NotFound; InsufficientRole.
    """
    address = members.clean_email(email)
    organization = await organizations.get(tx, actor.organization_id, lock=True)
    account = await members.find_account(tx, organization.id, address)
    replaced = await tx.all(_REPLACE, _ReplacedRole, organization=organization.id, email=address)
    present = (account.role,) if account is not None and account.role is not None else ()
    await members.require_may_manage(tx, actor, role, *present, *(row.role for row in replaced))
    token = secret_tokens.make(secret_tokens.INVITATION)
    invited_by = actor.id if actor.type == "member" else None
    invitation = Invitation(new_id(), organization.id, address, role, invited_by, now, now + LIFETIME, None)
    values = {column.name: getattr(invitation, column.name) for column in _COLUMNS}
    await tx.execute(_INSERT, **values, token_hash=token.hash)
    await _record(tx, actor, EventType.MEMBER_INVITED, invitation, now)
    return invitation, token


async def list_open(tx: Transaction, organization_id: str, now: datetime) -> list[Invitation]:
    """Return the invitations of an organization that a person can still accept, newest first."""
    return await tx.all(_LIST_OPEN, Invitation, organization=organization_id, now=now)


async def revoke(tx: Transaction, actor: Actor, invitation_id: str, now: datetime) -> Invitation:
    """Delete an open invitation of the actor's organization, so that the link no longer works.

    Raises: NotFound; InsufficientRole.
    """
    await organizations.get(tx, actor.organization_id, lock=True)
    key = {"organization": actor.organization_id, "invitation": invitation_id}
    invitation = await tx.one(_ONE_OPEN, Invitation, **key, now=now) if is_id(invitation_id) else None
    if invitation is None:
        raise NotFound("There is no such open invitation. The link was used, replaced or revoked, or has expired.")
    await members.require_may_manage(tx, actor, invitation.role)
    await tx.execute(_DELETE, **key)
    await _record(tx, actor, EventType.MEMBER_INVITATION_REVOKED, invitation, now)
    return invitation


async def find(tx: Transaction, token: str, now: datetime) -> InvitationLink:
    """Return the invitation of a link. Raises: NotFound for an unknown link; Conflict for a used or an expired link."""
    row = None
    if secret_tokens.recognize(secret_tokens.INVITATION, token):
        row = await tx.one(_FIND, token_hash=secret_tokens.digest(token))
    if row is None:
        raise NotFound("This invitation link does not work, or a newer link replaces it. Ask for a new link.")
    invitation, name = Invitation(*row[:-1]), row[-1]
    if invitation.used_at is not None:
        raise _used()
    if invitation.expires_at <= now:
        raise Conflict("This invitation link has expired, because it works for 24 hours. Ask for a new link.")
    account = await members.find_account(tx, invitation.organization_id, invitation.email)
    signs_in = await _signs_in(tx, invitation, account)
    member_id, present_role = (account.member_id, account.role) if account is not None else (None, None)
    return InvitationLink(invitation, name, member_id, present_role, signs_in)


async def accept(
    tx: Transaction,
    token: str,
    now: datetime,
    *,
    signed_in: str | None = None,
    address: str | None = None,
) -> Membership:
    """Use a link: create the member if necessary, and give the member the role. A link never lowers a role.

    If the link signs in a member who exists, and this member has not signed in, delete the sign-in methods and the
    sessions of the member. So a lost passkey no longer works. A passkey that another person registered for the address
    no longer works either.

    `signed_in`: the id of the member who has signed in in the browser, or None. `address`: the IP address of the
    request.

    Raises: NotFound, Conflict: as in `find`. Conflict if the person has to sign in first.
    """
    invitation = (await find(tx, token, now)).invitation
    await organizations.get(tx, invitation.organization_id, lock=True)
    if not await tx.execute(_USE, invitation=invitation.id, now=now):
        raise _used()
    member, is_new = await members.ensure(tx, invitation.email, now)
    resets_sign_in = not is_new and member.id != signed_in
    if resets_sign_in:
        account = await members.find_account(tx, invitation.organization_id, invitation.email)
        if not await _signs_in(tx, invitation, account):
            raise Conflict(f"Sign in as {member.email} first. Then open this link again.")
    actor = Actor(invitation.organization_id, "member", member.id, address)
    membership = await members.join(tx, actor, member, invitation.role, now)
    if resets_sign_in:
        await members.reset_sign_in(tx, member, address, now)
    return membership


async def find_open(tx: Transaction, email: str, now: datetime) -> list[Invitation]:
    """Return the open invitations of an e-mail address (in lower case), in all organizations."""
    return await tx.all(_OPEN_OF_EMAIL, Invitation, email=email, now=now)


async def accept_all(
    tx: Transaction, member: Member, found: Sequence[Invitation], now: datetime, *, address: str | None
) -> None:
    """Use open invitations of a member. The caller has verified that the e-mail address belongs to the member.

    The caller has locked the organizations of these invitations.
    """
    for invitation in found:
        if await tx.execute(_USE, invitation=invitation.id, now=now):
            actor = Actor(invitation.organization_id, "member", member.id, address)
            await members.join(tx, actor, member, invitation.role, now)


async def purge(installation: "Installation") -> int:
    """Delete the invitations that expired some days ago. Return the number of deleted invitations."""
    return await run_in_batches(installation.database, _PURGE, before=installation.clock() - KEPT)


async def _signs_in(tx: Transaction, invitation: Invitation, account: AccountState | None) -> bool:
    """Return True if the link is enough to sign in. `account`: the member who has the e-mail address, if any.

    A link of the operator is always enough. A link of a member is not enough if its maker could use it to act with
    rights that the maker cannot take away: those of an owner, or those in another organization. The link is also not
    enough for a member of the organization who has a sign-in method.

    An account without any role has no rights. So its sign-in methods do not count. Otherwise, a person who was a member
    once could keep the e-mail address of another person for ever.
    """
    if account is None or invitation.invited_by is None:
        return True
    if account.has_other_role or (account.role is not None and account.has_method):
        return False
    inviter = await find_role(tx, invitation.organization_id, invitation.invited_by)
    return inviter is not None and (account.role is None or members.may_manage(inviter, account.role))


def _used() -> Conflict:
    return Conflict("This invitation link was used already. Sign in, or ask for a new link.")


async def _record(tx: Transaction, actor: Actor, kind: EventType, invitation: Invitation, now: datetime) -> None:
    data = {"invitation_id": invitation.id, "email": invitation.email, "role": invitation.role}
    await record(tx, actor, kind, now, Subject(data={**data, "expires_at": rfc3339(invitation.expires_at)}))
