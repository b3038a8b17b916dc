"""Define the operations for the audit log, with arguments and results."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from one_runtime_client.arguments import LIMIT, Arguments, as_time, one_or_more
from one_runtime_client.operations import Listing, Operation, Resource, TransportT
from one_runtime_client.parsing import answer, list_of

__all__ = ["Actor", "Event"]

Order: TypeAlias = Literal["asc", "desc"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The actor that caused an event: an API key, an end user, or the system."""

    type: str
    id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An entry of the audit log. `data` contains no secrets.

    `request_id`: the id of the HTTP request that caused the event, as in the header `Request-Id`. None if no request
    caused the event.
    """

    id: str
    type: str
    created_at: datetime
    actor: Actor
    address: str | None
    end_user_id: str | None
    connection_id: str | None
    data: Mapping[str, Any]
    request_id: str | None


def list_events(  # noqa: PLR0913 - by name
    *,
    type: str | Iterable[str] = (),  # noqa: A002 - the API's name
    end_user_id: str | Iterable[str] = (),
    connection_id: str | Iterable[str] = (),
    integration_slug: str | Iterable[str] = (),
    actor_type: str | Iterable[str] = (),
    actor_id: str | Iterable[str] = (),
    request_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    order: Order | None = None,
    after: str | None = None,
    limit: int = LIMIT,
    cursor: str | None = None,
) -> Arguments:
    """List events, newest first. A filter with several values matches events that have one of the values.

    To follow the events, use `order="asc"` first, and then the id of the last event as `after`. `after` returns only
    newer events, oldest first.
    """
    filters = {
        "type": one_or_more(type),
        "end_user_id": one_or_more(end_user_id),
        "connection_id": one_or_more(connection_id),
        "integration_slug": one_or_more(integration_slug),
        "actor_type": one_or_more(actor_type),
        "actor_id": one_or_more(actor_id),
        "request_id": request_id,
        "since": as_time(since),
        "until": as_time(until),
        "order": order,
        "after": after,
    }
    return Arguments(query={**filters, "limit": limit, "cursor": cursor})


def get_event(event_id: str) -> Arguments:
    """Return an event."""
    return Arguments(path={"event_id": event_id})


class Events(Resource[TransportT]):
    """The audit log."""

    list = Listing("GET /v1/events", list_events, list_of(Event, under="events"))
    get = Operation("GET /v1/events/{event_id}", get_event, answer(Event))
