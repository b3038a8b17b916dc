"""The metrics of webhooks: attempts by outcome, endpoints by state, and the delay of the sender."""

import pytest
from sqlalchemy import update

from one_runtime.db.schema import webhook_deliveries, webhook_endpoints
from one_runtime.telemetry import metrics
from one_runtime.tenancy.event_deliveries import FIRST, HELD, TROUBLED
from one_runtime.webhooks import measurement
from tests.application import Application, Client
from tests.webhooks.conftest import subscribe, wait_for_deliveries
from tests.webhooks.receiver import Receiver, with_status


def value(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(f"one_runtime_{name}", labels) or 0.0


async def test_attempts_are_counted_by_outcome(client: Client, receiver: Receiver) -> None:
    receiver.answers["/fails"] = with_status(503)
    endpoints = [await subscribe(client, receiver.url(path), "connection.created") for path in ("/works", "/fails")]
    refused = await subscribe(client, "https://192.0.2.1.example.invalid/hook", "connection.created")
    before = {outcome: value("webhook_attempts_total", outcome=outcome) for outcome in ("2xx", "5xx")}
    unreachable = value("webhook_attempts_total", outcome="upstream_unreachable")
    await client.connect()
    await wait_for_deliveries(client, endpoints[0], status="delivered")
    await wait_for_deliveries(client, endpoints[1], failed_attempts=1)
    await wait_for_deliveries(client, refused, error_code="upstream_unreachable")
    after = {outcome: value("webhook_attempts_total", outcome=outcome) for outcome in before}
    assert {outcome: after[outcome] - before[outcome] for outcome in before} == {"2xx": 1, "5xx": 1}
    assert value("webhook_attempts_total", outcome="upstream_unreachable") == unreachable + 1


async def test_endpoints_are_counted_by_state_and_due_webhooks_are_measured(
    application: Application, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurement, "is_measuring_process", lambda: True)
    database, now = application.installation.database, application.clock()
    ids = [(await subscribe(client, None, "connection.created"))["id"] for _ in range(5)]
    await client.connect()
    states: list[dict[str, object]] = [
        {"status": "active", "failing_since": None},
        {"status": "active", "failing_since": now},
        {"status": "paused", "failing_since": now},
        {"status": "disabled", "failing_since": now},
        {"status": "deleted", "failing_since": None},
    ]
    rows = [(TROUBLED, 500), (TROUBLED, 30), (HELD, 900), (HELD, 800), (HELD, 700)]
    async with database.write() as tx:
        for endpoint_id, columns, (lane, age) in zip(ids, states, rows, strict=True):
            await tx.execute(update(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id).values(**columns))
            row = update(webhook_deliveries).where(webhook_deliveries.c.endpoint_id == endpoint_id)
            due_at = now.replace(microsecond=0).timestamp() - age
            await tx.execute(row.values(lane=lane, due_at=now.fromtimestamp(due_at, now.tzinfo)))
    await measurement.measure(application.installation)
    states_ = {state: value("webhook_endpoints", state=state) for state in measurement.STATES}
    assert states_ == {"active": 1, "failing": 1, "paused": 1, "disabled": 1}
    assert value("webhook_overdue_oldest_seconds", lane="first") == 0
    assert 500 <= value("webhook_overdue_oldest_seconds", lane="troubled") < 520
    async with database.write() as tx:
        assert await measurement.seconds_overdue(tx, FIRST, now) == 0
