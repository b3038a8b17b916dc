"""Write and read the operator's audit log: events that belong to the installation, and not to an organization.

Organizations cannot read these events. One Runtime writes an event in the same transaction as its change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias, get_args

from sqlalchemy import bindparam, insert, select

from one_runtime.db.engine import Transaction
from one_runtime.db.ids import new_id
from one_runtime.db.schema import installation_events as events

InstallationEventType: TypeAlias = Literal[
    "organization.created",
    "organization.deleted",
    "integration.disabled",
    "integration.enabled",
    "oauth_client.updated",
    "oauth_client.deleted",
    "connection.refresh_requested",
    "hosted_connection_session.cancelled",
    "member.signed_out",
    "encryption_key.activated",
    "encryption_key.disabled",
    "encryption_key.abandoned",
    "installation.confirmed",
    "installation.held",
    "installation.moved",
]
INSTALLATION_EVENT_TYPES: Final[tuple[str, ...]] = get_args(InstallationEventType)


@dataclass(frozen=True, slots=True)
class InstallationEvent:
    """A row of the operator's audit log. `operator`: the name of the person who ran the command."""

    id: str
    type: str
    occurred_at: datetime
    operator: str
    data: Mapping[str, object]


_INSERT = insert(events)
_NEWEST = (
    select(*(events.c[name] for name in InstallationEvent.__dataclass_fields__))
    .order_by(events.c.id.desc())
    .limit(bindparam("limit"))
)


async def record_for_installation(
    tx: Transaction, operator: str, kind: InstallationEventType, now: datetime, data: Mapping[str, object]
) -> None:
    """Write an event. `tx`: the transaction of the change. `data`: contains no secret."""
    await tx.execute(_INSERT, id=new_id(), type=kind, occurred_at=now, operator=operator, data=dict(data))


async def list_newest_of_installation(tx: Transaction, limit: int) -> list[InstallationEvent]:
    """Return at most `limit` events, newest first."""
    return await tx.all(_NEWEST, InstallationEvent, limit=limit)
