"""Make up an event of each type, and send one to test a receiver. One Runtime does not store these events."""

from datetime import datetime
from typing import Final

from one_runtime.clock import rfc3339
from one_runtime.context import Installation
from one_runtime.db.ids import new_id
from one_runtime.errors import Conflict, InvalidInput
from one_runtime.tenancy.event_types import TYPES, find_type
from one_runtime.tenancy.events import Actor, Event
from one_runtime.webhooks import endpoints, secrets
from one_runtime.webhooks.attempts import AttemptResult, attempt
from one_runtime.webhooks.messages import Message

TEST: Final = "webhook.test"
"""The type of a test message that looks like no event."""

END_USER: Final = "user_123"
"""The end user of all made-up events."""

_ABOUT_END_USERS: Final = frozenset({"connection", "hosted_connection_session", "end_user", "end_user_token", "agent"})
"""Groups of types of events that are about an end user."""


def check_type(kind: str) -> str:
    """Return the type unchanged. Raises: InvalidInput if no event has this type."""
    if kind != TEST and kind not in TYPES:
        raise InvalidInput.of("type", f"must be one of: {TEST}, {', '.join(TYPES)}")
    return kind


def make_up(kind: str, actor: Actor, now: datetime) -> Event:
    """Return a new event of the type `kind`, with a new id. `actor`: who sends the test. Raises: InvalidInput."""
    declared = find_type(check_type(kind))
    group = "" if declared is None else declared.group
    return Event(
        id=new_id(),
        organization_id=actor.organization_id,
        type=kind,
        occurred_at=now,
        actor_type=actor.type,
        actor_id=actor.id,
        address=actor.address,
        end_user_id=END_USER if group in _ABOUT_END_USERS else None,
        connection_id=new_id() if group == "connection" else None,
        data={"sent_at": rfc3339(now)} if declared is None else declared.sample,
        request_id=None,
    )


async def send_test(installation: Installation, actor: Actor, endpoint_id: str, event_type: str) -> AttemptResult:
    """Send a made-up event to an endpoint of the actor's organization now, and return the result.

    Store nothing, and change nothing. `event_type`: a type of events, or `TEST`.

    Raises: NotFound; InvalidInput for an unknown type; Conflict for a pull endpoint and for a lost secret; Unavailable.
    """
    now = installation.clock()
    message = Message(make_up(event_type, actor, now))
    async with installation.database.read() as tx:
        endpoint = await endpoints.get(tx, actor.organization_id, endpoint_id)
        if endpoint.kind == "pull":
            raise Conflict(
                "This endpoint has no URL, so One Runtime cannot send a test message. Your program fetches the events "
                f"with GET /v1/webhook-endpoints/{endpoint.id}/pending."
            )
        keys = await secrets.require(tx, installation.vault, endpoint, now)
    return await attempt(installation.webhook_egress, endpoint, keys, message, installation.clock)
