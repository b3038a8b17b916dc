"""List the hosted connection sessions of one organization, or of all organizations."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, or_, select

from one_runtime.connecting.sessions import ConnectSession, Status
from one_runtime.db.engine import Transaction
from one_runtime.db.scanning import SCANNED_ROWS, Page, Values, matches, read_page, several, within
from one_runtime.db.schema import hosted_connection_sessions as sessions

_COLUMNS: Final = tuple(sessions.c[name] for name in ConnectSession.__dataclass_fields__)
_OPEN: Final = ("pending", "unredeemed")
"""Values of the column `status` while a session has not ended. If `expires_at` has passed, the session has expired."""


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Filters for a list of sessions. A field with the value None matches every session.

    `since`, `until`: list sessions that were created at or after `since`, and before `until`.
    """

    end_user_id: Values[str] = None
    integration_slug: Values[str] = None
    status: Status | Collection[Status] | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self, columns: Any, now: datetime) -> list[ColumnElement[bool]]:
        """Return the conditions that no index supports. At the time `now`, a session with the stored status pending can
        have expired.
        """
        chosen = [self.status] if isinstance(self.status, str) else list(self.status or ())
        by_status = [_has_status(columns, status, now) for status in chosen]
        return [
            *matches(columns.end_user_id, self.end_user_id),
            *matches(columns.integration_slug, self.integration_slug),
            *([or_(*by_status)] if by_status else []),
        ]


def _has_status(columns: Any, status: Status, now: datetime) -> ColumnElement[bool]:
    """Return the condition for sessions whose `ConnectSession.state` is `status`."""
    condition: ColumnElement[bool]
    if status == "pending":
        condition = and_(columns.status.in_(_OPEN), columns.expires_at > now)
    elif status == "expired":
        condition = and_(columns.status.in_(_OPEN), columns.expires_at <= now)
    else:
        condition = columns.status == status
    return condition


async def list_newest(  # noqa: PLR0913 - by name
    tx: Transaction,
    organization_id: str | None,
    matching: SessionFilter,
    now: datetime,
    *,
    limit: int,
    before: str | None,
    scanned: int = SCANNED_ROWS,
) -> Page[ConnectSession]:
    """Return at most `limit` sessions, newest first. Also return the cursor of the next page, or None at the end.

    `organization_id`: None for the sessions of all organizations. If `before` is the id of a session, return only older
    sessions. If there are other filters than the time, search only the next `scanned` sessions.
    """
    statement = select(*_COLUMNS).where(*within(sessions.c.id, matching.since, matching.until))
    if organization_id is not None:
        statement = statement.where(sessions.c.organization_id == organization_id)
        if not several(matching.end_user_id):  # the index finds the sessions of one end user
            statement = statement.where(*matches(sessions.c.end_user_id, matching.end_user_id))
    if before:
        statement = statement.where(sessions.c.id < before)
    return await read_page(
        tx,
        statement,
        lambda columns: matching.conditions(columns, now),
        ConnectSession,
        limit=limit,
        scanned=scanned,
    )
