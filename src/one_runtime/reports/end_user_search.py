"""Find end users by a text for the organization's team: by the identifier, the e-mail address, or the name."""

import re
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Text, and_, bindparam, func, or_, select, true, union_all

from one_runtime.db.engine import Transaction
from one_runtime.db.schema import end_users
from one_runtime.tenancy.end_users import EndUser

SEARCHED: Final = 5_000
"""Maximum number of end users that one page of a search without an index compares."""


@dataclass(frozen=True, slots=True)
class EndUserSearch:
    """A text to search for. `in_emails`: False to compare e-mail addresses only with the whole text.

    Otherwise, a member who may not see the addresses could find them letter by letter. This also applies to names and
    identifiers that contain an address.
    """

    text: str
    in_emails: bool = True

    def matches(self, columns: Any) -> ColumnElement[bool]:
        """Return the condition for the columns of end users. The case of letters does not matter."""
        searched = (columns.end_user_id, columns.email, columns.name)
        if self.in_emails:
            return or_(*(_contains(column, self.text) for column in searched))
        parts = (and_(_contains(column, self.text), ~_has_address(column)) for column in searched)
        return or_(*parts, *(func.lower(column) == func.lower(self.text) for column in searched))


@dataclass(frozen=True, slots=True)
class FoundEndUsers:
    """A page of end users, ordered by identifier.

    `next_cursor`: the identifier after which the next page begins, or None at the end.
    """

    end_users: list[EndUser]
    next_cursor: str | None = None


class _MatchRow:
    _fields = ("last", *EndUser.__dataclass_fields__)

    def __init__(self, last: str | None, *cells: Any) -> None:
        self.last = last
        self.end_user = EndUser(*cells) if cells[0] is not None else None


_COLUMNS: Final = tuple(end_users.c[name] for name in EndUser.__dataclass_fields__)
_MINE: Final = end_users.c.organization_id == bindparam("organization")
_BY_EMAIL: Final = select(end_users.c.end_user_id).where(
    _MINE, or_(end_users.c.email == bindparam("text"), end_users.c.email == bindparam("lower"))
)
# With one condition for both columns, SQLite would read all end users in the order of their identifiers.
_EXACT: Final = (
    select(*_COLUMNS)
    .where(_MINE, end_users.c.end_user_id.in_(union_all(select(bindparam("text", type_=Text())), _BY_EMAIL)))
    .order_by(end_users.c.end_user_id)
    .limit(bindparam("limit"))
)


async def find(
    tx: Transaction,
    organization_id: str,
    query: EndUserSearch,
    *,
    limit: int,
    after: str | None,
    scanned: int = SEARCHED,
) -> FoundEndUsers:
    """Return at most `limit` end users whose identifier or e-mail address is the text.

    If there are no such end users, return those whose identifier, e-mail address or name contains the text. The case of
    letters does not matter. No index supports this search, so the function searches only the next `scanned` end users
    after the identifier `after`.
    """
    text = query.text
    if "\x00" in text:  # PostgreSQL refuses the character
        return FoundEndUsers([])
    if after is None:
        key = {"organization": organization_id, "text": text, "lower": text.lower()}
        found = await tx.all(_EXACT, EndUser, limit=limit, **key)
        if found:
            return FoundEndUsers(found)
    rows = await tx.all(_matching(organization_id, query, limit + 1, after, scanned), _MatchRow)
    matches = [row.end_user for row in rows if row.end_user is not None]
    if len(matches) > limit:
        return FoundEndUsers(matches[:limit], matches[limit - 1].end_user_id)
    return FoundEndUsers(matches, rows[0].last if rows else None)


def _matching(organization_id: str, query: EndUserSearch, limit: int, after: str | None, scanned: int) -> Select[Any]:
    """Build a statement for the matches in the next rows. The column `last` contains the last of these rows.

    `last` is NULL if the search reaches the end. Without a match, the statement returns one row with `last`.
    """
    rows = select(*_COLUMNS).where(end_users.c.organization_id == organization_id).order_by(end_users.c.end_user_id)
    if after is not None:
        rows = rows.where(end_users.c.end_user_id > after)
    last = rows.with_only_columns(end_users.c.end_user_id).offset(scanned - 1).limit(1).scalar_subquery()
    searched = rows.limit(scanned).subquery("searched")
    found = (
        select(searched)
        .where(query.matches(searched.c))
        .order_by(searched.c.end_user_id)
        .limit(limit)
        .subquery("found")
    )
    end = select(last.label("last")).subquery("end_of_search")
    columns = (found.c[name] for name in EndUser.__dataclass_fields__)
    return select(end.c.last, *columns).select_from(end).outerjoin(found, true()).order_by(found.c.end_user_id)


def _contains(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    pattern = re.sub(r"([!%_])", r"!\1", text)
    return func.lower(column).like(func.lower(f"%{pattern}%"), escape="!")


def _has_address(column: ColumnElement[Any]) -> ColumnElement[bool]:
    return or_(column.like("%@%"), column.like("%!%40%", escape="!"))
