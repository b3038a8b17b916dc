"""Serve `/v1/events`: the audit log of an organization."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import Query

from one_runtime.api.conditions import Conditional
from one_runtime.api.described import Described
from one_runtime.api.event_types import EventTypeName
from one_runtime.api.fields import Answer, Body, IdCursor, Limit, Moment, PathId, RowId, Several, Slug, Text, Time
from one_runtime.api.routing import Authenticated, Installed, Routes
from one_runtime.errors import InvalidInput, NotFound
from one_runtime.tenancy import events
from one_runtime.tenancy.events import ActorType, Event, EventFilter
from one_runtime.tenancy.followed_events import EventExpired, list_followed, require_in_log

router = Routes("Events")


class ActorAnswer(Answer, title="Actor"):
    """The actor that caused an event: an API key, an end user, or One Runtime itself (`system`).

    If an operator ran a command, the type is `system`, and `id` is the name of the operator.
    """

    type: Annotated[
        str, Described("The kind of actor: `api_key`, `end_user`, `end_user_token` or `system`.", "api_key")
    ]
    id: Annotated[
        str | None, Described("The id of the API key, the identifier of the end user, or the name of the operator.")
    ]


class EventAnswer(Answer, title="Event"):
    """An event of the audit log. `data` contains no secrets.

    `request_id`: the header `Request-Id` of the HTTP request that caused the event. Null if no request caused the
    event, or if an older version of One Runtime recorded the event.
    """

    id: str
    type: Annotated[str, Described("The type of the event.", "connection.created")]
    created_at: Time
    actor: Annotated[ActorAnswer, Described("The actor that caused the event.")]
    address: Annotated[str | None, Described("The IP address of the actor, or null.", "203.0.113.7")]
    end_user_id: str | None
    connection_id: str | None
    data: Annotated[
        dict[str, Any], Described("More data of the event, without secrets.", {"integration_slug": "hubspot"})
    ]
    request_id: str | None


class EventPage(Answer):
    """A page of events. `next_cursor` is null on the last page.

    With a filter other than the time or the request id, One Runtime searches at most 10,000 events for each page. So a
    page with a `next_cursor` can contain few events or no events.
    """

    events: Annotated[list[EventAnswer], Described("The events of the page.")]
    next_cursor: str | None


class EventQuery(Body):
    """Filters, and the page to return.

    - `order`: `desc` lists the newest event first, `asc` the oldest event first. The default is `asc` if you send
      `after`, and otherwise `desc`.
    - `after`: the id of an event. The list contains only the events that follow this event in the ascending order.
    """

    type: Several[EventTypeName] = []
    end_user_id: Several[Text] = []
    connection_id: Several[RowId] = []
    integration_slug: Several[Slug] = []
    actor_type: Several[ActorType] = []
    actor_id: Several[Text] = []
    request_id: RowId | None = None
    since: Moment | None = None
    until: Moment | None = None
    order: Literal["asc", "desc"] | None = None
    after: RowId | None = None
    limit: Limit = 100
    cursor: IdCursor = None


@router.route("GET /v1/events", scope="read", errors=(EventExpired,), summary="List events")
async def list_events(
    caller: Authenticated, installation: Installed, query: Annotated[EventQuery, Query()]
) -> EventPage:
    """List the events of your organization, newest first.

    To follow the events, read them in ascending order: send `order=asc` first, and then the id of the last event as
    `after`. In this order, you receive each event exactly once, even if a transaction stores an event late. If the log
    has deleted the event of `after`, the response is 410: you can have missed events.

    One Runtime keeps events for 90 days. The operator can change this time.
    """
    if query.after is not None and query.order == "desc":
        raise InvalidInput.of("after", "requires the ascending order. Omit `order`, or send order=asc")
    ascending = query.order == "asc" or query.after is not None
    matching = EventFilter(**query.model_dump(exclude={"order", "after", "limit", "cursor"}))
    if ascending:
        if query.after is not None and query.cursor is None:
            async with installation.database.read() as tx:
                days = installation.settings.event_retention_days
                await require_in_log(tx, caller.organization_id, query.after, installation.clock(), days)
        after = [event_id for event_id in (query.after, query.cursor) if event_id is not None]
        rows, next_cursor = await list_followed(
            installation.database, caller.organization_id, matching, limit=query.limit, after=after
        )
    else:
        async with installation.database.read() as tx:
            rows, next_cursor = await events.list_newest(
                tx, caller.organization_id, matching, limit=query.limit, before=query.cursor
            )
    return EventPage(events=[event_answer(row) for row in rows], next_cursor=next_cursor)


@router.route("GET /v1/events/{event_id}", scope="read", errors=(NotFound,), conditional=True, summary="Read one event")
async def get_event(
    event_id: PathId, caller: Authenticated, installation: Installed, conditions: Conditional
) -> EventAnswer:
    """Return an event of your organization."""
    async with installation.database.read() as tx:
        return conditions.tag(event_answer(await events.get(tx, caller.organization_id, event_id)))


def event_answer(event: Event) -> EventAnswer:
    """Return the form of the API."""
    actor = ActorAnswer(type=event.actor_type, id=event.actor_id)
    return EventAnswer.model_validate(
        {**asdict(event), "created_at": event.occurred_at, "actor": actor, "data": events.details(event)}
    )
