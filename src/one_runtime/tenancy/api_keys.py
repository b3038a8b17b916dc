"""API keys of organizations: made, shown once, found by hash, revoked (P2)."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, insert, select, update

from one_runtime.db.engine import Transaction
from one_runtime.db.ids import is_id, new_id
from one_runtime.db.schema import api_keys
from one_runtime.encryption import secret_tokens
from one_runtime.errors import InvalidInput, NotFound
from one_runtime.tenancy.events import Actor, Subject, record

SCOPES: Final = ("read", "connect", "use", "credentials:read", "admin")
DEFAULT_SCOPES: Final = ("read", "connect", "use")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is kept: never its secret."""

    id: str
    organization_id: str
    name: str
    prefix: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None


COLUMNS = tuple(api_keys.c[name] for name in ApiKey.__dataclass_fields__)
_INSERT = insert(api_keys)
HASH_MATCHES = api_keys.c.secret_hash == bindparam("hash")
_BY_HASH = select(*COLUMNS, api_keys.c.secret_hash).where(HASH_MATCHES)
_LIST = select(*COLUMNS).order_by(api_keys.c.id)
_REVOKE = (
    update(api_keys)
    .where(api_keys.c.id == bindparam("key"), api_keys.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
    .returning(*COLUMNS)
)


def from_row(row: tuple[object, ...]) -> ApiKey:
    """The key whose columns a row begins with."""
    key = ApiKey(*row[: len(COLUMNS)])  # type: ignore[arg-type]
    return ApiKey(key.id, key.organization_id, key.name, key.prefix, tuple(key.scopes), key.created_at, key.revoked_at)


async def create(
    tx: Transaction, actor: Actor, name: str, scopes: Collection[str], now: datetime
) -> tuple[ApiKey, secret_tokens.Token]:
    """A new key of the actor's organization, and its token, which is not kept.

    Raises: InvalidInput for a scope that does not exist.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise InvalidInput.of("scopes", f"must be among {', '.join(SCOPES)}")
    token = secret_tokens.make(secret_tokens.API_KEY)
    ordered = tuple(scope for scope in SCOPES if scope in scopes)
    key = ApiKey(new_id(), actor.organization_id, name, token.prefix, ordered, now, None)
    await tx.execute(
        _INSERT,
        id=key.id,
        organization_id=key.organization_id,
        name=name,
        prefix=token.prefix,
        secret_hash=token.hash,
        scopes=ordered,
        created_at=now,
        revoked_at=None,
    )
    data = {"api_key_id": key.id, "name": name, "scopes": ordered}
    await record(tx, actor, "api_key.created", now, Subject(data=data))
    return key, token


async def find(tx: Transaction, token: str) -> ApiKey | None:
    """The live key that a token belongs to. Junk is refused by its checksum, without a look-up."""
    if not secret_tokens.recognize(secret_tokens.API_KEY, token):
        return None
    digest = secret_tokens.digest(token)
    row = await tx.one(_BY_HASH, hash=digest)
    return from_row(row) if row and is_live(row.secret_hash, digest, row.revoked_at) else None


def is_live(secret_hash: bytes, digest: bytes, revoked_at: datetime | None) -> bool:
    """Whether a stored key is the presented one, compared in constant time, and not revoked."""
    return secret_tokens.same(secret_hash, digest) and revoked_at is None


async def list_all(tx: Transaction, organization_id: str | None = None) -> list[ApiKey]:
    """The keys of one organization, or of all; the oldest first, revoked ones too."""
    if organization_id is not None and not is_id(organization_id):
        return []
    statement = _LIST if organization_id is None else _LIST.where(api_keys.c.organization_id == organization_id)
    return [from_row(row) for row in await tx.all(statement)]


async def revoke(tx: Transaction, key_id_or_prefix: str, now: datetime) -> ApiKey:
    """Revoke a key by its id or its prefix: the next request with it is refused.

    Raises: NotFound where there is no such key, or it was revoked before.
    """
    found = [key for key in await list_all(tx) if key_id_or_prefix in {key.id, key.prefix}]
    row = await tx.one(_REVOKE, key=found[0].id, now=now) if found and is_id(found[0].id) else None
    if row is None:
        raise NotFound(f"There is no live API key {key_id_or_prefix}. `one-runtime api-keys list` shows them.")
    key = from_row(row)
    actor = Actor(key.organization_id, "system")
    await record(tx, actor, "api_key.revoked", now, Subject(data={"api_key_id": key.id, "name": key.name}))
    return key
