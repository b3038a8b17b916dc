"""`one-runtime config`: the configuration of an organization as a file, for example from staging to production.

The commands call the API with an API key of the organization, and need no database.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import typer

from one_runtime.cli.options import AsJson, ServerUrl, Yes
from one_runtime.cli.remote_api import RemoteApi, connected
from one_runtime.cli.terminal import print_json, printable, write_text
from one_runtime.db.private_file import new_private_file
from one_runtime.errors import InvalidInput
from one_runtime.moving import configuration, configuration_file
from one_runtime.moving.configuration import Applied, ConfigurationChange, Plan
from one_runtime.moving.configuration_file import Configuration

app = typer.Typer()

DIFFERENT: Final = 2
"""Exit code of `plan --exit-code` if the organization differs from the file."""

_SIGNS: Final = {"create": "+", "update": "~", "delete": "-"}

File = Annotated[Path, typer.Argument(help="YAML file with the configuration, or - for standard input.")]
Prune = Annotated[
    bool, typer.Option("--prune", help="Delete what the file does not have, in the sections that the file has.")
]


@app.command("export")
def export_configuration(
    *,
    output: Annotated[Path | None, typer.Option(help="Path of the file. Default: standard output.")] = None,
    url: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Write the configuration of your organization, without secrets.

    The environment variable ONE_RUNTIME_API_KEY contains an API key with the scopes read and admin.
    """

    async def run() -> Configuration:
        async with connected(url) as (api, _):
            return await configuration.export(api)

    exported = asyncio.run(run())
    text = configuration_file.to_json(exported) if as_json else configuration_file.to_yaml(exported)
    write_text(text, output)


@app.command("plan")
def plan_configuration(
    file: File,
    *,
    prune: Prune = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with code 2 if the organization differs from the file.")
    ] = False,
    url: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show what `apply` would change. The command changes nothing."""
    wanted = _read(file)

    async def run() -> tuple[str, Plan]:
        async with connected(url) as (api, _):
            return await _name(api), await configuration.plan(api, wanted, prune=prune)

    organization, plan = asyncio.run(run())
    if as_json:
        print_json(
            {
                "organization": organization,
                "changes": [_describe(change) for change in plan.changes],
                "unmanaged": list(plan.unmanaged),
            }
        )
    else:
        _print_plan(organization, plan)
    if exit_code and plan.changes:
        raise typer.Exit(DIFFERENT)


@app.command("apply")
def apply_configuration(
    file: File,
    *,
    prune: Prune = False,
    secrets: Annotated[
        Path | None, typer.Option(help="Path of a new JSON file for the secrets of new webhook endpoints.")
    ] = None,
    yes: Yes = False,
    url: ServerUrl = None,
    as_json: AsJson = False,
) -> None:
    """Make your organization equal to the file, after a question. If the command is interrupted, run it again."""
    wanted = _read(file)

    async def run() -> Applied:
        async with connected(url) as (api, _):
            organization, plan = await _name(api), await configuration.plan(api, wanted, prune=prune)
            if not as_json:
                _print_plan(organization, plan)
            if plan.changes and not yes:
                typer.confirm(f"Change {organization}?", abort=True, err=as_json)
            return await configuration.apply(api, wanted, plan, prune=prune)

    if secrets is None:
        applied = asyncio.run(run())
    else:
        with new_private_file(secrets):
            applied = asyncio.run(run())
            secrets.write_text(json.dumps(dict(applied.secrets), indent=2) + "\n", encoding="utf-8")
    if as_json:
        print_json({"changes": [_describe(change) for change in applied.changes]})
        return
    if applied.changes:
        typer.echo(f"Made {_count(applied.changes)}.")
    if applied.secrets and secrets is None:
        places = ", ".join(applied.secrets)
        typer.echo(f"New webhook endpoints: {places}. Get a secret with `one-runtime webhooks rotate-secret`.")


def _read(file: Path) -> Configuration:
    """Raises: InvalidInput."""
    if str(file) == "-":
        return configuration_file.parse(sys.stdin.read(), os.environ, Path())
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidInput(f"{file} cannot be read: {reason}.") from error
    return configuration_file.parse(text, os.environ, file.parent)


async def _name(api: RemoteApi) -> str:
    """Return the name of the organization and the URL of its server."""
    me, _ = await api.fetch("/v1/me")
    return f"{me['organization']['display_name']} at {api.identity[0]}"


def _print_plan(organization: str, plan: Plan) -> None:
    if not plan.changes:
        typer.echo(f"{printable(organization)} is equal to the file.")
    else:
        typer.echo(f"{printable(organization)} differs from the file in {_count(plan.changes)}:")
    for change in plan.changes:
        typer.echo(f"  {_SIGNS[change.action]} {printable(change.place)}")
        for detail in change.details:
            typer.echo(f"      {printable(detail)}")
    if plan.unmanaged:
        places = printable(", ".join(plan.unmanaged))
        typer.echo(f"Not in the file, and kept: {places}. --prune deletes them.")


def _describe(change: ConfigurationChange) -> dict[str, object]:
    return {"action": change.action, "place": change.place, "details": list(change.details)}


def _count(changes: Iterable[ConfigurationChange]) -> str:
    number = len(list(changes))
    return f"{number} change{'s' if number != 1 else ''}"
