"""The failures of each integration over all organizations."""

from sqlalchemy import update

from one_runtime.clock import system_clock
from one_runtime.connections import connections
from one_runtime.db.engine import Database
from one_runtime.db.schema import credentials
from one_runtime.reports.failure_summary import FailureReason, IntegrationFailures, summarize_failures
from one_runtime.tenancy.events import Actor
from tests import sealed_rows
from tests.connections.test_search import connect


async def test_failures_are_counted_for_each_integration(database: Database, actor: Actor) -> None:
    now, other = system_clock(), await sealed_rows.organization(database)
    of_hubspot = [await connect(database, actor, f"user_{number}", "hubspot") for number in range(5)]
    elsewhere = await connect(database, other, "ada", "hubspot")
    await connect(database, other, "ada", "github")
    async with database.write() as tx:
        for identifier, owner, code in (
            (of_hubspot[0], actor, "invalid_grant"),
            (of_hubspot[1], actor, "invalid_grant"),
            (elsewhere, other, "credentials_refused"),
        ):
            connection = await connections.get(tx, owner.organization_id, identifier)
            await connections.mark_needs_reauth(tx, owner, connection, code, "Dead.", now)
        for identifier, refusals in ((of_hubspot[2], None), (of_hubspot[3], "single")):
            failed = update(credentials).where(credentials.c.connection_id == identifier)
            await tx.execute(failed.values(failures=1, refusals=refusals))
    async with database.read() as tx:
        every = await summarize_failures(tx, organization_id=None, integration_slug=None)
        one = await summarize_failures(tx, organization_id=other.organization_id, integration_slug="hubspot")
    reasons = (
        FailureReason("invalid_grant", 2),
        FailureReason("credentials_refused", 1),
        FailureReason("provider_trouble", 1),
        FailureReason("request_refused", 1),
    )
    assert every == [
        IntegrationFailures("hubspot", 2, 3, 3, 2, 2, reasons),
        IntegrationFailures("github", 1, 1, 0, 0, 0, ()),
    ]
    assert one == [IntegrationFailures("hubspot", 1, 0, 1, 0, 1, reasons[1:2])]
