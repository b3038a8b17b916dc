"""`one-runtime integrations`: disable integrations for all organizations, enable them again, and see failures."""

from typing import Annotated, Final

import typer

from one_runtime.catalog import disabled_integrations
from one_runtime.catalog.disabled_integrations import DisabledIntegration
from one_runtime.catalog.loader import load_catalog
from one_runtime.cli.listing import check_organization
from one_runtime.cli.operators import operator_name
from one_runtime.cli.options import AsJson, IntegrationSlug, OrganizationId, Slug
from one_runtime.cli.running import read, write
from one_runtime.cli.terminal import print_json, print_rows
from one_runtime.clock import rfc3339, system_clock
from one_runtime.db.engine import Transaction
from one_runtime.integrations import disabling
from one_runtime.reports.failure_summary import IntegrationFailures, summarize_failures

app = typer.Typer()


_SHOWN_REASONS: Final = 3
"""Number of reasons for each integration in the table of failures."""

_NOTICE: Final = "Running servers notice the change within 5 seconds."


@app.command("disable")
def disable_integration(
    slug: Slug,
    *,
    reason: Annotated[str | None, typer.Option(help="Reason, which organizations see in error messages.")] = None,
    as_json: AsJson = False,
) -> None:
    """Stop every use of an integration, for all organizations. The connections stay in the database."""
    catalog, operator, slug = load_catalog(), operator_name(), slug.strip().lower()

    async def disable(tx: Transaction) -> DisabledIntegration:
        return await disabling.disable(tx, catalog, operator, slug, reason, system_clock())

    row = write(disable)
    if as_json:
        print_json(_shown(row))
        return
    typer.echo(f"{slug} is disabled. {_NOTICE} `one-runtime integrations enable {slug}` ends this.")


@app.command("enable")
def enable_integration(slug: Slug, *, as_json: AsJson = False) -> None:
    """Allow the use of a disabled integration again. Existing connections continue to work."""
    operator, slug = operator_name(), slug.strip().lower()
    write(lambda tx: disabling.enable(tx, operator, slug, system_clock()))
    if as_json:
        print_json({"integration_slug": slug, "disabled": False})
        return
    typer.echo(f"{slug} is enabled. {_NOTICE}")


@app.command("list-disabled")
def list_disabled_integrations(*, as_json: AsJson = False) -> None:
    """List the integrations that the operator disabled for all organizations."""
    print_rows([_shown(row) for row in read(disabled_integrations.list_all)], as_json=as_json)


def _shown(row: DisabledIntegration) -> dict[str, str | None]:
    return {
        "integration_slug": row.integration_slug,
        "disabled_at": rfc3339(row.disabled_at),
        "disabled_by": row.disabled_by,
        "reason": row.reason,
    }


@app.command("failures")
def summarize(
    *,
    organization: OrganizationId = None,
    integration: IntegrationSlug = None,
    include_working: Annotated[
        bool, typer.Option("--all", help="List also the integrations without a failure.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Count the connections that do not work, with the most frequent reasons, for each integration."""

    async def summary(tx: Transaction) -> list[IntegrationFailures]:
        await check_organization(tx, organization)
        return await summarize_failures(tx, organization_id=organization, integration_slug=integration)

    rows = [row for row in read(summary) if row.reasons or include_working]
    if as_json:
        print_json([_describe(row) | {"reasons": [reason._asdict() for reason in row.reasons]} for row in rows])
        return
    print_rows([_with_reasons(row) for row in rows], as_json=False)
    if not rows:
        typer.echo("No integration has a failure.", err=True)


def _describe(row: IntegrationFailures) -> dict[str, object]:
    return {
        "integration_slug": row.integration_slug,
        "active": row.active,
        "needs_reauth": row.needs_reauth,
        "failing": row.failing,
        "organizations": row.organizations,
        "affected_organizations": row.affected_organizations,
    }


def _with_reasons(row: IntegrationFailures) -> dict[str, object]:
    reasons = [f"{reason.code} {reason.connections}" for reason in row.reasons[:_SHOWN_REASONS]]
    return _describe(row) | {"reasons": ", ".join(reasons) or None}
