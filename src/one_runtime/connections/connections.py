"""Store the connections of end users. A connection is an end user's account at a provider.

The module `credentials` stores the secrets of a connection.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple, Self

from sqlalchemy import ColumnElement, Update, bindparam, delete, func, insert, select, update

from one_runtime.catalog.organization_catalogs import OrganizationCatalogs
from one_runtime.connections import credentials, pending_revocations
from one_runtime.connections.credentials import (
    NO_TOKEN_METADATA,
    ConnectionKey,
    CredentialRow,
    PermissionMissing,
    ProviderAccount,
    StoredCredential,
    TokenMetadata,
)
from one_runtime.connections.pending_revocations import RevocableTokens
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import is_id, new_id
from one_runtime.db.scanning import Values, matches, within
from one_runtime.db.schema import connections
from one_runtime.db.schema import credentials as credentials_table
from one_runtime.encryption.vault import SealBroken, Vault
from one_runtime.errors import Conflict, NotFound
from one_runtime.explanations.stored_errors import error_note
from one_runtime.telemetry.logger import Logger
from one_runtime.tenancy import end_users, events
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject


@dataclass(frozen=True, slots=True)
class ConnectionFilter:
    """Filters for a list of connections. A field with the value None matches all connections.

    `since`, `until`: list connections that were created at or after `since`, and before `until`.
    """

    end_user_id: Values[str] = None
    integration_slug: Values[str] = None
    status: Values[str] = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions for the rows of connections."""
        names = ("end_user_id", "integration_slug", "status")
        equal = [condition for name in names for condition in matches(connections.c[name], getattr(self, name))]
        return [*equal, *within(connections.c.id, self.since, self.until)]


STATUSES: Final = ("active", "needs_reauth")
ADD: Final = "add"
"""Answer of an end user who adds an account, and replaces no connection."""
_MAX_LISTED: Final = 20

log = Logger()


@dataclass(frozen=True, slots=True)
class Connection:
    """A connected account. `status`: `active`, or `needs_reauth` if the end user has to connect again.

    `is_default`: True for the connection that a call uses if it names none of several, and if the organization allows
    it (`Organization.several_connections`). An end user has at most one default connection to each integration.
    """

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
    is_default: bool = False

    def __post_init__(self) -> None:
        for name in ("scopes", "missing_scopes"):  # the database returns lists
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def key(self) -> ConnectionKey:
        """Return the ids that identify the connection and its stored credential."""
        return ConnectionKey(self.organization_id, self.id)

    @property
    def lacks_permission(self) -> bool:
        """Return True if the last check found that the credential lacks a permission."""
        return self.status == "active" and (self.error or {}).get("code") == PermissionMissing.code

    @property
    def subject(self) -> Subject:
        """Return the subject of the connection's events."""
        data = {"integration_slug": self.integration_slug, "auth_type": self.auth_type}
        return Subject(self.end_user_id, self.id, data)

    def subject_of_change(self, changed: Sequence[str]) -> Subject:
        """Return the subject of an event that names the changed fields."""
        return replace(self.subject, data={**self.subject.data, "changed": sorted(changed)})

    def subject_with(self, reason: str) -> Subject:
        """Return the subject of an event that has a reason."""
        return replace(self.subject, data={**self.subject.data, "reason": reason})


class AccountMismatch(Conflict):
    """The end user connected another account, but has not agreed to replace the account of `present`.

    `labels`: the new account and the connected one, for the end user.
    """

    code = "account_mismatch"
    documentation = (
        (
            "The new account differs from the connected account. The popup asks the user to confirm the change. With "
            "`oauth2`, this question is in the window in which the user signed in."
        ),
        (
            "If your backend gets this error when it imports a connection, send `connection_id` or `multiple`. If it "
            "gets this error when it redeems a code, create a new session."
        ),
    )

    def __init__(self, account: ProviderAccount, present: Connection) -> None:
        new, old = account.label or account.id or "", present.account_label or present.account_id or ""
        if new == old:  # two accounts can have the same label
            new, old = f"{new} ({account.id})", f"{old} ({present.account_id})"
        super().__init__(
            f"This is the account {new}. The connected account is {old}. Confirm to replace the connected account."
        )
        self.account, self.present = account, present
        self.labels = (new, old)


class SeveralConnections(Conflict):
    """The end user has several connections to the integration, and the request names none of them (P15).

    `present`: the connections, newest first.
    """

    code = "several_connections"
    documentation = (
        "The end user has several connections to the integration, and the request does not say which of them it means.",
        (
            "A call through the proxy names the connection in the header `One-Runtime-Connection`, or the end user has "
            "a [default connection](api.md#default-connections). "
            "An agent repeats the call with `connection`. An import names the connection to replace with "
            "`connection_id`, or adds a connection with `multiple`. If your backend gets this error when it redeems a "
            "code, create a new session with `connection_id`. `connections` lists the connections. The popup asks the "
            "end user."
        ),
    )

    def __init__(self, detail: str, present: Sequence[Connection]) -> None:
        super().__init__(detail)
        self.present = tuple(present)

    @classmethod
    def of(cls, account: ProviderAccount, present: Sequence[Connection]) -> Self:
        """Return the error for a new credential, with instructions for the developer of a backend."""
        known = f"of the account {account.label or account.id}, which is new" if account.id else "of an unknown account"
        return cls(
            f"The end user has {len(present)} connections to {present[0].integration_slug}, and the new credential is "
            f"{known}. Name the connection to replace with connection_id, or add a connection with multiple: true. "
            f"The connections are: {listed(present)}.",
            present,
        )


def listed(present: Sequence[Connection]) -> str:
    """Return the ids and the names of connections, as the details of errors list them."""
    names = "; ".join(f"{connection.id} ({connection.name})" for connection in present[:_MAX_LISTED])
    return names + (f"; and {len(present) - _MAX_LISTED} more" if len(present) > _MAX_LISTED else "")


class AnswerOutdated(Conflict):
    """The end user has selected one of several connections, but they have changed since the question (P15)."""


@dataclass(frozen=True, slots=True)
class NewConnection:
    """A verified account to store as a connection.

    `name`: None for the automatic name. If the connection replaces a connection whose name was chosen, None keeps the
    chosen name.
    `target`: the id of the connection to replace, or None. `multiple`: True to keep the end user's other connections to
    the integration. `agreed`: True if the organization's backend named the connection to replace. `agreed_to`: the
    question (`AccountMismatch`) that the end user answered with yes, or None. It names both accounts.
    `answer`: the end user's answer to the question of `SeveralConnections`: the id of a connection, `ADD`, or None.
    """

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
    agreed_to: str | None = None
    answer: str | None = None
    scopes: tuple[str, ...] = ()
    missing_scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None
    token_metadata: TokenMetadata = NO_TOKEN_METADATA


class _ConnectedRow(NamedTuple):
    integration_slug: str


class _RowWithCredential:
    _fields = (*Connection.__dataclass_fields__, *CredentialRow._fields)

    def __init__(self, *cells: Any) -> None:
        width = len(Connection.__dataclass_fields__)
        self.connection, self.credential = Connection(*cells[:width]), CredentialRow(*cells[width:])


class _ConnectionCount(NamedTuple):
    connections: int


COLUMNS = tuple(connections.c[name] for name in Connection.__dataclass_fields__)
_INSERT = insert(connections)
_IN_ORGANIZATION = connections.c.organization_id == bindparam("organization")
_LIST = select(*COLUMNS).where(_IN_ORGANIZATION).order_by(connections.c.id.desc())
_BY_ID = select(*COLUMNS).where(_IN_ORGANIZATION, connections.c.id == bindparam("connection"))
_BY_ID_LOCKED = _BY_ID.with_for_update(key_share=True)
_WITH_CREDENTIAL = (
    select(*COLUMNS, *credentials.CREDENTIAL_COLUMNS)
    .join_from(connections, credentials_table, credentials_table.c.connection_id == connections.c.id)
    .where(_IN_ORGANIZATION, connections.c.id == bindparam("connection"))
)
_AT_INTEGRATION = _LIST.where(
    connections.c.end_user_id == bindparam("end_user"), connections.c.integration_slug == bindparam("slug")
)
INTEGRATION_FILTER = (_IN_ORGANIZATION, connections.c.integration_slug == bindparam("slug"))
_COUNT = select(func.count().label("connections")).where(*INTEGRATION_FILTER)
_CONNECTED = (
    select(connections.c.integration_slug)
    .where(_IN_ORGANIZATION, connections.c.end_user_id == bindparam("end_user"), connections.c.status == "active")
    .distinct()
)
_REPLACED_COLUMNS = (
    "name", "auth_type", "status", "error", "account_id", "account_label", "params", "scopes", "missing_scopes",
    "metadata", "updated_at", "expires_at",
)  # fmt: skip
_STATUS_COLUMNS = ("status", "error", "updated_at")
_CHANGEABLE: Final = ("name", "metadata", "is_default")
"""The fields that an organization can change without a new credential."""
_DELETE = delete(connections).where(_IN_ORGANIZATION, connections.c.id == bindparam("connection"))


@cache
def _update_of(*names: str) -> Update:
    """Build an update of the given columns only. A concurrent transaction can change the other columns."""
    changed = update(connections).where(_IN_ORGANIZATION, connections.c.id == bindparam("connection"))
    return changed.values({name: bindparam(name) for name in names})


async def get(tx: Transaction, organization_id: str, connection_id: str, *, lock: bool = False) -> Connection:
    """Return a connection of this organization. `lock`: lock the connection until `tx` ends. Raises: NotFound."""
    key = {"organization": organization_id, "connection": connection_id}
    statement = _BY_ID_LOCKED if lock else _BY_ID
    connection = await tx.one(statement, Connection, **key) if is_id(connection_id) else None
    if connection is None:
        raise NotFound(f"There is no connection {connection_id[:64]!r}. GET /v1/connections lists your connections.")
    return connection


async def get_to_change(tx: Transaction, organization_id: str, connection_id: str) -> Connection:
    """Return a connection, and lock its end user and the connection until `tx` ends. Raises: NotFound.

    With the end user locked, two requests cannot make two connections the default connection.
    """
    connection = await get(tx, organization_id, connection_id)
    await end_users.lock(tx, organization_id, connection.end_user_id)
    return await get(tx, organization_id, connection_id, lock=True)


async def get_with_credential(
    tx: Transaction, vault: Vault, key: ConnectionKey, *, lock: bool = False, known: StoredCredential | None = None
) -> tuple[Connection, StoredCredential]:
    """Return a connection with its decrypted credentials. With `lock`, lock the credentials until `tx` ends.

    `known`: see `credentials.decrypt`.

    The tokens and their expiry are in two tables. A refresh changes both tables. So this function reads both rows in
    one statement, or locks the credentials first.

    Raises: NotFound; SealBroken if the credentials cannot be decrypted.
    """
    if lock:
        stored = await credentials.load(tx, vault, key, lock=True, known=known)
        return await get(tx, key.organization_id, key.connection_id), stored
    row = await tx.one(
        _WITH_CREDENTIAL, _RowWithCredential, organization=key.organization_id, connection=key.connection_id
    )
    if row is None:
        raise NotFound("This connection has no stored credentials.")
    return row.connection, credentials.decrypt(row.credential, vault, key, known)


async def list_page(
    tx: Transaction, organization_id: str, filters: ConnectionFilter, *, limit: int, before: str | None = None
) -> list[Connection]:
    """Return at most `limit` connections, newest first. With `before`, return only connections older than this id."""
    statement = _LIST.where(*filters.conditions())
    if before:
        statement = statement.where(connections.c.id < before)
    return await tx.all(statement.limit(limit), Connection, organization=organization_id)


async def list_at_integration(tx: Transaction, organization_id: str, end_user_id: str, slug: str) -> list[Connection]:
    """Return an end user's connections to one integration, newest first."""
    return await tx.all(_AT_INTEGRATION, Connection, organization=organization_id, end_user=end_user_id, slug=slug)


async def list_connected_slugs(tx: Transaction, organization_id: str, end_user_id: str) -> frozenset[str]:
    """Return the slugs of the integrations to which an end user has an active connection."""
    rows = await tx.all(_CONNECTED, _ConnectedRow, organization=organization_id, end_user=end_user_id)
    return frozenset(row.integration_slug for row in rows)


async def create_or_replace(
    tx: Transaction, vault: Vault, catalogs: OrganizationCatalogs, actor: Actor, new: NewConnection, now: datetime
) -> tuple[Connection, bool]:
    """Store a new connection, or replace the end user's existing connection.

    Return the connection, and True if the connection is new. Lock the end user's row, because two browser tabs could
    otherwise create two connections to the same account.

    Raises:
        AccountMismatch, SeveralConnections: the end user has to decide which connection to replace.
        AnswerOutdated: the end user has decided, but the connections have changed since the question.
        NotFound: the target does not exist, or belongs to another end user.
    """
    await end_users.ensure(tx, actor.organization_id, end_users.EndUser(new.end_user_id, None, None, now, now))
    present = await list_at_integration(tx, actor.organization_id, new.end_user_id, new.integration_slug)
    existing = _connection_to_replace(new, present)
    integration_name = await catalogs.name_of(tx, actor.organization_id, new.integration_slug)
    if existing is None:
        return await _create(tx, vault, actor, new, now, integration_name), True
    old_tokens = await _lock_old_tokens(tx, vault, existing)
    connection = await _replace(tx, vault, actor, existing, new, now, integration_name=integration_name)
    if old_tokens is not None:
        pending = await pending_revocations.queue_revocation(tx, vault, catalogs, old_tokens, "account_replaced", now)
        await pending_revocations.leave_to_worker(tx, pending, now)
    return connection, False


async def require_replaceable(tx: Transaction, organization_id: str, new: NewConnection) -> None:
    """Check that `create_or_replace` would raise no error, and store nothing.

    Raises: AccountMismatch; AnswerOutdated; SeveralConnections; NotFound.
    """
    _connection_to_replace(new, await list_at_integration(tx, organization_id, new.end_user_id, new.integration_slug))


def _connection_to_replace(new: NewConnection, present: Sequence[Connection]) -> Connection | None:
    """Return the connection to replace, or None if `new` becomes a new connection.

    The first rule that applies decides:

    1. If `new` has a target, return the target.
    2. If a present connection has the same account, return this connection.
    3. If there is no present connection, return None.
    4. If `new.multiple` is True, return None.
    5. If the end user has answered, return the connection that the end user selected, or None for another account.
    6. If there is one present connection, return it.

    The answer counts only in rule 5, and adds an account only beside several, so it cannot widen the permission of a
    session (promise P4). Nothing else selects one of several connections, because each of them can be an account that
    works (promise P15). Rule 5 refuses an answer to an old question: with the selected connection deleted, rule 6 would
    replace an account that the end user did not select.

    Raises: NotFound; AccountMismatch; AnswerOutdated; SeveralConnections.
    """
    if new.target is not None:
        return _require_agreement(new, _find_target(new.target, present))
    if new.account.id is not None:
        for connection in present:
            if connection.account_id == new.account.id:
                return connection
    if new.multiple or not present:
        return None
    if new.answer is not None:
        return _answered(new.answer, present)
    if len(present) == 1:
        return _require_agreement(new, present[0])
    raise SeveralConnections.of(new.account, present)


def _find_target(connection_id: str, present: Sequence[Connection]) -> Connection:
    target = next((connection for connection in present if connection.id == connection_id), None)
    if target is None:
        raise NotFound("The connection to reconnect no longer exists. Start again without connection_id.")
    return target


def _answered(answer: str, present: Sequence[Connection]) -> Connection | None:
    """Return the connection that the end user selected, or None. An answer adds an account only beside several."""
    if answer == ADD and len(present) > 1:
        return None
    selected = next((connection for connection in present if connection.id == answer), None)
    if selected is None:
        raise AnswerOutdated(
            "The connected accounts have changed since the question which of them this is. Start again, so that no "
            "other account is replaced."
        )
    return selected


def _require_agreement(new: NewConnection, present: Connection) -> Connection:
    """Return the present connection if the new account may replace its account.

    The agreement holds only for the two accounts of the question. In another browser tab, the end user can have
    connected a third account since the question.

    Raises: AccountMismatch.
    """
    known = new.account.id is not None and present.account_id is not None
    if known and new.account.id != present.account_id and not new.agreed:
        mismatch = AccountMismatch(new.account, present)
        if new.agreed_to != mismatch.detail:
            raise mismatch
    return present


async def _create(
    tx: Transaction, vault: Vault, actor: Actor, new: NewConnection, now: datetime, integration_name: str
) -> Connection:
    connection = Connection(
        id=new_id(),
        organization_id=actor.organization_id,
        end_user_id=new.end_user_id,
        integration_slug=new.integration_slug,
        name=new.name or automatic_name(new.account.label, integration_name),
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
    await events.record(tx, actor, EventType.CONNECTION_CREATED, now, connection.subject)
    return connection


async def _replace(  # noqa: PLR0913 - by name
    tx: Transaction,
    vault: Vault,
    actor: Actor,
    present: Connection,
    new: NewConnection,
    now: datetime,
    *,
    integration_name: str,
) -> Connection:
    account = _identity_after(present, new.account)
    has_automatic_name = present.name == automatic_name(present.account_label, integration_name)
    kept_name = automatic_name(account.label, integration_name) if has_automatic_name else present.name
    reconnected = replace(
        present,
        name=new.name or kept_name,
        auth_type=new.auth_type,
        status="active",
        error=None,
        account_id=account.id,
        account_label=account.label,
        params=new.params,
        metadata={**present.metadata, **new.metadata},
        updated_at=now,
        scopes=new.scopes,
        missing_scopes=new.missing_scopes,
        expires_at=new.expires_at,
    )
    await _save(tx, reconnected, *_REPLACED_COLUMNS)
    await credentials.store(tx, vault, reconnected.key, new.secrets, new.token_metadata)
    await events.record(tx, actor, EventType.CONNECTION_RECONNECTED, now, reconnected.subject)
    return reconnected


def _identity_after(present: Connection, account: ProviderAccount) -> ProviderAccount:
    """Return the account of the connection after `account` has replaced the present account.

    If the accounts are not known to be the same, nothing of the present identity remains: people would read the data of
    one account under the name of another one.
    """
    if account.id is None or account.id != present.account_id:
        return account
    return replace(account, label=account.label or present.account_label)


async def _lock_old_tokens(tx: Transaction, vault: Vault, present: Connection) -> RevocableTokens | None:
    """Lock the present connection's credentials, and return the old tokens for their revocation."""
    try:
        return revocable_tokens(*await get_with_credential(tx, vault, present.key, lock=True))
    except NotFound:
        return None
    except SealBroken:
        log.warning("replaced_tokens_unreadable", connection_id=present.id)
        return None


def revocable_tokens(connection: Connection, stored: StoredCredential) -> RevocableTokens:
    """Return the tokens of a connection as an argument for `queue_revocation`."""
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
        connection.expires_at,
    )


async def update_connection(  # noqa: PLR0913 - by name
    tx: Transaction,
    catalogs: OrganizationCatalogs,
    actor: Actor,
    connection: Connection,
    now: datetime,
    *,
    name: str | None,
    metadata: Mapping[str, object],
    is_default: bool,
) -> Connection:
    """Store the name, the metadata, and whether this is the default connection. Without a name, use the automatic one.

    `connection`: as `get_to_change` returned it. A new default connection replaces the end user's old one for this
    integration. The event names the changed fields. If all values are the present values, store nothing, and write no
    event. Raises: NotFound.
    """
    if not name:
        integration_name = await catalogs.name_of(tx, connection.organization_id, connection.integration_slug)
        name = automatic_name(connection.account_label, integration_name)
    saved = replace(connection, name=name, metadata=metadata, is_default=is_default, updated_at=now)
    changed = [field for field in _CHANGEABLE if getattr(saved, field) != getattr(connection, field)]
    if not changed:
        return connection
    if "is_default" in changed and is_default:
        await _end_default(tx, actor, connection, now)
    await _save(tx, saved, *changed, "updated_at")
    await events.record(tx, actor, EventType.CONNECTION_UPDATED, now, saved.subject_of_change(changed))
    return saved


async def _end_default(tx: Transaction, actor: Actor, successor: Connection, now: datetime) -> None:
    """Make the present default connection an ordinary one."""
    for present in await list_at_integration(
        tx, successor.organization_id, successor.end_user_id, successor.integration_slug
    ):
        if present.is_default and present.id != successor.id:
            ordinary = replace(present, is_default=False, updated_at=now)
            await _save(tx, ordinary, "is_default", "updated_at")
            subject = ordinary.subject_of_change(["is_default"])
            await events.record(tx, actor, EventType.CONNECTION_UPDATED, now, subject)


def automatic_name(account_label: str | None, integration_name: str) -> str:
    """Return the name of a connection without a chosen name.

    It is the name of the account at the provider, or the integration's name if the account has none.
    """
    return account_label or integration_name


async def mark_needs_reauth(  # noqa: PLR0913 - by name
    tx: Transaction,
    actor: Actor,
    connection: Connection,
    code: str,
    message: str,
    now: datetime,
    *,
    again: bool = False,
) -> Connection:
    """Set the status `needs_reauth` with the reason, and record the event. The end user has to connect again.

    If the connection already has this status, keep its reason. With `again`, replace the reason even then.
    """
    if connection.status == "needs_reauth" and not again:
        return connection
    saved = replace(connection, status="needs_reauth", error=error_note(code, message, now), updated_at=now)
    await _save(tx, saved, *_STATUS_COLUMNS)
    await events.record(tx, actor, EventType.CONNECTION_NEEDS_REAUTH, now, connection.subject_with(code))
    return saved


async def set_status(tx: Transaction, changed: Sequence[Connection], status: str, error: object, now: datetime) -> None:
    """Store the status and the error of many connections, with few round trips to the database. Record no event."""
    columns = {"status": status, "error": error, "updated_at": now}
    keys = [{"organization": connection.organization_id, "connection": connection.id} for connection in changed]
    await tx.execute_many(_update_of(*columns), [{**key, **columns} for key in keys])


async def note_missing_permission(
    tx: Transaction, actor: Actor, connection: Connection, message: str, now: datetime
) -> Connection:
    """Store the error `permission_missing` of an active connection, and record the event.

    Do nothing if the connection already has this error with the same message, or has another error.
    """
    present = connection.error
    known = present is not None and (not connection.lacks_permission or present["message"] == message)
    if connection.status != "active" or known:
        return connection
    saved = replace(connection, error=error_note(PermissionMissing.code, message, now), updated_at=now)
    await _save(tx, saved, *_STATUS_COLUMNS)
    await events.record(tx, actor, EventType.CONNECTION_UPDATED, now, saved.subject_with(PermissionMissing.code))
    return saved


async def count_at_integration(tx: Transaction, organization_id: str, slug: str) -> int:
    """Return the number of the organization's connections to an integration."""
    row = await tx.one(_COUNT, _ConnectionCount, organization=organization_id, slug=slug)
    return row.connections if row is not None else 0


async def mark_active(tx: Transaction, actor: Actor, connection: Connection, now: datetime) -> Connection:
    """Set the status `active` after the provider has accepted the credentials. Record the event."""
    if connection.status == "active" and not connection.lacks_permission:
        return connection
    saved = replace(connection, status="active", error=None, updated_at=now)
    await _save(tx, saved, *_STATUS_COLUMNS)
    await events.record(tx, actor, EventType.CONNECTION_RECOVERED, now, saved.subject)
    return saved


async def replace_tokens(
    tx: Transaction, vault: Vault, connection: Connection, secrets: Mapping[str, str], token_metadata: TokenMetadata
) -> None:
    """Store refreshed tokens with their expiry and scopes, and the connection's error.

    The account and the status do not change.
    """
    await _save(tx, connection, "expires_at", "scopes", "error")
    await credentials.store(tx, vault, connection.key, secrets, token_metadata)


async def set_error(tx: Transaction, connection: Connection, error: Mapping[str, str] | None) -> Connection:
    """Store the error of an active connection that cannot refresh its tokens at the moment. None: remove the error.

    The error `permission_missing` stays until a check succeeds.
    """
    if connection.error == error or connection.status != "active" or (error is None and connection.lacks_permission):
        return connection
    saved = replace(connection, error=error)
    await _save(tx, saved, "error")
    return saved


async def remove(tx: Transaction, actor: Actor, connection: Connection, now: datetime) -> bool:
    """Delete a connection and its credentials. Return False if the connection does not exist."""
    if not await tx.execute(_DELETE, organization=connection.organization_id, connection=connection.id):
        return False
    await events.record(tx, actor, EventType.CONNECTION_DELETED, now, connection.subject)
    return True


async def _save(tx: Transaction, connection: Connection, *names: str) -> None:
    values = {name: getattr(connection, name) for name in names}
    key = {"organization": connection.organization_id, "connection": connection.id}
    if not await tx.execute(_update_of(*names), **key, **values):
        raise NotFound("The connection no longer exists.")
