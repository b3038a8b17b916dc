"""Deliveries of a webhook endpoint: list, read, retry and replay them."""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, get_args

from starlette.responses import Response

from one_runtime.dashboard.declarations import Pages
from one_runtime.dashboard.end_user_labels import find_labels
from one_runtime.dashboard.visit import FormErrors, Visit
from one_runtime.dashboard.webhooks import ONE, find_endpoint
from one_runtime.db.ids import is_id
from one_runtime.errors import Conflict, InvalidInput, NotFound
from one_runtime.explanations.webhook_errors import DELIVERY_ERRORS, DISABLED_ENDPOINTS
from one_runtime.tenancy.event_types import TYPES
from one_runtime.webhooks import deliveries, endpoints, replay, samples
from one_runtime.webhooks.deliveries import DeliveryFilter, Status
from one_runtime.webhooks.endpoints import WebhookEndpoint
from one_runtime.webhooks.messages import Message
from one_runtime.webhooks.replay import Range, ReplayStatus

ROWS: Final = 50
STATUSES: Final[tuple[str, ...]] = get_args(Status)
REPLAY_STATUSES: Final[tuple[ReplayStatus, ...]] = get_args(ReplayStatus)
SCOPES: Final = (
    ("failed", "Failed deliveries", ""),
    ("missing", "Failed deliveries and missing events", "Events can be missing because the endpoint was disabled."),
    ("all", "All events, also delivered events", "The receiver gets these messages again, with the same ids."),
)
"""Choices of events for a replay: value, text and help."""

_NO_DELIVERY: Final = "There is no such delivery. One Runtime deletes old deliveries with their events."
_TIME: Final = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d(:\d\d)?", re.ASCII)

pages = Pages(
    {
        "saved": "The changes are saved.",
        "paused": "The webhook endpoint is paused. It collects events for up to 72 hours.",
        "activated": "The webhook endpoint is active.",
        "replayed": "The deliveries are queued. One Runtime sends them now.",
        "retried": "The delivery is queued. One Runtime sends it now.",
    }
)


@dataclass(frozen=True, slots=True)
class ReplayForm:
    """The values of the form for a replay. Times are in UTC."""

    since: str
    until: str
    status: str = "failed"

    def parse(self) -> tuple[datetime, datetime, ReplayStatus]:
        """Return the values. Raises: InvalidInput."""
        status = next((each for each in REPLAY_STATUSES if each == self.status), None)
        if status is None:
            raise InvalidInput.of("status", "must be one of the options")
        since, until = _parse_time("since", self.since), _parse_time("until", self.until)
        if until <= since:
            raise InvalidInput.of("until", "must be later than the beginning")
        return since, until, status


@pages.get(ONE, access="read")
async def show_endpoint(visit: Visit) -> Response:
    """Show the health of an endpoint, and its deliveries."""
    before = visit.query("before")
    known = {"status": STATUSES, "type": TYPES}
    chosen = {name: visit.query(name) for name, values in known.items() if visit.query(name) in values}
    matching = DeliveryFilter(chosen.get("status"), chosen.get("type"))
    async with visit.installation.database.read() as tx:
        endpoint = await find_endpoint(visit, tx)
        rows, older = await deliveries.list_page(
            tx, endpoint, matching, limit=ROWS, before=before if is_id(before) else None
        )
        labels = await find_labels(visit, tx, [delivery.end_user_id for delivery in rows])
    here = ("webhooks", endpoint.id)
    return visit.render(
        "webhook.html",
        title=endpoint.description or endpoint.shown_url or "Pull endpoint",
        endpoint=endpoint,
        reason=DISABLED_ENDPOINTS.get(endpoint.disabled_reason or ""),
        deliveries=rows,
        labels=labels,
        chosen=chosen,
        statuses=[("", "All"), *((each, each.capitalize()) for each in STATUSES)],
        event_choices=[("", "All"), *((each, each) for each in TYPES)],
        types=TYPES,
        test_type=samples.TEST,
        older=visit.path(*here, **chosen, before=older) if older else None,
        first=visit.path(*here, **chosen) if before else None,
    )


@pages.get(f"{ONE}/deliveries/{{event_id}}", access="read")
async def show_delivery(visit: Visit) -> Response:
    """Show a delivery with its attempts and its message."""
    event_id = visit.parameter("event_id")
    async with visit.installation.database.read() as tx:
        endpoint = await find_endpoint(visit, tx)
        try:
            delivery, event = await deliveries.get_with_event(tx, endpoint, event_id)
        except NotFound as error:
            raise NotFound(
                "There is no such delivery. One Runtime deletes old deliveries with their events."
            ) from error
        attempts = await deliveries.attempts_of(tx, endpoint, event_id)
    return visit.render(
        "webhook_delivery.html",
        title=delivery.type,
        endpoint=endpoint,
        delivery=delivery,
        attempts=attempts,
        explanation=DELIVERY_ERRORS.get(delivery.error or ""),
        message_body=json.dumps(Message(event).document(), ensure_ascii=False, indent=2),
    )


@pages.post(f"{ONE}/deliveries/{{event_id}}/retry", access="develop")
async def retry_delivery(visit: Visit) -> Response:
    """Deliver an event again."""
    event_id = visit.parameter("event_id")
    async with visit.installation.database.write() as tx:
        endpoint = await find_endpoint(visit, tx)
        _require_active(endpoint)
        try:
            await replay.retry(tx, visit.installation.clock, endpoint, event_id)
        except NotFound as error:
            raise NotFound(
                "There is no such delivery. One Runtime deletes old deliveries with their events."
            ) from error
    return visit.redirect("webhooks", endpoint.id, "deliveries", event_id, done="retried")


@pages.get(f"{ONE}/replay", access="develop")
async def show_replay(visit: Visit) -> Response:
    """Show the form for a replay. After the first step, also show the number of deliveries."""
    form = ReplayForm(
        visit.query("since", _shown(visit.now - timedelta(days=1))),
        visit.query("until", _shown(visit.now + timedelta(minutes=1))),
        visit.query("status", "failed"),
    )
    errors, count = None, None
    async with visit.installation.database.read() as tx:
        endpoint = await find_endpoint(visit, tx)
        if "since" in visit.request.query_params:
            try:
                since, until, status = form.parse()
                types = await endpoints.event_types_of(tx, endpoint)
                count = await replay.count(tx, endpoint, Range(since, until, types), status)
            except InvalidInput as error:
                errors = FormErrors.of(error, ("since", "until", "status"))
    return _replay_page(visit, endpoint, form, errors, count)


@pages.post(f"{ONE}/replay", access="develop")
async def replay_deliveries(visit: Visit) -> Response:
    """Queue the deliveries of a time again."""
    fields = await visit.form()
    form = ReplayForm(*(str(fields.get(name, "")) for name in ("since", "until", "status")))
    async with visit.installation.database.read() as tx:
        endpoint = await find_endpoint(visit, tx)
        types = await endpoints.event_types_of(tx, endpoint)
    try:
        since, until, status = form.parse()
    except InvalidInput as error:
        return _replay_page(visit, endpoint, form, FormErrors.of(error, ("since", "until", "status")), None)
    _require_active(endpoint)
    await replay.replay(visit.installation, endpoint, Range(since, until, types), status)
    return visit.redirect("webhooks", endpoint.id, done="replayed")


def _replay_page(
    visit: Visit, endpoint: WebhookEndpoint, form: ReplayForm, errors: FormErrors | None, count: int | None
) -> Response:
    return visit.render(
        "webhook_replay.html",
        status=200 if errors is None else 422,
        title="Replay",
        endpoint=endpoint,
        form=form,
        scopes=SCOPES,
        errors=errors,
        count=count,
        max_counted=replay.MAX_COUNTED,
    )


def _require_active(endpoint: WebhookEndpoint) -> None:
    if endpoint.status != "active":
        raise Conflict(f"This webhook endpoint is {endpoint.status}. Activate it first.")


def _shown(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")


def _parse_time(field: str, text: str) -> datetime:
    """Parse the value of an `<input type="datetime-local">` as UTC. Raises: InvalidInput."""
    if _TIME.fullmatch(text):
        with suppress(ValueError):  # the 31st of February
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
    raise InvalidInput.of(field, "must be a date and a time since 2000, such as 2026-11-30T22:15")
