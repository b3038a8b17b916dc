"""`one-runtime end-users`: list, show and delete the users of an organization's product."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from one_runtime.cli.installed import run_installed
from one_runtime.cli.listing import print_page
from one_runtime.cli.operators import operator_actor
from one_runtime.cli.options import DEFAULT_LIMIT, AsJson, Limit, OwnerId, Yes
from one_runtime.cli.revocations import describe_revocations, print_revocations
from one_runtime.cli.running import read
from one_runtime.cli.terminal import print_json, print_table, printable
from one_runtime.clock import rfc3339
from one_runtime.connections import search
from one_runtime.connections.search import ConnectionSearch, FoundConnection
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.errors import NotFound
from one_runtime.lifecycle.disconnect import DisconnectedConnection, forget_end_user
from one_runtime.tenancy import end_users, organizations
from one_runtime.tenancy.end_users import EndUser, EndUserFilter

if TYPE_CHECKING:
    from collections.abc import Mapping

app = typer.Typer()

EndUserId = Annotated[str, typer.Argument(help="Identifier of the end user in your product.")]

_COLUMNS: Final = {"end_user_id": "end user", "name": "name", "email": "e-mail", "created_at": "created"}
_SHOWN_CONNECTIONS: Final = 100


@app.command("list")
def list_end_users(
    *,
    organization: OwnerId,
    email: Annotated[str | None, typer.Option(help="Only end users with this e-mail address.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Annotated[str | None, typer.Option(help="Cursor that the previous page printed.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the end users of an organization, ordered by identifier."""
    matching = EndUserFilter(email=None if email is None else (email,))

    async def find(tx: Transaction) -> list[EndUser]:
        await organizations.get(tx, organization)
        return await end_users.list_page(tx, organization, matching, limit=limit + 1, after=cursor)

    rows = read(find)
    next_cursor = rows[limit - 1].end_user_id if len(rows) > limit else None
    print_page([_describe(row) for row in rows[:limit]], next_cursor, as_json=as_json, columns=_COLUMNS)


@app.command("show")
def show_end_user(end_user_id: EndUserId, *, organization: OwnerId, as_json: AsJson = False) -> None:
    """Show an end user with the connections of this end user."""

    async def load(tx: Transaction) -> tuple[EndUser, list[FoundConnection]]:
        end_user = await _find(tx, organization, end_user_id)
        wanted = ConnectionSearch(organization_id=organization, end_user_id=end_user_id)
        return end_user, (await search.find_newest(tx, wanted, limit=_SHOWN_CONNECTIONS, before=None))[0]

    end_user, found = read(load)
    connections: list[Mapping[str, object]] = [
        {
            "id": row.id,
            "integration_slug": row.connection.integration_slug,
            "status": row.connection.status,
            "account_label": row.connection.account_label,
            "created_at": rfc3339(row.connection.created_at),
        }
        for row in found
    ]
    described = _describe(end_user)
    if as_json:
        print_json(described | {"connections": connections})
        return
    print_table([{"field": name, "value": value} for name, value in described.items()])
    typer.echo("\nConnections:" if connections else "\nConnections: none")
    print_table(connections)


@app.command("delete")
def delete_end_user(
    end_user_id: EndUserId,
    *,
    organization: OwnerId,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Delete an end user with all connections and sessions, and revoke the tokens at the providers."""

    async def forget(installation: Installation) -> list[DisconnectedConnection]:
        return (await forget_end_user(installation, operator_actor(organization), end_user_id)).disconnected

    read(lambda tx: _find(tx, organization, end_user_id))
    if not yes:
        typer.confirm(f"Delete all data of the end user {printable(end_user_id)}?", abort=True, err=True)
    deleted = run_installed(forget)
    if as_json:
        counts = {"end_user_id": end_user_id, "deleted_connections": len(deleted)}
        print_json(counts | {"revocations": describe_revocations(deleted)})
        return
    print_revocations(deleted)
    count = "1 connection" if len(deleted) == 1 else f"{len(deleted):,} connections"
    typer.echo(f"Deleted the end user {printable(end_user_id)} with {count}.")


async def _find(tx: Transaction, organization_id: str, end_user_id: str) -> EndUser:
    await organizations.get(tx, organization_id)
    try:
        return await end_users.get(tx, organization_id, end_user_id)
    except NotFound as error:
        raise NotFound(
            f"The organization has no end user {end_user_id[:64]!r}. "
            f"`one-runtime end-users list --organization {organization_id}` shows the end users."
        ) from error


def _describe(end_user: EndUser) -> dict[str, object]:
    return {
        "end_user_id": end_user.end_user_id,
        "name": end_user.name,
        "email": end_user.email,
        "metadata": dict(end_user.metadata),
        "created_at": rfc3339(end_user.created_at),
        "updated_at": rfc3339(end_user.updated_at),
    }
