"""`one-runtime api-keys`: create, list and revoke API keys of organizations."""

from typing import Annotated

import typer

from one_runtime.cli.listing import time_text
from one_runtime.cli.operators import operator_actor, operator_name
from one_runtime.cli.options import AsJson
from one_runtime.cli.running import read, write
from one_runtime.cli.terminal import print_json, print_rows
from one_runtime.clock import system_clock
from one_runtime.db.engine import Transaction
from one_runtime.tenancy import api_keys, organizations
from one_runtime.tenancy.api_keys import ApiKey

app = typer.Typer()


@app.command("create")
def create_api_key(
    organization_id: str,
    name: Annotated[str, typer.Option(help="Purpose of the key.")] = "default",
    scope: Annotated[list[str] | None, typer.Option(help=f"Repeatable. One of {', '.join(api_keys.SCOPES)}.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Create an API key and print it. One Runtime shows the key only once."""

    async def create(tx: Transaction) -> tuple[ApiKey, str]:
        organization = await organizations.get(tx, organization_id)
        actor = operator_actor(organization.id)
        key, token = await api_keys.create(tx, actor, name, scope or api_keys.DEFAULT_SCOPES, system_clock())
        return key, token.secret

    key, secret = write(create)
    if as_json:
        print_json(_describe(key) | {"api_key": secret})
    else:
        typer.echo(secret)


@app.command("list")
def list_api_keys(
    organization_id: Annotated[str | None, typer.Argument(help="Id of the organization. Default: all.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List API keys. The command shows the prefix of each key, never a whole key."""

    async def find(tx: Transaction) -> list[ApiKey]:
        if organization_id is not None:
            await organizations.get(tx, organization_id)
        return await api_keys.list_all(tx, organization_id)

    print_rows([_describe(key) for key in read(find)], as_json=as_json)


def _describe(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "organization_id": key.organization_id,
        "prefix": key.prefix,
        "name": key.name,
        "scopes": key.scopes,
        "created_at": time_text(key.created_at),
        "last_used_at": time_text(key.last_used_at),
        "revoked_at": time_text(key.revoked_at),
    }


@app.command("revoke")
def revoke_api_key(
    key: Annotated[str, typer.Argument(help="Id or prefix of the key.")], *, as_json: AsJson = False
) -> None:
    """Revoke an API key. One Runtime then refuses every request with this key."""
    revoked = write(lambda tx: api_keys.revoke(tx, key, system_clock(), operator_name()))
    if as_json:
        print_json(_describe(revoked))
    else:
        typer.echo(f"Revoked {revoked.prefix}.")
