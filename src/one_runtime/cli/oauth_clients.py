"""`one-runtime oauth-clients`: store, list and delete OAuth clients, which are registered with providers."""

from pathlib import Path
from typing import Annotated

import typer

from one_runtime.catalog.model import is_custom
from one_runtime.cli.installed import load_vault, run_installed
from one_runtime.cli.operators import operator_actor
from one_runtime.cli.options import AsJson, Slug
from one_runtime.cli.running import read
from one_runtime.cli.terminal import named_values, print_json, print_rows, read_secret
from one_runtime.clock import rfc3339
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.errors import InvalidInput, NotFound
from one_runtime.integrations import client_registration
from one_runtime.integrations.client_registration import RegisteredClient
from one_runtime.integrations.oauth_clients import NewOAuthClient
from one_runtime.settings import load_settings
from one_runtime.tenancy import organizations
from one_runtime.tenancy.organizations import INSTANCE

app = typer.Typer()

Organization = Annotated[
    str | None,
    typer.Option(help="Id of the organization that owns the client. Default: a client for all organizations."),
]


@app.command("set")
def set_oauth_client(  # noqa: PLR0913 - one argument per option
    slug: Slug,
    *,
    client_id: Annotated[str, typer.Option(help="Client id that the provider shows.")],
    organization: Organization = None,
    secret_file: Annotated[
        Path | None, typer.Option(help="File with the client secret, or - for standard input. Default: a prompt.")
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="Scope to request; repeatable. Default: the integration's scopes.")
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(help="Host that may receive the secret; repeatable. Required if the host is a parameter."),
    ] = None,
    field: Annotated[
        list[str] | None, typer.Option(help="Further field that the integration requires, as name=value; repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Store or replace a client. Print the redirect URL that you register with the provider."""
    _require_owner(slug, organization)
    new = NewOAuthClient(
        client_id=client_id.strip(),
        client_secret=_secret(secret_file) or None,
        scopes=tuple(scope) if scope else None,
        hosts=tuple(host or ()),
        fields=named_values("--field", field or ()),
    )

    async def register(installation: Installation) -> RegisteredClient:
        async with installation.database.read() as tx:
            owner = await _owner(tx, organization)
        return await client_registration.register(installation, operator_actor(owner), slug, new)

    registered = run_installed(register)
    if as_json:
        print_json(_describe(registered))
        return
    typer.echo(f"Stored the client. Register this redirect URL with the provider: {registered.redirect_url}")


@app.command("list")
def list_oauth_clients(*, organization: Organization = None, as_json: AsJson = False) -> None:
    """List OAuth clients with the last four characters of each secret."""
    vault, public_url = load_vault(), load_settings().public_url

    async def find(tx: Transaction) -> list[RegisteredClient]:
        return await client_registration.list_registered(tx, vault, public_url, await _owner(tx, organization))

    print_rows([_describe(registered) for registered in read(find)], as_json=as_json)


def _describe(registered: RegisteredClient) -> dict[str, object]:
    return {
        "integration_slug": registered.client.integration_slug,
        "client_id": registered.client.client.client_id,
        "client_secret_last_four": registered.client.secret_last_four,
        "scopes": registered.client.scopes,
        "hosts": registered.client.hosts,
        "redirect_url": registered.redirect_url,
        "updated_at": rfc3339(registered.client.updated_at),
    }


@app.command("delete")
def delete_oauth_client(slug: Slug, *, organization: Organization = None, as_json: AsJson = False) -> None:
    """Delete a client. Existing connections can still use the client, but new connections cannot."""
    _require_owner(slug, organization)

    async def unregister(installation: Installation) -> None:
        async with installation.database.read() as tx:
            owner = await _owner(tx, organization)
        try:
            await client_registration.unregister(installation, operator_actor(owner), slug)
        except NotFound as error:
            of_owner = "" if organization is None else f" --organization {organization}"
            raise NotFound(
                f"No OAuth client is registered for {slug[:64]!r}. "
                f"`one-runtime oauth-clients list{of_owner}` shows the registered clients."
            ) from error

    run_installed(unregister)
    if as_json:
        print_json({"integration_slug": slug, "organization_id": organization})
        return
    typer.echo(f"Deleted the OAuth client for {slug}.")


def _require_owner(slug: str, organization: str | None) -> None:
    """Refuse the slug of a custom integration without its organization. Raises: InvalidInput."""
    if organization is None and is_custom(slug.lower()):
        raise InvalidInput(f"The custom integration {slug.lower()} belongs to an organization. Add --organization ID.")


async def _owner(tx: Transaction, organization: str | None) -> str:
    """Return the id of the client's owner: the organization, or INSTANCE for the operator. Raises: NotFound."""
    return INSTANCE if organization is None else (await organizations.get(tx, organization)).id


def _secret(file: Path | None) -> str:
    """Read the secret from a file, standard input or a prompt.

    The secret is not an argument, because other users of the machine can read the arguments of a command.
    """
    if file is None:
        secret: str = typer.prompt(
            "Client secret (leave empty to keep the stored secret, if any)", default="", hide_input=True, err=True
        )
        return secret.strip()
    return read_secret(file)
