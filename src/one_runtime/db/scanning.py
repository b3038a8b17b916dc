"""Read pages of rows, newest first, with conditions that no index supports.

The database can only compare such conditions with one row after the other. So one statement searches a limited number
of rows. If none of these rows matches, the page is empty, but has the cursor of the next page.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from sqlalchemy import ColumnElement, Select, select

from one_runtime.db.engine import Row, Transaction

SCANNED_ROWS: Final = 10_000
"""Maximum number of rows that one page of an API request searches."""

_SCANNED_BY_COMMANDS: Final = 100_000
"""Maximum number of rows that one statement of `read_pages` searches. The statement must end before its timeout."""


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


R = TypeVar("R", bound=_HasId)

Conditions: TypeAlias = Callable[[Any], Sequence[ColumnElement[bool]]]
"""Builds the conditions without an index. The argument is a collection of the statement's columns."""

Page: TypeAlias = tuple[list[R], str | None]
"""Rows, and the cursor of the next page. The cursor is the id of the last row that the search compared, or None."""


class ReadPage(Protocol[R]):
    """Reads one page of at most `limit` rows before the cursor `before`. Searches at most `scanned` rows."""

    def __call__(self, *, limit: int, before: str | None, scanned: int) -> Awaitable[Page[R]]: ...


async def read_page(
    tx: Transaction, statement: Select[Any], conditions: Conditions, row_type: type[R], *, limit: int, scanned: int
) -> Page[R]:
    """Return at most `limit` rows of the statement that match the conditions.

    `statement`: selects the columns of `row_type` with the column `id`, in descending order of the ids. `scanned`: the
    maximum number of rows to search, if there are conditions.
    """
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
