"""The commands of `one-runtime connections` that change one connection, or use its credential: delete, check, refresh.

The commands use the same functions as the HTTP API. Their events name the operator.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from one_runtime.catalog.loader import load_catalog
from one_runtime.catalog.organization_catalogs import OrganizationCatalogs
from one_runtime.cli.installed import load_vault, run_installed
from one_runtime.cli.listing import check_organization
from one_runtime.cli.operators import operator_actor, operator_name, record_command
from one_runtime.cli.options import AsJson, ConnectionId, Yes
from one_runtime.cli.revocations import describe_revocations, print_revocations
from one_runtime.cli.running import read, run
from one_runtime.cli.terminal import print_json, printable
from one_runtime.clock import rfc3339, system_clock
from one_runtime.connections import search
from one_runtime.connections.connections import Connection
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.errors import InvalidInput
from one_runtime.lifecycle import disconnect, required_reauth
from one_runtime.lifecycle.recheck import recheck
from one_runtime.lifecycle.required_reauth import AffectedConnections, ReauthScope
from one_runtime.tenancy.events import Actor
from one_runtime.tenancy.installation_events import InstallationEventType
from one_runtime.tokens.refresh import refresh

app = typer.Typer()

T = TypeVar("T")


def _run(connection_id: str, work: Callable[[Installation, Actor, Connection], Awaitable[T]]) -> T:
    """Run work on a connection of any organization. The actor is the operator. Raises: NotFound."""

    async def with_connection(installation: Installation) -> T:
        async with installation.database.read() as tx:
            connection = (await search.find(tx, connection_id)).connection
        return await work(installation, operator_actor(connection.organization_id), connection)

    return run_installed(with_connection)


@app.command("delete")
def delete_connection(connection_id: ConnectionId, *, as_json: AsJson = False) -> None:
    """Delete a connection and its credential, and revoke the tokens at the provider."""
    deleted = _run(
        connection_id,
        lambda installation, actor, connection: disconnect.delete_connection(installation, actor, connection.id),
    )
    if as_json:
        print_json({"id": deleted.connection.id, "revocations": describe_revocations([deleted])})
        return
    print_revocations([deleted])
    typer.echo(f"Deleted the connection {deleted.connection.id}.")


@app.command("check")
def check_connection(connection_id: ConnectionId, *, as_json: AsJson = False) -> None:
    """Check the credential of a connection at the provider. Exit code 1: the credential does not work."""
    result = _run(connection_id, lambda installation, actor, connection: recheck(installation, actor, connection.id))
    if as_json:
        print_json(
            {
                "id": result.connection.id,
                "outcome": result.outcome,
                "working": result.working,
                "reason": result.reason,
                "missing_permission": result.missing_permission,
                "status": result.connection.status,
            }
        )
    else:
        permission = f" ({result.missing_permission})" if result.missing_permission else ""
        reason = f" Reason: {result.reason}" if result.reason else ""
        status = f"The connection is {result.connection.status}."
        typer.echo(printable(f"Outcome: {result.outcome}{permission}. {status}{reason}"))
    raise typer.Exit(int(result.working is False))


@app.command("refresh")
def refresh_connection(connection_id: ConnectionId, *, as_json: AsJson = False) -> None:
    """Refresh the tokens of a connection at the provider, even if the tokens are still valid."""

    async def refreshed(installation: Installation, _: Actor, connection: Connection) -> Connection:
        ids = {"connection_id": connection.id, "organization_id": connection.organization_id}
        async with installation.database.write() as tx:
            await record_command(tx, InstallationEventType.CONNECTION_REFRESH_REQUESTED, **ids)
        return (await refresh(installation, connection.key)).connection

    connection = _run(connection_id, refreshed)
    expires_at = None if connection.expires_at is None else rfc3339(connection.expires_at)
    if as_json:
        print_json({"id": connection.id, "status": connection.status, "token_expires_at": expires_at})
        return
    until = f" The token expires at {expires_at}." if expires_at else ""
    typer.echo(f"The connection {connection.id} is {connection.status}.{until}")


@app.command("require-reauth")
def require_reauth(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids of connections.")] = None,
    *,
    organization: Annotated[str | None, typer.Option(help="All connections of the organization with this id.")] = None,
    integration: Annotated[str | None, typer.Option(help="All connections of the integration with this slug.")] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Discard the credentials of connections, so that their end users have to connect again."""
    scope = ReauthScope(organization, integration)
    if bool(ids) == (scope != ReauthScope(None, None)):
        raise InvalidInput("Give the ids of connections, or --organization, --integration or both of these options.")
    vault, catalogs, operator = load_vault(), OrganizationCatalogs(load_catalog()), operator_name()
    if ids:
        present = len(set(ids))
        changed = run(lambda database: required_reauth.require(database, vault, catalogs, ids, system_clock, operator))
    else:
        affected = read(lambda tx: _count(tx, scope))
        present = affected.connections
        if present and not yes:
            extent = f"{_plural(present, 'connection')} of {_plural(affected.organizations, 'organization')}"
            question = f"Discard the credentials of {extent}? The end users have to connect again."
            typer.confirm(question, abort=True, err=True)
        changed = run(
            lambda database: required_reauth.require_all(database, vault, catalogs, scope, system_clock, operator)
        )
    unchanged = max(0, present - changed)
    if as_json:
        print_json({"changed": changed, "unchanged": unchanged})
        return
    typer.echo(f"{_plural(changed, 'connection')} changed. {unchanged:,} had no usable credential before.")


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


async def _count(tx: Transaction, scope: ReauthScope) -> AffectedConnections:
    await check_organization(tx, scope.organization_id)
    return await required_reauth.count_affected(tx, scope)
