"""`one-runtime custom-integrations`: the integrations that organizations define themselves."""

from pathlib import Path
from typing import Annotated

import typer

from one_runtime.catalog.custom import load_custom_file, written
from one_runtime.catalog.targets import refused_targets
from one_runtime.catalog.tools.sheet import sheet
from one_runtime.cli.installed import run_installed
from one_runtime.cli.operators import operator_actor
from one_runtime.cli.options import AsJson, OwnerId
from one_runtime.cli.partial_settings import allows_http
from one_runtime.cli.running import read
from one_runtime.cli.terminal import print_json, print_rows
from one_runtime.clock import rfc3339
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.errors import Conflict, NotFound
from one_runtime.integrations import custom
from one_runtime.integrations.custom import CustomIntegrationResult, IntegrationInUse
from one_runtime.lifecycle import disconnect
from one_runtime.tenancy import organizations

app = typer.Typer()

Slug = Annotated[str, typer.Argument(help="Slug of the integration, which begins with x-.")]


@app.command("list")
def list_custom_integrations(*, organization: OwnerId, as_json: AsJson = False) -> None:
    """List the custom integrations of an organization."""
    results = read(lambda tx: custom.list_all(tx, organization))
    rows = [_describe(result) for result in results]
    shown = ("slug", "name", "supported_auth_types", "enabled", "updated_at")
    print_rows(rows if as_json else [{name: row[name] for name in shown} for row in rows], as_json=as_json)


@app.command("show")
def show_custom_integration(slug: Slug, *, organization: OwnerId, as_json: AsJson = False) -> None:
    """Show a custom integration: its fields, the place where end users find each value, and its requests."""

    async def find(tx: Transaction) -> CustomIntegrationResult:
        await organizations.get(tx, organization)
        try:
            return await custom.get(tx, organization, slug.lower())
        except NotFound as error:
            raise _unknown(slug, organization) from error

    result = read(find)
    if as_json:
        print_json(_describe(result))
    else:
        typer.echo(sheet(result.registered.integration, organization), nl=False)


@app.command("set")
def set_custom_integration(
    file: Annotated[Path, typer.Argument(help="YAML or JSON file with an entry, or with an OpenAPI document.")],
    *,
    organization: OwnerId,
    as_json: AsJson = False,
) -> None:
    """Create or replace the custom integration that a file defines."""
    entry = load_custom_file(file, allow_http=allows_http())

    async def put(installation: Installation) -> tuple[CustomIntegrationResult, list[str]]:
        async with installation.database.read() as tx:
            owner = await organizations.get(tx, organization)
        result = await custom.put(installation, operator_actor(owner.id), entry)
        refused = refused_targets(entry.integration, installation.settings.egress_allow)
        return result, [*entry.warnings, *refused]

    result, warnings = run_installed(put)
    slug = result.registered.integration.slug
    if not result.enabled:
        warnings.append(f"The organization has not enabled {slug}.")
    if result.client_retired:
        warnings.append(f"One Runtime retired the OAuth client of {slug}. Register the client again.")
    if as_json:
        print_json(_describe(result) | {"warnings": warnings, "invalidated_connections": result.invalidated})
        return
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
    typer.echo(f"{'Created' if result.created else 'Replaced'} {slug}.")
    if result.invalidated:
        typer.echo(f"{result.invalidated:,} connections need a new consent, because credentials go to another place.")


@app.command("delete")
def delete_custom_integration(
    slug: Slug,
    *,
    organization: OwnerId,
    delete_connections: Annotated[
        bool, typer.Option("--delete-connections", help="First delete the connections to the integration.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a custom integration and its OAuth client."""
    delete = disconnect.delete_integration if delete_connections else custom.delete

    async def remove(installation: Installation) -> None:
        async with installation.database.read() as tx:
            owner = await organizations.get(tx, organization)
        try:
            await delete(installation, operator_actor(owner.id), slug.lower())
        except NotFound as error:
            raise _unknown(slug, organization) from error
        except IntegrationInUse as error:
            raise Conflict(
                f"{slug} still has connections. Delete the connections first, or add --delete-connections."
            ) from error

    run_installed(remove)
    if as_json:
        print_json({"integration_slug": slug.lower(), "organization_id": organization})
        return
    typer.echo(f"Deleted {slug.lower()}.")


def _unknown(slug: str, organization: str) -> NotFound:
    return NotFound(
        f"The organization has no custom integration {slug[:64]!r}. "
        f"`one-runtime custom-integrations list --organization {organization}` shows the custom integrations."
    )


def _describe(result: CustomIntegrationResult) -> dict[str, object]:
    integration = result.registered.integration
    return {
        "id": integration.id,
        "slug": integration.slug,
        "name": integration.name,
        "description": integration.description,
        "category": integration.category,
        "supported_auth_types": integration.auth_types,
        "enabled": result.enabled,
        "definition": written(integration, integration.logo),
        "created_at": rfc3339(result.registered.created_at),
        "updated_at": rfc3339(result.registered.updated_at),
    }
