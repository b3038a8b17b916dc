"""Write and read the events of the audit log. An event never contains a secret.

One Runtime writes an event in the same transaction as the change that the event describes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from sqlalchemy import ColumnElement, Select, Text, bindparam, insert, literal_column, select, update

from one_runtime.db.engine import Transaction
from one_runtime.db.ids import is_id, lowest_id, new_id
from one_runtime.db.scanning import SCANNED_ROWS, Page, Values, matches, read_page, several, within
from one_runtime.db.schema import events, installation_events
from one_runtime.errors import NotFound
from one_runtime.jobs.queue import batched_delete, run_in_batches
from one_runtime.telemetry import metrics
from one_runtime.telemetry.current_request import current_request_id
from one_runtime.tenancy import event_deliveries
from one_runtime.tenancy.event_deliveries import NewEvent
from one_runtime.tenancy.event_types import EventType, explain_event

if TYPE_CHECKING:  # most commands import this module, and need none of the modules that `context` imports
    from one_runtime.context import Installation

ActorType: TypeAlias = Literal["api_key", "member", "end_user", "end_user_token", "system"]


class ActorText(NamedTuple):
    """The texts about a type of actors: its name on pages, and the end of a sentence such as “by the end user”."""

    label: str
    agent: str


ACTORS: Final[Mapping[str, ActorText]] = {
    "member": ActorText("Member", "a member of the team"),
    "api_key": ActorText("API key", "API key"),
    "end_user": ActorText("End user", "the end user"),
    "end_user_token": ActorText("Agent", "an agent"),
    "system": ActorText("One Runtime or its operator", "One Runtime"),
}
"""The types of actors, in the order of the filter on the page of the audit log."""


@dataclass(frozen=True, slots=True)
class Actor:
    """The API key, the member, the end user, the end-user token or the system that caused an event in an organization.

    `id`: the id of the API key, the member, the end user or the end-user token. For the type `system`, the name of the
    operator who ran a command, or None. `address`: the IP address of the request, or None.
    """

    organization_id: str
    type: ActorType
    id: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A row of the audit log.

    `request_id`: the HTTP request that caused the event. None: no request caused it. `position`: the place of the event
    in the order of `followed_events`, or None.
    """

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
    request_id: str | None
    position: int | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """The end user and connection of an event. Organizations can read `data`, so `data` never contains a secret.

    - `deleted_end_user_id`: the identifier of a deleted end user. Only the deliveries to webhook endpoints contain the
      identifier. The audit log does not.
    - `webhook_endpoint_id`: the webhook endpoint that the event is about. This endpoint does not receive the event.
    """

    end_user_id: str | None = None
    connection_id: str | None = None
    data: Mapping[str, object] = field(default_factory=dict)
    deleted_end_user_id: str | None = None
    webhook_endpoint_id: str | None = None


class _Organization(NamedTuple):
    webhooks_since: datetime | None


_INSERT = insert(events)
_INSERT_ONE = _INSERT.returning(event_deliveries.WEBHOOKS_SINCE)
_PURGE = batched_delete(events, events.c.id < bindparam("before"))
_PURGE_OF_INSTALLATION = batched_delete(installation_events, installation_events.c.id < bindparam("before"))
_MINE = events.c.organization_id == bindparam("organization")
_BY_ID = select(events).where(_MINE, events.c.id == bindparam("event"))
_FORGET_SUBJECT = update(events).where(_MINE, events.c.end_user_id == bindparam("end_user")).values(end_user_id=None)
_FORGET_ACTOR = (
    update(events)
    .where(_MINE, events.c.actor_type == "end_user", events.c.actor_id == bindparam("end_user"))
    .values(actor_id=None, address=None)
)


async def record(tx: Transaction, actor: Actor, kind: EventType, now: datetime, subject: Subject) -> None:
    """Write an event with the id of the current HTTP request, and queue its deliveries to webhook endpoints.

    `tx`: the transaction of the change that the event describes. If the transaction rolls back, no endpoint receives
    the event (promise P10 of docs/security.md).
    """
    values = _values(actor, kind, now, subject)
    organization = await tx.one(_INSERT_ONE, _Organization, of_organization=actor.organization_id, **values)
    if organization is not None and organization.webhooks_since is not None:
        await event_deliveries.queue(
            tx,
            NewEvent(str(values["id"]), kind.value, actor.organization_id),
            now,
            except_endpoint=subject.webhook_endpoint_id,
            end_user_id=subject.deleted_end_user_id,
        )
    _count_on_commit(tx, kind, subject)


async def record_many(tx: Transaction, kind: EventType, now: datetime, causes: Sequence[tuple[Actor, Subject]]) -> None:
    """Write an event for each actor and subject, with few round trips to the database. Queue the deliveries.

    No subject is about a webhook endpoint or a deleted end user.
    """
    rows = [_values(actor, kind, now, subject) for actor, subject in causes]
    await tx.execute_many(_INSERT, rows)
    await event_deliveries.queue_many(tx, [str(row["id"]) for row in rows], now)
    for _, subject in causes:
        _count_on_commit(tx, kind, subject)


def _values(actor: Actor, kind: EventType, now: datetime, subject: Subject) -> dict[str, object]:
    return {
        "id": new_id(),
        "organization_id": actor.organization_id,
        "type": kind.value,
        "occurred_at": now,
        "actor_type": actor.type,
        "actor_id": actor.id,
        "address": actor.address,
        "end_user_id": subject.end_user_id,
        "connection_id": subject.connection_id,
        "data": dict(subject.data),
        "request_id": current_request_id(),
        "position": None,
    }


def _count_on_commit(tx: Transaction, kind: EventType, subject: Subject) -> None:
    integration = metrics.integration_label(subject.data.get("integration_slug") or "")
    tx.committed.append(metrics.events.labels(kind.value, integration).inc)


_INDEXED_OF_ORGANIZATION: Final = ("end_user_id", "connection_id", "request_id")
_UNINDEXED: Final = ("type", "integration_slug", "actor_type", "actor_id")
_SLUG_KEY: Final[ColumnElement[str]] = literal_column("'integration_slug'")


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Filters for a list of events. A field with the value None matches every event.

    `since`, `until`: list events from `since` on, and before `until`.
    """

    type: Values[str] = None
    end_user_id: Values[str] = None
    connection_id: Values[str] = None
    integration_slug: Values[str] = None
    actor_type: Values[str] = None
    actor_id: Values[str] = None
    request_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self, columns: Any, names: Iterable[str]) -> list[ColumnElement[bool]]:
        """Return the conditions of the filters with these names."""
        return [condition for name in names for condition in matches(_column(columns, name), getattr(self, name))]

    def split(self, organization_id: str | None) -> tuple[list[str], list[str]]:
        """Return the names of the filters that an index supports, and the names of the other filters.

        The indexes begin with the organization. An index returns the events of one value in the order of their ids.
        """
        names = list(_INDEXED_OF_ORGANIZATION) if organization_id is not None else []
        indexed = [name for name in names if not several(getattr(self, name))]
        return indexed, [name for name in (*_INDEXED_OF_ORGANIZATION, *_UNINDEXED) if name not in indexed]


def _column(columns: Any, name: str) -> ColumnElement[Any]:
    """Return the column of a filter. The text `->>` is the same in PostgreSQL and in SQLite."""
    column: ColumnElement[Any] = (
        columns.data.op("->>", return_type=Text())(_SLUG_KEY) if name == "integration_slug" else columns[name]
    )
    return column


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
    events. If no index supports a filter, search only the next `scanned` events.
    """
    indexed, searched = matching.split(organization_id)
    statement = select_events(organization_id, matching, indexed)
    if before:
        statement = statement.where(events.c.id < before)
    conditions = partial(matching.conditions, names=searched)
    return await read_page(tx, statement, conditions, Event, limit=limit, scanned=scanned)


def select_events(organization_id: str | None, matching: EventFilter, indexed: Iterable[str]) -> Select[Any]:
    """Build a statement for the events that match the filters `since`, `until` and `indexed`.

    `organization_id`: None for all organizations. Then `indexed` must be empty.
    """
    statement = select(events).where(*within(events.c.id, matching.since, matching.until))
    if organization_id is None:
        return statement
    return statement.where(events.c.organization_id == organization_id, *matching.conditions(events.c, indexed))


async def get(tx: Transaction, organization_id: str, event_id: str) -> Event:
    """Return an event of this organization. Raises: NotFound."""
    key = {"organization": organization_id, "event": event_id}
    event = await tx.one(_BY_ID, Event, **key) if is_id(event_id) else None
    if event is None:
        raise NotFound(f"There is no event {event_id[:64]!r}. One Runtime deletes old events.")
    return event


def details(event: Event) -> dict[str, object]:
    """Return the data of an event, as the API and webhooks show the data.

    The event `connection.needs_reauth` also has `reconnect`: the body for `POST /v1/hosted-connection-sessions` that
    repairs the connection. The end user's identifier is missing after the deletion of the end user.

    An event with a reason also has `explanation`: for people, what happened (`message`) and what to do (`action`).
    """
    data = dict(event.data)
    explanation = explain_event(event.type, data.get("reason"))
    if explanation is not None:
        data["explanation"] = explanation._asdict()
    if event.type == EventType.CONNECTION_NEEDS_REAUTH and event.end_user_id is not None:
        data["reconnect"] = {
            "integration_slug": event.data.get("integration_slug"),
            "end_user_id": event.end_user_id,
            "connection_id": event.connection_id,
        }
    return data


async def forget_end_user(tx: Transaction, organization_id: str, end_user_id: str, now: datetime) -> None:
    """Remove the identifier and the IP address of a deleted end user from the audit log. Keep the events.

    Also cancel the pending deliveries of these events to webhook endpoints.
    """
    await event_deliveries.cancel_about(tx, organization_id, end_user_id, now)
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
