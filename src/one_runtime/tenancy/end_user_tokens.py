"""Create, list and revoke end-user tokens. With such a token, an agent acts for one end user at `/v1/mcp`.

A token cannot read credentials, create tokens or act for another end user. One Runtime stores only the hash of a token
(promise P2 of docs/security.md).
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import bindparam, insert, select, update

from one_runtime.clock import rfc3339
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import is_id, new_id
from one_runtime.db.precondition import Precondition
from one_runtime.db.schema import end_user_tokens as tokens
from one_runtime.encryption import secret_tokens
from one_runtime.errors import NotFound
from one_runtime.jobs.queue import batched_delete
from one_runtime.tenancy import end_users
from one_runtime.tenancy.agent_policy import AgentPolicy
from one_runtime.tenancy.end_users import EndUser
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject, record

Audience: TypeAlias = Literal["agent"]
"""The place that accepts a token. `agent`: `/v1/mcp`."""

RevocationReason: TypeAlias = Literal["client_request", "code_replayed", "refresh_token_reused"]
"""The reason for which One Runtime itself revokes the token of an OAuth client."""

DEFAULT_EXPIRES_IN: Final = 3600
MIN_EXPIRES_IN: Final = 60
MAX_EXPIRES_IN: Final = 365 * 24 * 3600
"""Limits of the lifetime of a token, in seconds."""

KEPT: Final = timedelta(days=30)
"""Time after the expiry for which the database keeps a token. `token_renewal.LIFETIME` must not be longer."""


@dataclass(frozen=True, slots=True)
class EndUserToken:
    """A stored end-user token, without its secret. `last_used_at`: see `key_uses.PRECISION`.

    `client_id`: the OAuth client that received the token (`token_renewal.py`). None: the organization's backend
    created the token. `refresh_expires_at`: the time until which the OAuth client can renew the token.
    """

    id: str
    organization_id: str
    end_user_id: str
    audience: Audience
    name: str | None
    prefix: str
    policy: AgentPolicy
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    client_id: str | None = None
    refresh_expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token to create. `expires_in`: the lifetime in seconds. `client_id`: see `EndUserToken`."""

    end_user_id: str
    policy: AgentPolicy
    name: str | None = None
    audience: Audience = "agent"
    expires_in: int = DEFAULT_EXPIRES_IN
    client_id: str | None = None


_COLUMNS = tuple(tokens.c[name] for name in EndUserToken.__dataclass_fields__)
_OF_ORGANIZATION = tokens.c.organization_id == bindparam("organization")
_INSERT = insert(tokens)
_LIST = select(*_COLUMNS).where(_OF_ORGANIZATION).order_by(tokens.c.id.desc())
_BY_ID = select(*_COLUMNS).where(_OF_ORGANIZATION, tokens.c.id == bindparam("token"))
_LOCKED = _BY_ID.with_for_update()
_REVOKE = update(tokens).where(_OF_ORGANIZATION, tokens.c.id == bindparam("token")).values(revoked_at=bindparam("now"))
PURGE: Final = batched_delete(tokens, tokens.c.expires_at < bindparam("before"))
"""Deletes the tokens that expired before a time."""


def _from_row(row: tuple[object, ...]) -> EndUserToken:
    token = EndUserToken(*row)  # type: ignore[arg-type]
    return replace(token, policy=AgentPolicy.parse(token.policy))  # type: ignore[arg-type] # the row has a document


async def create(
    tx: Transaction, actor: Actor, new: NewToken, now: datetime
) -> tuple[EndUserToken, secret_tokens.SecretToken]:
    """Create a token for an end user of the actor's organization. Return the stored data and the secret.

    If the end user does not exist yet, create the end user too.
    """
    secret = secret_tokens.make(secret_tokens.END_USER_TOKEN)
    token = EndUserToken(
        id=new_id(),
        organization_id=actor.organization_id,
        end_user_id=new.end_user_id,
        audience=new.audience,
        name=new.name,
        prefix=secret.prefix,
        policy=new.policy,
        created_at=now,
        expires_at=now + timedelta(seconds=new.expires_in),
        last_used_at=None,
        revoked_at=None,
        client_id=new.client_id,
    )
    await end_users.ensure(tx, actor.organization_id, EndUser(new.end_user_id, None, None, now, now))
    values: dict[str, Any] = {column.name: getattr(token, column.name) for column in _COLUMNS}
    hashes = {"secret_hash": secret.hash, "refresh_family_hash": None, "refresh_token_hash": None}
    await tx.execute(_INSERT, **values | hashes | {"policy": token.policy.document})
    await record(
        tx, actor, EventType.END_USER_TOKEN_CREATED, now, _subject(token, expires_at=rfc3339(token.expires_at))
    )
    return token, secret


async def list_page(
    tx: Transaction, organization_id: str, end_user_id: str | None, *, limit: int, before: str | None = None
) -> list[EndUserToken]:
    """Return at most `limit` tokens of an organization, newest first. The list includes revoked and expired tokens.

    `end_user_id`: None for the tokens of all end users. With `before`, return only tokens older than this id.
    """
    statement = _LIST if before is None else _LIST.where(tokens.c.id < before)
    if end_user_id is not None:
        statement = statement.where(tokens.c.end_user_id == end_user_id)
    return [_from_row(row) for row in await tx.all(statement.limit(limit), organization=organization_id)]


async def get(tx: Transaction, organization_id: str, token_id: str, *, lock: bool = False) -> EndUserToken:
    """Return a token of this organization, which can be revoked or expired. Raises: NotFound."""
    statement = _LOCKED if lock else _BY_ID
    row = await tx.one(statement, organization=organization_id, token=token_id) if is_id(token_id) else None
    if row is None:
        raise NotFound(
            f"There is no end-user token {token_id[:64]!r}. GET /v1/end-user-tokens lists the tokens of your "
            "organization. One Runtime deletes a token 30 days after its expiry."
        )
    return _from_row(row)


async def revoke(
    tx: Transaction,
    actor: Actor,
    token_id: str,
    now: datetime,
    condition: Precondition[EndUserToken] | None = None,
    *,
    reason: RevocationReason | None = None,
) -> EndUserToken:
    """Revoke a token. From now on, every process refuses the token. If the token is revoked already, change nothing.

    `reason`: None if the organization's backend revokes the token.

    Raises: NotFound; PreconditionFailed.
    """
    token = await get(tx, actor.organization_id, token_id, lock=True)
    if condition is not None:
        await condition(tx, token)
    if token.revoked_at is not None:
        return token
    await tx.execute(_REVOKE, organization=actor.organization_id, token=token.id, now=now)
    await record(
        tx, actor, EventType.END_USER_TOKEN_REVOKED, now, _subject(token, **({"reason": reason} if reason else {}))
    )
    return await get(tx, actor.organization_id, token_id)


def _subject(token: EndUserToken, **more: object) -> Subject:
    data = {"end_user_token_id": token.id, "name": token.name, "audience": token.audience}
    client = {"client_id": token.client_id} if token.client_id is not None else {}
    return Subject(token.end_user_id, data={**data, "access": token.policy.access, **client, **more})
