"""Write and read the events of the audit log. An event never contains a secret.

One Runtime writes an event in the same transaction as the change that the event describes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

from sqlalchemy import ColumnElement, Text, bindparam, insert, literal_column, select, update

from one_runtime.db.engine import Transaction
from one_runtime.db.ids import lowest_id, new_id
from one_runtime.db.scanning import SCANNED_ROWS, Page, read_page
from one_runtime.db.schema import events, installation_events
from one_runtime.jobs.queue import batched_delete, run_in_batches
from one_runtime.telemetry import metrics

if TYPE_CHECKING:  # most commands import this module, and need none of the modules that `context` imports
    from one_runtime.context import Installation

EventType: TypeAlias = Literal[
    "connection.created",
    "connection.updated",
    "connection.reconnected",
    "connection.needs_reauth",
    "connection.recovered",
    "connection.refresh_failed",
    "connection.deleted",
    "connection.credentials_read",
    "hosted_connection_session.created",
    "hosted_connection_session.failed",
    "end_user.deleted",
    "api_key.created",
    "api_key.revoked",
    "custom_integration.created",
    "custom_integration.updated",
    "custom_integration.deleted",
    "oauth_client.updated",
    "oauth_client.deleted",
    "organization.updated",
]
TYPES: Final[tuple[str, ...]] = get_args(EventType)

ActorType: TypeAlias = Literal["api_key", "end_user", "system"]


@dataclass(frozen=True, slots=True)
class Actor:
    """The API key, the end user or the system that caused an event in an organization.

    `id`: the id of the API key or the end user. For the type `system`, the name of the operator who ran a command, or
    None. `address`: the IP address of the request, or None.
    """

    organization_id: str
    type: ActorType
    id: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A row of the audit log."""

    id: str
    organization_id: str
    type: str
    occurred_at: datetime
    actor_type: str
    actor_id: str | None
    address: str | None
    end_user_id: str | None
    connection_id: str | None
    data: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Subject:
    """The end user and connection of an event. Organizations can read `data`, so `data` never contains a secret."""

    end_user_id: str | None = None
    connection_id: str | None = None
    data: Mapping[str, object] = field(default_factory=dict)


_INSERT = insert(events)
_PURGE = batched_delete(events, events.c.id < bindparam("before"))
_PURGE_OF_INSTALLATION = batched_delete(installation_events, installation_events.c.id < bindparam("before"))
_MINE = events.c.organization_id == bindparam("organization")
_FORGET_SUBJECT = update(events).where(_MINE, events.c.end_user_id == bindparam("end_user")).values(end_user_id=None)
_FORGET_ACTOR = (
    update(events)
    .where(_MINE, events.c.actor_type == "end_user", events.c.actor_id == bindparam("end_user"))
    .values(actor_id=None, address=None)
)


async def record(tx: Transaction, actor: Actor, kind: EventType, now: datetime, subject: Subject) -> None:
    """Write an event. `tx`: the transaction of the change that the event describes."""
    await tx.execute(
        _INSERT,
        id=new_id(),
        organization_id=actor.organization_id,
        type=kind,
        occurred_at=now,
        actor_type=actor.type,
        actor_id=actor.id,
        address=actor.address,
        end_user_id=subject.end_user_id,
        connection_id=subject.connection_id,
        data=dict(subject.data),
    )
    integration = metrics.integration_label(subject.data.get("integration_slug") or "")
    tx.committed.append(metrics.events.labels(kind, integration).inc)


_SLUG_KEY: Final[ColumnElement[str]] = literal_column("'integration_slug'")


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Filters for a list of events. A field with the value None matches every event.

    `since`, `until`: list events from `since` on, and before `until`.
    """

    type: str | None = None
    end_user_id: str | None = None
    connection_id: str | None = None
    integration_slug: str | None = None
    actor_type: str | None = None
    actor_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self, columns: Any) -> list[ColumnElement[bool]]:
        """Return the conditions that no index supports."""
        names = ("type", "end_user_id", "connection_id", "actor_type", "actor_id")
        wanted = {columns[name]: getattr(self, name) for name in names}
        # `->>` and its right side are the same text in PostgreSQL and in SQLite.
        wanted[columns.data.op("->>", return_type=Text())(_SLUG_KEY)] = self.integration_slug
        return [column == value for column, value in wanted.items() if value is not None]


async def list_newest(
    tx: Transaction,
    organization_id: str | None,
    matching: EventFilter,
    *,
    limit: int,
    before: str | None,
    scanned: int = SCANNED_ROWS,
) -> Page[Event]:
    """Return at most `limit` events, newest first. Also return the cursor of the next page, or None at the end.

    `organization_id`: None for the events of all organizations. If `before` is the id of an event, return only older
    events. If there are other filters than the time, search only the next `scanned` events.
    """
    statement = select(events).order_by(events.c.id.desc())
    if organization_id is not None:
        statement = statement.where(events.c.organization_id == organization_id)
    if matching.since is not None:
        statement = statement.where(events.c.id >= lowest_id(matching.since))
    if matching.until is not None:
        statement = statement.where(events.c.id < lowest_id(matching.until))
    if before:
        statement = statement.where(events.c.id < before)
    return await read_page(tx, statement, matching.conditions, Event, limit=limit, scanned=scanned)


async def forget_end_user(tx: Transaction, organization_id: str, end_user_id: str) -> None:
    """Remove the identifier and the IP address of a deleted end user from the audit log. Keep the events."""
    for statement in (_FORGET_SUBJECT, _FORGET_ACTOR):
        await tx.execute(statement, organization=organization_id, end_user=end_user_id)


async def purge(installation: "Installation") -> int:
    """Delete events of organizations and of the operator that are older than `event_retention_days`.

    Return the number of deleted events.
    """
    before = installation.clock() - timedelta(days=installation.settings.event_retention_days)
    deleted = 0
    for statement in (_PURGE, _PURGE_OF_INSTALLATION):
        deleted += await run_in_batches(installation.database, statement, before=lowest_id(before))
    return deleted
