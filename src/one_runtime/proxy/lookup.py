"""Read the API key, the connection and the connection's credential for a proxy call, in one SQL statement.

For an agent, the caller is known already: `list_of_end_user` reads the end user's connections to an integration.

A call that names no connection uses the only active one, or the end user's default connection if the organization
allows it. One Runtime never chooses one of several accounts itself (P15).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, select

from one_runtime.catalog.model import CUSTOM, Integration
from one_runtime.connections import connections, credentials
from one_runtime.connections.connections import Connection, SeveralConnections
from one_runtime.connections.credentials import CREDENTIAL_COLUMNS, CredentialRow, StoredCredential
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import is_id
from one_runtime.db.schema import api_keys as keys
from one_runtime.db.schema import connections as connected
from one_runtime.db.schema import credentials as held
from one_runtime.db.schema import organizations
from one_runtime.errors import Conflict, InvalidInput
from one_runtime.tenancy.authentication import KEY_COLUMNS, KEY_MATCHES, ApiKeyRow, PresentedKey, Principal
from one_runtime.tokens.state import CredentialState, with_oauth_client


class ConnectRequired(Conflict):
    """The end user has no usable connection, and has to connect or reconnect."""

    code = "connect_required"
    documentation = (
        "The end user has no usable connection.",
        "Create a session, in which the end user can connect.",
    )


@dataclass(frozen=True, slots=True)
class ConnectionSelector:
    """Selects a connection by its id, by its end user, or by both."""

    integration_slug: str
    end_user_id: str | None
    connection_id: str | None


_CONNECTION = tuple(connected.c[name] for name in Connection.__dataclass_fields__)
_IS_CHOSEN = and_(connected.c.is_default, organizations.c.several_connections == "use_default").label("is_chosen")
_IN_ORDER = (_IS_CHOSEN.desc(), connected.c.status != "active", connected.c.id.desc())


class _LookUpRow:
    """A row of the statement. Without a matching connection, `connection` and `credential` are None."""

    _fields = (
        *Connection.__dataclass_fields__,
        *CredentialRow._fields,
        *ApiKeyRow._fields,
        "custom_revision",
        "is_chosen",
    )

    def __init__(self, *cells: Any) -> None:
        width, end = len(_CONNECTION), len(_CONNECTION) + len(CREDENTIAL_COLUMNS)
        self.connection = Connection(*cells[:width]) if cells[0] is not None else None
        self.credential = CredentialRow(*cells[width:end]) if cells[width] is not None else None
        self.key, self.custom_revision, self.is_chosen = ApiKeyRow(*cells[end:-2]), cells[-2], bool(cells[-1])


_OF_END_USER = (
    select(*_CONNECTION, *CREDENTIAL_COLUMNS, organizations.c.custom_revision, _IS_CHOSEN)
    .select_from(
        connected.join(held, held.c.connection_id == connected.c.id).join(
            organizations, organizations.c.id == connected.c.organization_id
        )
    )
    .where(
        connected.c.organization_id == bindparam("organization"),
        connected.c.end_user_id == bindparam("end_user"),
        connected.c.integration_slug == bindparam("slug"),
    )
    .order_by(*_IN_ORDER)
    .limit(bindparam("limit"))
)


class EndUserConnection:
    """A connection of an end user, with its encrypted credential.

    `is_chosen`: True for the default connection of an organization that allows it.
    """

    _fields = (*Connection.__dataclass_fields__, *CredentialRow._fields, "custom_revision", "is_chosen")

    def __init__(self, *cells: Any) -> None:
        width = len(_CONNECTION)
        self.connection, self.credential = Connection(*cells[:width]), CredentialRow(*cells[width:-2])
        self.custom_revision: str | None = cells[-2]
        self.is_chosen = bool(cells[-1])


async def list_of_end_user(
    tx: Transaction, organization_id: str, end_user_id: str, slug: str, *, limit: int
) -> list[EndUserConnection]:
    """Return at most `limit` connections of an end user to an integration, the one to use first.

    The chosen default connection comes first, then active connections, then newer ones.
    """
    return await tx.all(
        _OF_END_USER, EndUserConnection, organization=organization_id, end_user=end_user_id, slug=slug, limit=limit
    )


async def open_connection(tx: Transaction, installation: Installation, found: EndUserConnection) -> CredentialState:
    """Return the connection with its decrypted credential. Raises: IntegrationDisabled; SealBroken."""
    connection = found.connection
    installation.disabled.require_enabled(connection.integration_slug)
    stored = credentials.decrypt(found.credential, installation.vault, connection.key)
    return await _with_entry(tx, installation, connection, stored, found.custom_revision)


def _statement(selected: ColumnElement[bool]) -> Select[tuple[object, ...]]:
    on_connection = and_(
        connected.c.organization_id == keys.c.organization_id,
        connected.c.integration_slug == bindparam("slug"),
        selected,
    )
    return (
        select(*_CONNECTION, *CREDENTIAL_COLUMNS, *KEY_COLUMNS, organizations.c.custom_revision, _IS_CHOSEN)
        .select_from(
            keys.join(organizations, organizations.c.id == keys.c.organization_id)
            .outerjoin(connected, on_connection)
            .outerjoin(held, held.c.connection_id == connected.c.id)
        )
        .where(KEY_MATCHES)
        .order_by(*_IN_ORDER)
        .limit(2)  # the second shows that there are several
    )


_BY_END_USER = _statement(connected.c.end_user_id == bindparam("end_user"))
_BY_ID = _statement(connected.c.id == bindparam("connection"))
_BY_BOTH = _statement(and_(connected.c.id == bindparam("connection"), connected.c.end_user_id == bindparam("end_user")))


async def load(
    installation: Installation,
    key: PresentedKey,
    selector: ConnectionSelector,
    authorize: Callable[[Principal], None],
) -> CredentialState:
    """Return the connection with its decrypted credential.

    Before the decryption, call `authorize` with the principal (the authenticated caller).

    Raises: Unauthenticated, NotFound, InvalidInput, ConnectRequired, SeveralConnections, IntegrationDisabled,
    SealBroken (the decryption failed). The function also raises the exceptions of `authorize`.
    """
    async with installation.database.read() as tx:
        rows = await _rows(tx, key.hash, selector)
        row = rows[0] if rows else None
        principal = key.verify(row.key if row is not None else None)
        authorize(principal)
        installation.disabled.require_enabled(selector.integration_slug)
        assert row is not None  # noqa: S101 - `verify` refuses a missing row
        if row.connection is not None and row.credential is not None:
            if _is_ambiguous(rows):
                raise await _several(tx, row.connection)
            stored = credentials.decrypt(row.credential, installation.vault, row.connection.key)
            return await _with_entry(tx, installation, row.connection, stored, row.custom_revision)
        integration = await installation.catalogs.require(tx, principal.organization_id, selector.integration_slug)
    if selector.end_user_id is None and selector.connection_id is None:
        raise InvalidInput.of(
            "One-Runtime-End-User",
            "is required. Send this header with your own identifier of the end user, or the header "
            "One-Runtime-Connection with the id of a connection",
        )
    raise _connect_required(integration, selector)


def _is_ambiguous(rows: Sequence[_LookUpRow]) -> bool:
    """Return True if there are several active connections, and none of them is the chosen one."""
    if len(rows) == 1 or rows[0].is_chosen:
        return False
    return all(row.connection is not None and row.connection.status == "active" for row in rows)


async def _several(tx: Transaction, one: Connection) -> SeveralConnections:
    found = await connections.list_at_integration(tx, one.organization_id, one.end_user_id, one.integration_slug)
    active = [connection for connection in found if connection.status == "active"]
    return SeveralConnections(
        f"The end user in One-Runtime-End-User has {len(active)} active connections to {one.integration_slug}, and the "
        "call does not say which of them it means. Name one in the header One-Runtime-Connection. Or set a default "
        'connection with PATCH /v1/connections/{id} {"is_default": true}, and allow default connections with PATCH '
        '/v1/organization {"several_connections": "use_default"}. '
        f"The connections are: {connections.listed(active)}.",
        active,
    )


def _connect_required(integration: Integration, selector: ConnectionSelector) -> ConnectRequired:
    name, slug = integration.name, integration.slug
    if selector.connection_id is None:
        return ConnectRequired(
            f"The end user in One-Runtime-End-User has no connection to {name}. Check the identifier, or let the end "
            f'user connect: POST /v1/hosted-connection-sessions with "integration_slug": "{slug}".'
        )
    subject, target = name, ""
    if selector.end_user_id is not None:
        subject, target = "The end user in One-Runtime-End-User", f" to {name}"
    return ConnectRequired(
        f"{subject} has no connection{target} with the id in One-Runtime-Connection. Find the id with "
        f"GET /v1/connections?integration_slug={slug}, or let the end user connect with "
        "POST /v1/hosted-connection-sessions."
    )


async def _rows(tx: Transaction, key_hash: bytes, selector: ConnectionSelector) -> list[_LookUpRow]:
    params = {"key_hash": key_hash, "slug": selector.integration_slug}
    connection_id, end_user_id = selector.connection_id, selector.end_user_id
    if connection_id is None:
        return await tx.all(_BY_END_USER, _LookUpRow, **params, end_user=end_user_id)
    if not is_id(connection_id):  # PostgreSQL would refuse the id. This statement finds no connection, without an error
        return await tx.all(_BY_END_USER, _LookUpRow, **params, end_user=None)
    if end_user_id is None:
        return await tx.all(_BY_ID, _LookUpRow, **params, connection=connection_id)
    return await tx.all(_BY_BOTH, _LookUpRow, **params, connection=connection_id, end_user=end_user_id)


async def _with_entry(
    tx: Transaction,
    installation: Installation,
    connection: Connection,
    stored: StoredCredential,
    custom_revision: str | None,
) -> CredentialState:
    slug, catalog = connection.integration_slug, installation.catalog
    if slug.startswith(CUSTOM):
        own = await installation.catalogs.own(tx, connection.organization_id, custom_revision)
        catalog = own if own is not None else catalog
    state = CredentialState.of(connection, stored, catalog.get(slug))
    return await with_oauth_client(tx, installation, state) if state.needs_client else state
