"""Measure the webhooks of all organizations: the endpoints by state, and the delay of the sender.

Prometheus shows the measurements of a server once a minute. `one-runtime doctor` shows the present measurements.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import bindparam, case, func, or_, select

from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import webhook_endpoints
from one_runtime.telemetry import metrics
from one_runtime.telemetry.metrics_server import is_measuring_process
from one_runtime.tenancy.event_deliveries import FIRST, TROUBLED
from one_runtime.webhooks import deliveries
from one_runtime.webhooks.endpoints import WebhookEndpoint

STATES: Final = ("active", "failing", "paused", "disabled")
"""The states of endpoints. An active endpoint is `failing` if its last attempt failed."""

LANES: Final[Mapping[str, int]] = {"first": FIRST, "troubled": TROUBLED}
"""The lanes of push endpoints by name."""


class _StateCount(NamedTuple):
    state: str
    endpoints: int


_is_failing = (webhook_endpoints.c.status == "active") & webhook_endpoints.c.failing_since.is_not(None)
_state = case((_is_failing, "failing"), else_=webhook_endpoints.c.status)
_COUNT: Final = select(_state.label("state"), func.count().label("endpoints")).group_by(_state)
_IN_TROUBLE: Final = (
    select(webhook_endpoints)
    .where(
        or_(
            webhook_endpoints.c.status == "disabled",
            (webhook_endpoints.c.status == "active") & (webhook_endpoints.c.failing_since < bindparam("since")),
        )
    )
    .order_by(webhook_endpoints.c.id)
)


async def count_by_state(tx: Transaction) -> dict[str, int]:
    """Return the number of endpoints of all organizations, for each of `STATES`."""
    counts = {row.state: row.endpoints for row in await tx.all(_COUNT, _StateCount)}
    return {state: counts.get(state, 0) for state in STATES}


async def seconds_overdue(tx: Transaction, lane: int, now: datetime) -> float:
    """Return the seconds for which the oldest due delivery of a lane has waited for the sender, or 0."""
    due = await deliveries.due_endpoints(tx, lane, now)
    return (now - due[0].due_at).total_seconds() if due else 0.0


async def list_in_trouble(tx: Transaction, since: datetime) -> list[WebhookEndpoint]:
    """Return the disabled endpoints of all organizations, and the endpoints that have failed since before `since`."""
    return await tx.all(_IN_TROUBLE, WebhookEndpoint, since=since)


async def measure(installation: Installation) -> int:
    """Set the metrics of the endpoints and of the sender's delay. Return 0, because a measurement changes no row."""
    if is_measuring_process():
        now = installation.clock()
        async with installation.database.read() as tx:
            counts = await count_by_state(tx)
            overdue = {name: await seconds_overdue(tx, lane, now) for name, lane in LANES.items()}
        for state, endpoints in counts.items():
            metrics.webhook_endpoints.labels(state).set(endpoints)
        for name, seconds in overdue.items():
            metrics.oldest_webhook.labels(name).set(seconds)
    return 0
