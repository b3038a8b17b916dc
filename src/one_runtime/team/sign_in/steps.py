"""Store sign-ins and registrations of passkeys that have begun in a browser. A step ends after its first use.

A cookie of the browser has the token of the step. The database stores only the hash of the token (promise P2 of
docs/security.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from sqlalchemy import and_, bindparam, delete, insert, select

from one_runtime.db.engine import Transaction
from one_runtime.db.schema import sign_in_steps
from one_runtime.encryption import secret_tokens
from one_runtime.encryption.secret_tokens import SecretToken
from one_runtime.errors import InvalidInput
from one_runtime.jobs.queue import batched_delete, run_in_batches

if TYPE_CHECKING:  # commands import this module, and need none of the modules that `context` imports
    from one_runtime.context import Installation

StepKind: TypeAlias = Literal["passkey", "register_passkey", "second_factor", "register_totp", "oidc"]

LIFETIME: Final = timedelta(minutes=5)


class SignInStepExpired(InvalidInput):
    """A step was used, has expired, or belongs to another browser."""


@dataclass(frozen=True, slots=True)
class SignInStep:
    """A step that has begun. `member_id`: None if the member is not known yet. `data`: contains no secret."""

    member_id: str | None
    data: Mapping[str, object] = field(default_factory=dict)


_INSERT = insert(sign_in_steps)
_COLUMNS = (sign_in_steps.c.member_id, sign_in_steps.c.data)
_IS_USABLE = and_(
    sign_in_steps.c.token_hash == bindparam("hash"),
    sign_in_steps.c.kind == bindparam("of_kind"),
    sign_in_steps.c.expires_at > bindparam("now"),
)
_FIND = select(*_COLUMNS).where(_IS_USABLE)
_CONSUME = delete(sign_in_steps).where(_IS_USABLE).returning(*_COLUMNS)
_PURGE = batched_delete(sign_in_steps, sign_in_steps.c.expires_at <= bindparam("now"))


async def begin(
    tx: Transaction, kind: StepKind, step: SignInStep, now: datetime, lifetime: timedelta = LIFETIME
) -> SecretToken:
    """Store a step. Return the token for the browser's cookie."""
    token = secret_tokens.make(secret_tokens.SIGN_IN_STEP)
    await tx.execute(
        _INSERT,
        token_hash=token.hash,
        kind=kind,
        member_id=step.member_id,
        data=dict(step.data),
        expires_at=now + lifetime,
    )
    return token


async def consume(tx: Transaction, kind: StepKind, token: str, now: datetime) -> SignInStep | None:
    """Return the step of a token, and delete the step. Return None for a used, unknown or expired token."""
    if not secret_tokens.recognize(secret_tokens.SIGN_IN_STEP, token):
        return None
    return await tx.one(_CONSUME, SignInStep, hash=secret_tokens.digest(token), of_kind=kind, now=now)


async def use(tx: Transaction, kind: StepKind, token: str, now: datetime) -> SignInStep:
    """Return the step of a token, and delete the step. If the transaction rolls back, the step stays.

    Raises: SignInStepExpired for a used, unknown or expired token.
    """
    step = await consume(tx, kind, token, now)
    if step is None:
        raise expired()
    return step


async def find(tx: Transaction, kind: StepKind, token: str, now: datetime) -> SignInStep:
    """Return the step of a token, which stays usable. Raises: SignInStepExpired."""
    step = await tx.one(_FIND, SignInStep, hash=secret_tokens.digest(token), of_kind=kind, now=now)
    if step is None:
        raise expired()
    return step


def expired() -> SignInStepExpired:
    """Return the error for a step that cannot be used."""
    return SignInStepExpired("This page has expired, or was already used. Start again.")


async def purge(installation: "Installation") -> int:
    """Delete steps that have expired. Return their number."""
    return await run_in_batches(installation.database, _PURGE, now=installation.clock())
