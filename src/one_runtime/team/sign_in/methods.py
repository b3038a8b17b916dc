"""Read, add and remove the sign-in methods of a member.

A password alone never signs in. A member can sign in with a passkey, with an account at an OpenID provider, or with a
password and the code of an authenticator app.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import bindparam, delete, func, select

from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import identities, members, memberships, organizations, passwords, totp_secrets
from one_runtime.db.schema import passkeys as passkeys_table
from one_runtime.db.upsert import insert
from one_runtime.encryption.secret_tokens import SecretToken
from one_runtime.errors import Conflict, NotFound
from one_runtime.team import dashboard_sessions
from one_runtime.team.members import OwnChange, record_own_change
from one_runtime.team.sign_in import attempts, passkeys, password_rules, steps, totp
from one_runtime.team.sign_in.passkey_sign_in import PasskeyCeremony
from one_runtime.team.sign_in.passkeys import NewPasskey, Passkey, PasskeyOwner, RelyingParty
from one_runtime.team.sign_in.steps import SignInStep
from one_runtime.team.sign_in.totp import AppAccount, TotpSetUp

_LAST: Final = (
    "This is your last way to sign in. First add another way: a passkey, or a password with an authenticator app. A "
    "member who cannot sign in needs a new invitation."
)


class LastSignInMethod(Conflict):
    """Without this method, the member could no longer sign in."""


@dataclass(frozen=True, slots=True)
class SignInMethods:
    """The sign-in methods of a member. `passkeys`, `identities`: their numbers. `password`, `totp`: times, or None."""

    member_id: str
    email: str
    name: str | None
    password_changed_at: datetime | None
    totp_created_at: datetime | None
    passkeys: int
    identities: int

    @property
    def is_sufficient(self) -> bool:
        """Return True if the member can sign in."""
        has_both = self.password_changed_at is not None and self.totp_created_at is not None
        return self.passkeys > 0 or self.identities > 0 or has_both


class AccountOwner(NamedTuple):
    """The signed-in member who changes the own account. `session_id`: the session that does not end.

    `address`: the IP address of the request, for the event.
    """

    member_id: str
    session_id: str
    address: str | None


class _NameRow(NamedTuple):
    display_name: str


class _IdRow(NamedTuple):
    id: str


_OF_MEMBER = members.c.id == bindparam("member")
_COUNT_PASSKEYS = select(func.count()).where(passkeys_table.c.member_id == members.c.id).scalar_subquery()
_COUNT_IDENTITIES = select(func.count()).where(identities.c.member_id == members.c.id).scalar_subquery()
_FIND = (
    select(
        members.c.id,
        members.c.email,
        members.c.name,
        passwords.c.changed_at,
        totp_secrets.c.created_at,
        _COUNT_PASSKEYS.label("passkeys"),
        _COUNT_IDENTITIES.label("identities"),
    )
    .outerjoin_from(members, passwords, passwords.c.member_id == members.c.id)
    .outerjoin(totp_secrets, totp_secrets.c.member_id == members.c.id)
    .where(_OF_MEMBER)
)
_LOCK = select(members.c.id).where(_OF_MEMBER).with_for_update(key_share=True)
_ORGANIZATIONS = (
    select(organizations.c.display_name)
    .join(memberships, memberships.c.organization_id == organizations.c.id)
    .where(memberships.c.member_id == bindparam("member"))
)
_INSERT_PASSWORD = insert(passwords)
_PUT_PASSWORD = _INSERT_PASSWORD.on_conflict_do_update(
    index_elements=[passwords.c.member_id],
    set_={"phc": _INSERT_PASSWORD.excluded.phc, "changed_at": _INSERT_PASSWORD.excluded.changed_at},
)
_DELETE_PASSWORD = delete(passwords).where(passwords.c.member_id == bindparam("member"))


async def find(tx: Transaction, member_id: str) -> SignInMethods:
    """Return the sign-in methods of a member. Raises: NotFound."""
    row = await tx.one(_FIND, member=member_id)
    if row is None:
        raise NotFound("This member does not exist.")
    return SignInMethods(*row)


async def set_password(installation: Installation, owner: AccountOwner, password: str) -> None:
    """Set or change the password of a member, and end the member's other sessions.

    Raises: InvalidInput for a password that is easy to guess. NotFound if the session has ended. Unavailable if too
    many sign-ins wait.
    """
    async with installation.database.read() as tx:
        methods = await find(tx, owner.member_id)
        names = [row.display_name for row in await tx.all(_ORGANIZATIONS, _NameRow, member=owner.member_id)]
    password_rules.check(password, [methods.email, methods.name or "", *names])
    phc = await installation.passwords.hash(password_rules.encode(password))
    async with installation.database.write() as tx:
        now = installation.clock()
        await dashboard_sessions.lock(tx, owner.member_id, owner.session_id)
        await tx.execute(_PUT_PASSWORD, member_id=owner.member_id, phc=phc, changed_at=now)
        await _record_and_end_others(tx, owner, "password", now)


async def begin_passkey(installation: Installation, party: RelyingParty, member_id: str) -> PasskeyCeremony:
    """Begin to register a passkey of a signed-in member.

    Raises: Conflict if the member has too many passkeys; RateLimited.
    """
    await attempts.begin(installation, attempts.of_steps(member_id))
    async with installation.database.write() as tx:
        methods = await find(tx, member_id)
        token = await steps.begin(tx, "register_passkey", SignInStep(member_id), installation.clock())
        owner = PasskeyOwner(member_id, methods.email, methods.name)
        return PasskeyCeremony(token, await passkeys.registration_options(tx, party, owner, token.secret))


async def add_passkey(
    installation: Installation, party: RelyingParty, owner: AccountOwner, token: str, new: NewPasskey
) -> Passkey:
    """Store the passkey that a browser has created. Raises: PasskeyRefused; SignInStepExpired; InvalidInput."""
    async with installation.database.write() as tx:
        now = installation.clock()
        step = await steps.use(tx, "register_passkey", token, now)
        if step.member_id != owner.member_id:
            raise steps.expired()
        passkey = await passkeys.register(tx, party, owner.member_id, token, new, now)
        await record_own_change(tx, owner.member_id, "passkeys", now, owner.address)
        return passkey


async def begin_totp(installation: Installation, member_id: str) -> SecretToken:
    """Begin to set up an authenticator app. Return the token for the browser's cookie. A present app still works.

    Raises: RateLimited.
    """
    await attempts.begin(installation, attempts.of_steps(member_id))
    async with installation.database.write() as tx:
        return await totp.begin(tx, member_id, installation.clock())


async def find_totp_set_up(installation: Installation, member_id: str, token: str, service: str) -> TotpSetUp:
    """Return the secret for the authenticator app. `service`: the name that the app shows.

    Raises: SignInStepExpired.
    """
    async with installation.database.read() as tx:
        methods = await find(tx, member_id)
        now = installation.clock()
        return await totp.find_set_up(tx, installation.vault, AppAccount(member_id, service, methods.email), token, now)


async def add_totp(installation: Installation, owner: AccountOwner, token: str, code: str) -> None:
    """Store the secret of an authenticator app after its first code, and end the member's other sessions.

    After a wrong code, the step stays. Raises: WrongCode; SignInStepExpired; RateLimited.
    """
    attempt = await attempts.begin(installation, attempts.of_second_step(owner.member_id))
    async with installation.database.write() as tx:
        now = installation.clock()
        await totp.confirm(tx, installation.vault, owner.member_id, token, code, now)
        await attempts.forgive(tx, attempt)
        await _record_and_end_others(tx, owner, "authenticator_app", now)


async def remove_password(tx: Transaction, owner: AccountOwner, now: datetime) -> None:
    """Delete the password of a member. Raises: LastSignInMethod."""
    await _lock(tx, owner.member_id)
    await tx.execute(_DELETE_PASSWORD, member=owner.member_id)
    await _require_sufficient(tx, owner.member_id)
    await record_own_change(tx, owner.member_id, "password", now, owner.address)


async def remove_totp(tx: Transaction, owner: AccountOwner, now: datetime) -> None:
    """Delete the secret of a member's authenticator app. Raises: LastSignInMethod."""
    await _lock(tx, owner.member_id)
    await totp.remove(tx, owner.member_id)
    await _require_sufficient(tx, owner.member_id)
    await record_own_change(tx, owner.member_id, "authenticator_app", now, owner.address)


async def remove_passkey(tx: Transaction, owner: AccountOwner, passkey_id: str, now: datetime) -> None:
    """Delete a passkey of a member, and end the member's other sessions. Raises: NotFound; LastSignInMethod."""
    await _lock(tx, owner.member_id)
    await passkeys.remove(tx, owner.member_id, passkey_id)
    await _require_sufficient(tx, owner.member_id)
    await _record_and_end_others(tx, owner, "passkeys", now)


async def _record_and_end_others(tx: Transaction, owner: AccountOwner, changed: OwnChange, now: datetime) -> None:
    """Write the event, and end the other sessions, because an attacker could have one of them."""
    await record_own_change(tx, owner.member_id, changed, now, owner.address)
    await dashboard_sessions.end_all(tx, owner.member_id, except_session=owner.session_id)


async def _lock(tx: Transaction, member_id: str) -> None:
    """Lock the member's row, so that two removals at the same time do not remove the last two methods."""
    await tx.one(_LOCK, _IdRow, member=member_id)


async def _require_sufficient(tx: Transaction, member_id: str) -> None:
    if not (await find(tx, member_id)).is_sufficient:
        raise LastSignInMethod(_LAST)
