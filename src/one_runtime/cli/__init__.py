"""Define the command `one-runtime` and its subcommands. Each subcommand calls one function, and prints the result."""

import atexit
import gc
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from one_runtime import __version__
from one_runtime.cli.demo_data import DEMO_FOLDER
from one_runtime.cli.groups import HELP_OPTIONS, NamedValues, lazy_group
from one_runtime.cli.terminal import AsJson, explain_file_error, print_json, printable, require_utf8
from one_runtime.errors import OneRuntimeError
from one_runtime.serving.hangup import ignore_hangup
from one_runtime.telemetry.logger import log_errors_only

_GROUPS: Final = {
    "catalog": "The catalog of integrations.",
    "organizations": "Organizations (tenants).",
    "api-keys": "API keys of organizations.",
    "members": "The members of organizations' teams, who use the dashboard.",
    "keys": "Encryption keys.",
    "installation": "The live database, and copies of the database.",
    "integrations": "Integrations of the whole installation.",
    "oauth-clients": "OAuth clients that are registered with providers.",
    "custom-integrations": "The integrations that organizations define themselves.",
    "end-users": "The users of organizations' products.",
    "sessions": "Hosted connection sessions of all organizations.",
    "connections": "The connections of all organizations.",
    "events": "The audit log of all organizations.",
    "webhooks": "Webhook endpoints: local development with an API key, and the endpoints of all organizations.",
    "tools": "The functions that agents can call.",
    "proxy-requests": "The calls through the proxy of all organizations.",
}
"""The groups of subcommands, with their help. The module with the name of the group defines the subcommands."""

_COLLECT_AFTER: Final = 200_000
"""Number of new objects after which Python looks for reference cycles.

Modules contain many objects and few cycles. With this number, Python does not look for cycles during the imports. With
50,000, commands need 20 ms more, and with 700, a third more.
"""
_COLLECT_IN_SERVERS: Final = 50_000
"""The same number for servers. With a higher number, each search would delay requests longer."""

app = typer.Typer(
    cls=NamedValues,
    no_args_is_help=True,
    context_settings={"help_option_names": HELP_OPTIONS},
    help="One Runtime: embedded integrations, self-hosted.",
)
for name, text in _GROUPS.items():
    module = f"one_runtime.cli.{name.replace('-', '_')}"
    app.add_typer(typer.Typer(cls=lazy_group(module), no_args_is_help=True, help=text), name=name)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main_options(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """One Runtime: embedded integrations, self-hosted."""
    log_errors_only()


@app.command("serve")
def serve_command(
    *,
    migrate_first: Annotated[bool, typer.Option("--migrate", help="Migrate PostgreSQL before serving.")] = False,
    workers: Annotated[
        int | None, typer.Option(help="Number of server processes. Default: ONE_RUNTIME_WORKERS.")
    ] = None,
    acme: Annotated[
        bool,
        typer.Option(
            "--with-acme",
            help="For development: also serve Acme CRM, the demo's provider, two ports above the server's port.",
        ),
    ] = False,
) -> None:
    """Run the server with the settings from environment variables."""
    from one_runtime.settings import load_settings
    from one_runtime.telemetry import logs

    gc.set_threshold(_COLLECT_IN_SERVERS)
    settings = load_settings(workers=workers)
    logs.configure(settings.log_level, settings.log_format)
    if acme:
        from one_runtime.cli.demo import serve_with_acme as serve
    else:
        from one_runtime.serving.server import serve
    serve(settings, migrate_first=migrate_first)


@app.command("demo")
def demo_command(
    *,
    port: Annotated[
        int, typer.Option(min=1024, max=65532, help="Port of One Runtime. The demo also uses the next three ports.")
    ] = 8000,
    data: Annotated[Path, typer.Option(help="Folder for the demo's data.")] = DEMO_FOLDER,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line when the demo is ready.")] = False,
) -> None:
    """Run One Runtime on this machine, with a sample product and a demo provider.

    One Runtime can also call the targets in `ONE_RUNTIME_EGRESS_ALLOW`, such as an API on this machine.
    """
    from one_runtime.cli.demo import run_demo
    from one_runtime.cli.partial_settings import load_egress_allow
    from one_runtime.telemetry import logs

    gc.set_threshold(_COLLECT_IN_SERVERS)
    logs.configure("warning", "console")
    run_demo(port=port, data=data, json=as_json, allow=load_egress_allow())


@app.command("migrate")
def migrate_command(*, as_json: AsJson = False) -> None:
    """Migrate the database to the schema of this One Runtime version."""
    from one_runtime.db.database_url import sqlite_path
    from one_runtime.db.migrations import HEAD, current_revision, migrate_configured
    from one_runtime.settings import load_settings

    settings = load_settings()
    path = sqlite_path(settings.migration_url)
    is_new = path is not None and not Path(path).exists()
    is_migrated = migrate_configured(settings.migration_url, is_direct=settings.has_direct_url)
    revision = HEAD if is_migrated else current_revision(settings.migration_url)
    if as_json:
        print_json({"migrated": is_migrated, "revision": revision})
        return
    if is_migrated:
        typer.echo(f"Migrated to {HEAD}." + (f" Created {Path(path or '').resolve()}." if is_new else ""))
        return
    newer = f", which is newer than {HEAD}. This version can use it" if revision != HEAD else ""
    typer.echo(f"Nothing to do: the database is at {revision}{newer}.")


@app.command("backup")
def backup_command(
    target: Annotated[Path, typer.Argument(help="Path of the new file.")], *, as_json: AsJson = False
) -> None:
    """Copy the SQLite database to a new file. The server can run at the same time."""
    from one_runtime.db.backup import back_up
    from one_runtime.settings import load_settings

    size = back_up(load_settings().database_url.get_secret_value(), target)
    if as_json:
        print_json({"output": str(target), "bytes": size})
        return
    typer.echo(
        f"Copied {size} bytes to {target}. The copy does not contain the key ring. Back up the key ring separately."
    )


@app.command("copy")
def copy_command(
    *,
    to: Annotated[
        str | None,
        typer.Option(help="URL of an empty PostgreSQL database. Other users of the machine can see this option."),
    ] = None,
    to_file: Annotated[
        Path | None, typer.Option(help="File with the URL, or - for standard input, if the URL contains a password.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Move the installation from SQLite to an empty PostgreSQL database. Stop the server first."""
    from one_runtime.cli.copying import copy_installation

    copy_installation(to, to_file, as_json=as_json)


@app.command("doctor")
def doctor_command(*, as_json: AsJson = False) -> None:
    """Check database, key ring, public URL, proxy, clock and outbound requests. Exit code 1 means a problem."""
    from one_runtime.cli.doctor import examine

    examine(as_json=as_json)


@app.command("version")
def version_command(*, as_json: AsJson = False) -> None:
    """Print the version."""
    if as_json:
        print_json({"version": __version__})
    else:
        typer.echo(__version__)


def main() -> None:
    """Run a command. For an expected error, print its message without a traceback, and exit with code 1."""
    ignore_hangup()
    gc.set_threshold(_COLLECT_AFTER)
    atexit.register(gc.freeze)  # otherwise, the exit looks for cycles, a third of the time of a command
    try:
        require_utf8(sys.argv)
        try:
            app()
        finally:
            if sys.stdout is not None:  # the caller can close the output before the start
                sys.stdout.flush()
    except OneRuntimeError as error:
        from one_runtime.db.failed_statement import message_for_operator

        typer.echo("\n".join(map(printable, message_for_operator(error).splitlines())), err=True)
        sys.exit(1)
    except OSError as error:
        typer.echo(explain_file_error(error), err=True)
        sys.exit(1)
