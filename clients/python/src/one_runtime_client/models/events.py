"""Define the classes of answers of `events`. `python -m scripts.generate_clients` writes this file."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

__all__ = [
    "Actor",
    "Event",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The actor that caused an event: an API key, an end user, or One Runtime itself (`system`).

    If an operator ran a command, the type is `system`, and `id` is the name of the operator.

    Attributes:
        type: The kind of actor: `api_key`, `end_user`, `end_user_token` or `system`.
        id: The id of the API key, the identifier of the end user, or the name of the operator.
    """

    type: str
    id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event of the audit log. `data` contains no secrets.

    `request_id`: the header `Request-Id` of the HTTP request that caused the event. None if no request caused the
    event, or if an older version of One Runtime recorded the event.

    Attributes:
        id: The id. Ids are UUIDs.
        type: The type of the event.
        created_at: The time of the creation, as in RFC 3339.
        actor: The actor that caused the event.
        address: The IP address of the actor, or None.
        end_user_id: Your own identifier of the end user.
        connection_id: The id of the connection.
        data: More data of the event, without secrets.
        request_id: The id of the request, as in the header `Request-Id`. The server's log contains this id.
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
