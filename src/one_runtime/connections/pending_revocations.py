"""Store tokens that One Runtime has to revoke at the provider (promise P9 of docs/security.md).

A row with such tokens is a pending revocation. If the provider is unavailable, the worker repeats the revocation for a
day. Only `queue_revocation` and `queue_revocations` create pending revocations. These functions decide when One Runtime
revokes the tokens: now, or at the end of a connection that possibly uses the same grant. Until then, the tokens are
kept with this connection (`kept_with`), and the worker does not see them.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias

from sqlalchemy import Select, Text, bindparam, cast, delete, func, insert, or_, select, update

from one_runtime.catalog.model import Integration
from one_runtime.catalog.organization_catalogs import OrganizationCatalogs
from one_runtime.clock import Clock
from one_runtime.connections.credentials import INVALIDATED_AUDIENCE, ConnectionKey, TokenMetadata
from one_runtime.connections.credentials import load as load_credential
from one_runtime.db.engine import Database, Row, Transaction
from one_runtime.db.id_lists import in_list
from one_runtime.db.ids import new_id
from one_runtime.db.schema import connections, credentials, revocations
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import KeyNotInRing, SealBroken, SealContext, Sealed, Vault
from one_runtime.errors import NotFound
from one_runtime.jobs.queue import BATCH, Queue, wake_on_commit
from one_runtime.telemetry.logger import Logger

RevocationCause: TypeAlias = Literal[
    "disconnected",
    "account_replaced",
    "authorization_failed",
    "replacement_not_confirmed",
    "account_not_selected",
    "not_redeemed",
    "refresh_superseded",
    "reauth_required",
]

RULES: Final[Mapping[RevocationCause, Literal["always", "unless_shared"]]] = {
    "disconnected": "always",
    "account_replaced": "unless_shared",
    "authorization_failed": "unless_shared",
    "replacement_not_confirmed": "unless_shared",
    "account_not_selected": "unless_shared",
    "not_redeemed": "unless_shared",
    "refresh_superseded": "unless_shared",
    "reauth_required": "unless_shared",
}
"""The rule for each cause says if One Runtime revokes the tokens. docs/decisions/0019-revocations.md gives the reasons.

A grant is the end user's authorization at the provider. If One Runtime revokes a token, some providers revoke the whole
grant. `unless_shared`: if a connection possibly uses the same grant, revoke the tokens only when this connection ends.
"""

TABLE: Final = "revocations"
RETENTION: Final = timedelta(days=1)
LEASE: Final = timedelta(minutes=2)
"""Time for which one process reserves a row."""
MOST_KEPT: Final = 100
"""Maximum number of rows that are kept with one connection. A further row drops the oldest tokens.

One Runtime does not revoke the oldest tokens, because the connection possibly uses the same grant. Google also accepts
at most 100 refresh tokens of an account and an OAuth client, and ends the oldest:
https://developers.google.com/identity/protocols/oauth2#expiration
"""
MOST_AT_ONCE: Final = 15
"""Maximum number of kept rows that a request to disconnect a connection revokes itself. The worker revokes the rest."""
NEVER: Final = datetime(9999, 12, 31, tzinfo=UTC)
"""`due_at` of kept rows. The previous version of One Runtime does not know `kept_with`, but leaves these rows alone."""

log = Logger()

_VERSION: Final = 1  # constant, because the encrypted tokens of a row never change


@dataclass(frozen=True, slots=True)
class RevocableTokens:
    """Tokens to revoke, with their account.

    `connection_id`: None if the tokens never belonged to a connection. `expires_at`: the expiry of the access token.
    """

    organization_id: str
    end_user_id: str
    integration_slug: str
    auth_type: str
    metadata: TokenMetadata
    params: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)
    account_id: str | None = None
    connection_id: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PendingRevocation:
    """A queued revocation of tokens.

    `connection_id`: the connection that had the tokens, or None. `tokens`: the tokens by kind. If the end user entered
    an OAuth client, `tokens` also contains the client's id and secret.
    """

    id: str
    organization_id: str
    connection_id: str | None
    integration_slug: str
    oauth_client_id: str | None
    params: Mapping[str, str]
    tokens: Mapping[str, str] = field(repr=False)
    attempts: int
    audience: str | None = None


class _ConnectionId(NamedTuple):
    id: str


class _UsedAccount(NamedTuple):
    account_id: str
    id: str


class _KeptRow(NamedTuple):
    kept_with: str
    connection_id: str | None


_INSERT = insert(revocations)
_QUEUE: Final = Queue(revocations, LEASE, ~in_list(revocations.c.organization_id, "excluded"))
_RELEASE = update(revocations).where(revocations.c.id == bindparam("revocation")).values(due_at=bindparam("now"))
_EXPIRED = delete(revocations).where(revocations.c.give_up_at <= bindparam("now"))


def _at_integration(organization_id: object, slug: object, auth_type: object) -> Select[tuple[str]]:
    """Select the connections that possibly use the same grant as other tokens of this integration and auth type.

    The arguments are values or parameters of the statement.
    """
    return (
        select(connections.c.id)
        .join(credentials, credentials.c.connection_id == connections.c.id)
        .where(
            connections.c.organization_id == organization_id,
            connections.c.integration_slug == slug,
            connections.c.auth_type == auth_type,
            credentials.c.audience.is_distinct_from(INVALIDATED_AUDIENCE),
        )
    )


_AT_INTEGRATION = _at_integration(bindparam("organization"), bindparam("slug"), bindparam("auth_type"))
_OF_ACCOUNT = _AT_INTEGRATION.where(connections.c.account_id == bindparam("account")).limit(1)
_OF_END_USER = _AT_INTEGRATION.where(connections.c.end_user_id == bindparam("end_user")).limit(1)
_ITSELF = connections.c.id == bindparam("connection")
_OF_POSSIBLE_ACCOUNT = or_(connections.c.account_id == bindparam("account"), connections.c.account_id.is_(None))
_ITSELF_OF_ACCOUNT = _AT_INTEGRATION.where(_ITSELF, _OF_POSSIBLE_ACCOUNT)
_ITSELF_OF_END_USER = _OF_END_USER.where(_ITSELF)
_KINDS: Final = ("refresh_token", "access_token", "client_id", "client_secret")

_KEPT_WITH = revocations.c.kept_with == bindparam("connection")
_DUE: Final[Mapping[str, object]] = {
    "kept_with": None,
    "account_id": None,
    "due_at": bindparam("due"),
    "give_up_at": bindparam("expiry"),
}
_RELEASE_KEPT = update(revocations).values(**_DUE).where(_KEPT_WITH)
_RELEASE_RETURNING = _RELEASE_KEPT.returning(*revocations.c)
_SAME_ACCOUNT = revocations.c.account_id.is_not_distinct_from(bindparam("account"))
_RELEASE_ACCOUNT = _RELEASE_KEPT.where(_SAME_ACCOUNT)
_MOVE_ACCOUNT = update(revocations).where(_KEPT_WITH, _SAME_ACCOUNT).values(kept_with=bindparam("successor"))
_EXCESS = select(revocations.c.id).where(_KEPT_WITH).order_by(revocations.c.id.desc()).offset(bindparam("most"))
_DROP_EXCESS = delete(revocations).where(revocations.c.id.in_(_EXCESS.limit(BATCH)))
_KEPT = (
    select(revocations.c.kept_with, connections.c.id.label("connection_id"))
    .join_from(revocations, connections, connections.c.id == revocations.c.kept_with, isouter=True)
    .where(revocations.c.kept_with > bindparam("after"))
    .order_by(revocations.c.kept_with)
    .limit(BATCH)
)
_FIRST: Final = "00000000-0000-0000-0000-000000000000"


def can_be_revoked(integration: Integration | None, auth_type: str) -> bool:
    """Return True if the provider can revoke tokens of this auth type."""
    auth = integration.auth_of(auth_type) if integration is not None else None
    return auth is not None and auth.can_be_revoked


async def queue_revocation(
    tx: Transaction,
    vault: Vault,
    catalogs: OrganizationCatalogs,
    tokens: RevocableTokens,
    cause: RevocationCause,
    now: datetime,
) -> PendingRevocation | None:
    """Store tokens for revocation. Return None if nothing has to be revoked now.

    For the rule `unless_shared`, the caller must first delete the connection of the tokens, or store its new tokens. If
    a connection then possibly uses the same grant, keep the tokens with this connection, and return None. `release`
    returns the tokens at the end of this connection.

    The new row is reserved for the caller. The caller either revokes the tokens after the commit, or calls
    `leave_to_worker` before the commit.
    """
    if not await _can_be_revoked(tx, catalogs, tokens):
        return None
    if RULES[cause] == "always":
        return await _store(tx, vault, tokens, now)
    return await _store_or_keep(tx, vault, tokens, await _find_sharing(tx, tokens), now)


async def queue_revocations(
    tx: Transaction,
    vault: Vault,
    catalogs: OrganizationCatalogs,
    batch: Sequence[RevocableTokens],
    cause: RevocationCause,
    now: datetime,
) -> list[PendingRevocation]:
    """Do the same as `queue_revocation` for the tokens of many connections. Return the queued revocations.

    No index finds the connections to an account. So one statement searches an organization for all these accounts.
    """
    revocable = [tokens for tokens in batch if await _can_be_revoked(tx, catalogs, tokens)]
    if RULES[cause] == "always":
        return [await _store(tx, vault, tokens, now) for tokens in revocable]
    used, queued = await _used_accounts(tx, revocable), list[PendingRevocation]()
    for tokens in revocable:
        known = tokens.account_id is not None
        sharing = used.get((*_scope(tokens), tokens.account_id or "")) if known else await _find_sharing(tx, tokens)
        pending = await _store_or_keep(tx, vault, tokens, sharing, now)
        queued += [pending] if pending is not None else []
    return queued


def _scope(tokens: RevocableTokens) -> tuple[str, str, str]:
    return tokens.organization_id, tokens.integration_slug, tokens.auth_type


async def _used_accounts(tx: Transaction, batch: Sequence[RevocableTokens]) -> dict[tuple[str, str, str, str], str]:
    """Return a connection for each account of the tokens that a connection uses.

    Key: the organization, integration, auth type and account.
    """
    accounts = defaultdict[tuple[str, str, str], set[str]](set)
    for tokens in batch:
        if tokens.account_id is not None:
            accounts[_scope(tokens)].add(tokens.account_id)
    used = dict[tuple[str, str, str, str], str]()
    for scope, names in accounts.items():
        at_integration = _at_integration(*scope)
        # PostgreSQL before version 18 has no minimum of UUIDs.
        columns = (connections.c.account_id, func.min(cast(connections.c.id, Text)).label("id"))
        account = at_integration.with_only_columns(*columns, maintain_column_froms=True)
        account = account.where(connections.c.account_id.in_(sorted(names))).group_by(connections.c.account_id)
        rows = await tx.all(account, _UsedAccount)
        used |= {(*scope, row.account_id): row.id for row in rows}
    return used


async def _can_be_revoked(tx: Transaction, catalogs: OrganizationCatalogs, tokens: RevocableTokens) -> bool:
    if "access_token" not in tokens.secrets:
        return False
    integration = await catalogs.for_revoking(tx, tokens.organization_id, tokens.integration_slug)
    return can_be_revoked(integration, tokens.auth_type)


async def _find_sharing(tx: Transaction, tokens: RevocableTokens) -> str | None:
    """Return the id of a connection that possibly uses the same grant. An invalidated credential uses no grant.

    If the account is known, search the organization's connections to the account. If the account is unknown, search the
    end user's connections to the integration. The connection that had the tokens comes first. It counts also if its
    account is unknown now, because the new tokens possibly belong to the same account.
    """
    params = {"organization": tokens.organization_id, "slug": tokens.integration_slug, "auth_type": tokens.auth_type}
    if tokens.account_id is not None:
        itself, others = _ITSELF_OF_ACCOUNT, _OF_ACCOUNT
        params["account"] = tokens.account_id
    else:
        itself, others = _ITSELF_OF_END_USER, _OF_END_USER
        params["end_user"] = tokens.end_user_id
    row = None
    if tokens.connection_id is not None:
        row = await tx.one(itself, _ConnectionId, **params, connection=tokens.connection_id)
    row = row or await tx.one(others, _ConnectionId, **params)
    return row.id if row is not None else None


async def _store_or_keep(
    tx: Transaction, vault: Vault, tokens: RevocableTokens, sharing: str | None, now: datetime
) -> PendingRevocation | None:
    """Queue the tokens, or keep them with the connection `sharing`. What is kept from earlier follows these tokens.

    Earlier tokens are kept with the connection that had the tokens, if they belong to the same account.
    """
    of_account = {"connection": tokens.connection_id, "account": tokens.account_id}
    if sharing is None:
        if tokens.connection_id is not None and await tx.execute(_RELEASE_ACCOUNT, **of_account, **_until(now)):
            wake_on_commit(tx, revocations)
        return await _store(tx, vault, tokens, now)
    if tokens.connection_id not in {None, sharing}:
        await tx.execute(_MOVE_ACCOUNT, **of_account, successor=sharing)
    await _keep(tx, vault, tokens, sharing, now)
    return None


def _until(now: datetime, reserved: timedelta = timedelta()) -> dict[str, datetime]:
    """Return the times of a released row. `reserved`: time for which the caller reserves the row."""
    return {"due": now + reserved, "expiry": now + RETENTION}


async def _keep(tx: Transaction, vault: Vault, tokens: RevocableTokens, connection_id: str, now: datetime) -> None:
    """Keep tokens with a connection. Omit the tokens that this connection uses itself.

    An access token without a refresh token is deleted at its expiry, because there is nothing left to revoke.
    """
    if tokens.metadata.audience == INVALIDATED_AUDIENCE:  # no host may receive the tokens any more
        return
    secrets = dict(tokens.secrets)
    with suppress(NotFound, SealBroken):
        used = (await load_credential(tx, vault, ConnectionKey(tokens.organization_id, connection_id))).secrets
        if secrets.get("refresh_token") == used.get("refresh_token"):
            if secrets["access_token"] == used.get("access_token"):
                return
            secrets.pop("refresh_token", None)
    until = NEVER if "refresh_token" in secrets or tokens.expires_at is None else tokens.expires_at
    if until <= now:
        return
    values = await _sealed_row(tx, vault, _pending(replace(tokens, secrets=secrets)))
    kept = {"kept_with": connection_id, "account_id": tokens.account_id, "due_at": NEVER, "give_up_at": until}
    await tx.execute(_INSERT, **values, **kept)
    if dropped := await tx.execute(_DROP_EXCESS, connection=connection_id, most=MOST_KEPT):
        log.warning("kept_tokens_dropped", connection_id=connection_id, rows=dropped)


def _pending(tokens: RevocableTokens) -> PendingRevocation:
    return PendingRevocation(
        id=new_id(),
        organization_id=tokens.organization_id,
        connection_id=tokens.connection_id,
        integration_slug=tokens.integration_slug,
        oauth_client_id=tokens.metadata.oauth_client_id,
        params=tokens.params,
        tokens={kind: tokens.secrets[kind] for kind in _KINDS if kind in tokens.secrets},
        attempts=1,
        audience=tokens.metadata.audience,
    )


async def _sealed_row(tx: Transaction, vault: Vault, pending: PendingRevocation) -> dict[str, object]:
    values = asdict(pending)
    plaintext = json.dumps(values.pop("tokens")).encode()
    context = SealContext(TABLE, pending.id, _VERSION)
    sealed = await key_ring.seal(tx, vault, pending.organization_id, plaintext, context)
    return {**values, "sealed": sealed.data, "key_id": sealed.key_id, "version": _VERSION}


async def _store(tx: Transaction, vault: Vault, tokens: RevocableTokens, now: datetime) -> PendingRevocation:
    pending = _pending(tokens)
    values = await _sealed_row(tx, vault, pending)
    await tx.execute(_INSERT, due_at=now + LEASE, give_up_at=now + RETENTION, kept_with=None, account_id=None, **values)
    return pending


async def release(tx: Transaction, vault: Vault, connection_id: str, now: datetime) -> list[PendingRevocation]:
    """End the keeping of all tokens of a deleted connection, and return the newest, reserved for the caller.

    The worker revokes the rest, and tokens whose key this process lacks.
    """
    rows = await tx.all(_RELEASE_RETURNING, connection=connection_id, **_until(now, LEASE))
    released = list[PendingRevocation]()
    for row in sorted(rows, key=lambda row: str(row.id), reverse=True):
        try:
            pending = _decrypt(vault, row)
        except SealBroken:  # `claim` decides
            await tx.execute(_RELEASE, revocation=row.id, now=now)
            continue
        if len(released) < MOST_AT_ONCE:
            released.append(replace(pending, connection_id=connection_id))
        else:
            await leave_to_worker(tx, pending, now)
    return released


async def release_orphaned(database: Database, clock: Clock) -> int:
    """Release tokens that are kept with a deleted connection, and return the number of rows.

    The previous version of One Runtime deletes connections without the call of `release`. A transaction can also keep
    tokens with a connection during the deletion of this connection.
    """
    after, released = _FIRST, 0
    while True:
        async with database.read() as tx:
            rows = await tx.all(_KEPT, _KeptRow, after=after)
        orphaned = sorted({row.kept_with for row in rows if row.connection_id is None})
        if orphaned:
            async with database.write() as tx:
                for connection_id in orphaned:
                    released += await tx.execute(_RELEASE_KEPT, connection=connection_id, **_until(clock()))
                wake_on_commit(tx, revocations)
        if len(rows) < BATCH:
            return released
        after = rows[-1].kept_with
        await asyncio.sleep(0)


async def leave_to_worker(tx: Transaction, pending: PendingRevocation | None, now: datetime) -> None:
    """End the caller's reservation of a new row. The worker then revokes the tokens immediately after the commit.

    Do nothing if `pending` is None.
    """
    if pending is not None:
        await tx.execute(_RELEASE, revocation=pending.id, now=now)
        wake_on_commit(tx, revocations)


async def claim(
    tx: Transaction, vault: Vault, clock: Clock, limit: int, excluded: Collection[str] = ()
) -> list[PendingRevocation]:
    """Reserve and return the rows that are due. Delete expired rows, and rows that cannot be decrypted.

    `excluded`: organizations whose rows have to wait.
    """
    claimed = []
    await tx.execute(_EXPIRED, now=clock())
    for row in await _QUEUE.claim(tx, clock, limit, excluded=sorted(excluded)):
        try:
            claimed.append(_decrypt(vault, row))
        except KeyNotInRing:  # a server with the key can claim the row after the lease
            continue
        except SealBroken:
            await _QUEUE.settle(tx, row.id, attempts=row.attempts)
    return claimed


async def settle(tx: Transaction, pending: PendingRevocation) -> None:
    """Delete a row that needs no further attempt."""
    await _QUEUE.settle(tx, pending.id, attempts=pending.attempts)


async def postpone(tx: Transaction, clock: Clock, pending: PendingRevocation, delay: timedelta) -> None:
    """Make a row due again after a delay."""
    await _QUEUE.postpone(tx, clock, pending.id, attempts=pending.attempts, delay=delay)


def _decrypt(vault: Vault, row: Row) -> PendingRevocation:
    sealed = Sealed(row.key_id, row.sealed)
    tokens = json.loads(vault.open(row.organization_id, sealed, SealContext(TABLE, row.id, row.version)))
    return PendingRevocation(
        row.id,
        row.organization_id,
        row.connection_id,
        row.integration_slug,
        row.oauth_client_id,
        row.params,
        tokens,
        row.attempts,
        row.audience,
    )
