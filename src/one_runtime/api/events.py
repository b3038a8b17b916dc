"""`GET /v1/events`: what happened, newest first."""

from typing import Annotated, Any

from fastapi import Query

from one_runtime.api.fields import Answer, Body, IdCursor, Limit, RowId, Text, Time, next_cursor
from one_runtime.api.routing import Authenticated, Installed, Routes
from one_runtime.tenancy import events
from one_runtime.tenancy.events import Event, EventFilter, EventType

router = Routes("Events")


class ActorAnswer(Answer, title="Actor"):
    """Who did it: an API key, an end user, or the system."""

    type: str
    id: str | None


class EventAnswer(Answer, title="Event"):
    """What happened. `data` holds no secrets."""

    id: str
    type: str
    created_at: Time
    actor: ActorAnswer
    address: str | None
    end_user_id: str | None
    connection_id: str | None
    data: dict[str, Any]


class EventPage(Answer):
    """One page; `next_cursor` is null on the last one."""

    events: list[EventAnswer]
    next_cursor: str | None


class EventQuery(Body):
    """What to list."""

    type: EventType | None = None
    end_user_id: Text | None = None
    connection_id: RowId | None = None
    limit: Limit = 100
    cursor: IdCursor = None


@router.get("/v1/events", scope="read", summary="List events, newest first")
async def list_events(
    caller: Authenticated, installation: Installed, wanted: Annotated[EventQuery, Query()]
) -> EventPage:
    """The audit trail of your organization, kept for 90 days unless the operator set another time."""
    chosen = EventFilter(wanted.type, wanted.end_user_id, wanted.connection_id)
    async with installation.database.read() as tx:
        found = await events.list_newest(
            tx, caller.organization_id, chosen, limit=wanted.limit + 1, before=wanted.cursor
        )
    return EventPage(
        events=[_answer(one) for one in found[: wanted.limit]],
        next_cursor=next_cursor([one.id for one in found], wanted.limit),
    )


def _answer(one: Event) -> EventAnswer:
    return EventAnswer(
        id=one.id,
        type=one.type,
        created_at=one.occurred_at,
        actor=ActorAnswer(type=one.actor_type, id=one.actor_id),
        address=one.address,
        end_user_id=one.end_user_id,
        connection_id=one.connection_id,
        data=dict(one.data),
    )
