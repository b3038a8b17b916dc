"""Decide which member an account at the OpenID provider is, and let new people join. docs/openid.md has the rules."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

from one_runtime.db.engine import Transaction
from one_runtime.errors import Conflict, InvalidInput, NotFound, OneRuntimeError
from one_runtime.oauth.openid import OpenIDAccount
from one_runtime.settings import Settings
from one_runtime.team import dashboard_sessions, identities, invitations, members
from one_runtime.team.invitations import Invitation
from one_runtime.team.members import Member
from one_runtime.telemetry.logger import Logger
from one_runtime.tenancy import organizations
from one_runtime.tenancy.events import Actor
from one_runtime.tenancy.organizations import Organization
from one_runtime.tenancy.roles import ROLES, Role, find_role

_DEFAULT_ROLE: Final[Role] = "support"
_ASK: Final = "Ask an owner or an admin of your organization to invite you."

log = Logger()


class MemberRefused(OneRuntimeError):
    """The person has an account at the OpenID provider, but may not sign in to the dashboard."""

    code, status, title = "member_refused", 403, "You cannot sign in with this account"
    documentation = (
        (
            "In the dashboard: the account at the [OpenID provider](openid.md#who-can-sign-in) is valid, but belongs "
            "to no member who can sign in."
        ),
        "`detail` says what to do. The API never returns this error.",
    )


async def admit(
    tx: Transaction, settings: Settings, account: OpenIDAccount, now: datetime, address: str | None
) -> Member:
    """Return the member of an account. Link a new account to a member, or let the person join.

    If the function raises an error, the caller rolls back the transaction. `address`: the IP address of the request.

    Raises: MemberRefused.
    """
    email = _email(account)
    invited = await invitations.find_open(tx, email, now) if email is not None else []
    organization = await _lock_organizations(tx, settings, account, email, invited)
    member, is_new = await identities.find_member(tx, account.issuer, account.subject), False
    if member is None:
        member, is_new = await _link(tx, account, now, address)
    if not await dashboard_sessions.workplaces(tx, member.id) and member.email == email:
        await invitations.accept_all(tx, member, invited, now, address=address)
    if organization is not None:
        may_join = is_new and _has_allowed_domain(settings, email)
        if may_join and not await dashboard_sessions.workplaces(tx, member.id):
            actor = Actor(organization.id, "member", member.id, address)
            await members.join(tx, actor, member, _role_of_new_member(settings, account), now)
        await _apply_groups(tx, settings, account, member, organization, now)
    if not await dashboard_sessions.workplaces(tx, member.id):
        raise MemberRefused(f"{member.email} is not a member of an organization. {_ASK}")
    return member


async def _link(tx: Transaction, account: OpenIDAccount, now: datetime, address: str | None) -> tuple[Member, bool]:
    """Give a new account to the member with the e-mail address. Return the member, and True if the member is new.

    Raises: MemberRefused.
    """
    email = _email(account)
    if email is None:
        raise MemberRefused(
            "The OpenID provider has not verified your e-mail address. Ask the administrator of the provider, or sign "
            "in with another method."
        )
    member, is_new = await members.ensure(tx, email, now)
    if await identities.is_linked(tx, member.id, account.issuer):
        if await identities.find_member(tx, account.issuer, account.subject) == member:
            return member, False  # a concurrent sign-in has just linked the account
        raise _another_account(member)
    if not is_new:
        # Another person can have registered a passkey for this address (docs/decisions/0049-invitations.md).
        await members.reset_sign_in(tx, member, address, now)
    if not await identities.link(tx, member.id, account.issuer, account.subject, now):
        raise _another_account(member)
    return member, is_new


def _role_of_new_member(settings: Settings, account: OpenIDAccount) -> Role:
    """Return the role of a person who joins. Raises: MemberRefused."""
    role = _role_of(settings, account) if settings.oidc_roles else _DEFAULT_ROLE
    if role is None:
        raise MemberRefused(f"None of your groups at the OpenID provider has a role in One Runtime. {_ASK}")
    return role


async def _apply_groups(
    tx: Transaction,
    settings: Settings,
    account: OpenIDAccount,
    member: Member,
    organization: Organization,
    now: datetime,
) -> None:
    """Give the member the role of the groups in the organization. The last owner of the organization stays an owner."""
    role = _role_of(settings, account)
    if role is None:
        return
    if await find_role(tx, organization.id, member.id) not in {None, role}:
        with suppress(Conflict):
            await members.change_role(tx, Actor(organization.id, "system"), member.id, role, now)


async def _lock_organizations(
    tx: Transaction, settings: Settings, account: OpenIDAccount, email: str | None, invited: Sequence[Invitation]
) -> Organization | None:
    """Lock all organizations that the sign-in can change. Return the organization that people can join, or None.

    Transactions lock organizations in the order of their ids, and then members. With another order, a sign-in and
    another sign-in, an invitation link or the removal of the member could deadlock on PostgreSQL.
    """
    joined = None
    if _has_allowed_domain(settings, email) or _role_of(settings, account) is not None:
        only = None if settings.oidc_organization else await organizations.find_only(tx)
        joined = only.id if only is not None else settings.oidc_organization
    locked: dict[str, Organization] = {}
    for organization_id in sorted({each.organization_id for each in invited} | ({joined} if joined else set())):
        with suppress(NotFound):
            locked[organization_id] = await organizations.get(tx, organization_id, lock=True)
    if joined is not None and joined not in locked:
        log.warning("openid_organization_missing", organization_id=joined)
    return locked.get(joined or "")


def _has_allowed_domain(settings: Settings, email: str | None) -> bool:
    return (email or "").rpartition("@")[2] in settings.oidc_allowed_domains


def _another_account(member: Member) -> MemberRefused:
    return MemberRefused(
        f"{member.email} signs in with another account at the OpenID provider. Ask an owner of your organization."
    )


def _role_of(settings: Settings, account: OpenIDAccount) -> Role | None:
    """Return the highest role of the account's groups, or None."""
    roles = [role for group, role in settings.oidc_roles if group in account.groups]
    return max(roles, key=ROLES.index, default=None)


def _email(account: OpenIDAccount) -> str | None:
    """Return the verified e-mail address in the form that members have, or None."""
    with suppress(InvalidInput):
        return members.clean_email(account.verified_email or "")
    return None
