"""Describe the entries of a timeline in words: the events and the proxy calls of a connection or an end user."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from one_runtime.catalog.loader import Catalog
from one_runtime.dashboard.visit import Visit
from one_runtime.errors import Explanation, explain_error
from one_runtime.explanations.provider_statuses import explain_provider_status
from one_runtime.proxy.request_log import LoggedRequest
from one_runtime.reports.timeline import TimelineEntry
from one_runtime.tenancy.event_types import explain_event, find_type
from one_runtime.tenancy.events import ACTORS, Event

PAGE_SIZE: Final = 50


@dataclass(frozen=True, slots=True)
class TimelineItem:
    """An entry of a timeline for a template.

    - `kind`: `good`, `bad` or an empty text.
    - `details`: short texts, such as the status of a call and its duration.
    - `explanation`: the cause of a failure and what to do, or None.
    - `path`: the list of events that begins with the event, or the page of the call.
    """

    at: datetime
    kind: str
    title: str
    details: tuple[str, ...]
    explanation: Explanation | None
    path: str
    is_call: bool


def describe(visit: Visit, catalog: Catalog, entries: Sequence[TimelineEntry]) -> list[TimelineItem]:
    """Return the entries for a template."""
    return [
        _call(visit, catalog, entry) if isinstance(entry, LoggedRequest) else _event(visit, catalog, entry)
        for entry in entries
    ]


def _next_id(entry_id: str) -> str:
    """Return the id after the id of an entry. A list before this id begins with the entry."""
    return str(UUID(int=UUID(entry_id).int + 1))


def _name(catalog: Catalog, slug: str) -> str:
    integration = catalog.get(slug)
    return integration.name if integration is not None else slug


def _event(visit: Visit, catalog: Catalog, event: Event) -> TimelineItem:
    slug, kind = event.data.get("integration_slug"), find_type(event.type)
    actor = ACTORS.get(event.actor_type)
    by = "you" if event.actor_id == visit.member.member_id else event.actor_type if actor is None else actor.agent
    integration = () if slug is None else (_name(catalog, str(slug)),)
    return TimelineItem(
        event.occurred_at,
        "" if kind is None else kind.level,
        event.type if kind is None else kind.label,
        (*integration, f"by {by}"),
        explain_event(event.type, event.data.get("reason")),
        visit.path("audit", before=_next_id(event.id)),
        is_call=False,
    )


def _call(visit: Visit, catalog: Catalog, call: LoggedRequest) -> TimelineItem:
    has_failed = call.error is not None or call.status >= 400
    explanation = explain_error(call.error) if call.error is not None else explain_provider_status(call.status)
    attempts = (f"{call.attempts} attempts",) if call.attempts > 1 else ()
    return TimelineItem(
        call.at,
        "bad" if has_failed else "",
        f"{call.method} {call.path}",
        (
            _name(catalog, call.integration_slug),
            f"status {call.status}" + (f" ({call.error})" if call.error is not None else ""),
            f"{call.duration_ms:,} ms",
            *attempts,
        ),
        explanation,
        visit.path("requests", call.id),
        is_call=True,
    )
