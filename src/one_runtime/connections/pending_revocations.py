"""Store tokens that One Runtime has to revoke at the provider (promise P9 of docs/security.md).

A row with such tokens is a pending revocation. If the provider is unavailable, the worker repeats the revocation for a
day. Only `queue_revocation` and `queue_revocations` create pending revocations. These functions decide if One Runtime
may revoke the tokens.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias

from sqlalchemy import Select, bindparam, delete, insert, select, update

from one_runtime.auth_types import auth_method
from one_runtime.catalog.model import Integration
from one_runtime.catalog.organization_catalogs import OrganizationCatalogs
from one_runtime.clock import Clock
from one_runtime.connections.credentials import INVALIDATED_AUDIENCE, TokenMetadata
from one_runtime.db.engine import Row, Transaction
from one_runtime.db.ids import new_id
from one_runtime.db.schema import connections, credentials, revocations
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import KeyNotInRing, SealBroken, SealContext, Sealed, Vault
from one_runtime.jobs.queue import Queue, wake_on_commit

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
grant. `unless_shared`: do not revoke the tokens if another connection possibly uses the same grant.
"""

TABLE: Final = "revocations"
RETENTION: Final = timedelta(days=1)
LEASE: Final = timedelta(minutes=2)
"""Time for which one process reserves a row."""

_VERSION: Final = 1  # constant, because the encrypted tokens of a row never change


@dataclass(frozen=True, slots=True)
class RevocableTokens:
    """Tokens to revoke, with their account. `connection_id`: None if the tokens never belonged to a connection."""

    organization_id: str
    end_user_id: str
    integration_slug: str
    auth_type: str
    metadata: TokenMetadata
    params: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)
    account_id: str | None = None
    connection_id: str | None = None


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


class _AccountId(NamedTuple):
    account_id: str


_INSERT = insert(revocations)
_QUEUE: Final = Queue(revocations, LEASE)
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
_KINDS: Final = ("refresh_token", "access_token", "client_id", "client_secret")


def can_be_revoked(integration: Integration | None, auth_type: str) -> bool:
    """Return True if the provider can revoke tokens of this auth type."""
    auth = integration.auth_of(auth_type) if integration is not None else None
    return auth is not None and auth_method(auth).can_be_revoked


async def queue_revocation(
    tx: Transaction,
    vault: Vault,
    catalogs: OrganizationCatalogs,
    tokens: RevocableTokens,
    cause: RevocationCause,
    now: datetime,
) -> PendingRevocation | None:
    """Store tokens for revocation. Return None if One Runtime cannot or must not revoke the tokens.

    For the rule `unless_shared`, the caller must first delete or update the connection of the tokens. This function
    would otherwise find this connection, regard the grant as shared, and return None.

    The new row is reserved for the caller. The caller either revokes the tokens after the commit, or calls
    `leave_to_worker` before the commit.
    """
    if not await _can_be_revoked(tx, catalogs, tokens):
        return None
    if RULES[cause] == "unless_shared" and await _may_share_grant(tx, tokens):
        return None
    return await _store(tx, vault, tokens, now)


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
    if RULES[cause] == "unless_shared":
        used = await _used_accounts(tx, revocable)
        revocable = [tokens for tokens in revocable if (*_scope(tokens), tokens.account_id) not in used]
        revocable = [t for t in revocable if t.account_id is not None or not await _may_share_grant(tx, t)]
    return [await _store(tx, vault, tokens, now) for tokens in revocable]


def _scope(tokens: RevocableTokens) -> tuple[str, str, str]:
    return tokens.organization_id, tokens.integration_slug, tokens.auth_type


async def _used_accounts(tx: Transaction, batch: Sequence[RevocableTokens]) -> set[tuple[str, str, str, str]]:
    """Return those accounts of the tokens that a connection uses, with the organization, integration and auth type."""
    accounts = defaultdict[tuple[str, str, str], set[str]](set)
    for tokens in batch:
        if tokens.account_id is not None:
            accounts[_scope(tokens)].add(tokens.account_id)
    used = set[tuple[str, str, str, str]]()
    for (organization_id, slug, auth_type), names in accounts.items():
        at_integration = _at_integration(organization_id, slug, auth_type)
        account = at_integration.with_only_columns(connections.c.account_id, maintain_column_froms=True).distinct()
        rows = await tx.all(account.where(connections.c.account_id.in_(sorted(names))), _AccountId)
        used |= {(organization_id, slug, auth_type, row.account_id) for row in rows}
    return used


async def _can_be_revoked(tx: Transaction, catalogs: OrganizationCatalogs, tokens: RevocableTokens) -> bool:
    if "access_token" not in tokens.secrets:
        return False
    integration = await catalogs.for_revoking(tx, tokens.organization_id, tokens.integration_slug)
    return can_be_revoked(integration, tokens.auth_type)


async def _may_share_grant(tx: Transaction, tokens: RevocableTokens) -> bool:
    """Return True if another connection possibly uses the same grant. An invalidated credential uses no grant.

    If the account is known, search the organization's connections to the account. If the account is unknown, search the
    end user's connections to the integration.
    """
    scope = {"organization": tokens.organization_id, "slug": tokens.integration_slug, "auth_type": tokens.auth_type}
    if tokens.account_id is not None:
        return await tx.one(_OF_ACCOUNT, **scope, account=tokens.account_id) is not None
    return await tx.one(_OF_END_USER, **scope, end_user=tokens.end_user_id) is not None


async def _store(tx: Transaction, vault: Vault, tokens: RevocableTokens, now: datetime) -> PendingRevocation:
    pending = PendingRevocation(
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
    values = asdict(pending)
    plaintext = json.dumps(values.pop("tokens")).encode()
    context = SealContext(TABLE, pending.id, _VERSION)
    sealed = await key_ring.seal(tx, vault, pending.organization_id, plaintext, context)
    values |= {"sealed": sealed.data, "key_id": sealed.key_id, "version": _VERSION}
    await tx.execute(_INSERT, due_at=now + LEASE, give_up_at=now + RETENTION, **values)
    return pending


async def leave_to_worker(tx: Transaction, pending: PendingRevocation | None, now: datetime) -> None:
    """End the caller's reservation of a new row. The worker then revokes the tokens immediately after the commit.

    Do nothing if `pending` is None.
    """
    if pending is not None:
        await tx.execute(_RELEASE, revocation=pending.id, now=now)
        wake_on_commit(tx, revocations)


async def claim(tx: Transaction, vault: Vault, clock: Clock, limit: int) -> list[PendingRevocation]:
    """Reserve and return the rows that are due. Delete expired rows, and rows that cannot be decrypted."""
    claimed = []
    await tx.execute(_EXPIRED, now=clock())
    for row in await _QUEUE.claim(tx, clock, limit):
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
