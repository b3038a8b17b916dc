"""A call to a provider on an end user's behalf: who calls, through which connection, with which credentials.

All that decides it is read in one statement, which every call waits for.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, bindparam, select

from one_runtime.catalog.model import CUSTOM
from one_runtime.connections import connections, credentials
from one_runtime.connections.connections import Connection
from one_runtime.context import Installation
from one_runtime.db.engine import Row, Transaction
from one_runtime.db.ids import is_id
from one_runtime.db.schema import api_keys as keys
from one_runtime.db.schema import connections as connected
from one_runtime.db.schema import credentials as held
from one_runtime.db.schema import organizations
from one_runtime.errors import Conflict
from one_runtime.tenancy.authentication import KEY_COLUMNS, KEY_MATCHES, PresentedKey, Principal
from one_runtime.tokens.state import CredentialState, sends_client_fields, with_oauth_client


class ConnectRequired(Conflict):
    """The end user has no connection that could be used; they have to connect, or to connect again."""

    code = "connect_required"


@dataclass(frozen=True, slots=True)
class ConnectionSelector:
    """Through which connection to call: that one, or the newest active one of the end user."""

    integration_slug: str
    end_user_id: str | None
    connection_id: str | None


@dataclass(frozen=True, slots=True)
class LookupRow:
    """Result of the statement. `row`: the connection with its credentials, or None."""

    principal: Principal
    row: Row | None
    custom_revision: str | None


_CONNECTION = tuple(connected.c[name] for name in Connection.__dataclass_fields__)
_WIDTH: Final = len(_CONNECTION)


def _statement(which: ColumnElement[bool]) -> Select[tuple[object, ...]]:
    mine = and_(
        connected.c.organization_id == keys.c.organization_id,
        connected.c.integration_slug == bindparam("slug"),
        which,
    )
    return (
        select(*_CONNECTION, *credentials.CREDENTIAL_COLUMNS, *KEY_COLUMNS, organizations.c.custom_revision)
        .select_from(
            keys.join(organizations, organizations.c.id == keys.c.organization_id)
            .outerjoin(connected, mine)
            .outerjoin(held, held.c.connection_id == connected.c.id)
        )
        .where(KEY_MATCHES)
        .order_by(connected.c.status != "active", connected.c.id.desc())
        .limit(1)
    )


_BY_END_USER = _statement(connected.c.end_user_id == bindparam("end_user"))
_BY_ID = _statement(connected.c.id == bindparam("connection"))
_BY_BOTH = _statement(and_(connected.c.id == bindparam("connection"), connected.c.end_user_id == bindparam("end_user")))


async def find(tx: Transaction, key: PresentedKey, wanted: ConnectionSelector) -> LookupRow:
    """Authenticate the key and read all that decides a call, in one statement. Raises: Unauthenticated."""
    row = await _row(tx, key.hash, wanted)
    principal = key.verify(row)
    assert row is not None  # noqa: S101 - `verify` refuses a missing row
    return LookupRow(principal, row if row[0] is not None and row.sealed is not None else None, row.custom_revision)


async def _row(tx: Transaction, digest: bytes, wanted: ConnectionSelector) -> Row | None:
    asked = {"key_hash": digest, "slug": wanted.integration_slug}
    if wanted.connection_id is None:
        return await tx.one(_BY_END_USER, **asked, end_user=wanted.end_user_id)
    if not is_id(wanted.connection_id):  # it names nothing, and PostgreSQL would not compare it
        return await tx.one(_BY_END_USER, **asked, end_user=None)
    if wanted.end_user_id is None:
        return await tx.one(_BY_ID, **asked, connection=wanted.connection_id)
    return await tx.one(_BY_BOTH, **asked, connection=wanted.connection_id, end_user=wanted.end_user_id)


async def decrypt(tx: Transaction, installation: Installation, found: LookupRow) -> CredentialState | None:
    """The connection with its credentials and its entry; None where there is none. Raises: SealBroken."""
    row = found.row
    if row is None:
        return None
    connection = connections.from_row(row[:_WIDTH])
    kept = credentials.decrypt(row, installation.vault, connection.key)
    slug, catalog = connection.integration_slug, installation.catalog
    if slug.startswith(CUSTOM):
        own = await installation.catalogs.own(tx, found.principal.organization_id, found.custom_revision)
        catalog = own if own is not None else catalog
    integration = catalog.get(slug)
    auth = integration.auth_of(connection.auth_type) if integration is not None else None
    state = CredentialState(connection, kept, integration, auth, None)
    return await with_oauth_client(tx, installation, state) if sends_client_fields(auth) else state
