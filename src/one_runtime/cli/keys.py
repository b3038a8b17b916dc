"""`one-runtime keys`: manage encryption keys while servers run (promise P3 of docs/security.md)."""

import json
from contextlib import aclosing
from dataclasses import asdict
from typing import Annotated

import typer

from one_runtime.cli.installed import load_vault
from one_runtime.cli.operators import operator_name, record_command
from one_runtime.cli.options import AsJson, Batch, Yes
from one_runtime.cli.progress import show_progress
from one_runtime.cli.running import read, run, write
from one_runtime.cli.stopping import receive_signal
from one_runtime.cli.terminal import print_json, print_rows
from one_runtime.clock import rfc3339, system_clock
from one_runtime.db.engine import Database, Transaction
from one_runtime.encryption import key_ring, key_rotation
from one_runtime.encryption.key_ring import Key
from one_runtime.encryption.key_rotation import Progress
from one_runtime.encryption.vault import Vault, new_key, parse_keys
from one_runtime.lifecycle import lost_key
from one_runtime.telemetry import exporting
from one_runtime.tenancy.installation_events import InstallationEventType
from one_runtime.tenancy.organizations import INSTANCE

app = typer.Typer()

KeyName = Annotated[str, typer.Argument(metavar="KEY", help="Id of the key, or its first characters (at least 6).")]


@app.command("new")
def new_encryption_key(*, as_json: AsJson = False) -> None:
    """Print a new encryption key for ONE_RUNTIME_ENCRYPTION_KEYS. Store the key like a password."""
    key = new_key()
    if as_json:
        print_json({"id": Vault(parse_keys(key)).key_ids[0], "key": key})
    else:
        typer.echo(key)


@app.command("list")
def list_encryption_keys(*, as_json: AsJson = False) -> None:
    """List the id and the state of each key. The command never prints a key.

    The list also shows the number of rows that the key encrypts, and the number of servers that have the key.
    """
    vault = load_vault()
    ring = read(lambda tx: key_ring.find_all(tx, vault, system_clock))
    if as_json:
        print_json([asdict(key) | _times(key) | {"servers": ring.servers} for key in ring.keys])
    else:
        print_rows([_describe(key, ring.servers) for key in ring.keys], as_json=False)


def _times(key: Key) -> dict[str, object]:
    moments = {"added_at": key.added_at, "activated_at": key.activated_at, "disabled_at": key.disabled_at}
    return {name: rfc3339(moment) if moment else None for name, moment in moments.items()}


def _describe(key: Key, servers: int) -> dict[str, object]:
    return {
        "id": key.id,
        "state": key.state,
        "in_this_ring": key.in_ring,
        "rows": key.rows,
        "servers_with_the_key": f"{key.held_by} of {servers}",
        **_times(key),
    }


def _count_rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"


@app.command("activate")
def activate_encryption_key(
    key: KeyName,
    *,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Omit two checks: every running server has the key, and this command's key ring has every key that "
            "the database needs.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a key the active key. All servers then encrypt new values with this key. Every server must have the key."""
    vault = load_vault()

    async def activate(tx: Transaction) -> str:
        key_id = await key_rotation.activate(tx, vault, key, system_clock, force=force)
        await record_command(tx, InstallationEventType.ENCRYPTION_KEY_ACTIVATED, key_id=key_id)
        return key_id

    activated = write(activate)
    if as_json:
        print_json({"id": activated, "state": "active"})
        return
    typer.echo(
        f"{activated} is the active key. To encrypt older values with this key too, run `one-runtime keys reseal`."
    )


@app.command("disable")
def disable_encryption_key(key: KeyName, *, as_json: AsJson = False) -> None:
    """Disable a key that no stored value needs. Servers can then start without the key."""

    async def disable(tx: Transaction) -> str:
        key_id = await key_rotation.disable(tx, key, system_clock())
        await record_command(tx, InstallationEventType.ENCRYPTION_KEY_DISABLED, key_id=key_id)
        return key_id

    disabled = write(disable)
    if as_json:
        print_json({"id": disabled, "state": "disabled"})
        return
    typer.echo(
        f"{disabled} is disabled. Remove this key from ONE_RUNTIME_ENCRYPTION_KEYS on every server. Keep a copy of the "
        "key as long as you keep older backups."
    )


@app.command("abandon")
def abandon_encryption_key(
    key: KeyName,
    *,
    yes: Yes = False,
    batch: Batch = 100,
    as_json: AsJson = False,
) -> None:
    """Delete or reset every value that only a lost key can decrypt, and disable the key.

    Connections become `needs_reauth`. OAuth clients lose their secrets.
    """
    vault = load_vault()
    lost, rows = read(lambda tx: lost_key.count_lost(tx, vault, key, system_clock))
    if not yes:
        question = f"Only the key {lost} can decrypt the values of {_count_rows(rows)}. Delete these values?"
        typer.confirm(question, abort=True, err=True)
    operator = operator_name()
    result = run(lambda database: lost_key.abandon(database, vault, lost, system_clock, operator, batch=batch))
    clients = [
        {
            "organization_id": None if client.organization_id == INSTANCE else client.organization_id,
            "integration_slug": client.integration_slug,
            "client_id": client.client_id,
        }
        for client in result.clients
    ]
    if as_json:
        ids = {"key_id": result.key_id, "active_key_id": result.active_key_id}
        print_json(ids | {"rows": dict(result.rows), "oauth_clients": clients})
        return
    for table, count in result.rows.items():
        typer.echo(f"{table}: {_count_rows(count)}")
    typer.echo(f"{result.key_id} is disabled. {result.active_key_id} is the active key.")
    for client in clients:
        owner = client["organization_id"] or "the operator"
        typer.echo(f"Register this OAuth client of {owner} again: {client['integration_slug']}, {client['client_id']}")


@app.command("reseal")
def reseal_encryption_keys(
    *,
    batch: Batch = 100,
    as_json: AsJson = False,
) -> None:
    """Encrypt all stored values with the active key. Servers can run at the same time."""
    vault = load_vault()

    async def work(database: Database) -> tuple[Progress, int]:
        progress, received_signal = Progress(), receive_signal()
        async with aclosing(key_rotation.reseal(database, vault, batch)) as steps:
            with show_progress("Resealing", "resealed") as show:
                async for progress in steps:
                    show(progress.resealed, progress.total)
                    if received_signal():
                        break
        return progress, received_signal()

    with exporting.command("reseal"):
        progress, number = run(work)
    _report(progress, interrupted=number > 0, as_json=as_json)
    if number:
        raise typer.Exit(128 + number)
    if progress.left:
        raise typer.Exit(1)


def _report(progress: Progress, *, interrupted: bool, as_json: bool) -> None:
    broken = list(progress.broken.values())
    if as_json:
        counts = {"resealed": progress.resealed, "left": progress.left, "interrupted": interrupted}
        typer.echo(json.dumps(counts | {"broken": [asdict(row) for row in broken]}))
        return
    for row in broken:
        typer.echo(f"{row.table} {row.id} cannot be decrypted: {row.reason}", err=True)
    typer.echo(f"{_count_rows(progress.resealed)} resealed, {progress.left:,} left.")
    if interrupted:
        typer.echo("Stopped. Run the command again to continue.", err=True)
    elif progress.left > len(broken):
        typer.echo("Some rows were locked. Run the command again.", err=True)
