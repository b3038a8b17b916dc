"""Print the results of revoking the tokens of deleted connections."""

from collections.abc import Sequence

import typer

from one_runtime.cli.terminal import printable
from one_runtime.lifecycle.disconnect import DisconnectedConnection


def describe_revocations(deleted: Sequence[DisconnectedConnection]) -> list[dict[str, object]]:
    """Return the result of each revocation, with the fields of the API."""
    return [
        {
            "connection_id": connection.connection.id,
            "token": result.token,
            "outcome": result.outcome,
            "reason": result.reason,
        }
        for connection in deleted
        for result in connection.revocations
    ]


def print_revocations(deleted: Sequence[DisconnectedConnection]) -> None:
    """Print one line for each revocation."""
    for connection in deleted:
        for result in connection.revocations:
            reason = f": {result.reason}" if result.reason else ""
            token = result.token or "credential"
            typer.echo(printable(f"{connection.connection.id}  {token}  {result.outcome}{reason}"))
