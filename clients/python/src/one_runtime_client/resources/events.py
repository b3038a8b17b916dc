"""Define the operations for the audit log, with arguments and results."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from one_runtime_client.arguments import LIMIT, Arguments, as_time
from one_runtime_client.operations import Listing, Resource, TransportT
from one_runtime_client.parsing import list_of

__all__ = ["Actor", "Event"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The actor that caused an event: an API key, an end user, or the system."""

    type: str
    id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An entry of the audit log. `data` contains no secrets."""

    id: str
    type: str
    created_at: datetime
    actor: Actor
    address: str | None
    end_user_id: str | None
    connection_id: str | None
    data: Mapping[str, Any]


def list_events(  # noqa: PLR0913 - by name
    *,
    type: str | None = None,  # noqa: A002 - the API's name
    end_user_id: str | None = None,
    connection_id: str | None = None,
    integration_slug: str | None = None,
    actor_type: str | None = None,
    actor_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = LIMIT,
    cursor: str | None = None,
) -> Arguments:
    """List events, newest first."""
    filters = {
        "type": type,
        "end_user_id": end_user_id,
        "connection_id": connection_id,
        "integration_slug": integration_slug,
        "actor_type": actor_type,
        "actor_id": actor_id,
        "since": as_time(since),
        "until": as_time(until),
    }
    return Arguments(query={**filters, "limit": limit, "cursor": cursor})


class Events(Resource[TransportT]):
    """The audit log."""

    list = Listing("GET /v1/events", list_events, list_of(Event, under="events"))
