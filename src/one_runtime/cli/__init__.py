"""Define the command `one-runtime` and its subcommands. Each subcommand calls one function, and prints the result."""

import atexit
import gc
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer
from typer.core import TyperGroup

from one_runtime import __version__
from one_runtime.cli.options import AsJson
from one_runtime.cli.terminal import explain_file_error, print_json, printable, require_utf8
from one_runtime.errors import OneRuntimeError
from one_runtime.serving.hangup import ignore_hangup
from one_runtime.telemetry.logger import log_errors_only

HELP_OPTIONS: Final = ["--help", "-h"]


class _Group(NamedTuple):
    """A group of subcommands. `modules`: the names of the subcommands, by the module that defines them."""

    help: str
    modules: Mapping[str, str]


_GROUPS: Final = {
    "catalog": _Group(
        "The catalog of integrations.",
        {
            "catalog": "list search show check export",
            "catalog_trial": "test",
            "catalog_new": "new",
            "catalog_probe": "probe",
        },
    ),
    "organizations": _Group(
        "Organizations (tenants).",
        {"organizations": "create list set", "organization_export": "export", "organization_deletion": "delete"},
    ),
    "config": _Group("The configuration of an organization as a file.", {"configuration": "export plan apply"}),
    "api-keys": _Group("API keys of organizations.", {"api_keys": "create list revoke"}),
    "members": _Group(
        "The members of teams, who use the dashboard.",
        {"members": "invite list set-role remove sign-out"},
    ),
    "keys": _Group("Encryption keys.", {"keys": "new list activate disable abandon reseal"}),
    "installation": _Group(
        "The live database, and copies of the database.", {"installation": "show confirm hold events"}
    ),
    "integrations": _Group(
        "Integrations of the whole installation.", {"integrations": "disable enable list-disabled failures"}
    ),
    "oauth-clients": _Group("OAuth clients that are registered with providers.", {"oauth_clients": "set list delete"}),
    "custom-integrations": _Group(
        "Integrations that organizations define themselves.", {"custom_integrations": "list show set delete"}
    ),
    "end-users": _Group("The users of organizations' products.", {"end_users": "list show delete"}),
    "sessions": _Group("Hosted connection sessions of all organizations.", {"sessions": "list show cancel"}),
    "connections": _Group(
        "The connections of all organizations.",
        {"connections": "list show", "connection_actions": "delete check refresh require-reauth"},
    ),
    "events": _Group("The audit log of all organizations.", {"events": "list"}),
    "webhooks": _Group(
        "Webhook endpoints, and the development of receivers.",
        {
            "webhooks": "list show create update delete rotate-secret test deliveries retry replay",
            "webhook_forwarding": "listen trigger",
        },
    ),
    "tools": _Group("The functions that agents can call.", {"tools": "fetch list check remove"}),
    "proxy-requests": _Group("The calls through the proxy of all organizations.", {"proxy_requests": "list"}),
}

_COLLECT_AFTER: Final = 200_000
"""Number of new objects after which Python looks for reference cycles.

Modules contain many objects and few cycles. With this number, Python does not look for cycles during the imports. With
50,000, commands need 20 ms more, and with 700, a third more.
"""
_COLLECT_IN_SERVERS: Final = 50_000
"""The same number for servers. With a higher number, each search would delay requests longer."""


class _Commands(Mapping[str, Any]):
    """The subcommands of a group. The first use of a subcommand imports its module."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._modules = {name: module for module, names in modules.items() for name in names.split()}
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            module = import_module(f"one_runtime.cli.{self._modules[name]}")
            holder = typer.Typer(rich_markup_mode=None)
            holder.add_typer(module.app)
            self._loaded |= typer.main.get_group(holder).commands
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


def _lazy_group(modules: Mapping[str, str]) -> type[TyperGroup]:
    class LazyGroup(TyperGroup):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.commands = _Commands(modules)  # type: ignore[assignment] # no command is added later

    return LazyGroup


class _Program(TyperGroup):
    """The group of all commands. Its usage errors are Typer's own, without what the user typed (decision 82)."""

    def make_context(self, *words: Any, **options: Any) -> Any:
        with _typed_words_removed():
            return super().make_context(*words, **options)

    def invoke(self, ctx: Any) -> Any:
        with _typed_words_removed():
            return super().invoke(ctx)


@contextmanager
def _typed_words_removed() -> Iterator[None]:
    """Remove the words of the command line from the message of a usage error. A word can be a secret.

    Names of commands and of options stay.
    """
    try:
        yield
    except typer.TyperException as error:
        ctx, param, option = (getattr(error, name, None) for name in ("ctx", "param", "option_name"))
        names = {"", option, *(param.opts if param else ()), *(ctx.command_path.split() if ctx else ())}
        typed = {text for word in sys.argv[1:] if word not in names for text in (word, word.partition("=")[2])}
        for text in sorted(typed - names, key=len, reverse=True):
            spellings = rf"{re.escape(text)}|{re.escape(repr(text)[1:-1])}"  # Typer escapes control characters
            error.message = re.sub(rf"(?<!\w)(?:{spellings})(?!\w)", "…", error.message)
        raise


app = typer.Typer(
    cls=_Program,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": HELP_OPTIONS},
    help="One Runtime: embedded integrations, self-hosted.",
)
for name, group in _GROUPS.items():
    app.add_typer(typer.Typer(cls=_lazy_group(group.modules), no_args_is_help=True, help=group.help), name=name)


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
    """Run the server. Environment variables contain its settings."""
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
    data: Annotated[Path, typer.Option(help="Folder for the demo's data.")] = Path(".one-runtime-demo"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line when the demo is ready.")] = False,
) -> None:
    """Run a demo on this machine. It has a sample product and a demo provider.

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
    """Migrate the database to the schema of this version."""
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
    """Move the installation from SQLite to PostgreSQL. The new database must be empty. Stop the server first."""
    from one_runtime.cli.copying import copy_installation

    copy_installation(to, to_file, as_json=as_json)


@app.command("doctor")
def doctor_command(*, as_json: AsJson = False) -> None:
    """Check this installation. Exit code 1 means a problem.

    The command checks database, key ring, public URL, proxy, clock and outbound requests.
    """
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
