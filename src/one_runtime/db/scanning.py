"""Build conditions from the filters of lists, and read pages of rows with conditions that no index supports.

The database can only compare such conditions with one row after the other. So one statement searches a limited number
of rows. If none of these rows matches, the page is empty, but has the cursor of the next page.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from sqlalchemy import ColumnElement, Select, or_, select

from one_runtime.db.engine import Row, Transaction
from one_runtime.db.ids import lowest_id

SCANNED_ROWS: Final = 10_000
"""Maximum number of rows that one page of an API request searches."""

_SCANNED_BY_COMMANDS: Final = 100_000
"""Maximum number of rows that one statement of `read_pages` searches. The statement must end before its timeout."""


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


R = TypeVar("R", bound=_HasId)

V = TypeVar("V", str, int)

Values: TypeAlias = V | Collection[V] | None
"""A filter: one value, or several values of which a row must have one. None or no values: every row matches."""

Conditions: TypeAlias = Callable[[Any], Sequence[ColumnElement[bool]]]
"""Builds the conditions without an index. The argument is a collection of the statement's columns."""

Page: TypeAlias = tuple[list[R], str | None]
"""Rows, and the cursor of the next page. The cursor is the id of the last row that the search compared, or None."""


class ReadPage(Protocol[R]):
    """Reads one page of at most `limit` rows before the cursor `before`. Searches at most `scanned` rows."""

    def __call__(self, *, limit: int, before: str | None, scanned: int) -> Awaitable[Page[R]]: ...


def several(values: Values[V]) -> bool:
    """Return True if a filter has more than one value."""
    return not isinstance(values, str | int) and len(values or ()) > 1


def matches(column: ColumnElement[Any], values: Values[Any]) -> list[ColumnElement[bool]]:
    """Return the condition of a filter. Return no condition if every row matches."""
    chosen = [values] if isinstance(values, str | int) else list(values or ())
    return [or_(*(column == value for value in chosen))] if chosen else []


def within(ids: ColumnElement[Any], since: datetime | None, until: datetime | None) -> list[ColumnElement[bool]]:
    """Return the conditions for rows that were created at or after `since`, and before `until`.

    `ids`: the column of the rows' ids, which contain the time of creation.
    """
    from_since = [] if since is None else [ids >= lowest_id(since)]
    return from_since if until is None else [*from_since, ids < lowest_id(until)]


async def read_page(
    tx: Transaction,
    statement: Select[Any],
    conditions: Conditions,
    row_type: type[R],
    *,
    limit: int,
    scanned: int,
) -> Page[R]:
    """Return at most `limit` rows of the statement that match the conditions, newest first.

    `statement`: selects the columns of `row_type` with the column `id`, without an order. `scanned`: the maximum number
    of rows to search, if there are conditions.
    """
    statement = statement.order_by(statement.selected_columns.id.desc())
    if not conditions(statement.selected_columns):
        rows = await tx.all(statement.limit(limit + 1), row_type)
        return rows[:limit], rows[limit - 1].id if len(rows) > limit else None
    inner = statement.limit(scanned).subquery()
    matching = select(inner).where(*conditions(inner.c)).order_by(inner.c.id.desc()).limit(limit + 1)
    rows = await tx.all(matching, row_type)
    if len(rows) > limit:
        return rows[:limit], rows[limit - 1].id
    last = statement.with_only_columns(statement.selected_columns.id).offset(scanned - 1).limit(1)
    row: Row | None = await tx.one(last)
    if row is None:
        return rows, None
    # If rows were inserted between the two statements, the second statement finds a higher id. The search has compared
    # all rows down to the lower of the two ids.
    return rows, min([row.id, *(found.id for found in rows)])


async def read_pages(read: ReadPage[R], *, limit: int, cursor: str | None) -> Page[R]:
    """Read pages until there are `limit` rows, or until the search has compared every row. Only commands do so."""
    rows: list[R] = []
    while True:
        page, cursor = await read(limit=limit - len(rows), before=cursor, scanned=_SCANNED_BY_COMMANDS)
        rows += page
        if cursor is None or len(rows) >= limit:
            return rows, cursor
