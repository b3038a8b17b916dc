"""Merge the events and the proxy calls of a connection, or of an end user, to one timeline.

The ids of both kinds of rows are UUIDs version 7, so the ids have the order of the times. Two statements read at most
one page of each kind.
"""

from typing import TypeAlias

from one_runtime.db.engine import Transaction
from one_runtime.db.scanning import Page
from one_runtime.proxy import request_log
from one_runtime.proxy.request_log import LoggedRequest, RequestFilter
from one_runtime.tenancy import events
from one_runtime.tenancy.events import Event, EventFilter

TimelineEntry: TypeAlias = Event | LoggedRequest


async def of_connection(
    tx: Transaction, organization_id: str, connection_id: str, *, limit: int, before: str | None
) -> Page[TimelineEntry]:
    """Return at most `limit` entries of a connection, newest first. Also return the cursor of the next page, or None.

    If `before` is the id of an entry, return only older entries.
    """
    chosen = EventFilter(connection_id=connection_id), RequestFilter(connection_id=connection_id)
    return await _read(tx, organization_id, *chosen, limit=limit, before=before)


async def of_end_user(
    tx: Transaction, organization_id: str, end_user_id: str, *, limit: int, before: str | None
) -> Page[TimelineEntry]:
    """Return at most `limit` entries of an end user and of all connections of the end user. See `of_connection`."""
    chosen = EventFilter(end_user_id=end_user_id), RequestFilter(end_user_id=end_user_id)
    return await _read(tx, organization_id, *chosen, limit=limit, before=before)


async def _read(
    tx: Transaction,
    organization_id: str,
    chosen_events: EventFilter,
    chosen_calls: RequestFilter,
    *,
    limit: int,
    before: str | None,
) -> Page[TimelineEntry]:
    changes, more_changes = await events.list_newest(tx, organization_id, chosen_events, limit=limit, before=before)
    calls, more_calls = await request_log.list_newest(tx, organization_id, chosen_calls, limit=limit, before=before)
    entries: list[TimelineEntry] = sorted([*changes, *calls], key=lambda entry: entry.id, reverse=True)
    has_more = len(entries) > limit or more_changes is not None or more_calls is not None
    return entries[:limit], entries[limit - 1].id if has_more else None
