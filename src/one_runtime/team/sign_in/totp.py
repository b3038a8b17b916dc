"""Verify the codes of authenticator apps: time-based one-time passwords (RFC 6238).

The app and One Runtime share a secret. One Runtime stores the secret sealed, after the member has entered a first code.
Until then, the secret is derived from the token of a sign-in step, which only the member's browser has.
"""

import base64
import hmac
import json
import struct
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode

import segno
from sqlalchemy import bindparam, delete, select, update

from one_runtime.db.engine import Transaction
from one_runtime.db.schema import totp_secrets as secrets
from one_runtime.db.upsert import insert
from one_runtime.encryption import key_ring
from one_runtime.encryption.secret_tokens import SecretToken
from one_runtime.encryption.vault import SealContext, Sealed, Vault
from one_runtime.errors import InvalidInput
from one_runtime.team.sign_in import steps
from one_runtime.team.sign_in.steps import SignInStep
from one_runtime.tenancy.organizations import INSTANCE

TABLE: Final = "totp_secrets"
PERIOD: Final = 30
"""Seconds for which the app shows a code."""
DIGITS: Final = 6
SET_UP_LIFETIME: Final = timedelta(minutes=15)
"""Time to install an app and to enter its first code."""

_DRIFT: Final = 1
"""Number of earlier and later periods whose codes are accepted, because the clock of a phone can be wrong."""
_SECRET_BYTES: Final = 20
_EXPLAINED_DRIFT: Final = timedelta(hours=1)
"""Difference of the clocks that the set-up of an app recognizes."""
_WRONG: Final = (
    "is wrong, or was used before. Enter the code that the app shows now. If a new code is refused too, check the "
    "clock of the device with the app: the code depends on the time"
)


class WrongCode(InvalidInput):
    """A code of an authenticator app is wrong, or was used before."""


class AppAccount(NamedTuple):
    """A member, and the names of the service and of the account that the app shows."""

    member_id: str
    service: str
    email: str


@dataclass(frozen=True, slots=True)
class TotpSetUp:
    """A secret that an authenticator app can read. `key`: the secret in base 32, for manual entry.

    `url`: the secret with the names of the service and the account, for a QR code.
    """

    key: str = field(repr=False)
    url: str = field(repr=False)


class _TotpRow(NamedTuple):
    organization_id: str
    sealed: bytes
    key_id: str
    version: int


_MINE = secrets.c.member_id == bindparam("member")
_FIND = select(*(secrets.c[name] for name in _TotpRow._fields)).where(_MINE)
_LOCK = _FIND.with_for_update()
_USE = update(secrets).where(_MINE, secrets.c.last_step < bindparam("step")).values(last_step=bindparam("step"))
_DELETE = delete(secrets).where(_MINE)
_INSERT = insert(secrets)
_CHANGED = ("sealed", "key_id", "version", "created_at", "last_step")
_PUT = _INSERT.on_conflict_do_update(
    index_elements=[secrets.c.member_id], set_={name: _INSERT.excluded[name] for name in _CHANGED}
)


def draw_qr_code(set_up: TotpSetUp) -> str:
    """Return the URL of the secret as a QR code: an SVG picture in a data URL, black on white."""
    picture: str = segno.make(set_up.url, micro=False).svg_data_uri(border=4, light="#fff", omitsize=True)
    return picture


async def begin(tx: Transaction, member_id: str, now: datetime) -> SecretToken:
    """Begin to set up an app. Return the token for the browser's cookie. A present app continues to work."""
    step = SignInStep(member_id, {"key_id": await key_ring.active_key(tx)})
    return await steps.begin(tx, "register_totp", step, now, SET_UP_LIFETIME)


async def find_set_up(tx: Transaction, vault: Vault, account: AppAccount, token: str, now: datetime) -> TotpSetUp:
    """Return the secret of a step that has begun. Raises: SignInStepExpired."""
    step = await steps.find(tx, "register_totp", token, now)
    if step.member_id != account.member_id:
        raise steps.expired()
    key = base64.b32encode(_derive(vault, token, step)).decode()
    parameters = {"secret": key, "issuer": account.service, "algorithm": "SHA1", "digits": DIGITS, "period": PERIOD}
    label = f"{quote(account.service, safe='')}:{quote(account.email, safe='@')}"
    return TotpSetUp(key, f"otpauth://totp/{label}?{urlencode(parameters, quote_via=quote)}")


async def confirm(tx: Transaction, vault: Vault, member_id: str, token: str, code: str, now: datetime) -> None:
    """Store the secret of a step, if the code proves that the app has the secret. The secret replaces a present one.

    After a wrong code, the caller's transaction must roll back, so that the step stays.

    Raises: SignInStepExpired; WrongCode.
    """
    step = await steps.use(tx, "register_totp", token, now)
    if step.member_id != member_id:
        raise steps.expired()
    secret = _derive(vault, token, step)
    used = _first_step(secret, code, now)
    row = await tx.one(_LOCK, _TotpRow, member=member_id)
    version = 1 if row is None else row.version + 1
    plaintext = json.dumps({"secret": base64.b32encode(secret).decode()}).encode()
    sealed = await key_ring.seal(tx, vault, INSTANCE, plaintext, SealContext(TABLE, member_id, version))
    await tx.execute(
        _PUT,
        member_id=member_id,
        organization_id=INSTANCE,
        sealed=sealed.data,
        key_id=sealed.key_id,
        version=version,
        created_at=now,
        last_step=used,
    )


async def verify(tx: Transaction, vault: Vault, member_id: str, code: str, now: datetime) -> None:
    """Accept a code once. Raises: WrongCode; SealBroken if the secret cannot be decrypted."""
    row = await tx.one(_FIND, _TotpRow, member=member_id)
    if row is None:
        raise WrongCode.of("code", _WRONG)
    place = SealContext(TABLE, member_id, row.version)
    stored = json.loads(vault.open(row.organization_id, Sealed(row.key_id, row.sealed), place))
    step = _matching_step(base64.b32decode(stored["secret"]), code, now)
    if not await tx.execute(_USE, member=member_id, step=step):  # this code or a later code was accepted before
        raise WrongCode.of("code", _WRONG)


async def remove(tx: Transaction, member_id: str) -> bool:
    """Delete the secret of a member. Return False if the member has none."""
    return await tx.execute(_DELETE, member=member_id) > 0


def code_of(secret: bytes, step: int, digits: int = DIGITS) -> str:
    """Return the code of a period (RFC 4226 section 5.3). `step`: the number of the period since 1970."""
    mac = hmac.digest(secret, struct.pack(">Q", step), "sha1")
    offset = mac[-1] & 15
    number = struct.unpack(">I", mac[offset : offset + 4])[0] & 0x7FFFFFFF
    return f"{number % 10**digits:0{digits}d}"


def _matching_step(secret: bytes, code: str, now: datetime) -> int:
    """Return the period of the code. Raises: WrongCode."""
    matching = _matching_steps(secret, code, now, _DRIFT)
    if not matching:
        raise WrongCode.of("code", _WRONG)
    return max(matching)


def _first_step(secret: bytes, code: str, now: datetime) -> int:
    """Return the period of the first code of an app. If the code is of another time, the error says so.

    Later errors do not say this: they would confirm a guess of a code that becomes valid in a few minutes.

    Raises: WrongCode.
    """
    try:
        return _matching_step(secret, code, now)
    except WrongCode:
        steps_of_hour = int(_EXPLAINED_DRIFT.total_seconds()) // PERIOD
        others = _matching_steps(secret, code, now, steps_of_hour)
        if not others:
            raise
        present = int(now.timestamp()) // PERIOD
        minutes = max(1, round(min(abs(step - present) for step in others) * PERIOD / 60))
        raise WrongCode.of(
            "code",
            f"is of another time: the clocks of this server and of the device with the app differ by {minutes} "
            f"{'minute' if minutes == 1 else 'minutes'}. Let both set their time automatically, and enter a new code",
        ) from None


def _matching_steps(secret: bytes, code: str, now: datetime, drift: int) -> list[int]:
    """Return the periods with this code, at most `drift` periods before or after the present one."""
    typed, present = "".join(code.split()).encode("utf-8", "surrogatepass"), int(now.timestamp()) // PERIOD
    around = range(present - drift, present + drift + 1)
    return [step for step in around if hmac.compare_digest(code_of(secret, step).encode(), typed)]


def _derive(vault: Vault, token: str, step: SignInStep) -> bytes:
    """Return the secret of the token. The hash has a key, so that the cookie alone does not reveal the secret."""
    return vault.mac(b"totp\0" + token.encode(), str(step.data["key_id"]))[:_SECRET_BYTES]
