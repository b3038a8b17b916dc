"""`one-runtime copy`: move the installation from SQLite to PostgreSQL."""

import asyncio
from pathlib import Path

import typer

from one_runtime.cli.operators import record_command
from one_runtime.cli.progress import show_progress
from one_runtime.cli.stopping import receive_signal
from one_runtime.cli.terminal import print_json, read_secret
from one_runtime.clock import system_clock
from one_runtime.db.copying import CopyProgress
from one_runtime.db.engine import Transaction
from one_runtime.errors import InvalidInput
from one_runtime.jobs.moving import Move, move
from one_runtime.settings import load_settings
from one_runtime.tenancy.installation_events import InstallationEventType


def copy_installation(to: str | None, to_file: Path | None, *, as_json: bool) -> None:
    """Move the installation, and print the numbers of rows. Raises: InvalidInput, ConfigurationError."""
    target = read_secret(to_file) if to_file is not None and to is None else to
    if not target or (to and to_file):
        raise InvalidInput("Give the URL of the new PostgreSQL database with either --to or --to-file.")
    source = load_settings().database_url.get_secret_value()
    result = asyncio.run(_move(source, target))
    if as_json:
        print_json({"rows": result.rows, "live": result.is_live})
        return
    typer.echo(f"{sum(result.rows.values()):,} rows of {len(result.rows)} tables copied.")
    if result.is_live:
        typer.echo("The new database is the live database. Servers do not start on the SQLite database any more.")
    else:
        typer.echo("The new database is an unconfirmed copy, because the SQLite database is not the live database.")
    typer.echo("Set ONE_RUNTIME_DATABASE_URL to the new database, start the server, and run `one-runtime doctor`.")


async def _move(source: str, target: str) -> Move:
    """Show the progress. After a signal, end the command without a result.

    Without its own handler, Ctrl-C would interrupt a COPY statement, and the driver would log warnings.
    """
    received_signal = receive_signal()
    with show_progress("Copying", "copied") as show:

        def show_or_stop(progress: CopyProgress) -> None:
            show(*progress)
            if received_signal():
                typer.echo("Stopped. The new database is still empty.", err=True)
                raise typer.Exit(128 + received_signal())

        return await move(source, target, system_clock, show_or_stop, _record)


async def _record(tx: Transaction) -> None:
    await record_command(tx, InstallationEventType.INSTALLATION_MOVED)
