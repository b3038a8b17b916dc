"""`one-runtime installation`: confirm a restored copy of the database, or hold a copy back."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Annotated

import typer

from one_runtime.catalog.loader import load_catalog
from one_runtime.catalog.organization_catalogs import OrganizationCatalogs
from one_runtime.cli.operators import record_command
from one_runtime.cli.options import AsJson
from one_runtime.cli.running import read, run, write
from one_runtime.cli.terminal import print_json, print_rows
from one_runtime.clock import rfc3339, system_clock
from one_runtime.db.engine import Database, Transaction
from one_runtime.jobs import liveness
from one_runtime.jobs.liveness import InstallationRow
from one_runtime.tenancy.installation_events import InstallationEventType, list_newest_of_installation
from one_runtime.tokens.rotating import RotatingConnections, count_rotating

app = typer.Typer()


@dataclass(frozen=True, slots=True)
class _DatabaseState:
    row: InstallationRow
    is_live: bool
    rotating: list[RotatingConnections]


@app.command("show")
def show_installation(*, as_json: AsJson = False) -> None:
    """Show if this database is the live database, and count the connections that a restore can break."""
    now = system_clock()
    state = run(lambda database: _load(database, now), allow_moved=True)
    if as_json:
        live_at = rfc3339(state.row.live_at) if state.row.live_at else None
        rotating = [asdict(counts) for counts in state.rotating]
        print_json({"id": state.row.id, "live": state.is_live, "live_at": live_at, "rotating_connections": rotating})
        return
    typer.echo(f"Installation {state.row.id}")
    if state.row.is_moved:
        typer.echo("The command `one-runtime copy` has moved this database to PostgreSQL.")
    else:
        typer.echo("This database is the live database." if state.is_live else "This database is an unconfirmed copy.")
    _print_age(state, now)


@app.command("confirm")
def confirm_copy(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Confirm without a question, for example in a script.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make this copy the live database. From then on, servers of this copy refresh and revoke tokens.

    Before the question, the command prints how many connections may need a new consent.
    """
    now = system_clock()
    state = run(lambda database: _load(database, now), allow_moved=True)
    if not state.is_live:
        _print_age(state, now, err=as_json)
        if not yes:
            warning = "Stop all servers of the original database first. Otherwise, both databases use the same tokens."
            typer.echo(warning, err=as_json)
            typer.confirm("Make this copy the live database?", abort=True, err=as_json)
        run(lambda database: _confirm(database, now), allow_moved=True)
    if as_json:
        print_json({"id": state.row.id, "live": True, "changed": not state.is_live})
    elif state.is_live:
        typer.echo("Nothing to do: this database is the live database.")
    else:
        typer.echo("This database is the live database. Running servers notice the change within 15 seconds.")


@app.command("hold")
def hold_copy(*, as_json: AsJson = False) -> None:
    """Mark this database as a copy, before a server uses the copy. Its servers refresh and revoke no tokens."""

    async def hold(tx: Transaction) -> str:
        await liveness.hold(tx)
        await record_command(tx, InstallationEventType.INSTALLATION_HELD)
        return (await liveness.read_row(tx)).id

    installation_id = write(hold, allow_moved=True)
    if as_json:
        print_json({"id": installation_id, "live": False})
        return
    typer.echo(
        "This database is now an unconfirmed copy. Running servers notice the change within 15 seconds. "
        "`one-runtime installation confirm` makes the database live."
    )


@app.command("events")
def list_installation_events(
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of events.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List the events that belong to the installation and not to an organization, newest first."""
    rows = [
        {
            "created_at": rfc3339(event.occurred_at),
            "type": event.type,
            "operator": event.operator,
            "data": dict(event.data),
        }
        for event in read(lambda tx: list_newest_of_installation(tx, limit), allow_moved=True)
    ]
    print_rows(rows, as_json=as_json)


async def _load(database: Database, now: datetime) -> _DatabaseState:
    location = await database.location()
    async with database.read() as tx:
        row = await liveness.read_row(tx)
        rotating = await count_rotating(tx, OrganizationCatalogs(load_catalog()), now)
    return _DatabaseState(row, row.is_live_at(location), rotating)


async def _confirm(database: Database, now: datetime) -> None:
    location = await database.location(create=True)
    async with database.write() as tx:
        await liveness.confirm(tx, location, now)
        await record_command(tx, InstallationEventType.INSTALLATION_CONFIRMED)


def _print_age(state: _DatabaseState, now: datetime, *, err: bool = False) -> None:
    """Print when the database was last live, and the connections whose refresh tokens providers replace.

    `err`: True to print to standard error.
    """
    if state.row.live_at is not None:
        age = timedelta(seconds=max(0, round((now - state.row.live_at).total_seconds())))
        typer.echo(f"A server last used the live database at {rfc3339(state.row.live_at)} ({age} ago).", err=err)
    if not state.rotating:
        typer.echo("No connection has a refresh token that the provider replaces at each refresh.", err=err)
        return
    typer.echo("Providers replace the refresh tokens of these connections at each refresh:", err=err)
    for counts in state.rotating:
        typer.echo(
            f"  {counts.integration_slug}: {counts.connections} connections, {counts.due} due for a refresh", err=err
        )
    if not state.is_live:
        typer.echo(
            "If the original database has refreshed a connection since the copy, its end user has to connect again. "
            "This is likely for the connections that are due.",
            err=err,
        )
