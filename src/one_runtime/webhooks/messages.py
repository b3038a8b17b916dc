"""Build the body of a webhook message: an event in the format of Standard Webhooks 1.0.0."""

import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from one_runtime.clock import rfc3339
from one_runtime.db.engine import Transaction
from one_runtime.tenancy.events import Event, details

ConnectionDocuments: TypeAlias = Callable[
    [Transaction, Collection[tuple[str, str]]], Awaitable[Mapping[str, Mapping[str, object]]]
]
"""Returns connections as the API returns them, by id. The argument has pairs of organization and connection."""


@dataclass(frozen=True, slots=True)
class Message:
    """An event, as an endpoint receives the event.

    - `deleted_end_user_id`: the identifier of the end user in the event `end_user.deleted`. The log omits it.
    - `includes_connection`: True if the message has the field `connection`.
    - `connection`: the connection of the event as `GET /v1/connections/{id}` returns it, or None after its deletion.
    """

    event: Event
    deleted_end_user_id: str | None = None
    includes_connection: bool = False
    connection: Mapping[str, object] | None = None

    def document(self) -> dict[str, object]:
        """Return the message as an object with `id`, `type`, `timestamp` and `data`."""
        event = self.event
        data = {
            **details(event),
            "end_user_id": self.deleted_end_user_id or event.end_user_id,
            "connection_id": event.connection_id,
            "actor": {"type": event.actor_type, "id": event.actor_id},
            "address": event.address,
            "request_id": event.request_id,
        }
        if self.includes_connection:
            data["connection"] = self.connection
        return {"id": event.id, "type": event.type, "timestamp": rfc3339(event.occurred_at), "data": data}

    def body(self) -> bytes:
        """Return the message as JSON."""
        return to_json(self.document())


def to_json(document: Mapping[str, object]) -> bytes:
    """Return the JSON of a message's document, in the form that One Runtime sends."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


async def build_messages(
    tx: Transaction,
    documents: ConnectionDocuments,
    include: Collection[str],
    events: Iterable[tuple[Event, str | None]],
) -> list[Message]:
    """Return the messages for events with the identifiers of deleted end users. `include`: as in `WebhookEndpoint`."""
    pairs, includes_connection = list(events), "connection" in include
    connections: Mapping[str, Mapping[str, object]] = {}
    if includes_connection:
        keys = {(event.organization_id, event.connection_id) for event, _ in pairs if event.connection_id is not None}
        connections = await documents(tx, keys) if keys else {}
    return [
        Message(event, deleted, includes_connection, connections.get(event.connection_id or ""))
        for event, deleted in pairs
    ]
