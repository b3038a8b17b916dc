"""Record an event about an OAuth client in the audit log of its owner: an organization, or the operator."""

from datetime import datetime
from typing import Literal, TypeAlias

from one_runtime.db.engine import Transaction
from one_runtime.tenancy import events
from one_runtime.tenancy.events import Actor, Subject
from one_runtime.tenancy.installation_events import record_for_installation

ClientEventType: TypeAlias = Literal["oauth_client.updated", "oauth_client.deleted"]


async def record_client_event(
    tx: Transaction, actor: Actor, kind: ClientEventType, slug: str, now: datetime, *, of_operator: bool
) -> None:
    """Write the event. `of_operator`: True if the operator owns the client. `slug`: the slug of the integration."""
    data = {"integration_slug": slug}
    if of_operator:
        await record_for_installation(tx, actor.id or actor.type, kind, now, data)
    else:
        await events.record(tx, actor, kind, now, Subject(data=data))
