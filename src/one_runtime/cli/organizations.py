"""`one-runtime organizations`: create, list and change organizations."""

from dataclasses import replace
from typing import Annotated

import typer

from one_runtime.cli.operators import operator_actor, record_command
from one_runtime.cli.running import AsJson, print_rows, read, write
from one_runtime.clock import system_clock
from one_runtime.db.engine import Transaction
from one_runtime.tenancy import organizations

app = typer.Typer(no_args_is_help=True, help="Organizations (tenants).")

AllowedOrigins = Annotated[list[str] | None, typer.Option(help="Origin that may open the popup; repeatable.")]


@app.command("create")
def create_organization(
    display_name: Annotated[str, typer.Argument(help="Name that end users see.")],
    allowed_origin: AllowedOrigins = None,
) -> None:
    """Create an organization and print its id."""

    async def create(tx: Transaction) -> organizations.Organization:
        origins = allowed_origin or ()
        created = await organizations.create(tx, display_name, system_clock(), allowed_origins=origins)
        await record_command(tx, "organization.created", organization_id=created.id, display_name=created.display_name)
        return created

    typer.echo(write(create).id)


@app.command("list")
def list_organizations(*, as_json: AsJson = False) -> None:
    """List organizations."""
    rows = [
        {
            "id": organization.id,
            "display_name": organization.display_name,
            "allowed_origins": " ".join(organization.allowed_origins) or None,
        }
        for organization in read(organizations.list_all)
    ]
    print_rows(rows, as_json=as_json)


@app.command("set")
def set_organization(
    organization_id: str,
    display_name: Annotated[str | None, typer.Option(help="Name that end users see.")] = None,
    allowed_origin: AllowedOrigins = None,
    return_url: Annotated[list[str] | None, typer.Option(help="Return URL for the mode redirect; repeatable.")] = None,
    privacy_url: Annotated[str | None, typer.Option(help="URL of the privacy policy; empty for none.")] = None,
) -> None:
    """Change an organization. Omitted options leave their values unchanged."""

    async def change(tx: Transaction) -> organizations.Organization:
        organization = await organizations.get(tx, organization_id)
        changed = replace(
            organization,
            display_name=display_name or organization.display_name,
            allowed_origins=tuple(allowed_origin) if allowed_origin else organization.allowed_origins,
            return_urls=tuple(return_url) if return_url else organization.return_urls,
            privacy_url=organization.privacy_url if privacy_url is None else privacy_url,
        )
        return await organizations.save(tx, operator_actor(organization.id), changed, system_clock())

    saved = write(change)
    typer.echo(f"{saved.id}  {saved.display_name}  {' '.join(saved.allowed_origins)}")
