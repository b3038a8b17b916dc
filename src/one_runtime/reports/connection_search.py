"""Find the connections of one organization for its team, with the end user and the state of the refreshes.

Each function runs a limited number of statements, and each statement reads a limited number of rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from sqlalchemy import ColumnElement, Select, Text, and_, bindparam, func, literal_column, select, true

from one_runtime.connections.search import FOUND_COLUMNS, OF_CREDENTIAL, SELECT_FOUND, FoundConnection
from one_runtime.db.engine import Transaction
from one_runtime.db.id_lists import in_list
from one_runtime.db.ids import is_id
from one_runtime.db.scanning import Page, matches, read_page
from one_runtime.db.schema import connections, credentials, end_users, oauth_clients, organizations
from one_runtime.errors import NotFound
from one_runtime.tenancy.end_users import EndUser

MAX_COUNT: Final = 10_000
"""`count` stops at this number of connections."""

SEARCHED: Final = 5_000
"""Maximum number of connections that one page of a search without an index compares."""

State: TypeAlias = Literal["active", "failing", "needs_reauth"]
"""`failing`: an active connection that cannot refresh its tokens at the moment."""


@dataclass(frozen=True, slots=True)
class ConnectionSelection:
    """Filters for the connections of an organization. A field with the value None matches every connection.

    `end_user_ids`: the identifiers of few end users. `error_code`: the code of the newest error.
    """

    state: State | None = None
    integration_slug: str | None = None
    error_code: str | None = None
    end_user_ids: Sequence[str] | None = None


class ConnectionTotals(NamedTuple):
    """Numbers of connections. A number stops at `MAX_COUNT` + 1."""

    connections: int
    needs_reauth: int


@dataclass(frozen=True, slots=True)
class ConnectedEndUser:
    """An end user with the newest connections. `has_more`: True if there are older connections."""

    end_user: EndUser
    connections: list[FoundConnection]
    has_more: bool


class EndUserTotals(NamedTuple):
    """Numbers of the connections of an end user."""

    end_user_id: str
    connections: int
    needs_reauth: int


class RecentConnection(NamedTuple):
    """A connection with the name and the e-mail address of its end user."""

    integration_slug: str
    end_user_id: str
    name: str | None
    email: str | None


class _SearchedRow(NamedTuple):
    id: str
    status: str
    integration_slug: str
    error_code: str | None


class _EndUserRow:
    _fields = (*(f"owner_{name}" for name in EndUser.__dataclass_fields__), *FoundConnection._fields)

    def __init__(self, *cells: Any) -> None:
        width = len(EndUser.__dataclass_fields__)
        self.end_user = EndUser(*cells[:width])
        self.connection = FoundConnection(*cells[width:]) if cells[width] is not None else None


_CODE_KEY: Final[ColumnElement[str]] = literal_column("'code'")
_ERROR_CODE: Final = connections.c.error.op("->>", return_type=Text())(_CODE_KEY)  # the same text in both databases
_MINE: Final = connections.c.organization_id == bindparam("organization")
_SLUG: Final = "integration_slug"
_ONE: Final = SELECT_FOUND.where(_MINE, connections.c.id == bindparam("connection"))
_BY_ID: Final = SELECT_FOUND.where(_MINE, in_list(connections.c.id, "connections")).order_by(connections.c.id.desc())
_SEARCHED: Final = (
    connections.c.id,
    connections.c.status,
    connections.c.integration_slug,
    _ERROR_CODE.label("error_code"),
)


def _bounded_count(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
    rows = select(connections.c.id).where(_MINE, *conditions).limit(bindparam("limit")).subquery()
    return select(func.count()).select_from(rows).scalar_subquery()


# The same text as the condition of the partial index. With a parameter, PostgreSQL could not use the index.
_NEEDS_REAUTH: Final = connections.c.status == literal_column("'needs_reauth'")
_COUNT: Final = select(
    _bounded_count().label("connections"),
    _bounded_count(_NEEDS_REAUTH).label("needs_reauth"),
)
_COUNT_OF_END_USERS: Final = select(
    connections.c.end_user_id,
    func.count().label("connections"),
    func.count().filter(connections.c.status == "needs_reauth").label("needs_reauth"),
).group_by(connections.c.end_user_id)
_RECENT: Final = (
    select(connections.c.integration_slug, connections.c.end_user_id, end_users.c.name, end_users.c.email)
    .join(
        end_users,
        and_(
            end_users.c.organization_id == connections.c.organization_id,
            end_users.c.end_user_id == connections.c.end_user_id,
        ),
    )
    .where(_MINE)
    .order_by(connections.c.id.desc())
    .limit(bindparam("limit"))
)
# Without MATERIALIZED, SQLite would read all connections of the organization in the order of their ids.
_ids = (
    select(connections.c.id)
    .where(_MINE, connections.c.end_user_id == bindparam("end_user"))
    .cte("ids")
    .prefix_with("MATERIALIZED")
)
_newest = select(_ids.c.id).order_by(_ids.c.id.desc()).limit(bindparam("limit")).subquery("newest")
_END_USER: Final = (
    select(*(end_users.c[name].label(f"owner_{name}") for name in EndUser.__dataclass_fields__), *FOUND_COLUMNS)
    .select_from(end_users)
    .join(organizations, organizations.c.id == end_users.c.organization_id)
    .outerjoin(_newest, true())
    .outerjoin(connections, connections.c.id == _newest.c.id)
    .outerjoin(credentials, credentials.c.connection_id == connections.c.id)
    .outerjoin(oauth_clients, OF_CREDENTIAL)
    .where(end_users.c.organization_id == bindparam("organization"), end_users.c.end_user_id == bindparam("end_user"))
    .order_by(connections.c.id.desc())
)


async def list_recent(tx: Transaction, organization_id: str, *, limit: int) -> list[RecentConnection]:
    """Return the newest connections of the organization."""
    return await tx.all(_RECENT, RecentConnection, organization=organization_id, limit=limit)


async def find(tx: Transaction, organization_id: str, connection_id: str) -> FoundConnection:
    """Return a connection of the organization. Raises: NotFound."""
    key = {"organization": organization_id, "connection": connection_id}
    row = await tx.one(_ONE, FoundConnection, **key) if is_id(connection_id) else None
    if row is None:
        raise NotFound("There is no such connection. It was deleted, or it never existed.")
    return row


async def find_end_user(tx: Transaction, organization_id: str, end_user_id: str, *, limit: int) -> ConnectedEndUser:
    """Return an end user with at most `limit` connections, newest first. Raises: NotFound."""
    key = {"organization": organization_id, "end_user": end_user_id, "limit": limit + 1}
    rows = await tx.all(_END_USER, _EndUserRow, **key) if "\x00" not in end_user_id else []
    if not rows:
        raise NotFound("There is no such end user. The end user was deleted, or never existed.")
    found = [row.connection for row in rows if row.connection is not None]
    return ConnectedEndUser(rows[0].end_user, found[:limit], len(found) > limit)


async def list_newest(
    tx: Transaction,
    organization_id: str,
    selection: ConnectionSelection,
    *,
    limit: int,
    before: str | None,
    scanned: int = SEARCHED,
) -> Page[FoundConnection]:
    """Return at most `limit` connections, newest first. Also return the cursor of the next page, or None at the end.

    If no index supports a filter, search only the next `scanned` connections.
    """
    if selection.end_user_ids is not None:
        statement = _of_end_users(organization_id, selection, selection.end_user_ids, before, limit + 1)
        found = await tx.all(statement, FoundConnection)
        return found[:limit], found[limit - 1].id if len(found) > limit else None
    statement, indexed = _indexed(organization_id, selection, before)
    unindexed = replace(selection, **({indexed: None} if indexed else {}))
    rows, cursor = await read_page(
        tx,
        statement,
        lambda columns: _conditions(unindexed, columns, columns.error_code),
        _SearchedRow,
        limit=limit,
        scanned=scanned,
    )
    ids = [row.id for row in rows]
    return await tx.all(_BY_ID, FoundConnection, organization=organization_id, connections=ids), cursor


async def count(tx: Transaction, organization_id: str) -> ConnectionTotals:
    """Return the number of connections, and the number of those whose end users have to connect again."""
    row = await tx.one(_COUNT, ConnectionTotals, organization=organization_id, limit=MAX_COUNT + 1)
    return row or ConnectionTotals(0, 0)


async def count_of_end_users(
    tx: Transaction, organization_id: str, end_user_ids: Sequence[str]
) -> dict[str, EndUserTotals]:
    """Return the numbers of connections by end user. Omit the end users without connections."""
    if not end_user_ids:
        return {}
    statement = _COUNT_OF_END_USERS.where(
        connections.c.organization_id == organization_id, connections.c.end_user_id.in_(end_user_ids)
    )
    rows = await tx.all(statement, EndUserTotals)
    return {row.end_user_id: row for row in rows}


def _of_end_users(
    organization_id: str, selection: ConnectionSelection, end_user_ids: Sequence[str], before: str | None, limit: int
) -> Select[Any]:
    """Build a statement for the newest connections of the end users.

    The inner statement reads the ids of all their connections. The outer statement reads only the rows of the page.
    """
    ids = select(connections.c.id).where(
        connections.c.organization_id == organization_id,
        connections.c.end_user_id.in_(end_user_ids),
        *_conditions(selection, connections.c, _ERROR_CODE),
    )
    if selection.state == "failing":
        failing = credentials.c.connection_id == connections.c.id, credentials.c.failures > 0
        ids = ids.where(select(credentials.c.connection_id).where(*failing).exists())
    if before is not None:
        ids = ids.where(connections.c.id < before)
    every = ids.cte("ids").prefix_with("MATERIALIZED")  # see _ids
    page = select(every.c.id).order_by(every.c.id.desc()).limit(limit).subquery("page")
    return SELECT_FOUND.where(connections.c.id.in_(select(page.c.id))).order_by(connections.c.id.desc())


def _indexed(organization_id: str, selection: ConnectionSelection, before: str | None) -> tuple[Select[Any], str]:
    """Build a statement that uses the best index. Also return the name of the filter that the statement applies.

    An index returns the connections in the order of their ids. The name is empty if the statement applies no filter.
    """
    ids, mine = connections.c.id, connections.c.organization_id == organization_id
    statement, name = select(*_SEARCHED).where(mine), ""
    if selection.state == "failing":
        ids, name = credentials.c.connection_id, "state"
        statement = select(ids.label("id"), *_SEARCHED[1:]).join_from(credentials, connections, connections.c.id == ids)
        failing = credentials.c.organization_id == organization_id, credentials.c.failures > 0
        statement = statement.where(*failing, connections.c.status == "active")
    elif selection.integration_slug is not None:
        statement, name = statement.where(connections.c.integration_slug == selection.integration_slug), _SLUG
    elif selection.state == "needs_reauth":
        statement, name = statement.where(_NEEDS_REAUTH), "state"
    elif selection.error_code is not None:
        statement = statement.where(connections.c.error.is_not(None))
    return statement if before is None else statement.where(ids < before), name


def _conditions(
    selection: ConnectionSelection, columns: Any, error_code: ColumnElement[str]
) -> list[ColumnElement[bool]]:
    status = "active" if selection.state == "failing" else selection.state
    return [
        *matches(columns.status, status),
        *matches(columns.integration_slug, selection.integration_slug),
        *matches(error_code, selection.error_code),
    ]
