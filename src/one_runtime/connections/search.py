"""Find connections of all organizations, for the operator and for webhooks.

API requests use the module `connections` instead.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    and_,
    bindparam,
    func,
    literal,
    or_,
    select,
    tuple_,
    union_all,
)

from one_runtime.catalog import disabled_integrations
from one_runtime.catalog.disabled_integrations import DisabledIntegration
from one_runtime.connections.connections import COLUMNS, Connection
from one_runtime.connections.diagnosis import Diagnosis, RefreshState, diagnose, is_failing
from one_runtime.db.engine import Transaction
from one_runtime.db.id_lists import in_list
from one_runtime.db.ids import is_id
from one_runtime.db.schema import connections, credentials, end_users, oauth_clients, organizations
from one_runtime.errors import NotFound


@dataclass(frozen=True, slots=True)
class ConnectionSearch:
    """Filters for connections of all organizations. A field with the value None matches all connections.

    `email`: the e-mail address or identifier of the end user, or the label or id of the account. `account`: the id of
    the account, or a part of its label. `failing`: True for active connections that cannot refresh their tokens at the
    moment. The case of letters in `email` and `account` does not matter.
    """

    organization_id: str | None = None
    end_user_id: str | None = None
    email: str | None = None
    account: str | None = None
    integration_slug: str | None = None
    status: str | None = None
    failing: bool = False


_BY_ID: Final = select(*COLUMNS).where(in_list(connections.c.id, "connections"))


async def list_by_key(tx: Transaction, keys: Collection[tuple[str, str]]) -> list[Connection]:
    """Return connections. `keys`: pairs of an organization and a connection of this organization."""
    ids = [connection_id for _, connection_id in keys]
    rows = await tx.all(_BY_ID, Connection, connections=ids)
    return [row for row in rows if (row.organization_id, row.id) in keys]


_OWNER: Final = ("organization_name", "custom_revision", "email", "end_user_name")


class FoundConnection:
    """A connection with its owner and the state of its refreshes.

    `custom_revision`: the revision of the organization's custom integrations, or None.
    """

    _fields = (*Connection.__dataclass_fields__, *RefreshState._fields, *_OWNER)

    def __init__(self, *cells: Any) -> None:
        width, end = len(COLUMNS), len(COLUMNS) + len(RefreshState._fields)
        self.connection = Connection(*cells[:width])
        self.refresh = RefreshState(*cells[width:end])
        self.organization_name: str
        self.custom_revision: str | None
        self.email: str | None
        self.end_user_name: str | None
        self.organization_name, self.custom_revision, self.email, self.end_user_name = cells[end:]
        self.disabled: DisabledIntegration | None = None

    @property
    def id(self) -> str:
        """Return the id of the connection."""
        return self.connection.id

    def diagnose(self, now: datetime) -> Diagnosis:
        """Return the reason why the connection does not work."""
        return diagnose(self.connection, self.refresh, now, self.disabled)

    @property
    def is_failing(self) -> bool:
        """Return True if the connection cannot refresh its tokens at the moment."""
        return is_failing(self.connection, self.refresh)


class _OrganizationRow(NamedTuple):
    organization_id: str


_ORGANIZATION: Final = select(connections.c.organization_id).where(connections.c.id == bindparam("connection"))
_OF_END_USER: Final = and_(
    end_users.c.organization_id == connections.c.organization_id, end_users.c.end_user_id == connections.c.end_user_id
)
_OF_CLIENT: Final = {
    "client_id": oauth_clients.c.client_id,
    "client_owner": oauth_clients.c.organization_id.label("client_owner"),
}
OF_CREDENTIAL: Final = oauth_clients.c.id == credentials.c.oauth_client_id
"""The join of a credential with the OAuth client that requested its tokens."""
FOUND_COLUMNS: Final = (
    *COLUMNS,
    *(_OF_CLIENT[name] if name in _OF_CLIENT else credentials.c[name] for name in RefreshState._fields),
    organizations.c.display_name.label("organization_name"),
    organizations.c.custom_revision,
    end_users.c.email,
    end_users.c.name.label("end_user_name"),
)
"""The columns of a `FoundConnection`."""
SELECT_FOUND: Final = (
    select(*FOUND_COLUMNS)
    .select_from(connections)
    .join(credentials, credentials.c.connection_id == connections.c.id)
    .join(organizations, organizations.c.id == connections.c.organization_id)
    .join(end_users, _OF_END_USER)
    .outerjoin(oauth_clients, OF_CREDENTIAL)
)


async def find_newest(
    tx: Transaction, wanted: ConnectionSearch, *, limit: int, before: str | None
) -> tuple[list[FoundConnection], str | None]:
    """Return at most `limit` connections, newest first. Also return the cursor of the next page, or None at the end.

    `before`: the cursor of the page, or None for the first page.
    """
    statement = SELECT_FOUND.where(*_conditions(wanted)).order_by(connections.c.id.desc()).limit(limit + 1)
    if before is not None:
        statement = statement.where(connections.c.id < before)
    rows = await tx.all(statement, FoundConnection)
    await _add_disabled(tx, rows)
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


async def find(tx: Transaction, connection_id: str) -> FoundConnection:
    """Return the connection with this id. Raises: NotFound."""
    statement = SELECT_FOUND.where(connections.c.id == connection_id)
    row = await tx.one(statement, FoundConnection) if is_id(connection_id) else None
    if row is None:
        raise NotFound(
            f"There is no connection {connection_id[:64]}. `one-runtime connections list` finds connections. If the "
            "connection was deleted, `one-runtime events list --connection` still shows its events."
        )
    await _add_disabled(tx, [row])
    return row


async def find_organization(tx: Transaction, connection_id: str) -> str | None:
    """Return the organization of a connection, or None if the connection does not exist."""
    row = await tx.one(_ORGANIZATION, _OrganizationRow, connection=connection_id)
    return row.organization_id if row is not None else None


async def _add_disabled(tx: Transaction, rows: Sequence[FoundConnection]) -> None:
    disabled = {row.integration_slug: row for row in await disabled_integrations.list_all(tx)}
    for row in rows:
        row.disabled = disabled.get(row.connection.integration_slug)


def _conditions(wanted: ConnectionSearch) -> list[ColumnElement[bool]]:
    equal = {
        connections.c.organization_id: wanted.organization_id,
        connections.c.integration_slug: wanted.integration_slug,
        connections.c.status: wanted.status,
    }
    conditions = [column == value for column, value in equal.items() if value is not None]
    if wanted.failing:
        conditions += [connections.c.status == "active", credentials.c.failures > 0]
    if wanted.end_user_id is not None:
        conditions.append(connections.c.id.in_(_ids_of_end_user(wanted.end_user_id)))
    if wanted.email is not None:
        conditions.append(connections.c.id.in_(_ids_of_email(wanted.email.strip())))
    if wanted.account is not None:
        pattern = re.sub(r"([!%_])", r"!\1", wanted.account)
        label = func.lower(connections.c.account_label).like(func.lower(f"%{pattern}%"), escape="!")
        conditions.append(or_(connections.c.account_id == wanted.account, label))
    return conditions


def _ids_of_end_user(end_user_id: str) -> Select[tuple[str]]:
    """Select the connections of the end users with this identifier, with one search in the index per organization.

    Without the inner statement, SQLite would read the connections in the order of the result instead.
    """
    of_organization = tuple_(connections.c.organization_id, connections.c.end_user_id)
    return select(connections.c.id).where(of_organization.in_(select(organizations.c.id, literal(end_user_id))))


def _ids_of_email(email: str) -> CompoundSelect[tuple[str]]:
    """Select the connections whose end user has this address or identifier, or whose account has this label or id.

    Each comparison has an index. One statement with OR would join every connection with its end user first.
    """
    owners = select(end_users.c.organization_id, end_users.c.end_user_id).where(
        _is_any_of(email, end_users.c.email, end_users.c.end_user_id)
    )
    of_owners = tuple_(connections.c.organization_id, connections.c.end_user_id).in_(owners)
    of_account = _is_any_of(email, connections.c.account_label, connections.c.account_id)
    return union_all(*(select(connections.c.id).where(condition) for condition in (of_owners, of_account)))


def _is_any_of(text: str, *columns: ColumnElement[Any]) -> ColumnElement[bool]:
    return or_(*(func.lower(column) == func.lower(text) for column in columns))
