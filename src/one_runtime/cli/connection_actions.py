"""The commands of `one-runtime connections` that change one connection, or use its credential: delete, check, refresh.

The commands use the same functions as the HTTP API. Their events name the operator.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from one_runtime.cli.operators import operator_actor, record_command
from one_runtime.cli.revocations import describe_revocations, print_revocations
from one_runtime.cli.running import run_installed
from one_runtime.cli.terminal import AsJson, print_json, printable
from one_runtime.clock import rfc3339
from one_runtime.connections import search
from one_runtime.connections.connections import Connection
from one_runtime.tenancy.events import Actor
from one_runtime.tenancy.installation_events import InstallationEventType

if TYPE_CHECKING:
    from one_runtime.context import Installation

T = TypeVar("T")

ConnectionId = Annotated[str, typer.Argument(metavar="ID", help="Id of the connection.")]


def _run(connection_id: str, work: Callable[["Installation", Actor, Connection], Awaitable[T]]) -> T:
    """Run work on a connection of any organization. The actor is the operator. Raises: NotFound."""

    async def with_connection(installation: "Installation") -> T:
        async with installation.database.read() as tx:
            connection = (await search.find(tx, connection_id)).connection
        return await work(installation, operator_actor(connection.organization_id), connection)

    return run_installed(with_connection)


def delete_connection(connection_id: ConnectionId, *, as_json: AsJson = False) -> None:
    """Delete a connection and its credential, and revoke the tokens at the provider."""
    from one_runtime.lifecycle import disconnect

    deleted = _run(
        connection_id,
        lambda installation, actor, connection: disconnect.delete_connection(installation, actor, connection.id),
    )
    if as_json:
        print_json({"id": deleted.connection.id, "revocations": describe_revocations([deleted])})
        return
    print_revocations([deleted])
    typer.echo(f"Deleted the connection {deleted.connection.id}.")


def check_connection(connection_id: ConnectionId, *, as_json: AsJson = False) -> None:
    """Check the credential of a connection at the provider. Exit code 1: the credential does not work."""
    from one_runtime.lifecycle.recheck import recheck

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


def refresh_connection(connection_id: ConnectionId, *, as_json: AsJson = False) -> None:
    """Refresh the tokens of a connection at the provider, even if the tokens are still valid."""
    from one_runtime.tokens.refresh import refresh

    async def refreshed(installation: "Installation", _: Actor, connection: Connection) -> Connection:
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
