"""Connections: end users' connected accounts at integrations. Their secrets live in `credentials.py`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Final

from sqlalchemy import Update, bindparam, delete, func, insert, select, update

from one_runtime.catalog.organization_catalogs import OrganizationCatalogs
from one_runtime.connections import credentials, pending_revocations
from one_runtime.connections.credentials import (
    NO_TOKEN_METADATA,
    ConnectionKey,
    ProviderAccount,
    StoredCredential,
    TokenMetadata,
)
from one_runtime.connections.pending_revocations import RevocableTokens
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import is_id, new_id
from one_runtime.db.schema import connections
from one_runtime.db.schema import credentials as held_table
from one_runtime.encryption.vault import SealBroken, Vault
from one_runtime.errors import Conflict, NotFound, error_note
from one_runtime.tenancy import end_users, events
from one_runtime.tenancy.events import Actor, Subject

STATUSES: Final = ("active", "needs_reauth")


class AccountMismatch(Conflict):
    """Connecting again would replace one account by another, and nobody has agreed to that yet."""

    code = "account_mismatch"


@dataclass(frozen=True, slots=True)
class Connection:
    """A connected account. `status`: active, or needs_reauth after the provider's definite refusal."""

    id: str
    organization_id: str
    end_user_id: str
    integration_slug: str
    name: str
    auth_type: str
    status: str
    error: Mapping[str, str] | None
    account_id: str | None
    account_label: str | None
    params: Mapping[str, str]
    scopes: tuple[str, ...]
    missing_scopes: tuple[str, ...]
    metadata: Mapping[str, object]
    created_at: datetime
    updated_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None

    @property
    def key(self) -> ConnectionKey:
        """Where its credentials belong."""
        return ConnectionKey(self.organization_id, self.id)

    @property
    def subject(self) -> Subject:
        """What an event about it says."""
        data = {"integration_slug": self.integration_slug, "auth_type": self.auth_type}
        return Subject(self.end_user_id, self.id, data)


@dataclass(frozen=True, slots=True)
class NewConnection:
    """What to connect. `target`: reconnect exactly this one; `multiple`: another account stands beside; `agreed`: the
    end user agreed that another account takes the present one's place."""

    end_user_id: str
    integration_slug: str
    auth_type: str
    name: str | None
    params: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)
    account: ProviderAccount
    metadata: Mapping[str, object]
    target: str | None = None
    multiple: bool = False
    agreed: bool = False
    scopes: tuple[str, ...] = ()
    missing_scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None
    token_metadata: TokenMetadata = NO_TOKEN_METADATA


@dataclass(frozen=True, slots=True)
class RefreshedMetadata:
    """What tokens came with that took the place of others."""

    expires_at: datetime | None
    scopes: tuple[str, ...] | None
    token_metadata: TokenMetadata


@dataclass(frozen=True, slots=True)
class AudienceChange:
    """A way to connect by which an organization's own integration sends credentials elsewhere; `audience`: where."""

    slug: str
    auth_type: str
    audience: str | None
    message: str


@dataclass(frozen=True, slots=True)
class ConnectionFilter:
    """What to list: None takes all."""

    end_user_id: str | None = None
    integration_slug: str | None = None
    status: str | None = None


_COLUMNS = tuple(connections.c[name] for name in Connection.__dataclass_fields__)
_INSERT = insert(connections)
_MINE = connections.c.organization_id == bindparam("organization")
_LIST = select(*_COLUMNS).where(_MINE).order_by(connections.c.id.desc())
_ONE = select(*_COLUMNS).where(_MINE, connections.c.id == bindparam("connection"))
_HELD = (
    select(*_COLUMNS, *credentials.CREDENTIAL_COLUMNS)
    .join_from(connections, held_table, held_table.c.connection_id == connections.c.id)
    .where(_MINE, connections.c.id == bindparam("connection"))
)
_PRESENT = _LIST.where(
    connections.c.end_user_id == bindparam("end_user"), connections.c.integration_slug == bindparam("slug")
)
_AT = (_MINE, connections.c.integration_slug == bindparam("slug"))
_COUNT_OF = select(func.count().label("count")).where(*_AT)
_FOR_OTHERS = (
    select(*_COLUMNS)
    .join_from(connections, held_table, held_table.c.connection_id == connections.c.id)
    .where(
        *_AT,
        connections.c.status == "active",
        connections.c.auth_type == bindparam("auth_type"),
        held_table.c.audience.is_distinct_from(bindparam("for_whom")),
    )
)
_MOVED = _FOR_OTHERS.order_by(connections.c.id).limit(bindparam("limit"))
_STILL_MOVED = _FOR_OTHERS.where(connections.c.id == bindparam("connection"))
_CONNECTED = (
    select(connections.c.integration_slug)
    .where(_MINE, connections.c.end_user_id == bindparam("end_user"), connections.c.status == "active")
    .distinct()
)
_RENEWED = (
    "name", "auth_type", "status", "error", "account_id", "account_label", "params", "scopes", "missing_scopes",
    "metadata", "updated_at", "expires_at",
)  # fmt: skip
_STATUS = ("status", "error", "updated_at")
_DELETE = delete(connections).where(_MINE, connections.c.id == bindparam("connection"))


@cache
def _updating(*names: str) -> Update:
    """Writes these columns and no other: what somebody else changes at the same time stays."""
    changed = update(connections).where(_MINE, connections.c.id == bindparam("connection"))
    return changed.values({name: bindparam(name) for name in names})


def from_row(row: tuple[object, ...]) -> Connection:
    """The connection that a row of its columns is."""
    connection = Connection(*row)  # type: ignore[arg-type]
    return replace(connection, scopes=tuple(connection.scopes), missing_scopes=tuple(connection.missing_scopes))


async def get(tx: Transaction, organization_id: str, connection_id: str) -> Connection:
    """A connection of this organization. Raises: NotFound."""
    row = await tx.one(_ONE, organization=organization_id, connection=connection_id) if is_id(connection_id) else None
    if row is None:
        raise NotFound(f"There is no connection {connection_id[:64]!r}.")
    return from_row(row)


async def get_with_credential(
    tx: Transaction, vault: Vault, key: ConnectionKey, *, lock: bool = False
) -> tuple[Connection, StoredCredential]:
    """A connection with its credentials, opened; `lock`: nobody else changes them until the transaction ends.

    In one statement, or under the lock: old tokens with the new ones' time of death would be taken for alive.
    Raises: NotFound; SealBroken where they were tampered with.
    """
    if lock:
        held = await credentials.load(tx, vault, key, lock=True)
        return await get(tx, key.organization_id, key.connection_id), held
    row = await tx.one(_HELD, organization=key.organization_id, connection=key.connection_id)
    if row is None:
        raise NotFound("There are no credentials of this connection.")
    return from_row(row[: len(_COLUMNS)]), credentials.decrypt(row, vault, key)


async def list_page(
    tx: Transaction, organization_id: str, wanted: ConnectionFilter, *, limit: int, before: str | None = None
) -> list[Connection]:
    """At most `limit` connections, the newest first, from before the one with the id `before`."""
    statement = _LIST
    for name, value in asdict(wanted).items():
        if value is not None:
            statement = statement.where(connections.c[name] == value)
    if before:
        statement = statement.where(connections.c.id < before)
    return [from_row(row) for row in await tx.all(statement.limit(limit), organization=organization_id)]


async def list_at_integration(tx: Transaction, organization_id: str, end_user_id: str, slug: str) -> list[Connection]:
    """What an end user has connected at one integration, the newest first."""
    rows = await tx.all(_PRESENT, organization=organization_id, end_user=end_user_id, slug=slug)
    return [from_row(row) for row in rows]


async def list_connected_slugs(tx: Transaction, organization_id: str, end_user_id: str) -> frozenset[str]:
    """The slugs of the integrations at which an end user has an active connection."""
    rows = await tx.all(_CONNECTED, organization=organization_id, end_user=end_user_id)
    return frozenset(row.integration_slug for row in rows)


async def create_or_replace(
    tx: Transaction, vault: Vault, catalogs: OrganizationCatalogs, actor: Actor, new: NewConnection, now: datetime
) -> tuple[Connection, bool]:
    """Store a connection in place of the one it renews, or as another; and whether it is a new row.

    The end user's row is locked meanwhile, so two tabs cannot make two of one.
    Raises: AccountMismatch; NotFound for a target that is gone or another's.
    """
    await end_users.ensure(tx, actor.organization_id, end_users.EndUser(new.end_user_id, None, None, now, now))
    present = await list_at_integration(tx, actor.organization_id, new.end_user_id, new.integration_slug)
    renewed = _renewed(new, present)
    if renewed is None:
        return await _create(tx, vault, actor, new, now), True
    replaced = await _replaced_tokens(tx, vault, renewed, new)
    connection = await _renew(tx, vault, actor, renewed, new, now)
    if replaced is not None:  # another account has taken the connection; the worker revokes the tokens of the old one
        pending = await pending_revocations.queue_revocation(tx, vault, catalogs, replaced, "account_replaced", now)
        await pending_revocations.leave_to_worker(tx, pending, now)
    return connection, False


async def require_replaceable(tx: Transaction, organization_id: str, new: NewConnection) -> None:
    """What `connect` would refuse, said before anything is stored. Raises: AccountMismatch; NotFound as `connect`."""
    _renewed(new, await list_at_integration(tx, organization_id, new.end_user_id, new.integration_slug))


def _renewed(new: NewConnection, present: Sequence[Connection]) -> Connection | None:
    """Which of the present connections the new one takes the place of: the named one, the same
    account's, or the only one there may be."""
    if new.target is not None:
        target = next((connection for connection in present if connection.id == new.target), None)
        if target is None:
            raise NotFound("The connection to renew is gone. Create a session without connection_id.")
        return _agreed(new, target)
    if new.account.id is not None:
        for connection in present:
            if connection.account_id == new.account.id:
                return connection
    if new.multiple or not present:
        return None
    return _agreed(new, next((one for one in present if one.status == "active"), present[0]))


def _agreed(new: NewConnection, present: Connection) -> Connection:
    known = new.account.id is not None and present.account_id is not None
    if known and new.account.id != present.account_id and not new.agreed:
        raise AccountMismatch(
            f"This is another account ({new.account.label or new.account.id}) than the one connected now "
            f"({present.account_label or present.account_id}). Confirm to replace it."
        )
    return present


async def _create(tx: Transaction, vault: Vault, actor: Actor, new: NewConnection, now: datetime) -> Connection:
    connection = Connection(
        id=new_id(),
        organization_id=actor.organization_id,
        end_user_id=new.end_user_id,
        integration_slug=new.integration_slug,
        name=new.name or new.account.label or new.integration_slug,
        auth_type=new.auth_type,
        status="active",
        error=None,
        account_id=new.account.id,
        account_label=new.account.label,
        params=new.params,
        scopes=new.scopes,
        missing_scopes=new.missing_scopes,
        metadata=new.metadata,
        created_at=now,
        updated_at=now,
        last_used_at=None,
        expires_at=new.expires_at,
    )
    await tx.execute(_INSERT, **asdict(connection))
    await credentials.store(tx, vault, connection.key, new.secrets, new.token_metadata)
    await events.record(tx, actor, "connection.created", now, connection.subject)
    return connection


async def _renew(
    tx: Transaction, vault: Vault, actor: Actor, present: Connection, new: NewConnection, now: datetime
) -> Connection:
    renewed = replace(
        present,
        name=new.name or present.name,
        auth_type=new.auth_type,
        status="active",
        error=None,
        account_id=new.account.id or present.account_id,
        account_label=new.account.label or present.account_label,
        params=new.params,
        metadata={**present.metadata, **new.metadata},
        updated_at=now,
        scopes=new.scopes,
        missing_scopes=new.missing_scopes,
        expires_at=new.expires_at,
    )
    await _save(tx, renewed, *_RENEWED)
    await credentials.store(tx, vault, renewed.key, new.secrets, new.token_metadata)
    await events.record(tx, actor, "connection.reconnected", now, renewed.subject)
    return renewed


async def _replaced_tokens(
    tx: Transaction, vault: Vault, present: Connection, new: NewConnection
) -> RevocableTokens | None:
    """Lock the credentials of a connection; return its tokens where another account takes its place."""
    if present.account_id is None or new.account.id in {None, present.account_id}:
        await credentials.lock(tx, present.key)
        return None
    try:
        return revocable_tokens(present, await credentials.load(tx, vault, present.key, lock=True))
    except (NotFound, SealBroken):
        return None


def revocable_tokens(connection: Connection, stored: StoredCredential) -> RevocableTokens:
    """Return the tokens of a connection as `queue_revocation` takes them."""
    return RevocableTokens(
        connection.organization_id,
        connection.end_user_id,
        connection.integration_slug,
        connection.auth_type,
        stored.token_metadata,
        connection.params,
        stored.secrets,
        connection.account_id,
        connection.id,
    )


@dataclass(frozen=True, slots=True)
class ConnectionUpdate:
    """What to change of a connection; None leaves it."""

    name: str | None = None
    metadata: Mapping[str, object] | None = None


async def update_connection(
    tx: Transaction, actor: Actor, connection: Connection, wanted: ConnectionUpdate, now: datetime
) -> Connection:
    """Store a new name or metadata. Raises: NotFound where it was deleted meanwhile."""
    saved = replace(
        connection,
        name=wanted.name or connection.name,
        metadata=connection.metadata if wanted.metadata is None else wanted.metadata,
        updated_at=now,
    )
    await _save(tx, saved, "name", "metadata", "updated_at")
    await events.record(tx, actor, "connection.updated", now, saved.subject)
    return saved


async def mark_needs_reauth(
    tx: Transaction, actor: Actor, connection: Connection, code: str, message: str, now: datetime
) -> Connection:
    """The provider has definitely refused the credentials: the end user has to connect again."""
    if connection.status == "needs_reauth":
        return connection
    saved = replace(connection, status="needs_reauth", error=error_note(code, message, now), updated_at=now)
    await _save(tx, saved, *_STATUS)
    data = {**connection.subject.data, "reason": code}
    await events.record(tx, actor, "connection.needs_reauth", now, replace(connection.subject, data=data))
    return saved


async def invalidate_for_audience_change(tx: Transaction, connection: Connection, message: str, now: datetime) -> None:
    """The organization has changed where its integration sends credentials: the end user has to connect again. The
    credentials are locked by whoever calls this."""
    actor = Actor(connection.organization_id, "system")
    await mark_needs_reauth(tx, actor, connection, "integration_changed", message, now)
    await credentials.invalidate(tx, connection.key)


async def invalidate_all_for_audience_change(
    tx: Transaction, organization_id: str, moved: AudienceChange, now: datetime, *, limit: int
) -> int:
    """Tell active connections whose credentials were given for another audience, at most `limit`; how many. Whoever
    connects again or lets go at this moment is met as they are under the lock."""
    whose = {"organization": organization_id, "slug": moved.slug, "auth_type": moved.auth_type}
    found = await tx.all(_MOVED, **whose, for_whom=moved.audience, limit=limit)
    for row in found:
        one = from_row(row)
        await credentials.lock(tx, one.key)
        again = await tx.one(_STILL_MOVED, **whose, for_whom=moved.audience, connection=one.id)
        if again is not None:
            await invalidate_for_audience_change(tx, from_row(again), moved.message, now)
    return len(found)


async def count_at_integration(tx: Transaction, organization_id: str, slug: str) -> int:
    """How many connections an integration has."""
    row = await tx.one(_COUNT_OF, organization=organization_id, slug=slug)
    return int(row.count) if row is not None else 0


async def mark_active(tx: Transaction, actor: Actor, connection: Connection, now: datetime) -> Connection:
    """The provider takes the credentials."""
    if connection.status == "active":
        return connection
    saved = replace(connection, status="active", error=None, updated_at=now)
    await _save(tx, saved, *_STATUS)
    await events.record(tx, actor, "connection.recovered", now, saved.subject)
    return saved


async def replace_tokens(
    tx: Transaction, vault: Vault, connection: Connection, secrets: Mapping[str, str], renewed: RefreshedMetadata
) -> Connection:
    """Store tokens that took the place of others; whose they are, and whether they work, stays as it was."""
    saved = replace(connection, expires_at=renewed.expires_at, scopes=renewed.scopes or connection.scopes)
    await _save(tx, saved, "expires_at", "scopes")
    await credentials.store(tx, vault, connection.key, secrets, renewed.token_metadata)
    return saved


async def remove(tx: Transaction, actor: Actor, connection: Connection, now: datetime) -> bool:
    """Delete a connection and its credentials; False where it was gone already."""
    if not await tx.execute(_DELETE, organization=connection.organization_id, connection=connection.id):
        return False
    await events.record(tx, actor, "connection.deleted", now, connection.subject)
    return True


async def _save(tx: Transaction, connection: Connection, *names: str) -> None:
    values = {name: getattr(connection, name) for name in names}
    mine = {"organization": connection.organization_id, "connection": connection.id}
    if not await tx.execute(_updating(*names), **mine, **values):
        raise NotFound("The connection was deleted meanwhile.")
