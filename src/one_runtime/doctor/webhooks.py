"""Check the webhooks of all organizations: the delay of the sender, and endpoints that fail or that are disabled."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from one_runtime.clock import rfc3339
from one_runtime.db.engine import Transaction
from one_runtime.doctor.finding import Finding, ok, problem, warning
from one_runtime.tenancy.event_deliveries import FIRST
from one_runtime.webhooks import measurement
from one_runtime.webhooks.endpoints import WebhookEndpoint

FAILING: Final = timedelta(hours=1)
"""The doctor reports an endpoint whose attempts have failed for longer than this time."""

OVERDUE: Final = timedelta(minutes=2)
"""The doctor reports a delivery that has waited for the sender for longer than this time."""

_SHOWN: Final = 3


async def examine_webhooks(tx: Transaction, now: datetime) -> list[Finding]:
    """Return the findings about webhooks. Deliveries to failing endpoints wait for them, so only others are overdue."""
    findings = []
    overdue = await measurement.seconds_overdue(tx, FIRST, now)
    if overdue > OVERDUE.total_seconds():
        saw = f"the oldest due delivery to a working endpoint has waited for {overdue / 60:.0f} minutes"
        advice = "Is a server running? If so, search its log for webhook_, or the receiver answers slowly."
        findings.append(problem("webhooks", saw, advice))
    troubled = await measurement.list_in_trouble(tx, now - FAILING)
    disabled = [_shown(each, str(each.disabled_reason)) for each in troubled if each.status == "disabled"]
    failing = [_shown(each, f"since {_time(each.failing_since)}") for each in troubled if each.status != "disabled"]
    if disabled:
        advice = "Ask the organization to correct its server, and to activate the endpoint (docs/webhooks.md)."
        findings.append(warning("webhooks", f"{len(disabled)} disabled: {_some(disabled)}", advice))
    if failing:
        advice = "Read the answers of the organization's server: one-runtime webhooks deliveries ID --status pending"
        findings.append(warning("webhooks", f"{len(failing)} failing: {_some(failing)}", advice))
    if findings:
        return findings
    counts = await measurement.count_by_state(tx)
    count = sum(counts.values())
    return [ok("webhooks", f"{count} endpoint{'s' * (count != 1)}, none failing for an hour, none disabled")]


def _shown(endpoint: WebhookEndpoint, why: str) -> str:
    return f"{endpoint.id} of {endpoint.organization_id} ({why})"


def _some(shown: Sequence[str]) -> str:
    return ", ".join(shown[:_SHOWN]) + (", …" if len(shown) > _SHOWN else "")


def _time(moment: datetime | None) -> str:
    return "" if moment is None else rfc3339(moment)
