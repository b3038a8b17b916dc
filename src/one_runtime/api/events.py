"""Serve `GET /v1/events`: the audit log of an organization, newest event first."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Query

from one_runtime.api.fields import Answer, Body, IdCursor, Limit, Moment, RowId, Slug, Text, Time
from one_runtime.api.routing import Authenticated, Installed, Routes
from one_runtime.tenancy import events
from one_runtime.tenancy.events import ActorType, Event, EventFilter, EventType

router = Routes("Events")


class ActorAnswer(Answer, title="Actor"):
    """The actor that caused an event: an API key, an end user, or One Runtime itself (`system`).

    If an operator ran a command, the type is `system`, and `id` is the name of the operator.
    """

    type: str
    id: str | None


class EventAnswer(Answer, title="Event"):
    """An event of the audit log. `data` contains no secrets."""

    id: str
    type: str
    created_at: Time
    actor: ActorAnswer
    address: str | None
    end_user_id: str | None
    connection_id: str | None
    data: dict[str, Any]


class EventPage(Answer):
    """A page of events. `next_cursor` is null on the last page.

    With a filter other than the time, One Runtime searches at most 10,000 events for each page. So a page with a
    `next_cursor` can contain few events or no events.
    """

    events: list[EventAnswer]
    next_cursor: str | None


class EventQuery(Body):
    """Filters, and the page to return."""

    type: EventType | None = None
    end_user_id: Text | None = None
    connection_id: RowId | None = None
    integration_slug: Slug | None = None
    actor_type: ActorType | None = None
    actor_id: Text | None = None
    since: Moment | None = None
    until: Moment | None = None
    limit: Limit = 100
    cursor: IdCursor = None


@router.route("GET /v1/events", scope="read", summary="List events, newest first")
async def list_events(
    caller: Authenticated, installation: Installed, query: Annotated[EventQuery, Query()]
) -> EventPage:
    """List the events of your organization, newest first.

    One Runtime keeps events for 90 days. The operator can change this time.
    """
    matching = EventFilter(**query.model_dump(exclude={"limit", "cursor"}))
    async with installation.database.read() as tx:
        rows, next_cursor = await events.list_newest(
            tx, caller.organization_id, matching, limit=query.limit, before=query.cursor
        )
    return EventPage(events=[_answer(row) for row in rows], next_cursor=next_cursor)


def _answer(event: Event) -> EventAnswer:
    actor = ActorAnswer(type=event.actor_type, id=event.actor_id)
    return EventAnswer.model_validate({**asdict(event), "created_at": event.occurred_at, "actor": actor})
