"""Sign in with an e-mail address and a password, and then with a code or a passkey.

A password alone never signs in. For an unknown account, the server does the same work as for a known account. So
neither the answer nor its duration reveals which accounts exist.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, exists, select, update

from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import members, passwords, totp_secrets
from one_runtime.db.schema import passkeys as passkeys_table
from one_runtime.encryption import vault
from one_runtime.encryption.secret_tokens import SecretToken
from one_runtime.errors import InvalidInput
from one_runtime.team import dashboard_sessions
from one_runtime.team.dashboard_sessions import Visitor
from one_runtime.team.sign_in import attempts, known_browsers, passkeys, password_rules, steps, totp
from one_runtime.team.sign_in.attempts import Bucket, StoredAttempt
from one_runtime.team.sign_in.passkeys import RelyingParty
from one_runtime.team.sign_in.steps import SignInStep

_WRONG: Final = "The e-mail address or the password is wrong."
_NO_SECOND_STEP: Final = (
    "This account has no passkey and no authenticator app, and a password alone is not enough. Ask an owner of your "
    "organization for a new invitation."
)


class SignInRefused(InvalidInput):
    """The e-mail address or the password is wrong, or the account has no second step."""


@dataclass(frozen=True, slots=True)
class SecondStep:
    """The password is correct. `token`: for the browser's cookie. The member continues with a code or a passkey."""

    token: SecretToken
    accepts_code: bool
    accepts_passkey: bool


class _AccountRow(NamedTuple):
    member_id: str
    phc: str | None
    has_totp: bool
    has_passkey: bool


_HAS_TOTP = exists().where(totp_secrets.c.member_id == members.c.id)
_HAS_PASSKEY = exists().where(passkeys_table.c.member_id == members.c.id)
_COLUMNS = (
    members.c.id.label("member_id"),
    passwords.c.phc,
    _HAS_TOTP.label("has_totp"),
    _HAS_PASSKEY.label("has_passkey"),
)
_ACCOUNTS = select(*_COLUMNS).outerjoin_from(members, passwords, passwords.c.member_id == members.c.id)
_FIND = _ACCOUNTS.where(members.c.email == bindparam("account"))
_FIND_MEMBER = _ACCOUNTS.where(members.c.id == bindparam("member"))
_RENEW_HASH = (
    update(passwords)
    .where(passwords.c.member_id == bindparam("member"), passwords.c.phc == bindparam("read_phc"))
    .values(phc=bindparam("new_phc"))
)


async def begin(
    installation: Installation, email: str, password: str, address: str | None, proof: str | None = None
) -> SecondStep:
    """Check a password, and begin the second step. `proof`: of the browser (`known_browsers`).

    Raises: SignInRefused; RateLimited; Unavailable if too many sign-ins wait.
    """
    account_name = _normalize(email)
    async with installation.database.read() as tx:
        account = await tx.one(_FIND, _AccountRow, account=account_name)
    buckets: Sequence[Bucket] = (
        attempts.of_account(account_name),
        attempts.of_account_in_network(account_name, address),
        attempts.of_network(address),
    )
    # An unknown account needs the same work, so it has a member of its own, for whom no proof exists
    member_id = account.member_id if account is not None else ""
    browser = known_browsers.identify(installation.vault, proof, member_id, installation.clock())
    if browser is not None and account is not None:
        buckets = (attempts.of_browser(member_id, browser),)
    account, attempt = await _check(installation, account, password, buckets)
    if not account.has_totp and not account.has_passkey:
        raise SignInRefused.of("password", _NO_SECOND_STEP)
    await attempts.begin(installation, attempts.of_steps(account.member_id))
    async with installation.database.write() as tx:
        await attempts.forgive(tx, attempt)
        step = SignInStep(account.member_id)
        token = await steps.begin(tx, "second_factor", step, installation.clock())
    return SecondStep(token, account.has_totp, account.has_passkey)


async def find_second_step(installation: Installation, token: str) -> tuple[bool, bool]:
    """Return two values: True if the second step accepts a code, and True if it accepts a passkey.

    Raises: SignInStepExpired.
    """
    async with installation.database.read() as tx:
        member_id = await _member_of_step(tx, token, installation.clock())
        account = await tx.one(_FIND_MEMBER, _AccountRow, member=member_id)
    if account is None:
        raise steps.expired()
    return account.has_totp, account.has_passkey


async def finish_with_code(installation: Installation, token: str, code: str) -> str:
    """Check the code of an authenticator app. Return the id of the member. After a wrong code, the step stays.

    The bucket of the network does not count here: strangers can fill it, and the step proves the password.

    Raises: WrongCode; SignInStepExpired; RateLimited.
    """
    now = installation.clock()
    async with installation.database.read() as tx:
        member_id = await _member_of_step(tx, token, now)
    attempt = await attempts.begin(installation, attempts.of_second_step(member_id))
    async with installation.database.write() as tx:
        await steps.use(tx, "second_factor", token, now)
        await totp.verify(tx, installation.vault, member_id, code, now)
        await attempts.forgive(tx, attempt)
    return member_id


async def passkey_options(installation: Installation, party: RelyingParty, token: str) -> Mapping[str, Any]:
    """Return the options for `navigator.credentials.get` of the second step. Raises: SignInStepExpired."""
    async with installation.database.read() as tx:
        member_id = await _member_of_step(tx, token, installation.clock())
        return await passkeys.sign_in_options(tx, party, token, member_id)


async def finish_with_passkey(installation: Installation, party: RelyingParty, token: str, response: object) -> str:
    """Check the passkey of the second step. Return the id of the member. Raises: PasskeyRefused; SignInStepExpired."""
    now = installation.clock()
    async with installation.database.write() as tx:
        step = await steps.use(tx, "second_factor", token, now)
        return await passkeys.verify(tx, party, token, response, now, step.member_id)


async def authenticate_again(installation: Installation, visitor: Visitor, password: str, code: str) -> SecretToken:
    """Check the password and a code of a signed-in member, before a sensitive action. Return the session's new token.

    Raises: SignInRefused; WrongCode; RateLimited; Unavailable if too many sign-ins wait.
    """
    async with installation.database.read() as tx:
        account = await tx.one(_FIND_MEMBER, _AccountRow, member=visitor.member_id)
    # As for a known browser: other people can fill the buckets of the account and of the network
    buckets = (attempts.of_browser(visitor.member_id, visitor.session_id),)
    _, attempt = await _check(installation, account, password, buckets)
    second = await attempts.begin(installation, attempts.of_second_step(visitor.member_id))
    async with installation.database.write() as tx:
        now = installation.clock()
        await totp.verify(tx, installation.vault, visitor.member_id, code, now)
        await attempts.forgive(tx, attempt)
        await attempts.forgive(tx, second)
        return await dashboard_sessions.renew(tx, visitor.session_id, now)


async def _check(
    installation: Installation, account: _AccountRow | None, password: str, buckets: Sequence[Bucket]
) -> tuple[_AccountRow, StoredAttempt]:
    """Check a password. Replace a hash with old parameters. Raises: as `begin`."""
    encoded = password_rules.encode(password[: password_rules.MAX_BYTES + 1])
    attempt = await attempts.begin(installation, *buckets)
    phc = account.phc if account is not None else None
    matches = await installation.passwords.verify(encoded, phc)
    if account is None or phc is None or not matches:
        raise SignInRefused.of("password", _WRONG)
    if not vault.has_current_parameters(phc):
        new_phc = await installation.passwords.hash(encoded)
        async with installation.database.write() as tx:
            await tx.execute(_RENEW_HASH, member=account.member_id, read_phc=phc, new_phc=new_phc)
    return account, attempt


def _normalize(email: str) -> str:
    return email.strip().lower()


async def _member_of_step(tx: Transaction, token: str, now: datetime) -> str:
    step = await steps.find(tx, "second_factor", token, now)
    if step.member_id is None:
        raise steps.expired()
    return step.member_id
