"""Renew the end-user tokens of OAuth clients with refresh tokens (RFC 6749 section 6).

The renewal replaces the token in its row, so one row describes the whole permission of an OAuth client: to revoke the
row ends the permission.

A refresh token has two parts. The first part is the same in all refresh tokens of a row (the family). The second part
is new in each refresh token. A known family with another second part is a refresh token that was used before. Then a
thief has used it, or the client has lost its newest one. One Runtime cannot distinguish the two, and revokes the row
(RFC 9700 section 4.14.2). With this format, the database needs no row for each refresh token.

Clients also repeat a renewal without a fault: several requests find an expired token at the same time, or a response is
lost. So the new tokens are derived from the refresh token and the active key. For a short time, a repeated renewal
returns the same tokens again, also if another key has become active since.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import bindparam, select, update

from one_runtime.db.engine import Transaction
from one_runtime.db.schema import end_user_tokens as tokens
from one_runtime.encryption import key_ring, secret_tokens
from one_runtime.encryption.secret_tokens import SecretToken
from one_runtime.encryption.vault import Vault
from one_runtime.tenancy import end_user_tokens
from one_runtime.tenancy.agent_policy import AgentPolicy
from one_runtime.tenancy.end_user_tokens import DEFAULT_EXPIRES_IN, EndUserToken, RevocationReason
from one_runtime.tenancy.events import Actor

LIFETIME: Final = timedelta(days=30)
"""Lifetime of a refresh token. Each renewal gives a new refresh token."""

REPEATABLE: Final = timedelta(seconds=30)
"""Time after a renewal in which a repeated renewal returns the same tokens."""


@dataclass(frozen=True, slots=True)
class PresentedRefreshToken:
    """The two parts of a refresh token, as the hashes that the database stores."""

    family_hash: bytes = field(repr=False)
    token_hash: bytes = field(repr=False)

    @classmethod
    def recognize(cls, text: str) -> "PresentedRefreshToken | None":
        """Return the refresh token. Return None if the text does not have the format and the checksums of one."""
        family, _, newest = text.partition(".")
        if not all(secret_tokens.recognize(secret_tokens.REFRESH_TOKEN, part) for part in (family, newest)):
            return None
        return cls(secret_tokens.digest(family), secret_tokens.digest(newest))


@dataclass(frozen=True, slots=True)
class RenewedToken:
    """The secrets that the OAuth client receives. `expires_in`: the lifetime of the access token in seconds."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    policy: AgentPolicy
    expires_in: int = DEFAULT_EXPIRES_IN


class RenewalRow(NamedTuple):
    """The columns of a token that the renewal needs."""

    id: str
    organization_id: str
    end_user_id: str
    policy: dict[str, object]
    client_id: str
    secret_hash: bytes
    refresh_family_hash: bytes
    refresh_token_hash: bytes
    refresh_expires_at: datetime
    revoked_at: datetime | None


_COLUMNS = tuple(tokens.c[name] for name in RenewalRow._fields)
_BY_FAMILY: Final = select(*_COLUMNS).where(tokens.c.refresh_family_hash == bindparam("hash"))
_LOCKED: Final = _BY_FAMILY.with_for_update()
_BY_SECRET: Final = select(*_COLUMNS).where(tokens.c.secret_hash == bindparam("hash"), tokens.c.client_id.is_not(None))
_START: Final = (
    update(tokens)
    .where(tokens.c.id == bindparam("token"))
    .values(
        refresh_family_hash=bindparam("family"),
        refresh_token_hash=bindparam("newest"),
        refresh_expires_at=bindparam("until"),
    )
)
_RENEW: Final = (
    update(tokens)
    .where(tokens.c.id == bindparam("token"))
    .values(
        secret_hash=bindparam("secret"),
        prefix=bindparam("prefix"),
        expires_at=bindparam("expires"),
        refresh_token_hash=bindparam("newest"),
        refresh_expires_at=bindparam("until"),
    )
)


async def start(tx: Transaction, token: EndUserToken, secret: SecretToken, now: datetime) -> RenewedToken:
    """Give the OAuth client of a new token the first refresh token. `secret`: the secret of the new token."""
    family, newest = (secret_tokens.make(secret_tokens.REFRESH_TOKEN) for _ in range(2))
    await tx.execute(_START, token=token.id, family=family.hash, newest=newest.hash, until=now + LIFETIME)
    return RenewedToken(secret.secret, f"{family.secret}.{newest.secret}", token.policy)


async def find(tx: Transaction, text: str) -> RenewalRow | None:
    """Return the row of a refresh token, or of the access token of an OAuth client. Return None for an unknown token.

    A refresh token that was used before has a row too.
    """
    refresh = PresentedRefreshToken.recognize(text)
    if refresh is not None:
        row = await tx.one(_BY_FAMILY, RenewalRow, hash=refresh.family_hash)
        return row if row is not None and secret_tokens.same(row.refresh_family_hash, refresh.family_hash) else None
    if secret_tokens.recognize(secret_tokens.END_USER_TOKEN, text):
        digest = secret_tokens.digest(text)
        row = await tx.one(_BY_SECRET, RenewalRow, hash=digest)
        return row if row is not None and secret_tokens.same(row.secret_hash, digest) else None
    return None


async def renew(tx: Transaction, vault: Vault, text: str, client_id: str, now: datetime) -> RenewedToken | None:
    """Replace the access token and the refresh token of an OAuth client. The old ones are no longer valid.

    Return None if the refresh token is not valid. If the refresh token was used before, revoke its row.
    """
    refresh = PresentedRefreshToken.recognize(text)
    row = await tx.one(_LOCKED, RenewalRow, hash=refresh.family_hash) if refresh is not None else None
    if refresh is None or row is None or row.revoked_at is not None:
        return None
    policy = AgentPolicy.parse(row.policy)
    if not secret_tokens.same(row.refresh_token_hash, refresh.token_hash):
        elapsed = now - (row.refresh_expires_at - LIFETIME)
        for key in vault.key_ids if row.client_id == client_id and elapsed < REPEATABLE else ():
            following = _following(vault, key, text)
            if secret_tokens.same(row.refresh_token_hash, following.newest.hash):
                return following.renewed(policy, DEFAULT_EXPIRES_IN - int(elapsed.total_seconds()))
        await revoke(tx, row, "refresh_token_reused", now)
        return None
    if row.client_id != client_id or row.refresh_expires_at <= now:
        return None
    following = _following(vault, await key_ring.active_key(tx), text)
    await tx.execute(
        _RENEW,
        token=row.id,
        secret=following.access.hash,
        prefix=following.access.prefix,
        expires=now + timedelta(seconds=DEFAULT_EXPIRES_IN),
        newest=following.newest.hash,
        until=now + LIFETIME,
    )
    return following.renewed(policy)


class _Following(NamedTuple):
    """The tokens that follow a refresh token."""

    family: str
    access: SecretToken
    newest: SecretToken

    def renewed(self, policy: AgentPolicy, expires_in: int = DEFAULT_EXPIRES_IN) -> RenewedToken:
        return RenewedToken(self.access.secret, f"{self.family}.{self.newest.secret}", policy, expires_in)


def _following(vault: Vault, key: str, refresh_token: str) -> _Following:
    """Derive the tokens that follow a refresh token. `key`: a key id. Raises: KeyNotInRing."""
    access, newest = (
        secret_tokens.derive(kind, vault.mac(f"renewal\x00{kind}\x00{refresh_token}".encode(), key))
        for kind in (secret_tokens.END_USER_TOKEN, secret_tokens.REFRESH_TOKEN)
    )
    return _Following(refresh_token.partition(".")[0], access, newest)


async def revoke(tx: Transaction, row: RenewalRow, reason: RevocationReason, now: datetime) -> None:
    """Revoke the access token and the refresh token of an OAuth client."""
    actor = Actor(row.organization_id, "end_user", row.end_user_id)
    await end_user_tokens.revoke(tx, actor, row.id, now, reason=reason)
