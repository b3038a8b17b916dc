"""The command line: `one-runtime`. It parses, calls one function, prints."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from one_runtime import __version__, api_keys, logs, organizations
from one_runtime.app import create_app
from one_runtime.clock import rfc3339, system_clock
from one_runtime.db.engine import Database, create_database
from one_runtime.db.migrations import HEAD, migrate, require_current
from one_runtime.demo.server import run_demo
from one_runtime.errors import OneRuntimeError
from one_runtime.events import Actor
from one_runtime.serving import serve
from one_runtime.settings import load_settings
from one_runtime.vault import new_key

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, add_completion=False, help="One Runtime: embedded integrations, self-hosted.")
organizations_app = typer.Typer(no_args_is_help=True, help="Organizations: the tenants.")
api_keys_app = typer.Typer(no_args_is_help=True, help="API keys of organizations.")
keys_app = typer.Typer(no_args_is_help=True, help="Encryption keys of the ring.")
app.add_typer(organizations_app, name="organizations")
app.add_typer(api_keys_app, name="api-keys")
app.add_typer(keys_app, name="keys")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _run(work: Callable[[Database], Awaitable[T]]) -> T:
    """Open the configured database, do the work, close it."""

    async def opened() -> T:
        url = load_settings().database_url.get_secret_value()
        require_current(url)
        database = create_database(url, pool_size=1)
        await database.open()
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(opened())


def _print(rows: list[dict[str, object]], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        typer.echo("  ".join("-" if value is None else str(value) for value in row.values()))


@app.command("serve")
def serve_command(
    *,
    migrate_first: Annotated[bool, typer.Option("--migrate", help="Migrate PostgreSQL first.")] = False,
    workers: Annotated[int | None, typer.Option(help="Server processes; instead of ONE_RUNTIME_WORKERS.")] = None,
) -> None:
    """Serve One Runtime, with the settings of the environment."""
    settings = load_settings(workers=workers)
    logs.configure(settings.log_level, settings.log_format)
    serve(settings, migrate_first=migrate_first)


@app.command("demo")
def demo_command(
    *,
    port: Annotated[int, typer.Option(min=1024, max=65533, help="Its port; the two after it are used too.")] = 8000,
    data: Annotated[Path, typer.Option(help="The folder to keep its data in.")] = Path(".one-runtime-demo"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line once it serves.")] = False,
) -> None:
    """Try One Runtime on this machine, with a customer's page and a provider to connect to."""
    logs.configure("warning", "console")
    run_demo(port=port, data=data, json=as_json, create_app=create_app)


@app.command("migrate")
def migrate_command() -> None:
    """Bring the database to the schema of this version."""
    done = migrate(load_settings().database_url.get_secret_value())
    typer.echo(f"Migrated to {HEAD}." if done else f"Nothing to do: the database is at {HEAD}.")


@app.command("version")
def version_command() -> None:
    """Print the version."""
    typer.echo(__version__)


@keys_app.command("new")
def new_encryption_key() -> None:
    """Print a new encryption key for ONE_RUNTIME_ENCRYPTION_KEYS. Keep it as you keep passwords."""
    typer.echo(new_key())


@organizations_app.command("create")
def create_organization(
    display_name: Annotated[str, typer.Argument(help="The name that end users see.")],
    allowed_origin: Annotated[list[str] | None, typer.Option(help="An origin that may open the popup.")] = None,
) -> None:
    """Make an organization and print its id."""

    async def work(database: Database) -> str:
        async with database.write() as tx:
            made = await organizations.create(tx, display_name, system_clock(), allowed_origins=allowed_origin or ())
            return made.id

    typer.echo(_run(work))


@organizations_app.command("list")
def list_organizations(*, as_json: AsJson = False) -> None:
    """List the organizations."""

    async def work(database: Database) -> list[organizations.Organization]:
        async with database.read() as tx:
            return await organizations.list_all(tx)

    rows: list[dict[str, object]] = [
        {"id": one.id, "display_name": one.display_name, "allowed_origins": " ".join(one.allowed_origins) or None}
        for one in _run(work)
    ]
    _print(rows, as_json=as_json)


@organizations_app.command("set")
def set_organization(
    organization_id: str,
    display_name: Annotated[str | None, typer.Option(help="The name that end users see.")] = None,
    allowed_origin: Annotated[list[str] | None, typer.Option(help="The origins that may open the popup.")] = None,
    privacy_url: Annotated[str | None, typer.Option(help="The link to its privacy policy.")] = None,
) -> None:
    """Change an organization; what is not given stays."""

    async def work(database: Database) -> organizations.Organization:
        async with database.write() as tx:
            found = await organizations.get(tx, organization_id)
            wanted = replace(
                found,
                display_name=display_name or found.display_name,
                allowed_origins=tuple(allowed_origin) if allowed_origin else found.allowed_origins,
                privacy_url=found.privacy_url if privacy_url is None else privacy_url,
            )
            return await organizations.save(tx, Actor(found.id, "system"), wanted, system_clock())

    saved = _run(work)
    typer.echo(f"{saved.id}  {saved.display_name}  {' '.join(saved.allowed_origins)}")


@api_keys_app.command("create")
def create_api_key(
    organization_id: str,
    name: Annotated[str, typer.Option(help="What it is for.")] = "default",
    scope: Annotated[list[str] | None, typer.Option(help=f"Among {', '.join(api_keys.SCOPES)}.")] = None,
) -> None:
    """Make an API key and print it: this is the only time that it is shown."""

    async def work(database: Database) -> str:
        async with database.write() as tx:
            organization = await organizations.get(tx, organization_id)
            actor = Actor(organization.id, "system")
            _, token = await api_keys.create(tx, actor, name, scope or api_keys.DEFAULT_SCOPES, system_clock())
            return token.secret

    typer.echo(_run(work))


@api_keys_app.command("list")
def list_api_keys(
    organization_id: Annotated[str | None, typer.Argument(help="Only this organization's.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List API keys: their prefixes, never the keys."""

    async def work(database: Database) -> list[api_keys.ApiKey]:
        async with database.read() as tx:
            return await api_keys.list_all(tx, organization_id)

    rows: list[dict[str, object]] = [
        {
            "id": key.id,
            "organization_id": key.organization_id,
            "prefix": key.prefix,
            "name": key.name,
            "scopes": " ".join(key.scopes),
            "created_at": rfc3339(key.created_at),
            "revoked_at": rfc3339(key.revoked_at) if key.revoked_at else None,
        }
        for key in _run(work)
    ]
    _print(rows, as_json=as_json)


@api_keys_app.command("revoke")
def revoke_api_key(key: Annotated[str, typer.Argument(help="Its id or its prefix.")]) -> None:
    """Revoke an API key: the next request with it is refused."""

    async def work(database: Database) -> api_keys.ApiKey:
        async with database.write() as tx:
            return await api_keys.revoke(tx, key, system_clock())

    typer.echo(f"Revoked {_run(work).prefix}.")


def main() -> None:
    """Run a command; an error of ours is one sentence, not a traceback."""
    try:
        app()
    except OneRuntimeError as error:
        typer.echo(error.detail, err=True)
        sys.exit(1)
