"""The audit log of an organization: events with filters, and exports."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from starlette.datastructures import FormData, QueryParams
from starlette.responses import Response

from one_runtime.clock import rfc3339
from one_runtime.dashboard.declarations import ORGANIZATION, Pages
from one_runtime.dashboard.end_user_labels import EndUserLabel, label_of
from one_runtime.dashboard.end_user_paths import identifier_of
from one_runtime.dashboard.exports import ExportResponse
from one_runtime.dashboard.rendering import exact
from one_runtime.dashboard.visit import FormErrors, Visit
from one_runtime.db.engine import Transaction
from one_runtime.db.ids import is_id
from one_runtime.errors import Explanation, FieldError, InvalidInput
from one_runtime.reports import actor_names
from one_runtime.reports.actor_names import ActorKey, ActorName
from one_runtime.tenancy import events
from one_runtime.tenancy.event_types import TYPES, explain_event, explain_type
from one_runtime.tenancy.events import ACTORS, Event, EventFilter
from one_runtime.validation.names import text_problem

PAGE_SIZE: Final = 50
EXPORT_BATCH: Final = 500
"""Number of events that one statement of an export reads."""

_FIELDS: Final = ("type", "actor_type", "actor", "end_user", "connection", "since", "until")
_CSV_COLUMNS: Final = (
    "id", "created_at", "type", "actor_type", "actor_id", "actor_name", "address", "end_user_id", "connection_id",
    "request_id", "data",
)  # fmt: skip
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠")

_PATH: Final = f"{ORGANIZATION}/audit"

pages = Pages()


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """The values of the filters, as the form shows them."""

    values: Mapping[str, str]

    @classmethod
    def read(cls, fields: QueryParams | FormData) -> "AuditQuery":
        """Return the filters of a URL or of a form."""
        return cls({name: str(fields.get(name, "")).strip() for name in _FIELDS})

    @property
    def given(self) -> dict[str, str]:
        """Return the filters that have a value."""
        return {name: value for name, value in self.values.items() if value}

    def filter(self) -> EventFilter:
        """Return the filter for the list of events. Raises: InvalidInput."""
        errors = [FieldError(name, problem) for name, value in self.given.items() if (problem := text_problem(value))]
        given = {} if errors else self.given
        for name, allowed in (("type", TYPES), ("actor_type", tuple(ACTORS))):
            if given.get(name, allowed[0]) not in allowed:
                errors.append(FieldError(name, "must be one of the listed values"))
        if "connection" in given and not is_id(given["connection"]):
            errors.append(FieldError("connection", "must be the id of a connection"))
        since, until = (_read_day(given, name, errors) for name in ("since", "until"))
        if errors:
            raise InvalidInput.of_all(errors)
        return EventFilter(
            type=given.get("type"),
            end_user_id=identifier_of(given["end_user"]) if "end_user" in given else None,
            connection_id=given.get("connection"),
            actor_type=given.get("actor_type"),
            actor_id=identifier_of(given["actor"]) if "actor" in given else None,
            since=since,
            until=None if until is None or until.date() == date.max else until + timedelta(days=1),
        )


def _read_day(given: Mapping[str, str], name: str, errors: list[FieldError]) -> datetime | None:
    """Return the start of a day in UTC, or None. Add an error for a text that is no date."""
    if name not in given:
        return None
    try:
        return datetime.combine(date.fromisoformat(given[name]), time(), UTC)
    except ValueError:
        errors.append(FieldError(name, "must be a date such as 2026-11-30"))
        return None


@pages.get(_PATH, access="read")
async def list_events(visit: Visit) -> Response:
    """List the events that match the filters, newest first."""
    query, before = AuditQuery.read(visit.request.query_params), visit.cursor
    errors, rows, following, names = None, list[Event](), None, dict[ActorKey, ActorName]()
    try:
        matching = query.filter()
    except InvalidInput as error:
        errors = FormErrors.of(error, _FIELDS)
    else:
        async with visit.installation.database.read() as tx:
            rows, following = await events.list_newest(
                tx, visit.organization_id, matching, limit=PAGE_SIZE, before=before
            )
            about = [("end_user", event.end_user_id) for event in rows]
            names = await _names(tx, visit.organization_id, rows, about)
    return visit.render(
        "audit.html",
        status=422 if errors else 200,
        title="Audit log",
        events=rows,
        names=names,
        labels={each.end_user_id: _label(visit, each.end_user_id, names) for each in rows if each.end_user_id},
        details=_details,
        explain_type=explain_type,
        types=TYPES,
        actors=ACTORS,
        query=query,
        errors=errors,
        retention=visit.installation.settings.event_retention_days,
        older=visit.path("audit", **query.given, before=following) if following else None,
        first=visit.path("audit", **query.given) if before else None,
    )


@pages.post(f"{_PATH}/export", access="read")
async def export_events(visit: Visit) -> Response:
    """Send all events that match the filters as a file.

    The form posts, although the export changes nothing. Otherwise, a link of another site could start an export.

    Raises: InvalidInput.
    """
    fields = await visit.form()
    matching, kind = AuditQuery.read(fields).filter(), str(fields.get("format", ""))
    if kind not in _FORMATS:
        raise InvalidInput.of("format", f"must be one of {', '.join(_FORMATS)}")
    media_type, first_line, line = _FORMATS[kind]
    name = f"events-{visit.now:%Y-%m-%d}.{kind}"
    headers = {
        **visit.renderer.headers,
        "Content-Type": media_type,
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    parts = _stream(visit, matching, first_line, line)
    return ExportResponse(visit.services.exports, visit.organization_id, parts, headers)


async def _stream(
    visit: Visit, matching: EventFilter, first_line: str, line: Callable[[Event, ActorName | None], str]
) -> AsyncIterator[str]:
    """Yield the file in parts. Each part is read in a transaction of its own, so that no transaction is long.

    Raises: InsufficientRole if the member loses the access while the export runs.
    """
    if first_line:
        yield first_line
    before: str | None = None
    while True:
        async with visit.installation.database.read() as tx:
            if before is not None:
                await visit.require_access(tx, "read")
            rows, before = await events.list_newest(
                tx, visit.organization_id, matching, limit=EXPORT_BATCH, before=before
            )
            names = await _names(tx, visit.organization_id, rows)
        yield visit.mask("".join(line(event, _name_of(event, names)) for event in rows))
        if before is None:
            return
        await asyncio.sleep(0)


def _json_line(event: Event, name: ActorName | None) -> str:
    actor = {"type": event.actor_type, "id": event.actor_id, "name": name.text if name else None}
    document = {
        "id": event.id,
        "type": event.type,
        "created_at": rfc3339(event.occurred_at),
        "actor": actor,
        "address": event.address,
        "end_user_id": event.end_user_id,
        "connection_id": event.connection_id,
        "data": events.details(event),
        "request_id": event.request_id,
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


def _csv_line(event: Event, name: ActorName | None) -> str:
    return _csv(
        (
            event.id,
            rfc3339(event.occurred_at),
            event.type,
            event.actor_type,
            event.actor_id,
            name.text if name else None,
            event.address,
            event.end_user_id,
            event.connection_id,
            event.request_id,
            json.dumps(events.details(event), ensure_ascii=False),
        )
    )


def _csv(cells: Sequence[str | None]) -> str:
    """Return a line of CSV (RFC 4180).

    Spreadsheets calculate a cell that begins like a formula, and an end user's identifier can begin so. An apostrophe
    before the cell prevents this.
    """
    buffer = io.StringIO()
    csv.writer(buffer).writerow(
        "" if cell is None else f"'{cell}" if cell.lstrip().startswith(_FORMULA_STARTS) else cell for cell in cells
    )
    return buffer.getvalue()


_FORMATS: Final[Mapping[str, tuple[str, str, Callable[[Event, ActorName | None], str]]]] = {
    "csv": ("text/csv; charset=utf-8", _csv(_CSV_COLUMNS), _csv_line),
    "jsonl": ("application/jsonl; charset=utf-8", "", _json_line),
}
"""The media type, the first line, and the function that formats an event, by format."""


async def _names(
    tx: Transaction, organization_id: str, rows: Sequence[Event], others: Sequence[tuple[str, str | None]] = ()
) -> dict[ActorKey, ActorName]:
    actors = [(event.actor_type, event.actor_id) for event in rows]
    return await actor_names.find_names(tx, organization_id, [*actors, *others])


def _label(visit: Visit, end_user_id: str, names: Mapping[ActorKey, ActorName]) -> EndUserLabel:
    name = names.get(("end_user", end_user_id))
    return label_of(visit, end_user_id, name.text if name is not None else None)


def _name_of(event: Event, names: Mapping[ActorKey, ActorName]) -> ActorName | None:
    return names.get((event.actor_type, event.actor_id)) if event.actor_id is not None else None


Named = list[tuple[str, str]]


def _details(event: Event) -> tuple[Named, Named, Explanation | None]:
    """Return the data of an event: names and texts, names and ids, and the explanation of the reason, or None."""
    ids: dict[str, object] = {"event": event.id, "connection": event.connection_id, "request": event.request_id}
    ids |= {name.removesuffix("_id"): value for name, value in event.data.items() if name.endswith("_id")}
    data = {name: value for name, value in event.data.items() if not name.endswith("_id")}
    return _texts(data), _texts(ids), explain_event(event.type, event.data.get("reason"))


def _texts(data: Mapping[str, object]) -> Named:
    return [
        (name.removesuffix("_slug").replace("_", " "), _named_text(name, value))
        for name, value in data.items()
        if value not in (None, [])
    ]


def _named_text(name: str, value: object) -> str:
    if name.endswith("_at") and isinstance(value, str):
        return exact(datetime.fromisoformat(value))
    return _text(value).replace("_", " ") if name == "changed" else _text(value)


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
