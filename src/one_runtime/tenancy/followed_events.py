"""List the events of an organization for programs that follow the log, so that no program misses an event.

The id of an event is created before the commit. So an event can become visible after an event with a higher id, and the
order of ids cannot serve a follower. The order of positions can: a request that follows the log first assigns positions
to all committed events that have none, and an assigned position never changes. So an event that is committed later
always gets a higher position than every event that a follower has received (docs/decisions/0035-event-positions.md).
"""

import asyncio
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, bindparam, func, select, update

from one_runtime.db.engine import Database, Transaction
from one_runtime.db.ids import lowest_id
from one_runtime.db.scanning import SCANNED_ROWS, Page
from one_runtime.db.schema import events, organizations
from one_runtime.errors import InvalidInput, OneRuntimeError, Unavailable
from one_runtime.jobs.queue import BATCH
from one_runtime.tenancy.events import Event, EventFilter, select_events

_MAX_BATCHES: Final = 50
"""Maximum number of batches of `BATCH` events that one request positions. On PostgreSQL, 50 batches take seconds."""


class PositionsMissing(Unavailable):
    """The event of `after` or `cursor` has no position yet. Later requests continue the work of earlier requests."""

    retry_after = 1

    def __init__(self) -> None:
        super().__init__(
            "One Runtime is preparing the ascending order of your events, because the log contains many events that no "
            "request has listed in this order yet. Send the same request again."
        )


class EventExpired(OneRuntimeError):
    """The log has deleted the event after which a program continues, and perhaps later events too."""

    code, status, title = "event_expired", 410, "The log does not contain this event any more"
    documentation = (
        "The log of events does not contain the event of `after` any more, so you can have missed events.",
        "Compare your data with the API, and then follow the events from the beginning, with `order=asc`.",
    )


class _Place(NamedTuple):
    id: str
    position: int | None


_SEARCHED: Final = ("type", "end_user_id", "connection_id", "integration_slug", "actor_type", "actor_id")
"""Filters that no index supports in the order of positions."""
_MINE: Final = events.c.organization_id == bindparam("organization")
_HAS_POSITION: Final = events.c.position.is_not(None)
_PLACE: Final = select(events.c.id, events.c.position)
_PLACE_OF: Final = _PLACE.where(_MINE, events.c.id == bindparam("event"))
_LAST: Final = _PLACE.where(_MINE, _HAS_POSITION).order_by(events.c.position.desc()).limit(1)
_unpositioned = _PLACE.where(_MINE, ~_HAS_POSITION)
_NEWEST_UNPOSITIONED: Final = _unpositioned.order_by(events.c.id.desc()).limit(1)
_LOWEST_ID: Final = "00000000-0000-0000-0000-000000000000"

# FOR NO KEY UPDATE: two requests never assign at the same time. Transactions that write events do not wait.
_LOCK: Final = (
    select(organizations.c.id).where(organizations.c.id == bindparam("organization")).with_for_update(key_share=True)
)
# SKIP LOCKED: a request never waits for a transaction that changes old events. A later request positions these events.
_batch = (
    _unpositioned.where(events.c.id > bindparam("above"))
    .order_by(events.c.id)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True, key_share=True)
    .cte("batch", nesting=True)
)
_numbered = select(_batch.c.id, func.row_number().over(order_by=_batch.c.id).label("number")).subquery("numbered")
_highest = select(func.coalesce(func.max(events.c.position), 0)).where(_MINE, _HAS_POSITION).scalar_subquery()
_ASSIGN: Final = update(events).where(events.c.id == _numbered.c.id).values(position=_highest + _numbered.c.number)


async def list_followed(
    database: Database,
    organization_id: str,
    matching: EventFilter,
    *,
    limit: int,
    after: Collection[str] = (),
    scanned: int = SCANNED_ROWS,
) -> Page[Event]:
    """Return at most `limit` events in the order of their positions. Also return the cursor of the next page, or None.

    `after`: ids of events. Return only events with a higher position. If the log does not contain such an event any
    more, return only events with a higher id. If no index supports a filter, search only the next `scanned` events.

    Raises: PositionsMissing if an event of `after` has no position, and needs more work than one request may do.
    """
    for _ in range(_MAX_BATCHES):
        more = await _assign_missing(database, organization_id) == BATCH
        async with database.read() as tx:
            newer = await _newer_than(tx, organization_id, after)
            if newer is not None:
                return await _read_page(tx, organization_id, matching, newer, limit, scanned, more=more)
        if not more:
            break
        await asyncio.sleep(0)
    raise PositionsMissing


async def require_in_log(
    tx: Transaction, organization_id: str, event_id: str, now: datetime, retention_days: int
) -> None:
    """Refuse an event that the log of the organization does not contain.

    A program that follows the log could have missed events after an expired event, and would receive no events after a
    mistyped id.

    Raises: EventExpired if the id is older than the retention of events; InvalidInput.
    """
    if await tx.one(_PLACE_OF, _Place, organization=organization_id, event=event_id) is not None:
        return
    if event_id < lowest_id(now - timedelta(days=retention_days)):
        raise EventExpired(
            "The log does not contain the event of `after` any more, because One Runtime keeps events for "
            f"{retention_days} days. So you can have missed events. Compare your data with the API, and then follow "
            "the events from the beginning, with order=asc."
        )
    raise InvalidInput.of("after", "must be the id of an event in the log of your organization")


async def assign_positions(tx: Transaction, organization_id: str) -> int:
    """Assign positions to at most `BATCH` committed events. Return the number of events.

    Events above the last positioned event come first, and then events that were committed late. So a request that
    continues the work of earlier requests does not search the index entries of events that now have a position.
    PostgreSQL keeps such entries until the next vacuum.
    """
    await tx.one(_LOCK, organization=organization_id)
    last = await tx.one(_LAST, _Place, organization=organization_id)
    assigned = 0
    for above in (_LOWEST_ID,) if last is None else (last.id, _LOWEST_ID):
        if assigned < BATCH:
            assigned += await tx.execute(_ASSIGN, organization=organization_id, above=above, limit=BATCH - assigned)
    return assigned


async def _assign_missing(database: Database, organization_id: str) -> int:
    """Assign positions if an event has none. A request without new events writes nothing."""
    async with database.read() as tx:
        if await tx.one(_NEWEST_UNPOSITIONED, _Place, organization=organization_id) is None:
            return 0
    async with database.write() as tx:
        return await assign_positions(tx, organization_id)


async def _newer_than(
    tx: Transaction, organization_id: str, after: Collection[str]
) -> list[ColumnElement[bool]] | None:
    """Return conditions for the events after all events of `after`. Return None if one of these has no position."""
    conditions: list[ColumnElement[bool]] = []
    for event_id in after:
        place = await tx.one(_PLACE_OF, _Place, organization=organization_id, event=event_id)
        if place is None:
            conditions.append(events.c.id > event_id)
        elif place.position is None:
            return None
        else:
            conditions.append(events.c.position > place.position)
    return conditions


async def _read_page(  # noqa: PLR0913 - by name
    tx: Transaction,
    organization_id: str,
    matching: EventFilter,
    newer: list[ColumnElement[bool]],
    limit: int,
    scanned: int,
    *,
    more: bool,
) -> Page[Event]:
    """Return a page. `more`: True if other committed events have no position yet, so that the page is not the last.

    The three statements can see different events. So the first two statements choose the last event to compare.
    """
    last = await tx.one(_LAST, _Place, organization=organization_id)
    if last is None:
        return [], None
    statement = select_events(organization_id, matching, ["request_id"]).where(*newer).order_by(events.c.position)
    conditions = matching.conditions(events.c, _SEARCHED)
    if conditions:
        places: Any = statement.with_only_columns(events.c.id, events.c.position)
        bound = await tx.one(places.where(events.c.position <= last.position).offset(scanned - 1).limit(1), _Place)
        last, more = bound or last, more or bound is not None
    found = statement.where(events.c.position <= last.position, *conditions)
    rows = await tx.all(found.limit(limit + 1), Event)
    if len(rows) > limit:
        return rows[:limit], rows[limit - 1].id
    return rows, last.id if more else None
