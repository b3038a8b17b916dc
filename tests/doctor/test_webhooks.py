"""The doctor's findings about webhooks: a sender that does not send, and endpoints in trouble."""

from dataclasses import replace
from datetime import timedelta

from one_runtime.clock import system_clock
from one_runtime.tenancy import events
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject
from one_runtime.webhooks import endpoints
from one_runtime.webhooks.endpoints import WebhookEndpoint
from tests.database import ANY_DATABASE
from tests.doctor.conftest import Patient

URL = "https://app.example.com/hook"


async def store(patient: Patient, **changes: object) -> WebhookEndpoint:
    """Create an organization with an endpoint in this state, and an event for the endpoint."""
    actor, now = Actor(await patient.organization("https://app.example.com"), "system"), system_clock()
    endpoint = endpoints.new(actor.organization_id, url=URL, description="", include=(), now=now)
    async with patient.database() as database, database.write() as tx:
        await endpoints.create(tx, actor, replace(endpoint, **changes), ["*"])  # type: ignore[arg-type]
        await events.record(tx, actor, EventType.ORGANIZATION_UPDATED, now, Subject())
    return endpoint


@ANY_DATABASE
async def test_webhooks_in_trouble_are_reported(patient: Patient) -> None:
    assert (await patient.examined())["webhooks"].saw.startswith("0 endpoints")
    hour = timedelta(hours=1)
    disabled = await store(patient, status="disabled", disabled_reason="gone")
    failing = await store(patient, failing_since=system_clock() - 2 * hour, lane=1)
    await store(patient, failing_since=system_clock(), lane=1)
    first, second = [each for each in await patient.all_findings() if each.check == "webhooks"]
    assert (first.verdict, second.verdict) == ("warning", "warning")
    assert first.saw == f"1 disabled: {disabled.id} of {disabled.organization_id} (gone)"
    assert f"1 failing: {failing.id} of {failing.organization_id} (since " in second.saw


@ANY_DATABASE
async def test_due_webhooks_that_no_server_sends_are_a_problem(patient: Patient) -> None:
    await store(patient)
    assert (await patient.examined())["webhooks"].verdict == "ok"
    patient.clock.advance(minutes=3)
    finding = (await patient.examined())["webhooks"]
    assert (finding.verdict, "waited for 3 minutes" in finding.saw) == ("problem", True)
